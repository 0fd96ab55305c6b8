//! The TSIG record on the wire (RFC 8945 §4.2): found at the end of a message, taken off, put on.

use crate::limits::{HEADER_OCTETS, NAME_OCTETS};
use crate::packet::{Malformed, name_at, skip_name};
use crate::query::CLASS_ANY;
use crate::types::RecordType;

/// Seconds that clocks may differ (RFC 8945 §10).
pub const FUDGE_SECONDS: u16 = 300;

/// A TSIG record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tsig {
    /// The key's name, lower case.
    pub key: Vec<u8>,
    /// The algorithm's name, lower case.
    pub algorithm: Vec<u8>,
    /// Seconds since 1970, 48 bits.
    pub time: u64,
    /// Seconds that the receiver's clock may differ.
    pub fudge: u16,
    /// The MAC.
    pub mac: Vec<u8>,
    /// The identifier that the message was signed with.
    pub original_id: u16,
    /// 0, or one of [`Error`](super::Error)'s.
    pub error: u16,
    /// The server's time, where `error` is BADTIME.
    pub other: Vec<u8>,
}

/// Takes the TSIG record off: what is left is the message as it was signed, its identifier and count put back. `None` where
/// there is no such record.
pub fn take_off(message: &mut Vec<u8>) -> Result<Option<Tsig>, Malformed> {
    let Some((start, tsig)) = find(message).ok_or(Malformed)? else { return Ok(None) };
    message.truncate(start);
    let additional = u16::from_be_bytes([message[10], message[11]]);
    message[10..12].copy_from_slice(&additional.saturating_sub(1).to_be_bytes());
    message[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
    Ok(Some(tsig))
}

/// Whether there is such a record.
pub fn is_there(message: &[u8]) -> bool {
    find(message).flatten().is_some()
}

/// Where the TSIG record starts, and the record. The outer `None`: the message is malformed.
fn find(message: &[u8]) -> Option<Option<(usize, Tsig)>> {
    let header: &[u8; HEADER_OCTETS] = message.first_chunk()?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let mut at = HEADER_OCTETS;
    for _ in 0..count(4) {
        at = skip_name(message, at)?.checked_add(4).filter(|end| *end <= message.len())?;
    }
    let (others, additional) = (count(6) + count(8), count(10));
    for number in 0..others + additional {
        let (start, fixed) = (at, skip_name(message, at)?);
        let header: &[u8; 10] = message.get(fixed..)?.first_chunk()?;
        let data = fixed + header.len();
        at = data + usize::from(u16::from_be_bytes([header[8], header[9]]));
        let octets = message.get(data..at)?;
        if header[..2] != RecordType::TSIG.0.to_be_bytes() {
            continue;
        }
        // RFC 8945 §5.1: the last of the additional section, and alone.
        let last = number + 1 == others + additional && number >= others && at == message.len();
        if !last || header[2..8] != [0, CLASS_ANY as u8, 0, 0, 0, 0] {
            return None;
        }
        let mut tsig = parse(octets)?;
        tsig.key = name_at(message, start)?.to_ascii_lowercase();
        return Some(Some((start, tsig)));
    }
    (at == message.len()).then_some(None)
}

fn parse(data: &[u8]) -> Option<Tsig> {
    let algorithm_end = skip_uncompressed(data)?;
    let (algorithm, rest) = data.split_at_checked(algorithm_end)?;
    let (time, rest) = rest.split_first_chunk::<6>()?;
    let (fudge, rest) = rest.split_first_chunk::<2>()?;
    let (mac, rest) = counted(rest)?;
    let (original_id, rest) = rest.split_first_chunk::<2>()?;
    let (error, rest) = rest.split_first_chunk::<2>()?;
    let (other, rest) = counted(rest)?;
    let [a, b, c, d, e, f] = *time;
    rest.is_empty().then(|| Tsig {
        key: Vec::new(),
        algorithm: algorithm.to_ascii_lowercase(),
        time: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        fudge: u16::from_be_bytes(*fudge),
        mac: mac.to_vec(),
        original_id: u16::from_be_bytes(*original_id),
        error: u16::from_be_bytes(*error),
        other: other.to_vec(),
    })
}

impl Tsig {
    /// Appends the record to `message` and counts it.
    pub fn put_on(&self, message: &mut Vec<u8>) {
        let data = self.algorithm.len() + 6 + 2 + 2 + self.mac.len() + 2 + 2 + 2 + self.other.len();
        message.extend_from_slice(&self.key);
        message.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
        message.extend_from_slice(&[0, CLASS_ANY as u8, 0, 0, 0, 0]);
        message.extend_from_slice(&(data as u16).to_be_bytes());
        message.extend_from_slice(&self.algorithm);
        message.extend_from_slice(&self.timers());
        message.extend_from_slice(&(self.mac.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.mac);
        message.extend_from_slice(&self.original_id.to_be_bytes());
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.other);
        let additional = u16::from_be_bytes([message[10], message[11]]);
        message[10..12].copy_from_slice(&(additional + 1).to_be_bytes());
    }

    /// Octets that [`put_on`](Tsig::put_on) appends, for a key and a MAC of these lengths; room for BADTIME included.
    pub fn octets(key: usize, algorithm: usize, mac: usize) -> usize {
        key + 10 + algorithm + 8 + 2 + mac + 6 + 6
    }

    /// Time and fudge, as digested (RFC 8945 §4.3.3).
    pub fn timers(&self) -> [u8; 8] {
        let [_, _, a, b, c, d, e, f] = self.time.to_be_bytes();
        let [g, h] = self.fudge.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// All of the record that is digested, in canonical form (RFC 8945 §4.3.3).
    pub fn variables(&self) -> Vec<u8> {
        let mut octets = self.key.clone();
        octets.extend_from_slice(&[0, CLASS_ANY as u8, 0, 0, 0, 0]);
        octets.extend_from_slice(&self.algorithm);
        octets.extend_from_slice(&self.timers());
        octets.extend_from_slice(&self.error.to_be_bytes());
        octets.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        octets.extend_from_slice(&self.other);
        octets
    }
}

/// A length of two octets and so many octets; and what is behind.
fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Where the uncompressed name ends that starts here (RFC 8945 §4.2: the algorithm's name is not compressed).
fn skip_uncompressed(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let length @ 1.. = *octets.get(at)? {
        at += 1 + usize::from(length);
        if length > 63 || at >= NAME_OCTETS {
            return None;
        }
    }
    Some(at + 1)
}
