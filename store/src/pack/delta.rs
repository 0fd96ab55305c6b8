//! Deltas: an object as copies from another and what is new between them (gitformat-pack, "Deltified representation").

use super::PackError;
use crate::{
    limits::Limits,
    room::{reserve, room},
};
use std::fmt;

/// What is wrong with a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadDelta {
    /// It is for a base of another size.
    WrongBaseSize,
    /// It makes more or less than it says.
    WrongResultSize,
    /// It copies from beyond its base.
    CopyBeyondBase,
    /// It ends within an instruction.
    Truncated,
    /// It has the instruction 0, which is reserved.
    Reserved,
}

impl fmt::Display for BadDelta {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::WrongBaseSize => "it is for a base of another size",
            Self::WrongResultSize => "it makes more or less than it says",
            Self::CopyBeyondBase => "it copies from beyond its base",
            Self::Truncated => "it ends within an instruction",
            Self::Reserved => "it has a reserved instruction",
        })
    }
}

impl std::error::Error for BadDelta {}

/// Takes a size off the front of a delta: seven bits a byte, the lowest first.
pub(crate) fn take_size(delta: &mut &[u8]) -> Result<u64, BadDelta> {
    let mut size = 0_u64;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = delta.split_first().ok_or(BadDelta::Truncated)?;
        *delta = rest;
        let bits = u64::from(byte & 0x7f);
        if shift > 63 || bits << shift >> shift != bits {
            return Err(BadDelta::WrongResultSize);
        }
        size |= bits << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(size)
}

/// How large base and result are, by a delta's own word.
pub(crate) fn sizes(mut delta: &[u8]) -> Result<(u64, u64), BadDelta> {
    Ok((take_size(&mut delta)?, take_size(&mut delta)?))
}

/// What a delta makes of its base, if that is within the limits.
pub fn apply_delta(base: &[u8], delta: &[u8], limits: &Limits) -> Result<Vec<u8>, PackError> {
    let (_, size) = sizes(delta)?;
    if size > limits.object_bytes.into() {
        return Err(PackError::ObjectTooLarge(size));
    }
    let size = usize::try_from(size).map_err(|_| PackError::OutOfMemory)?;
    let mut result = Vec::new();
    // It is going to be shared, which takes a copy of it.
    room(size.saturating_mul(2))?;
    reserve(&mut result, size)?;
    apply(base, delta, &mut result)?;
    Ok(result)
}

/// What a delta makes of its base, appended to `result`, which has room for exactly what it says that it makes. Never more
/// is written than that.
fn apply(base: &[u8], mut delta: &[u8], result: &mut Vec<u8>) -> Result<(), BadDelta> {
    if take_size(&mut delta)? != base.len() as u64 {
        return Err(BadDelta::WrongBaseSize);
    }
    let size = usize::try_from(take_size(&mut delta)?).map_err(|_| BadDelta::WrongResultSize)?;
    let start = result.len();
    while let Some((&instruction, rest)) = delta.split_first() {
        delta = rest;
        let bytes = match instruction {
            0 => return Err(BadDelta::Reserved),
            1..=0x7f => {
                let (bytes, rest) = delta.split_at_checked(instruction.into()).ok_or(BadDelta::Truncated)?;
                delta = rest;
                bytes
            }
            0x80.. => {
                let (offset, length) = take_copy(instruction, &mut delta)?;
                base.get(offset..offset + length).ok_or(BadDelta::CopyBeyondBase)?
            }
        };
        if result.len() - start + bytes.len() > size {
            return Err(BadDelta::WrongResultSize);
        }
        result.extend_from_slice(bytes);
    }
    if result.len() - start == size { Ok(()) } else { Err(BadDelta::WrongResultSize) }
}

/// Offset and length of a copy: the bits of the instruction say which of their bytes follow.
fn take_copy(instruction: u8, delta: &mut &[u8]) -> Result<(usize, usize), BadDelta> {
    let mut fields = [0_u8; 7];
    for (bit, field) in fields.iter_mut().enumerate() {
        if instruction & 1 << bit != 0 {
            let (&byte, rest) = delta.split_first().ok_or(BadDelta::Truncated)?;
            (*field, *delta) = (byte, rest);
        }
    }
    let offset = u32::from_le_bytes([fields[0], fields[1], fields[2], fields[3]]);
    let length = u32::from_le_bytes([fields[4], fields[5], fields[6], 0]);
    Ok((offset as usize, if length == 0 { 0x10000 } else { length as usize }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &[u8], delta: &[u8], expect: Result<&[u8], BadDelta>) {
        let mut result = Vec::new();
        let applied = apply(base, delta, &mut result);
        assert_eq!(applied.map(|()| &result[..]), expect);
    }

    #[test]
    fn copies_and_new_bytes_follow_one_another() {
        check(b"hello world", b"\x0b\x09\x91\x06\x05\x04 bye", Ok(b"world bye"));
        check(b"hello", b"\x05\x00", Ok(b""));
        check(&[7; 0x10000], b"\x80\x80\x04\x80\x80\x04\x80", Ok(&[7; 0x10000]));
    }

    #[test]
    fn damaged_deltas_are_refused() {
        check(b"hello", b"", Err(BadDelta::Truncated));
        check(b"hello", b"\x04\x00", Err(BadDelta::WrongBaseSize));
        check(b"hello", b"\x05\x01\x00", Err(BadDelta::Reserved));
        check(b"hello", b"\x05\x02\x02a", Err(BadDelta::Truncated));
        check(b"hello", b"\x05\x01\x91\x05\x01", Err(BadDelta::CopyBeyondBase));
        check(b"hello", b"\x05\x01\xff\xff\xff\xff\xff\xff\xff\xff", Err(BadDelta::CopyBeyondBase));
        check(b"hello", b"\x05\x01\x90\x02", Err(BadDelta::WrongResultSize));
        check(b"hello", b"\x05\x03\x90\x02", Err(BadDelta::WrongResultSize));
        check(b"hello", b"\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Err(BadDelta::WrongResultSize));
    }
}
