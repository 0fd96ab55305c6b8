//! Queries as they come off the wire: checked in place, in one pass, nothing copied but the name.
//!
//! What is refused how follows NSD and Knot; where they differ, tests/conformance says whom we follow and why.

use crate::cookies::Cookie;
use crate::limits::{HEADER_OCTETS, UDP_OCTETS_WITHOUT_EDNS};
use crate::name::{HashKey, Name};
use crate::types::RecordType;

/// Response codes (RFC 1035 §4.1.1, RFC 2136 §2.2, RFC 6672 §2.2, RFC 8945 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// There is an answer, or there is none for this type.
    NoError = 0,
    /// The query cannot be understood.
    FormErr = 1,
    /// Something of ours failed, and may not the next time.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// The operation does not exist here.
    NotImp = 4,
    /// None of our zones, or none of our business.
    Refused = 5,
    /// The name that a DNAME record leads to is too long; or exists, and an update says it must not.
    YxDomain = 6,
    /// The records exist, and an update says they must not.
    YxRrset = 7,
    /// The records are not there, and an update says they must.
    NxRrset = 8,
    /// Not signed as it must be, or not about a zone of ours.
    NotAuth = 9,
    /// A name in an update is outside of its zone.
    NotZone = 10,
}

/// The header's first flag octet: response, opcode, authoritative, truncated, recursion desired.
pub const QR: u8 = 0x80;
/// See [`QR`].
pub const OPCODE: u8 = 0x78;
/// See [`QR`].
pub const AA: u8 = 0x04;
/// See [`QR`].
pub const TC: u8 = 0x02;
/// See [`QR`].
pub const RD: u8 = 0x01;

/// Opcodes where the flags have them (RFC 1996 §3, RFC 2136 §1.3).
const OPCODE_NOTIFY: u8 = 4 << 3;
const OPCODE_UPDATE: u8 = 5 << 3;

/// Classes (RFC 1035 §3.2.4).
pub const CLASS_IN: u16 = 1;
/// See [`CLASS_IN`].
pub const CLASS_ANY: u16 = 255;

const OPTION_COOKIE: u16 = 10;
const OPTION_TCP_KEEPALIVE: u16 = 11;

/// A query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The type asked for.
    pub rtype: RecordType,
    /// The class asked for.
    pub class: u16,
    /// Where the question ends in the message.
    pub question_end: usize,
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
}

/// What an OPT record says (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Octets that the client can receive over UDP, at least 512.
    pub payload: usize,
    /// The protocol's version; 0 is the only one there is.
    pub version: u8,
    /// The client wants DNSSEC records (RFC 3225).
    pub dnssec_ok: bool,
    /// The client would like to keep the connection (RFC 7828).
    pub keepalive: bool,
    /// The client has a cookie (RFC 7873).
    pub cookie: Option<Cookie>,
}

/// What happens to a message that is not a query we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Nothing is sent: an answer to an answer may start a loop.
    Drop,
    /// A header with this code is sent.
    Error(Rcode),
    /// It is signed, or a notification or an update: something for who knows keys and may change zones. Without such a one
    /// a header with this code is sent.
    Elsewhere(Rcode),
}

/// Reads a message; its question's name goes into `name`.
pub fn parse(message: &[u8], name: &mut Name, key: &HashKey) -> Result<Query, Rejection> {
    let format_error = Rejection::Error(Rcode::FormErr);
    let header: &[u8; HEADER_OCTETS] = message.first_chunk().ok_or(Rejection::Drop)?;
    if header[2] & QR != 0 {
        return Err(Rejection::Drop);
    }
    match header[2] & OPCODE {
        0 => {}
        OPCODE_NOTIFY | OPCODE_UPDATE => return Err(Rejection::Elsewhere(Rcode::NotImp)),
        _ => return Err(Rejection::Error(Rcode::NotImp)),
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    // RFC 9619 §4: exactly one question.
    if count(4) != 1 || count(6) != 0 {
        return Err(format_error);
    }
    let name_octets = name.read(&message[HEADER_OCTETS..], key).map_err(|_| format_error)?;
    let question_end = HEADER_OCTETS + name_octets + 4;
    let Some([.., t1, t0, c1, c0]) = message.get(..question_end) else { return Err(format_error) };
    let rtype = RecordType(u16::from_be_bytes([*t1, *t0]));
    let mut query = Query { rtype, class: u16::from_be_bytes([*c1, *c0]), question_end, edns: None };
    let mut rest = &message[question_end..];
    match count(8) {
        0 => {}
        // RFC 1995 §3: the client's SOA record.
        1 if rtype == RecordType::IXFR => skip_record(&mut rest).ok_or(format_error)?,
        _ => return Err(format_error),
    }
    let mut signed = false;
    for _ in 0..count(10) {
        // RFC 8945 §5.1: nothing comes behind the signature.
        let record = take_additional(&mut rest).filter(|_| !signed).ok_or(format_error)?;
        match record {
            Extra::Opt(edns) if query.edns.is_none() => query.edns = Some(edns),
            Extra::Opt(_) => return Err(format_error), // RFC 6891 §6.1.1
            Extra::Signature => signed = true,
        }
    }
    if !rest.is_empty() {
        return Err(format_error);
    }
    if signed { Err(Rejection::Elsewhere(Rcode::NotAuth)) } else { Ok(query) }
}

/// The records that may come with a query.
enum Extra {
    Opt(Edns),
    Signature,
}

/// Cuts a record off: where its type starts, what is between type and data, and the data.
fn take_record<'m>(rest: &mut &'m [u8]) -> Option<(usize, &'m [u8; 10], &'m [u8])> {
    let start = skip_name(rest)?;
    let header: &[u8; 10] = rest.get(start..)?.first_chunk()?;
    let data_start = start + header.len();
    let data = rest.get(data_start..data_start + usize::from(u16::from_be_bytes([header[8], header[9]])))?;
    *rest = &rest[data_start + data.len()..];
    Some((start, header, data))
}

fn skip_record(rest: &mut &[u8]) -> Option<()> {
    take_record(rest).map(drop)
}

fn take_additional(rest: &mut &[u8]) -> Option<Extra> {
    let (start, header, data) = take_record(rest)?;
    match RecordType(u16::from_be_bytes([header[0], header[1]])) {
        // RFC 6891 §6.1.2: the owner is the root.
        RecordType::OPT if start == 1 => {
            let payload =
                usize::from(u16::from_be_bytes([header[2], header[3]])).max(UDP_OCTETS_WITHOUT_EDNS);
            let (version, dnssec_ok) = (header[5], header[6] & 0x80 != 0);
            // What the options of other versions look like, nobody knows yet.
            let (keepalive, cookie) = if version == 0 { read_options(data)? } else { (false, None) };
            Some(Extra::Opt(Edns { payload, version, dnssec_ok, keepalive, cookie }))
        }
        RecordType::TSIG => is_signature(header, data)?.then_some(Extra::Signature),
        _ => None,
    }
}

/// RFC 8945 §4.2: class ANY, no TTL, and data that is algorithm, time, fudge, MAC, identifier, error and other data.
fn is_signature(header: &[u8; 10], data: &[u8]) -> Option<bool> {
    const TIME_AND_FUDGE: usize = 8;
    const IDENTIFIER_AND_ERROR: usize = 4;
    let rest = data.get(skip_name(data)? + TIME_AND_FUDGE..)?;
    let rest = skip_counted(rest)?.get(IDENTIFIER_AND_ERROR..)?;
    Some(header[2..8] == [0, CLASS_ANY as u8, 0, 0, 0, 0] && skip_counted(rest)?.is_empty())
}

/// What is behind a length of two octets and so many octets.
fn skip_counted(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

/// The octets that a name takes, be it compressed.
fn skip_name(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Walks over the options: whether one asks for keepalive, and the first cookie. `None` if they do not fill the record exactly,
/// or the cookie is none (RFC 7873 §5.2.2).
fn read_options(mut data: &[u8]) -> Option<(bool, Option<Cookie>)> {
    let (mut keepalive, mut cookie) = (false, None);
    while !data.is_empty() {
        let [c1, c0, l1, l0, rest @ ..] = data else { return None };
        let (option, others) = rest.split_at_checked(usize::from(u16::from_be_bytes([*l1, *l0])))?;
        match u16::from_be_bytes([*c1, *c0]) {
            OPTION_TCP_KEEPALIVE => keepalive = true,
            OPTION_COOKIE if cookie.is_none() => cookie = Some(Cookie::read(option)?),
            _ => {}
        }
        data = others;
    }
    Some((keepalive, cookie))
}
