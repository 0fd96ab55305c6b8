//! What is asked for: which zone, whole or since when.

use crate::limits::HEADER_OCTETS;
use crate::packet::{Malformed, Packet, put_record, set_count};
use crate::query::{AA, CLASS_IN, QR, RD};
use crate::record::{Record, soa_field};
use crate::types::RecordType;

/// A request for a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The zone's name, the case as it was given.
    pub zone: Vec<u8>,
    /// The serial number that the client has: of IXFR, not of AXFR.
    pub serial: Option<u32>,
    /// The question as it stands in the message.
    pub(super) question: Vec<u8>,
    pub(super) has_opt: bool,
    id: [u8; 2],
    flags: u8,
}

impl Request {
    /// Reads a message without a signature that asks for AXFR or IXFR.
    pub fn parse(message: &[u8]) -> Result<Request, Malformed> {
        let mut packet = Packet::new(message)?;
        if packet.count(0) != 1 {
            return Err(Malformed);
        }
        let question = packet.question()?;
        if question.class != CLASS_IN {
            return Err(Malformed);
        }
        let question_octets = message[HEADER_OCTETS..packet.position()].to_vec();
        let mut serial = None;
        for _ in 0..packet.count(1) + packet.count(2) {
            let record = packet.record()?.record;
            serial = serial.or(soa_field(&record.data, 0).filter(|_| record.rtype == RecordType::SOA));
        }
        let mut has_opt = false;
        for _ in 0..packet.count(3) {
            has_opt |= packet.skip_record()? == RecordType::OPT;
        }
        // RFC 1995 §3: the client's SOA record is in the authority section.
        let serial = match question.rtype {
            RecordType::IXFR => Some(serial.ok_or(Malformed)?),
            RecordType::AXFR => None,
            _ => return Err(Malformed),
        };
        let (id, flags) = ([message[0], message[1]], message[2]);
        Ok(Request { zone: question.name, serial, question: question_octets, has_opt, id, flags })
    }

    /// A message that asks for the zone, or if `since` is given, for what changed after that SOA record.
    pub fn message(zone: &[u8], since: Option<&Record>, id: u16) -> Vec<u8> {
        let rtype = if since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
        let mut message = question(zone, rtype, id);
        if let Some(soa) = since {
            put_record(&mut message, soa, CLASS_IN);
            set_count(&mut message, 2, 1);
        }
        message
    }

    /// The header that answers have, without counts.
    pub(super) fn answer_header(&self) -> Vec<u8> {
        let mut header = vec![0; HEADER_OCTETS];
        header[..2].copy_from_slice(&self.id);
        header[2] = QR | AA | self.flags & RD;
        header
    }
}

/// A query without EDNS.
pub fn question(name: &[u8], rtype: RecordType, id: u16) -> Vec<u8> {
    let mut message = vec![0; HEADER_OCTETS];
    message[..2].copy_from_slice(&id.to_be_bytes());
    set_count(&mut message, 0, 1);
    message.extend_from_slice(name);
    message.extend_from_slice(&rtype.0.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message
}
