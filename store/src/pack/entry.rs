//! Entries of a pack: what stands in front of an object's deflated bytes (gitformat-pack).

use super::{Arena, PackError};
use crate::{
    id::{Format, ObjectId},
    object::Kind,
};
use zlib_rs::{Deflate, DeflateFlush, Status};

/// Bytes of an entry's header at most: ten of a size of 64 bits, and a base's id.
pub(crate) const HEADER_BYTES: usize = 10 + 32;

/// What an entry's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base: Base,
    /// Bytes of what is deflated: an object, or a delta.
    pub(crate) size: u64,
    /// Bytes of the header itself.
    pub(crate) length: usize,
}

/// What an entry is made upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing: the object is there as a whole.
    None(Kind),
    /// The object so many bytes before.
    Distance(u64),
    /// The object with this id.
    Id(ObjectId),
}

impl Header {
    /// Reads a header; `None` if more bytes are needed.
    pub(crate) fn parse(format: Format, bytes: &[u8]) -> Result<Option<Self>, PackError> {
        let mut rest = bytes;
        let mut take = || rest.split_off_first().copied();
        let Some(first) = take() else { return Ok(None) };
        let (mut size, mut shift, mut byte) = (u64::from(first & 0x0f), 4, first);
        while byte & 0x80 != 0 {
            let Some(next) = take() else { return Ok(None) };
            let bits = u64::from(next & 0x7f);
            if shift > 63 || bits << shift >> shift != bits {
                return Err(PackError::BadEntry);
            }
            size |= bits << shift;
            (shift, byte) = (shift + 7, next);
        }
        let base = match first >> 4 & 7 {
            1 => Base::None(Kind::Commit),
            2 => Base::None(Kind::Tree),
            3 => Base::None(Kind::Blob),
            4 => Base::None(Kind::Tag),
            6 => {
                // Each byte but the last counts one more than its bits, so that no distance can be written twice.
                let Some(mut byte) = take() else { return Ok(None) };
                let mut distance = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    let Some(next) = take() else { return Ok(None) };
                    let more = distance.checked_add(1).and_then(|distance| distance.checked_mul(128));
                    distance = more.ok_or(PackError::BadBaseOffset)? | u64::from(next & 0x7f);
                    byte = next;
                }
                Base::Distance(distance)
            }
            7 => {
                let Some(id) = rest.get(..format.bytes()) else { return Ok(None) };
                rest = &rest[format.bytes()..];
                Base::Id(ObjectId::from_bytes(id).expect("as long as the format says"))
            }
            _ => return Err(PackError::BadEntry),
        };
        Ok(Some(Self { base, size, length: bytes.len() - rest.len() }))
    }

    /// The header of the entry at a place of the arena.
    pub(crate) fn read(format: Format, arena: &Arena, place: u32) -> Result<Self, PackError> {
        let mut bytes = [0; HEADER_BYTES];
        let count = arena.copy(place, &mut bytes);
        Self::parse(format, &bytes[..count])?.ok_or(PackError::Truncated)
    }
}

/// The header of an entry, without a base's id or distance.
pub(crate) fn encode_header(base: Base, size: u64) -> Vec<u8> {
    let number = match base {
        Base::None(Kind::Commit) => 1,
        Base::None(Kind::Tree) => 2,
        Base::None(Kind::Blob) => 3,
        Base::None(Kind::Tag) => 4,
        Base::Distance(_) => 6,
        Base::Id(_) => 7,
    };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let low = |value: u64, mask: u64| u8::try_from(value & mask).unwrap_or_default();
    let (mut byte, mut rest) = (number << 4 | low(size, 0x0f), size >> 4);
    while rest > 0 {
        header.push(byte | 0x80);
        (byte, rest) = (low(rest, 0x7f), rest >> 7);
    }
    header.push(byte);
    match base {
        Base::None(_) => {}
        Base::Id(id) => header.extend_from_slice(id.as_bytes()),
        Base::Distance(mut distance) => {
            let start = header.len();
            header.push(low(distance, 0x7f));
            while distance >= 128 {
                distance = (distance >> 7) - 1;
                header.push(low(distance, 0x7f) | 0x80);
            }
            header[start..].reverse();
        }
    }
    header
}

/// A whole object as an entry: header and deflated bytes. `None` without memory for it.
pub(crate) fn encode_entry(kind: Kind, data: &[u8]) -> Option<Vec<u8>> {
    let mut entry = encode_header(Base::None(kind), data.len() as u64);
    let start = entry.len();
    // zlib's compressBound, and what is left after an update of the constant in some version of it.
    let bound = data.len() + data.len() / 1_000 + 64;
    entry.try_reserve_exact(bound).ok()?;
    entry.resize(start + bound, 0);
    let mut deflate = Deflate::new(6, true, 15);
    let mut rest = data;
    let mut filled = start;
    loop {
        let (before_in, before_out) = (deflate.total_in(), deflate.total_out());
        let status = deflate.compress(rest, &mut entry[filled..], DeflateFlush::Finish).ok()?;
        rest = &rest[usize::try_from(deflate.total_in() - before_in).ok()?..];
        filled += usize::try_from(deflate.total_out() - before_out).ok()?;
        if status == Status::StreamEnd {
            break;
        }
        if filled < entry.len() {
            return None;
        }
        entry.try_reserve_exact(bound).ok()?;
        entry.resize(filled + bound, 0);
    }
    entry.truncate(filled);
    entry.shrink_to_fit();
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: Base, size: u64) {
        let bytes = encode_header(base, size);
        let expect = Header { base, size, length: bytes.len() };
        assert_eq!(Header::parse(Format::Sha1, &bytes), Ok(Some(expect)));
        for cut in 0..bytes.len() {
            assert_eq!(Header::parse(Format::Sha1, &bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn headers_are_read_as_they_are_written() {
        for size in [0, 15, 16, 2047, 2048, 1 << 32, u64::MAX] {
            check(Base::None(Kind::Blob), size);
        }
        for distance in [1, 127, 128, 16511, 16512, u64::from(u32::MAX)] {
            check(Base::Distance(distance), 5);
        }
        check(Base::Id(ObjectId::null(Format::Sha1)), 7);
    }

    #[test]
    fn what_no_pack_has_is_refused() {
        assert_eq!(Header::parse(Format::Sha1, &[0x00]), Err(PackError::BadEntry));
        assert_eq!(Header::parse(Format::Sha1, &[0x50]), Err(PackError::BadEntry));
        assert_eq!(Header::parse(Format::Sha1, &[0xff; 11]), Err(PackError::BadEntry));
        assert_eq!(
            Header::parse(Format::Sha1, &[&[0x60][..], &[0xff; 11]].concat()),
            Err(PackError::BadBaseOffset)
        );
    }
}
