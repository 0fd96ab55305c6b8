//! Messages of a transfer: many records of one zone, names compressed.
//!
//! The case of names is kept, so a name is only compressed against one that has the same octets (RFC 5936 §3.4).

use std::collections::HashMap;

use crate::limits::{MESSAGE_OCTETS, TRANSFER_MESSAGE_OCTETS};
use crate::packet::set_count;
use crate::query::CLASS_IN;
use crate::record::Record;

/// Pointers have 14 bits (RFC 1035 §4.1.4).
const POINTER_REACH: usize = 0x4000;

/// A message being filled.
pub struct Writer {
    message: Vec<u8>,
    /// Where each name that a pointer can lead to stands.
    names: HashMap<Vec<u8>, u16>,
    count: u16,
    reserved: usize,
}

impl Writer {
    /// Goes on behind `start`, a header with or without a question, and leaves `reserved` octets for a signature.
    pub fn new(start: &[u8], reserved: usize) -> Writer {
        Writer { message: start.to_vec(), names: HashMap::new(), count: 0, reserved }
    }

    /// Adds a record to the answer section; false if the message is full. The first is taken at any length.
    #[must_use]
    pub fn add(&mut self, record: &Record) -> bool {
        let before = self.message.len();
        self.put_name(&record.owner);
        self.message.extend_from_slice(&record.rtype.0.to_be_bytes());
        self.message.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.message.extend_from_slice(&record.ttl.to_be_bytes());
        self.message.extend_from_slice(&[0, 0]);
        let data = self.message.len();
        self.put_data(record);
        let length = (self.message.len() - data) as u16;
        self.message[data - 2..data].copy_from_slice(&length.to_be_bytes());
        let limit = if self.count == 0 { MESSAGE_OCTETS } else { TRANSFER_MESSAGE_OCTETS };
        if self.message.len() + self.reserved > limit && self.count > 0 {
            self.message.truncate(before);
            return false;
        }
        self.count += 1;
        true
    }

    /// The message.
    pub fn finish(mut self) -> Vec<u8> {
        set_count(&mut self.message, 1, self.count);
        self.message
    }

    /// Names in data are compressed in the types of RFC 1035 (RFC 3597 §4).
    fn put_data(&mut self, record: &Record) {
        let Some(layout) = record.rtype.names().filter(|layout| layout.compress) else {
            return self.message.extend_from_slice(&record.data);
        };
        let (fixed, mut rest) = record.data.split_at(layout.skip.min(record.data.len()));
        self.message.extend_from_slice(fixed);
        for _ in 0..layout.count {
            rest = &rest[self.put_name(rest)..];
        }
        self.message.extend_from_slice(rest);
    }

    /// Writes the name that starts here; how many octets it has uncompressed.
    fn put_name(&mut self, octets: &[u8]) -> usize {
        let length = crate::packet::skip_name(octets, 0).unwrap_or(octets.len());
        let mut name = &octets[..length];
        while let Some((&label @ 1.., _)) = name.split_first() {
            if let Some(at) = self.names.get(name) {
                self.message.extend_from_slice(&(0xC000 | at).to_be_bytes());
                return length;
            }
            if self.message.len() < POINTER_REACH {
                self.names.insert(name.to_vec(), self.message.len() as u16);
            }
            let (head, rest) = name.split_at((1 + usize::from(label)).min(name.len()));
            self.message.extend_from_slice(head);
            name = rest;
        }
        self.message.push(0);
        length
    }
}
