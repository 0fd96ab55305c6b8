//! DNS messages as a stub resolver needs them (RFC 1035 §4): one question out, one answer in. Bytes to values and back;
//! whatever a server sends, nothing here panics, loops or allocates more than the message is long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a header.
const HEADER: usize = 12;
/// Octets of a name on the wire (RFC 1035 §3.1).
const NAME_OCTETS: usize = 255;
/// Octets of a label.
const LABEL_OCTETS: usize = 63;
/// Compression pointers followed in one name: each must point backwards, and a name has at most 127 labels.
const POINTERS: usize = 127;
/// Aliases followed from the question to its records.
const ALIASES: usize = 16;
/// Octets of an answer over UDP that no path has to fragment (the flag day of 2020).
pub const UDP_OCTETS: usize = 1_232;

const CLASS_IN: u16 = 1;
const OPT: u16 = 41;
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;

/// Types of records (RFC 1035 §3.2.2 and the registry of IANA).
pub mod kind {
    #![allow(missing_docs, reason = "the names are the registry's")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
}

/// A name on the wire, without compression, lower-case; the key of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// Reads `www.example.org`, with or without the dot at the end. `None` for what is no name: empty labels, labels or
    /// names that are too long, characters that are not printable ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            let good = (1..=LABEL_OCTETS).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            if !good || wire.len() + 1 + label.len() >= NAME_OCTETS {
                return None;
            }
            wire.push(label.len() as u8);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        Some(Self(wire))
    }

    /// The name as it is in a message, expanded, and where what follows it starts.
    fn read(message: &[u8], mut at: usize) -> Option<(Self, usize)> {
        let (mut wire, mut after, mut pointers) = (Vec::new(), None, 0);
        loop {
            let length = usize::from(*message.get(at)?);
            match length >> 6 {
                0 => {
                    let label = message.get(at..at + 1 + length)?;
                    if wire.len() + label.len() > NAME_OCTETS {
                        return None;
                    }
                    wire.extend(label.iter().map(u8::to_ascii_lowercase));
                    at += label.len();
                    if length == 0 {
                        return Some((Self(wire), after.unwrap_or(at)));
                    }
                }
                3 => {
                    let target = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                    pointers += 1;
                    if target >= at || pointers > POINTERS {
                        return None;
                    }
                    after.get_or_insert(at + 2);
                    at = target;
                }
                _ => return None,
            }
        }
    }
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its type; see [`kind`].
    pub kind: u16,
    /// Seconds that it may be remembered.
    pub seconds: u32,
    /// Its data as on the wire, names in it expanded.
    pub data: Vec<u8>,
}

impl Record {
    /// The address of an A or AAAA record.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            kind::A => <[u8; 4]>::try_from(&self.data[..]).ok().map(|octets| Ipv4Addr::from(octets).into()),
            kind::AAAA => {
                <[u8; 16]>::try_from(&self.data[..]).ok().map(|octets| Ipv6Addr::from(octets).into())
            }
            _ => None,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type of its records.
    pub kind: u16,
}

impl Question {
    /// The question as a message. `entropy` makes it hard to answer for somebody who does not see it: two octets are its
    /// identifier, a bit each decides on the case of a letter (draft-vixie-dnsext-dns0x20). `edns` announces the room for
    /// the answer, which a few old servers do not understand.
    pub fn message(&self, entropy: &[u8; 34], edns: bool) -> Vec<u8> {
        let mut message =
            vec![entropy[0], entropy[1], RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, edns.into()];
        let mixed = self.name.0.iter().enumerate().map(|(at, &byte)| {
            let upper = entropy[2 + at / 8] >> (at % 8) & 1 == 1;
            if upper && byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte }
        });
        message.extend(mixed);
        message.extend(self.kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        if edns {
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend((UDP_OCTETS as u16).to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }

    /// Reads what may be the answer to `asked`, a message made by [`Question::message`].
    pub fn read(&self, asked: &[u8], answer: &[u8]) -> Answer {
        let question = HEADER..HEADER + self.name.0.len() + 4;
        let ours = answer.len() >= question.end
            && answer[..2] == asked[..2]
            && answer[2] & (RESPONSE | OPCODE) == RESPONSE
            && answer[4..6] == [0, 1]
            && answer[question.clone()].eq_ignore_ascii_case(&asked[question.clone()]);
        if !ours {
            return Answer::Foreign;
        }
        if answer[question.clone()] != asked[question.clone()] || answer[2] & TRUNCATED != 0 {
            return Answer::Truncated;
        }
        match answer[3] & 15 {
            0 => self.records(answer, question.end).unwrap_or(Answer::Failed),
            1 => Answer::Misunderstood,
            3 => {
                let seconds = negative_seconds(answer, question.end);
                Answer::Nothing { exists: false, seconds }
            }
            _ => Answer::Failed,
        }
    }

    /// Follows the aliases from the question to its records.
    fn records(&self, message: &[u8], start: usize) -> Option<Answer> {
        let count = usize::from(u16::from_be_bytes([message[6], message[7]]));
        let mut answers = Vec::new();
        let mut at = start;
        for _ in 0..count {
            let raw = Raw::read(message, at)?;
            at = raw.end;
            answers.push(raw);
        }
        let (mut name, mut seconds) = (self.name.clone(), u32::MAX);
        for _ in 0..ALIASES {
            let mut found = Vec::new();
            for raw in answers.iter().filter(|raw| raw.kind == self.kind && raw.owner == name) {
                let data = raw.expand(message)?;
                found.push(Record { kind: raw.kind, seconds: raw.seconds.min(seconds), data });
            }
            if !found.is_empty() {
                return Some(Answer::Records(found));
            }
            let Some(alias) = answers.iter().find(|raw| raw.kind == kind::CNAME && raw.owner == name) else {
                // Without recursion there is no telling what the answer would be: a referral, or a server of somebody else.
                let whole = message[3] & RECURSION_AVAILABLE != 0 || message[2] & 0x04 != 0;
                let seconds = negative_seconds(message, start);
                return whole.then_some(Answer::Nothing { exists: true, seconds });
            };
            seconds = seconds.min(alias.seconds);
            name = Name::read(message, alias.data)?.0;
        }
        None
    }
}

/// What a datagram or a message from a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not the answer to the question.
    Foreign,
    /// The answer, but not all of it, or without the case of the letters asked: TCP tells.
    Truncated,
    /// The server did not understand the question: ask without EDNS (RFC 6891 §7).
    Misunderstood,
    /// The server cannot tell; another one may.
    Failed,
    /// No records.
    Nothing {
        /// Whether the name exists.
        exists: bool,
        /// For how long that holds, if it says so (RFC 2308 §5).
        seconds: Option<u32>,
    },
    /// At least one record.
    Records(Vec<Record>),
}

/// A record where it lies in a message.
struct Raw {
    owner: Name,
    kind: u16,
    seconds: u32,
    data: usize,
    end: usize,
}

impl Raw {
    fn read(message: &[u8], at: usize) -> Option<Self> {
        let (owner, at) = Name::read(message, at)?;
        let fixed = message.get(at..)?.first_chunk::<10>()?;
        let data = at + 10;
        let end = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        message.get(data..end)?;
        // RFC 2181 §8: a time with the highest bit set is zero. What is not of the Internet is no type of ours.
        let seconds = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let seconds = if seconds >> 31 == 0 { seconds } else { 0 };
        let class = u16::from_be_bytes([fixed[2], fixed[3]]);
        let kind = if class == CLASS_IN { u16::from_be_bytes([fixed[0], fixed[1]]) } else { 0 };
        Some(Self { owner, kind, seconds, data, end })
    }

    /// The data, the names that may be compressed in it (RFC 3597 §4) expanded.
    fn expand(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (before, names, after) = match self.kind {
            kind::NS | kind::CNAME | kind::PTR => (0, 1, 0),
            kind::MX => (2, 1, 0),
            kind::SRV => (6, 1, 0),
            kind::SOA => (0, 2, 20),
            _ => return Some(message[self.data..self.end].to_vec()),
        };
        let mut data = message.get(self.data..self.data + before)?.to_vec();
        let mut at = self.data + before;
        for _ in 0..names {
            let (name, next) = Name::read(message, at)?;
            data.extend(name.0);
            at = next;
        }
        data.extend(message.get(at..at + after)?);
        (at + after == self.end).then_some(data)
    }
}

/// For how long a negative answer holds: the smaller of the SOA record's own time and its last field (RFC 2308 §5).
fn negative_seconds(message: &[u8], start: usize) -> Option<u32> {
    let counts = [message[6], message[7], message[8], message[9]];
    let answers = usize::from(u16::from_be_bytes([counts[0], counts[1]]));
    let authority = usize::from(u16::from_be_bytes([counts[2], counts[3]]));
    let mut at = start;
    for number in 0..answers + authority {
        let raw = Raw::read(message, at)?;
        at = raw.end;
        if number >= answers && raw.kind == kind::SOA {
            let minimum = message[raw.data..raw.end].last_chunk::<4>()?;
            return Some(raw.seconds.min(u32::from_be_bytes(*minimum)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ENTROPY: [u8; 34] = [7; 34];

    pub fn question(kind: u16) -> Question {
        Question { name: Name::parse("www.example.org").expect("a name"), kind }
    }

    fn asked() -> Vec<u8> {
        question(kind::A).message(&NO_ENTROPY, false)
    }

    /// An answer to [`asked`] with these flags and records (owner, type, seconds, data), of which the last `authority`
    /// stand in the authority section.
    fn answer(flags: [u8; 2], records: &[(&[u8], u16, u32, &[u8])], authority: u8) -> Vec<u8> {
        let mut message = asked();
        message[2..4].copy_from_slice(&flags);
        (message[7], message[9]) = (records.len() as u8 - authority, authority);
        for (owner, kind, seconds, data) in records {
            message.extend(*owner);
            message.extend([kind.to_be_bytes(), CLASS_IN.to_be_bytes()].concat());
            message.extend(seconds.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    const OWNER: &[u8] = &[0xc0, 12];
    const ALIAS: &[u8] = b"\x05alias\xc0\x10";
    const GOOD: [u8; 2] = [0x81, 0x80];
    const ADDRESS: &[u8] = &[192, 0, 2, 1];

    #[track_caller]
    fn check(message: &[u8], expect: Answer) {
        assert_eq!(question(kind::A).read(&asked(), message), expect);
    }

    fn address(seconds: u32) -> Answer {
        Answer::Records(vec![Record { kind: kind::A, seconds, data: ADDRESS.to_vec() }])
    }

    #[test]
    fn names() {
        for good in ["a", "www.example.org", "www.example.org.", "_sip._tcp.x", &"x.".repeat(127)] {
            assert!(Name::parse(good).is_some(), "{good}");
        }
        assert_eq!(Name::parse("WWW.Example.ORG"), Name::parse("www.example.org."));
        for bad in ["", ".", "..", "a..b", ".a", "a b", "a\\b", "ä", &"x".repeat(64), &"x.".repeat(128)] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_question_on_the_wire() {
        let mut entropy = [0; 34];
        (entropy[0], entropy[1], entropy[2]) = (0xab, 0xcd, 0b110);
        let message = Question { name: Name::parse("ex.org").expect("a name"), kind: kind::AAAA };
        let plain = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x02EX\x03org\0\0\x1c\0\x01";
        assert_eq!(message.message(&entropy, false), plain);
        let edns = message.message(&entropy, true);
        assert_eq!((edns[11], &edns[plain.len()..]), (1, &b"\0\0\x29\x04\xd0\0\0\0\0\0\0"[..]));
    }

    #[test]
    fn records() {
        check(&answer(GOOD, &[(OWNER, kind::A, 60, ADDRESS)], 0), address(60));
        let aliased = [(OWNER, kind::CNAME, 5, ALIAS), (ALIAS, kind::A, 60, ADDRESS)];
        check(&answer(GOOD, &aliased, 0), address(5));
        check(&answer(GOOD, &[aliased[1], aliased[0]], 0), address(5));
        check(&answer(GOOD, &[(OWNER, kind::A, 0x8000_0000, ADDRESS)], 0), address(0));
        let others = [(OWNER, kind::TXT, 5, &b"\x01x"[..]), (ALIAS, kind::A, 60, ADDRESS)];
        check(&answer(GOOD, &others, 0), Answer::Nothing { exists: true, seconds: None });
    }

    #[test]
    fn names_in_data_are_expanded() {
        let expanded = b"\x05alias\x07example\x03org\0";
        for (kind, before, after) in
            [(kind::NS, 0, 0), (kind::MX, 2, 0), (kind::SRV, 6, 0), (kind::CNAME, 0, 0), (kind::PTR, 0, 0)]
        {
            let data = [&vec![9; before], ALIAS, &vec![9; after]].concat();
            let message = answer(GOOD, &[(OWNER, kind, 60, &data)], 0);
            let Answer::Records(records) = question(kind).read(&answer_of(kind), &retyped(message, kind))
            else {
                panic!("type {kind}");
            };
            assert_eq!(records[0].data, [&vec![9; before], &expanded[..]].concat());
        }
    }

    fn answer_of(kind: u16) -> Vec<u8> {
        question(kind).message(&NO_ENTROPY, false)
    }

    fn retyped(mut message: Vec<u8>, kind: u16) -> Vec<u8> {
        let at = asked().len() - 4;
        message[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        message
    }

    #[test]
    fn nothing() {
        let soa = [ALIAS, OWNER, &[0; 16], &300_u32.to_be_bytes()].concat();
        let nothing = |exists, seconds| Answer::Nothing { exists, seconds };
        check(&answer([0x81, 0x83], &[(OWNER, kind::SOA, 900, &soa)], 1), nothing(false, Some(300)));
        check(&answer([0x81, 0x83], &[(OWNER, kind::SOA, 60, &soa)], 1), nothing(false, Some(60)));
        check(&answer(GOOD, &[(OWNER, kind::SOA, 900, &soa)], 1), nothing(true, Some(300)));
        check(&answer(GOOD, &[], 0), nothing(true, None));
        check(&answer([0x81, 0x83], &[], 0), nothing(false, None));
    }

    #[test]
    fn servers_that_cannot_tell() {
        check(&answer([0x81, 0x00], &[], 0), Answer::Failed); // a referral
        check(&answer([0x81, 0x82], &[], 0), Answer::Failed);
        check(&answer([0x81, 0x85], &[], 0), Answer::Failed);
        check(&answer([0x81, 0x81], &[], 0), Answer::Misunderstood);
        check(&answer([0x83, 0x80], &[(OWNER, kind::A, 60, ADDRESS)], 0), Answer::Truncated);
        let around = [(OWNER, kind::CNAME, 5, OWNER)];
        check(&answer(GOOD, &around, 0), Answer::Failed);
        check(&answer(GOOD, &[(&[0xc0, 0xff][..], kind::A, 60, ADDRESS)], 0), Answer::Failed);
        check(&answer(GOOD, &[(&[0xc0, 33][..], kind::A, 60, ADDRESS)], 0), Answer::Failed); // to itself
    }

    #[test]
    fn answers_to_other_questions() {
        let good = answer(GOOD, &[(OWNER, kind::A, 60, ADDRESS)], 0);
        for (at, byte) in [(0, 6), (1, 6), (2, 0x01), (2, 0xa0), (5, 2), (5, 0), (13, b'v'), (30, 2), (32, 3)]
        {
            let mut other = good.clone();
            other[at] = byte;
            check(&other, Answer::Foreign);
        }
        for length in 0..33 {
            check(&good[..length], Answer::Foreign);
        }
        for length in 33..good.len() {
            check(&good[..length], Answer::Failed);
        }
        let mut upper = good.clone();
        upper[13] ^= 0x20;
        check(&upper, Answer::Truncated);
    }
}
