//! The image's ELF file: which bytes go where, and where it is entered.
//!
//! The file comes from a disk that anybody may have written to, so everything in it is checked before it is used.

use core::ops::Range;

/// Lowest address of an image: what lies below belongs to the firmware.
pub const FIRST_ADDRESS: u64 = 0x10_0000;

/// Type of the note that says where a PVH guest is entered. Source: Xen `include/public/elfnote.h`.
const PVH_NOTE_TYPE: u32 = 18;
/// The note's owner with its terminator.
const PVH_NOTE_NAME: &[u8] = b"Xen\0";

/// 64-bit, little-endian, version 1. Source: System V ABI, "ELF Identification".
const IDENTIFICATION: &[u8] = b"\x7fELF\x02\x01\x01";
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PROGRAM_HEADER_BYTES: usize = 56;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no ELF file for x86_64.
    NotElf,
    /// It ends before what its headers promise.
    Truncated,
    /// A segment does not lie between 1 MiB and 4 GiB.
    Address,
    /// It has no PVH entry, or none in one of its segments.
    Entry,
}

/// A piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its bytes are in the file.
    pub offset: usize,
    /// How many there are.
    pub bytes: u32,
    /// Where they go, a physical address.
    pub address: u32,
    /// Zeroes behind them.
    pub zeroes: u32,
}

impl Segment {
    /// The addresses that it fills.
    pub fn range(&self) -> Range<u64> {
        let address = u64::from(self.address);
        address..address + u64::from(self.bytes) + u64::from(self.zeroes)
    }
}

/// A file whose headers are all right.
#[derive(Debug)]
pub struct Image<'a> {
    file: &'a [u8],
    headers: &'a [u8],
    entry: u32,
}

impl<'a> Image<'a> {
    /// Checks a whole file.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if !file.starts_with(IDENTIFICATION) || number(file, 18, 2) != Ok(u64::from(EM_X86_64)) {
            return Err(Error::NotElf);
        }
        let start = number(file, 32, 8)? as usize;
        let count = number(file, 56, 2)? as usize;
        if number(file, 54, 2)? != PROGRAM_HEADER_BYTES as u64 {
            return Err(Error::NotElf);
        }
        let end = start.checked_add(count * PROGRAM_HEADER_BYTES).ok_or(Error::Truncated)?;
        let headers = file.get(start..end).ok_or(Error::Truncated)?;
        let mut image = Self { file, headers, entry: 0 };
        for header in image.headers_of(PT_LOAD) {
            segment(file, header)?;
        }
        image.entry = image.find_entry()?;
        Ok(image)
    }

    /// What has to be where, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.headers_of(PT_LOAD).filter_map(|header| segment(self.file, header).ok())
    }

    /// Physical address to jump to, in 32-bit mode without paging.
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// From the first address of the image to behind its last.
    pub fn range(&self) -> Range<u64> {
        let first = self.segments().map(|segment| segment.range().start).min().unwrap_or(0);
        first..self.segments().map(|segment| segment.range().end).max().unwrap_or(0)
    }

    fn headers_of(&self, kind: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let headers = self.headers.chunks_exact(PROGRAM_HEADER_BYTES);
        headers.filter(move |header| number(header, 0, 4) == Ok(u64::from(kind)))
    }

    fn find_entry(&self) -> Result<u32, Error> {
        for header in self.headers_of(PT_NOTE) {
            let (offset, bytes) = (number(header, 8, 8)? as usize, number(header, 32, 8)? as usize);
            let end = offset.checked_add(bytes).ok_or(Error::Truncated)?;
            if let Some(entry) = pvh_entry(self.file.get(offset..end).ok_or(Error::Truncated)?) {
                let in_segment = |segment: Segment| segment.range().contains(&u64::from(entry));
                return if self.segments().any(in_segment) { Ok(entry) } else { Err(Error::Entry) };
            }
        }
        Err(Error::Entry)
    }
}

/// A little-endian number of `bytes` bytes.
fn number(from: &[u8], offset: usize, bytes: usize) -> Result<u64, Error> {
    let field = offset.checked_add(bytes).and_then(|end| from.get(offset..end)).ok_or(Error::Truncated)?;
    Ok(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn segment(file: &[u8], header: &[u8]) -> Result<Segment, Error> {
    let field = |offset| number(header, offset, 8);
    let (offset, address, in_file, in_memory) = (field(8)?, field(24)?, field(32)?, field(40)?);
    let end = address.checked_add(in_memory).ok_or(Error::Address)?;
    if address < FIRST_ADDRESS || end > u64::from(u32::MAX) {
        return Err(Error::Address);
    }
    let end_in_file = offset.checked_add(in_file).ok_or(Error::Truncated)?;
    if end_in_file > file.len() as u64 || in_file > in_memory {
        return Err(Error::Truncated);
    }
    Ok(Segment {
        offset: offset as usize,
        bytes: in_file as u32,
        address: address as u32,
        zeroes: (in_memory - in_file) as u32,
    })
}

/// The entry that one of these notes names.
fn pvh_entry(mut notes: &[u8]) -> Option<u32> {
    while let (Ok(name), Ok(description), Ok(kind)) =
        (number(notes, 0, 4), number(notes, 4, 4), number(notes, 8, 4))
    {
        let description_start = 12 + (name as usize).next_multiple_of(4);
        let end = description_start + (description as usize).next_multiple_of(4);
        let is_pvh = kind == u64::from(PVH_NOTE_TYPE)
            && name as usize == PVH_NOTE_NAME.len()
            && notes.get(12..)?.starts_with(PVH_NOTE_NAME);
        if is_pvh {
            // 32 or 64 bits; an address above 4 GiB could not be entered in 32-bit mode.
            let bytes = if description >= 8 { 8 } else { 4 };
            return u32::try_from(number(notes, description_start, bytes).ok()?).ok();
        }
        notes = notes.get(end..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// A file with a note and a segment: 16 bytes at 1 MiB, and 16 zeroes.
    fn sample() -> Vec<u8> {
        let mut file = vec![0; 64 + 2 * PROGRAM_HEADER_BYTES];
        file[..7].copy_from_slice(IDENTIFICATION);
        put(&mut file, 18, &[62, 0]);
        put(&mut file, 32, &[64]);
        put(&mut file, 54, &[56, 0, 2, 0]);
        let note = [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, b'X', b'e', b'n', 0, 8, 0, 0x10, 0];
        put(&mut file, 64, &[4]);
        put(&mut file, 64 + 8, &[176]);
        put(&mut file, 64 + 32, &[20]);
        put(&mut file, 120, &[1]);
        put(&mut file, 120 + 8, &[196]);
        put(&mut file, 120 + 24, &[0, 0, 0x10]);
        put(&mut file, 120 + 32, &[16]);
        put(&mut file, 120 + 40, &[32]);
        file.extend_from_slice(&note);
        file.extend_from_slice(&[7; 16]);
        file
    }

    fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<u8>), expect: Result<u32, Error>) {
        let mut file = sample();
        change(&mut file);
        assert_eq!(Image::parse(&file).map(|image| image.entry()), expect);
    }

    #[test]
    fn a_good_file_is_taken_as_it_is() {
        check(|_| (), Ok(0x10_0008));
        let file = sample();
        let image = Image::parse(&file).expect("it is good");
        let segment = Segment { offset: 196, bytes: 16, address: 0x10_0000, zeroes: 16 };
        assert_eq!(image.segments().collect::<Vec<_>>(), [segment]);
        assert_eq!(image.range(), 0x10_0000..0x10_0020);
    }

    #[test]
    fn a_bad_file_is_refused_for_what_is_wrong() {
        check(|file| file.clear(), Err(Error::NotElf));
        check(|file| file[4] = 1, Err(Error::NotElf));
        check(|file| file[18] = 183, Err(Error::NotElf));
        check(|file| file[54] = 32, Err(Error::NotElf));
        check(|file| file.truncate(100), Err(Error::Truncated));
        check(|file| file.truncate(211), Err(Error::Truncated));
        check(|file| file[39] = 0x80, Err(Error::Truncated));
        check(|file| put(file, 120 + 8, &[0xff; 8]), Err(Error::Truncated));
        check(|file| file[120 + 32] = 33, Err(Error::Truncated));
        check(|file| file[120 + 26] = 0x0f, Err(Error::Address));
        check(|file| file[120 + 28] = 1, Err(Error::Address));
        check(|file| put(file, 120 + 40, &[0xff; 8]), Err(Error::Address));
        check(|file| put(file, 64 + 8, &[0xff; 8]), Err(Error::Truncated));
        check(|file| file[184] = 17, Err(Error::Entry));
        check(|file| file[192] = 32, Err(Error::Entry));
        check(|file| file[176] = 0xff, Err(Error::Entry));
    }

    #[test]
    fn no_byte_of_the_headers_makes_it_panic() {
        for offset in 0..196 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = sample();
                file[offset] = value;
                if let Ok(image) = Image::parse(&file) {
                    assert!(
                        image.segments().all(|segment| segment.offset + segment.bytes as usize <= file.len())
                    );
                }
            }
        }
    }
}
