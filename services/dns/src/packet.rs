//! Messages taken apart, record by record: for all that is no plain query (updates, transfers, notifications, TSIG).
//!
//! What comes out stands for itself: names and data are uncompressed, and data is what its type says.

use crate::limits::{HEADER_OCTETS, NAME_OCTETS};
use crate::record::Record;
use crate::types::{Field, RecordType};
use crate::zonefile::check_data;

/// What the octets are is no message, or not one of the kind that was expected: FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A message being read.
#[derive(Clone)]
pub struct Packet<'m> {
    message: &'m [u8],
    header: &'m [u8; HEADER_OCTETS],
    at: usize,
}

/// A question, or the zone of an update (RFC 2136 §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, the case kept.
    pub name: Vec<u8>,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: u16,
}

/// A record with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record; without data also where its type has some.
    pub record: Record,
    /// IN, or what updates and OPT make of it.
    pub class: u16,
}

impl<'m> Packet<'m> {
    /// Starts behind the header.
    pub fn new(message: &'m [u8]) -> Result<Packet<'m>, Malformed> {
        let header = message.first_chunk().ok_or(Malformed)?;
        Ok(Packet { message, header, at: HEADER_OCTETS })
    }

    /// The message's identifier.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Whether it is an answer.
    pub fn is_answer(&self) -> bool {
        self.header[2] & 0x80 != 0
    }

    /// What is asked for (RFC 1035 §4.1.1).
    pub fn opcode(&self) -> u8 {
        self.header[2] >> 3 & 0x0F
    }

    /// The response code, without what an OPT record adds.
    pub fn rcode(&self) -> u8 {
        self.header[3] & 0x0F
    }

    /// How many records there are in section 0 to 3: question, answer, authority, additional; or as RFC 2136 §2.2 calls
    /// them: zone, prerequisite, update, additional.
    pub fn count(&self, section: usize) -> usize {
        usize::from(u16::from_be_bytes([self.header[4 + 2 * section], self.header[5 + 2 * section]]))
    }

    /// Where the next question or record starts.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.message.len()
    }

    /// The next question.
    pub fn question(&mut self) -> Result<Question, Malformed> {
        let name = self.name()?;
        let &[t1, t0, c1, c0] = self.take::<4>()?;
        Ok(Question {
            name,
            rtype: RecordType(u16::from_be_bytes([t1, t0])),
            class: u16::from_be_bytes([c1, c0]),
        })
    }

    /// The next record.
    pub fn record(&mut self) -> Result<Entry, Malformed> {
        let (owner, rtype, class, ttl, data) = self.raw()?;
        let data = self.uncompressed(rtype, data.start, data.end)?;
        Ok(Entry { record: Record { owner, rtype, ttl, data }, class })
    }

    /// Passes over a record without judging its data; its type.
    pub fn skip_record(&mut self) -> Result<RecordType, Malformed> {
        self.raw().map(|(_, rtype, ..)| rtype)
    }

    #[expect(clippy::type_complexity, reason = "used twice, right here")]
    fn raw(&mut self) -> Result<(Vec<u8>, RecordType, u16, u32, std::ops::Range<usize>), Malformed> {
        let owner = self.name()?;
        let &[t1, t0, c1, c0, s3, s2, s1, s0, l1, l0] = self.take::<10>()?;
        let start = self.at;
        self.at += usize::from(u16::from_be_bytes([l1, l0]));
        if self.at > self.message.len() {
            return Err(Malformed);
        }
        let rtype = RecordType(u16::from_be_bytes([t1, t0]));
        let class = u16::from_be_bytes([c1, c0]);
        Ok((owner, rtype, class, u32::from_be_bytes([s3, s2, s1, s0]), start..self.at))
    }

    /// The data of a record, names in it uncompressed. They may be compressed in more types than we compress (RFC 3597 §4).
    fn uncompressed(&self, rtype: RecordType, start: usize, end: usize) -> Result<Vec<u8>, Malformed> {
        let message = &self.message[..end];
        let (mut at, mut data) = (start, Vec::with_capacity(end - start));
        // RFC 2136 §2.4 and §2.5: without data a record stands for its set.
        if start == end {
            return Ok(data);
        }
        for field in rtype.fields() {
            let rest = message.get(at..).ok_or(Malformed)?;
            let length = match field {
                Field::Name => {
                    data.extend(name_at(message, at).ok_or(Malformed)?);
                    at = skip_name(message, at).ok_or(Malformed)?;
                    continue;
                }
                Field::U8 | Field::Algorithm => 1,
                Field::U16 | Field::Type | Field::CertificateType => 2,
                Field::Ipv4 | Field::U32 | Field::Period | Field::Time => 4,
                Field::Text => 1 + usize::from(*rest.first().ok_or(Malformed)?),
                _ => rest.len(),
            };
            data.extend_from_slice(rest.get(..length).ok_or(Malformed)?);
            at += length;
        }
        if at != end || data.len() > usize::from(u16::MAX) {
            return Err(Malformed);
        }
        check_data(rtype, &data).map_err(|_| Malformed)?;
        Ok(data)
    }

    fn name(&mut self) -> Result<Vec<u8>, Malformed> {
        let name = name_at(self.message, self.at).ok_or(Malformed)?;
        self.at = skip_name(self.message, self.at).ok_or(Malformed)?;
        Ok(name)
    }

    fn take<const N: usize>(&mut self) -> Result<&'m [u8; N], Malformed> {
        let octets = self.message.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        self.at += N;
        Ok(octets)
    }
}

/// Where the name at `at` ends, be it compressed.
pub fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// The name at `at`, uncompressed, the case kept. Pointers may only lead backwards and every label makes the name longer,
/// so the loop ends.
pub fn name_at(message: &[u8], mut at: usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    loop {
        match *message.get(at)? {
            0 => break,
            length @ 1..=63 => {
                name.extend_from_slice(message.get(at..=at + usize::from(length))?);
                at += 1 + usize::from(length);
            }
            high @ 0xC0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3F, *message.get(at + 1)?]));
                at = if target < at { target } else { return None };
            }
            _ => return None,
        }
        if name.len() >= NAME_OCTETS {
            return None;
        }
    }
    name.push(0);
    Some(name)
}

/// Appends a record of class `class` as it stands, uncompressed.
pub fn put_record(message: &mut Vec<u8>, record: &Record, class: u16) {
    message.extend_from_slice(&record.owner);
    message.extend_from_slice(&record.rtype.0.to_be_bytes());
    message.extend_from_slice(&class.to_be_bytes());
    message.extend_from_slice(&record.ttl.to_be_bytes());
    message.extend_from_slice(&(record.data.len() as u16).to_be_bytes());
    message.extend_from_slice(&record.data);
}

/// Writes the number of records of section 0 to 3 into the header.
pub fn set_count(message: &mut [u8], section: usize, count: u16) {
    if let Some(octets) = message.get_mut(4 + 2 * section..6 + 2 * section) {
        octets.copy_from_slice(&count.to_be_bytes());
    }
}

/// The answer to `request` that has this response code and its question, and no more. `None` where it has no whole header.
pub fn bare_answer(request: &[u8], rcode: u8) -> Option<Vec<u8>> {
    let packet = Packet::new(request).ok()?;
    let mut answer = request[..HEADER_OCTETS].to_vec();
    answer[2] = 0x80 | answer[2] & 0x79;
    answer[3] = rcode;
    answer[4..].fill(0);
    if packet.count(0) == 1
        && let Some(end) = skip_name(request, HEADER_OCTETS)
        && let Some(question) = request.get(HEADER_OCTETS..end + 4)
    {
        answer.extend_from_slice(question);
        set_count(&mut answer, 0, 1);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rtype: u16, data: &[u8], expect: Option<&[u8]>) {
        let mut message = b"\x12\x34\x28\0\0\x01\0\x01\0\0\0\0\x07example\x03org\0\0\x06\0\x01".to_vec();
        message.extend(b"\x03www\xC0\x0C");
        message.extend(rtype.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend(data);
        let mut packet = Packet::new(&message).unwrap();
        assert_eq!((packet.id(), packet.opcode(), packet.count(1)), (0x1234, 5, 1));
        assert_eq!(packet.question().unwrap().name, b"\x07example\x03org\0");
        let record = packet.record();
        assert_eq!(record.as_ref().ok().map(|entry| &entry.record.data[..]), expect);
        if let Ok(entry) = record {
            assert_eq!(entry.record.owner, b"\x03www\x07example\x03org\0");
            assert!(packet.is_at_end());
        }
    }

    #[test]
    fn data_comes_out_uncompressed_and_checked() {
        check(1, &[192, 0, 2, 1], Some(&[192, 0, 2, 1]));
        check(1, &[192, 0, 2], None);
        check(1, &[192, 0, 2, 1, 0], None);
        check(1, &[], Some(&[]));
        check(15, b"\0\x0A\x04mail\xC0\x0C", Some(b"\0\x0A\x04mail\x07example\x03org\0"));
        check(33, b"\0\x01\0\x02\0\x03\xC0\x0C", Some(b"\0\x01\0\x02\0\x03\x07example\x03org\0"));
        check(15, b"\0\x0A\xC0\xFF", None);
        check(16, b"\x01a\x02bc", Some(b"\x01a\x02bc"));
        check(16, b"\x01a\x03bc", None);
        check(65_280, &[1, 2, 3], Some(&[1, 2, 3]));
    }

    #[test]
    fn names_that_point_at_themselves_end() {
        assert_eq!(name_at(&[0xC0, 0], 0), None);
        assert_eq!(name_at(&[1, b'a', 0xC0, 0], 0), None);
        assert_eq!(name_at(&[0, 0xC0, 0], 1), Some(vec![0]));
    }
}
