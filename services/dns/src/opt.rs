//! The OPT record of an answer (RFC 6891 §6.1), and the few options we send.

use crate::cookies::{CLIENT_OCTETS, SERVER_OCTETS};
use crate::message::Writer;
use crate::packet::Packet;
use crate::query::Edns;
use crate::types::RecordType;

/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;

/// The code of the TCP keepalive option.
const KEEPALIVE: u16 = 11;

/// Octets of the TCP keepalive option (RFC 7828 §3.1).
const KEEPALIVE_OCTETS: usize = 6;

/// Octets of a cookie with both halves (RFC 7873 §4, RFC 9018 §4).
const COOKIE_OCTETS: usize = 4 + CLIENT_OCTETS + SERVER_OCTETS;

/// Octets of an extended error without text (RFC 8914 §2).
const ERROR_OCTETS: usize = 6;

/// What an answer says besides its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long an idle connection is kept, in units of 100 ms, for a client that wants to know.
    pub keepalive_100ms: Option<u16>,
    /// Why the answer is a refusal, or a failure.
    pub error: Option<ExtendedError>,
    /// Both halves of a cookie.
    pub cookie: Option<([u8; CLIENT_OCTETS], [u8; SERVER_OCTETS])>,
}

/// Info codes (RFC 8914 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedError {
    /// The zone has not come from its primary yet.
    NotReady = 14,
    /// This client may not have that.
    Prohibited = 18,
    /// It is not about a zone of ours.
    NotAuthoritative = 20,
    /// The zone is too old: its primaries have been silent for as long as its SOA record allows.
    InvalidData = 24,
}

/// Whether a message speaks of keeping a TCP connection, which it must not where another protocol does that (RFC 9250 §5.5.2).
pub fn has_keepalive(message: &[u8]) -> bool {
    option_codes(message).is_some_and(|codes| codes.contains(&KEEPALIVE))
}

/// The codes of the options in the OPT record, if there is one.
fn option_codes(message: &[u8]) -> Option<Vec<u16>> {
    let mut packet = Packet::new(message).ok()?;
    for _ in 0..packet.count(0) {
        packet.question().ok()?;
    }
    for _ in 0..packet.count(1) + packet.count(2) + packet.count(3) {
        let start = packet.position();
        if packet.skip_record().ok()? != RecordType::OPT {
            continue;
        }
        // Its owner is the root: one octet, and ten until its data.
        let (mut rest, mut codes) = (message.get(start + 11..packet.position())?, Vec::new());
        while let Some(([c1, c0, l1, l0], data)) = rest.split_first_chunk() {
            codes.push(u16::from_be_bytes([*c1, *c0]));
            rest = data.get(usize::from(u16::from_be_bytes([*l1, *l0]))..)?;
        }
        return Some(codes);
    }
    None
}

/// Octets to be kept back for the record. Not for the error: a refusal has nothing else.
pub fn octets(keepalive: bool, cookie: bool) -> usize {
    OPT_OCTETS + if keepalive { KEEPALIVE_OCTETS } else { 0 } + if cookie { COOKIE_OCTETS } else { 0 }
}

/// Appends the record; `None` if it does not fit, which [`octets`] is there to prevent.
pub fn put(writer: &mut Writer<'_>, edns: Edns, udp_octets: u16, options: Options) -> Option<()> {
    let [s1, s0] = udp_octets.to_be_bytes();
    let extended_rcode = if edns.version == 0 { 0 } else { 1 }; // BADVERS is 16 (RFC 6891 §9)
    let flags = if edns.dnssec_ok { 0x80 } else { 0 };
    let keepalive = if options.keepalive_100ms.is_some() { KEEPALIVE_OCTETS } else { 0 };
    let error = if options.error.is_some() { ERROR_OCTETS } else { 0 };
    let cookie = if options.cookie.is_some() { COOKIE_OCTETS } else { 0 };
    let length = (keepalive + error + cookie) as u8;
    writer.put(&[0, 0, 41, s1, s0, extended_rcode, 0, flags, 0, 0, length])?;
    if let Some((client, server)) = options.cookie {
        writer.put(&[0, 10, 0, (CLIENT_OCTETS + SERVER_OCTETS) as u8])?;
        writer.put(&client)?;
        writer.put(&server)?;
    }
    if let Some([t1, t0]) = options.keepalive_100ms.map(u16::to_be_bytes) {
        writer.put(&[0, KEEPALIVE as u8, 0, 2, t1, t0])?;
    }
    if let Some(error) = options.error {
        writer.put(&[0, 15, 0, 2, 0, error as u8])?;
    }
    Some(())
}
