//! Update messages, for those who ask for a change: services that write into the DNS.

use super::{CLASS_NONE, OPCODE, PREREQUISITE, UPDATE};
use crate::limits::HEADER_OCTETS;
use crate::packet::{put_record, set_count};
use crate::query::{CLASS_ANY, CLASS_IN};
use crate::record::Record;
use crate::types::RecordType;

/// An update message being put together: prerequisites first, then changes, each in its order.
#[derive(Clone, Debug)]
pub struct Request {
    zone: Vec<u8>,
    prerequisites: Vec<(Record, u16)>,
    updates: Vec<(Record, u16)>,
}

impl Request {
    /// Asks for nothing yet; `zone` is the zone's name on the wire, as all names here.
    pub fn new(zone: &[u8]) -> Request {
        Request { zone: zone.to_vec(), prerequisites: Vec::new(), updates: Vec::new() }
    }

    /// Only if there are records of this type (RFC 2136 §2.4.1); for ANY, of any type (§2.4.4).
    pub fn if_exists(&mut self, owner: &[u8], rtype: RecordType) -> &mut Request {
        self.prerequisites.push((empty(owner, rtype), CLASS_ANY));
        self
    }

    /// Only if there are none of this type (RFC 2136 §2.4.3); for ANY, none at all (§2.4.5).
    pub fn if_absent(&mut self, owner: &[u8], rtype: RecordType) -> &mut Request {
        self.prerequisites.push((empty(owner, rtype), CLASS_NONE));
        self
    }

    /// Only if this is one of a set's records, of which all are to be named so (RFC 2136 §2.4.2).
    pub fn if_is(&mut self, record: Record) -> &mut Request {
        self.prerequisites.push((Record { ttl: 0, ..record }, CLASS_IN));
        self
    }

    /// Adds a record (RFC 2136 §2.5.1).
    pub fn add(&mut self, record: Record) -> &mut Request {
        self.updates.push((record, CLASS_IN));
        self
    }

    /// Removes the records of one type, or for ANY all (RFC 2136 §2.5.2, §2.5.3).
    pub fn remove_set(&mut self, owner: &[u8], rtype: RecordType) -> &mut Request {
        self.updates.push((empty(owner, rtype), CLASS_ANY));
        self
    }

    /// Removes this one record (RFC 2136 §2.5.4).
    pub fn remove(&mut self, record: Record) -> &mut Request {
        self.updates.push((Record { ttl: 0, ..record }, CLASS_NONE));
        self
    }

    /// The message, which is still to be signed.
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut message = vec![0; HEADER_OCTETS];
        message[..2].copy_from_slice(&id.to_be_bytes());
        message[2] = OPCODE << 3;
        set_count(&mut message, 0, 1);
        message.extend_from_slice(&self.zone);
        message.extend_from_slice(&RecordType::SOA.0.to_be_bytes());
        message.extend_from_slice(&CLASS_IN.to_be_bytes());
        for (section, entries) in [(PREREQUISITE, &self.prerequisites), (UPDATE, &self.updates)] {
            for (record, class) in entries {
                put_record(&mut message, record, *class);
            }
            set_count(&mut message, section, entries.len() as u16);
        }
        message
    }
}

fn empty(owner: &[u8], rtype: RecordType) -> Record {
    Record { owner: owner.to_vec(), rtype, ttl: 0, data: Vec::new() }
}
