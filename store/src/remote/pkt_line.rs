//! pkt-line: the packets that git's protocols consist of, and the bands that some of them carry.
//!
//! ```text
//!     "0032" want 1f…e2 \n      4 hexadecimal digits count themselves and the data
//!     "0000" flush    "0001" delimiter    "0002" end of a response
//!     "0009" \x01 data          in a side band: 1 data, 2 progress, 3 fatal
//! ```
//!
//! gitprotocol-common, "pkt-line Format"; gitprotocol-pack, "Packfile Data".

use super::limits::{PACKET_BYTES, PACKET_DATA_BYTES};
use std::fmt;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The end of a list or of a message.
    Flush,
    /// The end of a section of a message (protocol 2).
    Delimiter,
    /// The end of a response where connections are stateless (protocol 2).
    ResponseEnd,
    /// Data, which may be empty.
    Data(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// The packet that the bytes begin with, and how many bytes it takes; `None` if it is not whole yet.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, NoPacket> {
        let Some((digits, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = hexadecimal(*digits).ok_or(NoPacket)?;
        match length {
            0 => Ok(Some((Self::Flush, 4))),
            1 => Ok(Some((Self::Delimiter, 4))),
            2 => Ok(Some((Self::ResponseEnd, 4))),
            3 => Err(NoPacket),
            _ if length > PACKET_BYTES => Err(NoPacket),
            _ => Ok(rest.get(..length - 4).map(|data| (Self::Data(data), length))),
        }
    }

    /// Its data as text, without the line feed that may end it; nothing if it has none or is not text.
    pub fn line(self) -> Option<&'a str> {
        match self {
            Self::Data(data) => std::str::from_utf8(data.strip_suffix(b"\n").unwrap_or(data)).ok(),
            _ => None,
        }
    }
}

fn hexadecimal(digits: [u8; 4]) -> Option<usize> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(number << 4 | value as usize)
    })
}

/// Not a pkt-line: whoever sent it does not speak git's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPacket;

impl fmt::Display for NoPacket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a pkt-line")
    }
}

impl std::error::Error for NoPacket {}

/// A message to a server, packet by packet.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line, with the line feed that is customary.
    pub fn line(&mut self, line: impl fmt::Display) -> &mut Self {
        self.data(format!("{line}\n").as_bytes())
    }

    /// Adds a packet with these bytes. What one packet cannot hold is cut off; no caller comes near that, since all that
    /// goes into a message is bounded by limits.rs.
    pub fn data(&mut self, bytes: &[u8]) -> &mut Self {
        let bytes = &bytes[..bytes.len().min(PACKET_DATA_BYTES)];
        self.0.extend_from_slice(format!("{:04x}", bytes.len() + 4).as_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Ends a list or the message.
    pub fn flush(&mut self) -> &mut Self {
        self.0.extend_from_slice(b"0000");
        self
    }

    /// Ends a section.
    pub fn delimiter(&mut self) -> &mut Self {
        self.0.extend_from_slice(b"0001");
        self
    }

    /// Adds bytes that are not in packets: a pack.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The message on the wire.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What a packet of a side band carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band<'a> {
    /// What was asked for.
    Data(&'a [u8]),
    /// Something to show to people.
    Progress(&'a [u8]),
    /// The remote has given up, and says why.
    Fatal(&'a [u8]),
}

impl<'a> Band<'a> {
    /// The band of a packet's data; `None` if there is no such band.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (band, data) = data.split_first()?;
        match band {
            1 => Some(Self::Data(data)),
            2 => Some(Self::Progress(data)),
            3 => Some(Self::Fatal(data)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<(Packet<'_>, usize)>, NoPacket>) {
        assert_eq!(Packet::decode(bytes), expected);
    }

    #[test]
    fn packets_are_told_apart() {
        check(b"0000rest", Ok(Some((Packet::Flush, 4))));
        check(b"0001", Ok(Some((Packet::Delimiter, 4))));
        check(b"0002", Ok(Some((Packet::ResponseEnd, 4))));
        check(b"0004", Ok(Some((Packet::Data(b""), 4))));
        check(b"0006a\nmore", Ok(Some((Packet::Data(b"a\n"), 6))));
        check(b"000Bfoobar\n", Ok(Some((Packet::Data(b"foobar\n"), 11))));
    }

    #[test]
    fn what_is_not_whole_is_waited_for() {
        check(b"", Ok(None));
        check(b"000", Ok(None));
        check(b"0006a", Ok(None));
        check(b"fff0", Ok(None));
    }

    #[test]
    fn what_is_no_packet_is_refused_at_once() {
        check(b"0003", Err(NoPacket));
        check(b"fff1", Err(NoPacket));
        check(b"HTTP/1.1 400 Bad Request", Err(NoPacket));
        check(b"-001", Err(NoPacket));
        check(b"+00a", Err(NoPacket));
    }

    #[test]
    fn a_message_is_as_the_protocol_writes_it() {
        let mut message = Message::new();
        message.line("command=ls-refs").delimiter().data(b"").flush().raw(b"PACK");
        assert_eq!(message.into_bytes(), b"0014command=ls-refs\n000100040000PACK");
    }

    #[test]
    fn bands_are_told_apart() {
        for (data, expected) in [
            (b"\x01x".as_slice(), Some(Band::Data(b"x"))),
            (b"\x01", Some(Band::Data(b""))),
            (b"\x02working\r", Some(Band::Progress(b"working\r"))),
            (b"\x03died", Some(Band::Fatal(b"died"))),
            (b"\x04", None),
            (b"", None),
        ] {
            assert_eq!(Band::decode(data), expected);
        }
    }
}
