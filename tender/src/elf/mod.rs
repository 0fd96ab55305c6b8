//! Reads an image: bytes in, a validated [`Image`] out, every field of the file taken as hostile.
//!
//! ```text
//! ELF header ─► program headers ─┬► PT_LOAD: ascending, apart, whole pages, inside the file, never W+X
//!                                └► PT_NOTE: ABI1 (target, version), MFT1 (manifest), Skerry's own
//! ```
//!
//! Section headers are never looked at, nor are segments without a byte. Accepts what upstream's loader (Solo5
//! `tenders/common/elf.c`) accepts, except that segments without bytes in the file (stack, zeroed data) count too, that the
//! entry point must lie in an executable segment and that no Solo5 note may come twice. The `elf` crate reads the fixed-size headers; every check on their values is here.

mod error;
mod notes;
pub mod sample;

use std::ops::Range;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader};
use elf::segment::{ProgramHeader, SegmentTable};
use solo5_sys::elf::{GUEST_MIN_BASE, Target};
use solo5_sys::skerry::{NetworkOffload, NetworkRing};

use crate::limits::{PAGE_SIZE, PROGRAM_HEADERS_MAX};
use crate::manifest::Manifest;
pub use error::ElfError;
use notes::Notes;

/// What the guest may do with a segment's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Read.
    pub read: bool,
    /// Write; never together with `execute`.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

/// A part of the image that goes to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where `content` goes; the rest of `pages` is zero.
    pub address: u64,
    /// Bytes of the file.
    pub content: &'a [u8],
    /// Bytes in memory from `address`, at least those of `content`.
    pub memory_size: u64,
    /// The whole pages that it owns.
    pub pages: Range<u64>,
    /// Of all of `pages`.
    pub protection: Protection,
}

/// A validated image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// [`Target::Hvt`] or [`Target::Spt`].
    pub target: Target,
    /// First instruction, inside an executable segment.
    pub entry: u64,
    /// Ascending, without overlap, none writable and executable.
    pub segments: Vec<Segment<'a>>,
    /// First address behind the last segment, a multiple of [`PAGE_SIZE`].
    pub end: u64,
    /// The devices it declares, none attached.
    pub manifest: Manifest,
    /// Its thread control block, if it carries our note.
    pub thread_pointer: Option<u64>,
    /// Where it wants a [`NetworkRing`] written, if it carries our note.
    pub network_ring: Option<u64>,
    /// Where it wants a [`NetworkOffload`] written, if it carries our note.
    pub network_offload: Option<u64>,
}

impl<'a> Image<'a> {
    /// Validates the bytes of an image's file.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let header = file_header(file)?;
        let mut segments: Vec<Segment<'a>> = Vec::new();
        let mut notes = Notes::default();
        for (index, program_header) in program_headers(file, &header)?.iter().enumerate() {
            match program_header.p_type {
                abi::PT_LOAD if program_header.p_memsz > 0 || program_header.p_filesz > 0 => {
                    let behind = segments.last().map_or(GUEST_MIN_BASE, |segment| segment.pages.end);
                    segments.push(segment(file, index, &program_header, behind)?);
                }
                abi::PT_NOTE => notes.read(index, bytes_of(file, index, &program_header)?)?,
                _ => {}
            }
        }
        let entry = header.e_entry;
        if !segments.iter().any(|segment| segment.protection.execute && segment.contains(entry)) {
            return Err(ElfError::Entry(entry));
        }
        let end = segments.last().map_or(GUEST_MIN_BASE, |segment| segment.pages.end);
        let target = notes.target()?;
        let manifest = notes.manifest.ok_or(ElfError::NoteMissing("MFT1"))?;
        if let Some(address) = notes.thread_pointer
            && (address % 8 != 0 || !segments.iter().any(|segment| segment.contains(address)))
        {
            return Err(ElfError::ThreadPointer(address));
        }
        if let Some(address) = notes.network_ring
            && !holds::<NetworkRing>(&segments, address)
        {
            return Err(ElfError::NetworkRing(address));
        }
        if let Some(address) = notes.network_offload
            && !holds::<NetworkOffload>(&segments, address)
        {
            return Err(ElfError::NetworkOffload(address));
        }
        let Notes { thread_pointer, network_ring, network_offload, .. } = notes;
        Ok(Self { target, entry, segments, end, manifest, thread_pointer, network_ring, network_offload })
    }

    /// Checks that `memory` bytes of guest memory, counted from address 0, hold the image.
    pub fn check_fits(&self, memory: u64) -> Result<(), ElfError> {
        if self.end > memory {
            return Err(ElfError::Memory { end: self.end, memory });
        }
        Ok(())
    }
}

impl Segment<'_> {
    fn contains(&self, address: u64) -> bool {
        (self.address..self.address.saturating_add(self.memory_size)).contains(&address)
    }

    fn holds(&self, address: u64, size: usize) -> bool {
        let last = address.saturating_add(size as u64 - 1);
        self.protection.write && self.contains(address) && self.contains(last)
    }
}

/// Whether `address` is that of a `T` in writable memory.
fn holds<T>(segments: &[Segment<'_>], address: u64) -> bool {
    address.is_multiple_of(8) && segments.iter().any(|segment| segment.holds(address, size_of::<T>()))
}

fn file_header(file: &[u8]) -> Result<FileHeader<LittleEndian>, ElfError> {
    let ident = file.get(..abi::EI_NIDENT).ok_or(ElfError::NotElf)?;
    if ident[..4] != abi::ELFMAGIC {
        return Err(ElfError::NotElf);
    }
    if ident[abi::EI_CLASS] != abi::ELFCLASS64 || ident[abi::EI_DATA] != abi::ELFDATA2LSB {
        return Err(ElfError::Unsupported("not 64-bit little-endian"));
    }
    let tail = file.get(abi::EI_NIDENT..ELF_HEADER_SIZE).ok_or(ElfError::NotElf)?;
    let header =
        FileHeader::parse_tail((LittleEndian, Class::ELF64, 0, 0), tail).map_err(|_| ElfError::NotElf)?;
    let unsupported = [
        (header.version != u32::from(abi::EV_CURRENT), "unknown version of ELF"),
        (usize::from(header.e_ehsize) != ELF_HEADER_SIZE, "odd size of the ELF header"),
        (usize::from(header.e_phentsize) != PROGRAM_HEADER_SIZE, "odd size of a program header"),
        (header.e_type != abi::ET_EXEC, "not linked to a fixed address"),
        (header.e_machine != abi::EM_X86_64, "not for x86_64"),
    ];
    match unsupported.iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(ElfError::Unsupported(what)),
        None => Ok(header),
    }
}

/// Bytes of `Elf64_Ehdr`.
const ELF_HEADER_SIZE: usize = 64;
/// Bytes of `Elf64_Phdr`.
const PROGRAM_HEADER_SIZE: usize = 56;

fn program_headers<'a>(
    file: &'a [u8],
    header: &FileHeader<LittleEndian>,
) -> Result<SegmentTable<'a, LittleEndian>, ElfError> {
    if header.e_phnum == 0 || header.e_phnum > PROGRAM_HEADERS_MAX {
        return Err(ElfError::ProgramHeaderCount(header.e_phnum));
    }
    let size = u64::from(header.e_phnum) * PROGRAM_HEADER_SIZE as u64;
    let table = slice(file, header.e_phoff, size).ok_or(ElfError::ProgramHeadersOutside)?;
    Ok(SegmentTable::new(LittleEndian, Class::ELF64, table))
}

/// Validates one PT_LOAD; `behind` is the first address that it may occupy.
fn segment<'a>(
    file: &'a [u8],
    index: usize,
    header: &ProgramHeader,
    behind: u64,
) -> Result<Segment<'a>, ElfError> {
    let content = bytes_of(file, index, header)?;
    if !header.p_align.is_power_of_two() {
        return Err(ElfError::SegmentAlignment(index));
    }
    if header.p_memsz < header.p_filesz {
        return Err(ElfError::SegmentSize(index));
    }
    let start = header.p_vaddr & !(header.p_align - 1);
    let end = header
        .p_vaddr
        .checked_add(header.p_memsz)
        .and_then(|end| end.checked_next_multiple_of(header.p_align))
        .ok_or(ElfError::SegmentOverflow(index))?;
    if start < GUEST_MIN_BASE {
        return Err(ElfError::SegmentTooLow(index));
    }
    if start < behind {
        return Err(ElfError::SegmentOrder(index));
    }
    if !start.is_multiple_of(PAGE_SIZE) || end % PAGE_SIZE != 0 {
        return Err(ElfError::SegmentAlignment(index));
    }
    let protection = Protection {
        read: header.p_flags & abi::PF_R != 0,
        write: header.p_flags & abi::PF_W != 0,
        execute: header.p_flags & abi::PF_X != 0,
    };
    if protection.write && protection.execute {
        return Err(ElfError::WriteAndExecute(index));
    }
    Ok(Segment {
        address: header.p_vaddr,
        content,
        memory_size: header.p_memsz,
        pages: start..end,
        protection,
    })
}

fn bytes_of<'a>(file: &'a [u8], index: usize, header: &ProgramHeader) -> Result<&'a [u8], ElfError> {
    slice(file, header.p_offset, header.p_filesz).ok_or(ElfError::SegmentOutside(index))
}

fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    file.get(start..end)
}

#[cfg(test)]
mod tests {
    use solo5_sys::skerry::{NETWORK_OFFLOAD_NOTE_TYPE, NETWORK_RING_NOTE_TYPE};

    use super::sample::{DATA, ELF_HEADER_SIZE, ENTRY, PROGRAM_HEADER_SIZE, PROGRAM_HEADERS};
    use super::*;

    /// Fields of the ELF header, by offset.
    const E_TYPE: usize = 16;
    const E_MACHINE: usize = 18;
    const E_VERSION: usize = 20;
    const E_ENTRY: usize = 24;
    const E_PHOFF: usize = 32;
    const E_EHSIZE: usize = 52;
    const E_PHENTSIZE: usize = 54;
    const E_PHNUM: usize = 56;
    /// Fields of a program header, by offset.
    const P_TYPE: usize = 0;
    const P_FLAGS: usize = 4;
    const P_OFFSET: usize = 8;
    const P_VADDR: usize = 16;
    const P_FILESZ: usize = 32;
    const P_MEMSZ: usize = 40;
    const P_ALIGN: usize = 48;

    /// Place of a field of program header `name` in the sample.
    fn of(name: &str, field: usize) -> usize {
        let index = PROGRAM_HEADERS.iter().position(|known| *known == name).expect("a name of the sample");
        ELF_HEADER_SIZE + index * PROGRAM_HEADER_SIZE + field
    }

    fn sample() -> Vec<u8> {
        sample::image(Target::Spt, &["service", "storage"])
    }

    /// The sample with some fields changed, each given by its place and new bytes.
    fn changed(changes: &[(usize, &[u8])]) -> Vec<u8> {
        let mut file = sample();
        for (place, bytes) in changes {
            file[*place..*place + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    #[track_caller]
    fn refuse(changes: &[(usize, &[u8])], expect: ElfError) {
        assert_eq!(Image::parse(&changed(changes)), Err(expect));
    }

    #[track_caller]
    fn accept(changes: &[(usize, &[u8])]) {
        assert_eq!(Image::parse(&changed(changes)).err(), None);
    }

    const MAX: [u8; 8] = u64::MAX.to_le_bytes();

    fn word(value: u64) -> [u8; 8] {
        value.to_le_bytes()
    }

    #[test]
    fn the_sample_is_an_image() {
        let file = sample();
        let image = Image::parse(&file).expect("the sample is valid");
        assert_eq!((image.target, image.entry, image.thread_pointer), (Target::Spt, ENTRY, Some(DATA)));
        assert_eq!((image.segments.len(), image.end), (3, DATA + PAGE_SIZE));
        assert_eq!(image.manifest.devices.len(), 2);
        assert_eq!(image.check_fits(image.end), Ok(()));
        let memory = image.end - 1;
        assert_eq!(image.check_fits(memory), Err(ElfError::Memory { end: image.end, memory }));
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let file = sample();
        for length in 0..file.len() {
            assert!(Image::parse(&file[..length]).is_err(), "accepted with {length} bytes of {}", file.len());
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(Image::parse(b""), Err(ElfError::NotElf));
        refuse(&[(0, b"#!/b")], ElfError::NotElf);
        refuse(&[(4, &[1])], ElfError::Unsupported("not 64-bit little-endian"));
        refuse(&[(5, &[2])], ElfError::Unsupported("not 64-bit little-endian"));
        refuse(&[(E_TYPE, &[3])], ElfError::Unsupported("not linked to a fixed address"));
        refuse(&[(E_MACHINE, &[183])], ElfError::Unsupported("not for x86_64"));
        refuse(&[(E_VERSION, &[2])], ElfError::Unsupported("unknown version of ELF"));
        refuse(&[(E_EHSIZE, &[63])], ElfError::Unsupported("odd size of the ELF header"));
        refuse(&[(E_PHENTSIZE, &[57])], ElfError::Unsupported("odd size of a program header"));
    }

    #[test]
    fn absurd_counts_and_places_of_program_headers_are_refused() {
        refuse(&[(E_PHNUM, &[0, 0])], ElfError::ProgramHeaderCount(0));
        refuse(&[(E_PHNUM, &[0xff, 0xff])], ElfError::ProgramHeaderCount(0xffff));
        refuse(&[(E_PHNUM, &[129, 0])], ElfError::ProgramHeaderCount(129));
        refuse(&[(E_PHNUM, &[128, 0])], ElfError::ProgramHeadersOutside);
        refuse(&[(E_PHOFF, &MAX)], ElfError::ProgramHeadersOutside);
        refuse(&[(E_PHOFF, &word(u64::MAX - 335))], ElfError::ProgramHeadersOutside);
    }

    #[test]
    fn bytes_outside_of_the_file_are_refused() {
        refuse(&[(of("code", P_OFFSET), &MAX)], ElfError::SegmentOutside(3));
        refuse(&[(of("code", P_OFFSET), &word(u64::MAX - 15))], ElfError::SegmentOutside(3));
        refuse(&[(of("data", P_FILESZ), &word(17))], ElfError::SegmentOutside(5));
        refuse(&[(of("data", P_FILESZ), &MAX)], ElfError::SegmentOutside(5));
        refuse(&[(of("ABI1", P_OFFSET), &MAX)], ElfError::SegmentOutside(0));
        refuse(&[(of("MFT1", P_FILESZ), &MAX)], ElfError::SegmentOutside(1));
    }

    #[test]
    fn segments_must_ascend_without_overlap() {
        refuse(&[(of("constants", P_VADDR), &word(ENTRY))], ElfError::SegmentOrder(4));
        refuse(&[(of("constants", P_VADDR), &word(DATA))], ElfError::SegmentOrder(5));
        refuse(&[(of("code", P_MEMSZ), &word(PAGE_SIZE + 1))], ElfError::SegmentOrder(4));
        refuse(&[(of("code", P_ALIGN), &word(4 * PAGE_SIZE))], ElfError::SegmentOrder(4));
        refuse(&[(of("code", P_VADDR), &word(GUEST_MIN_BASE - 1))], ElfError::SegmentTooLow(3));
        refuse(&[(of("code", P_VADDR), &[0; 8])], ElfError::SegmentTooLow(3));
        accept(&[(of("data", P_VADDR), &word(DATA + PAGE_SIZE)), (of("thread pointer", P_TYPE), &[0; 4])]);
    }

    #[test]
    fn addresses_and_sizes_that_wrap_are_refused() {
        refuse(&[(of("data", P_VADDR), &MAX)], ElfError::SegmentOverflow(5));
        refuse(&[(of("data", P_MEMSZ), &MAX)], ElfError::SegmentOverflow(5));
        refuse(&[(of("data", P_MEMSZ), &word(u64::MAX - DATA))], ElfError::SegmentOverflow(5));
        refuse(&[(of("data", P_ALIGN), &word(1 << 63))], ElfError::SegmentTooLow(5));
        refuse(&[(of("data", P_MEMSZ), &word(15))], ElfError::SegmentSize(5));
        refuse(&[(of("data", P_MEMSZ), &[0; 8])], ElfError::SegmentSize(5));
    }

    #[test]
    fn alignments_other_than_whole_pages_are_refused() {
        for alignment in [0, 3, 24, PAGE_SIZE + 1, u64::MAX] {
            refuse(&[(of("data", P_ALIGN), &word(alignment))], ElfError::SegmentAlignment(5));
        }
        refuse(
            &[(of("data", P_ALIGN), &word(8)), (of("data", P_MEMSZ), &word(16))],
            ElfError::SegmentAlignment(5),
        );
        refuse(
            &[(of("data", P_ALIGN), &word(8)), (of("data", P_VADDR), &word(DATA + 8))],
            ElfError::SegmentAlignment(5),
        );
        let anywhere = (of("thread pointer", P_TYPE), &[0; 4][..]);
        accept(&[(of("data", P_VADDR), &word(DATA + 8)), (of("data", P_MEMSZ), &word(24)), anywhere]);
    }

    #[test]
    fn protection_and_entry_are_checked() {
        refuse(&[(of("code", P_FLAGS), &[7])], ElfError::WriteAndExecute(3));
        refuse(&[(of("data", P_FLAGS), &[3])], ElfError::WriteAndExecute(5));
        for entry in [0, ENTRY - 1, ENTRY + PAGE_SIZE, DATA, u64::MAX] {
            refuse(&[(E_ENTRY, &word(entry))], ElfError::Entry(entry));
        }
        refuse(&[(of("code", P_FLAGS), &[4])], ElfError::Entry(ENTRY));
    }

    #[test]
    fn memory_that_has_no_bytes_in_the_file_counts() {
        let file = changed(&[(of("data", P_FILESZ), &[0; 8]), (of("data", P_MEMSZ), &word(0x2001))]);
        let image = Image::parse(&file).expect("zeroed data is ordinary");
        assert_eq!((image.segments.len(), image.end), (3, DATA + 0x3000));
        accept(&[(of("constants", P_FILESZ), &[0; 8]), (of("constants", P_MEMSZ), &[0; 8])]);
    }

    #[test]
    fn the_thread_pointer_is_an_aligned_address_of_the_image() {
        let note = sample().windows(7).position(|window| window == b"Skerry\0").expect("the note is there");
        for address in [0, ENTRY - 8, DATA + 4, DATA + PAGE_SIZE, u64::MAX - 7] {
            refuse(&[(note + 12, &word(address))], ElfError::ThreadPointer(address));
        }
    }
    #[test]
    fn what_the_tender_writes_has_a_place_of_its_own_size_in_writable_memory() {
        check_place(NETWORK_RING_NOTE_TYPE, size_of::<NetworkRing>(), ElfError::NetworkRing);
        check_place(NETWORK_OFFLOAD_NOTE_TYPE, size_of::<NetworkOffload>(), ElfError::NetworkOffload);
    }

    #[track_caller]
    fn check_place(note_type: u32, size: usize, error: impl Fn(u64) -> ElfError) {
        let file = sample();
        let note = file.windows(7).position(|window| window == b"Skerry\0").expect("the note is there");
        let note_type = (note - 4, &note_type.to_le_bytes()[..]);
        let last = DATA + PAGE_SIZE - size as u64;
        for address in [DATA, last] {
            accept(&[note_type, (note + 12, &word(address))]);
        }
        for address in [0, ENTRY, DATA - PAGE_SIZE, DATA + 4, last + 8, DATA + PAGE_SIZE, u64::MAX - 7] {
            refuse(&[note_type, (note + 12, &word(address))], error(address));
        }
    }
}
