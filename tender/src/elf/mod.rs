//! Reads an image: bytes in, a validated [`Image`] out, every field of the file taken as hostile.
//!
//! ```text
//! ELF header ─► program headers ─┬► PT_LOAD: ascending, apart, whole pages, inside the file, never W+X
//!                                └► PT_NOTE: ABI1 (target, version), MFT1 (manifest), Skerry's thread pointer
//! ```
//!
//! Section headers are never looked at, nor are segments without bytes in the file. Accepts what upstream's loader
//! (Solo5 `tenders/common/elf.c`) accepts, except that the entry point must lie in an executable segment and that no
//! Solo5 note may come twice. The `elf` crate reads the fixed-size headers; every check on their values is here.

pub mod sample;

use std::fmt;
use std::ops::Range;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader};
use elf::segment::{ProgramHeader, SegmentTable};
use solo5_sys::elf::{ABI_VERSION, ABI1_NOTE_TYPE, GUEST_MIN_BASE, MFT1_NOTE_TYPE, Target};
use solo5_sys::skerry::THREAD_POINTER_NOTE_TYPE;

use crate::limits::{PAGE_SIZE, PROGRAM_HEADERS_MAX};
use crate::manifest::{Manifest, ManifestError};

/// Why an image is refused. Numbers are the program header's index. The text ends a line that starts with the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// The file ends inside its ELF header, or does not start with one.
    NotElf,
    /// ELF, but not a 64-bit little-endian x86_64 executable of the current version.
    Unsupported(&'static str),
    /// `e_phnum` is zero or above [`PROGRAM_HEADERS_MAX`].
    ProgramHeaderCount(u16),
    /// The program headers lie outside of the file.
    ProgramHeadersOutside,
    /// A segment's bytes lie outside of the file.
    SegmentOutside(usize),
    /// A segment starts below [`GUEST_MIN_BASE`].
    SegmentTooLow(usize),
    /// A segment starts before, or inside, the one in front of it.
    SegmentOrder(usize),
    /// A segment's alignment is no power of two, or its pages are not its own.
    SegmentAlignment(usize),
    /// A segment is larger in the file than in memory.
    SegmentSize(usize),
    /// A segment's end exceeds the address space.
    SegmentOverflow(usize),
    /// A segment wants to be written and executed.
    WriteAndExecute(usize),
    /// The entry point is not inside an executable segment.
    Entry(u64),
    /// A note does not fit its segment, or its size is not the one of its type.
    NoteSize(usize),
    /// A Solo5 note comes a second time.
    NoteTwice(&'static str),
    /// There is no ABI1 or no MFT1 note.
    NoteMissing(&'static str),
    /// Built for something that this tender does not run.
    Target(u32),
    /// Built for another version of the ABI.
    AbiVersion(u32),
    /// The thread control block is not an aligned address inside the image.
    ThreadPointer(u64),
    /// The manifest is invalid.
    Manifest(ManifestError),
    /// The image needs more memory than the guest has.
    Memory {
        /// First address behind the image.
        end: u64,
        /// Bytes of guest memory.
        memory: u64,
    },
}

impl fmt::Display for ElfError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => write!(formatter, "not an ELF file"),
            Self::Unsupported(what) => write!(formatter, "unsupported executable: {what}"),
            Self::ProgramHeaderCount(count) => {
                write!(formatter, "{count} program headers where 1 to {PROGRAM_HEADERS_MAX} are possible")
            }
            Self::ProgramHeadersOutside => write!(formatter, "the program headers lie outside of the file"),
            Self::SegmentOutside(index) => {
                write!(formatter, "segment {index} lies outside of the file (is it truncated?)")
            }
            Self::SegmentTooLow(index) => {
                write!(formatter, "segment {index} starts below address {GUEST_MIN_BASE:#x}")
            }
            Self::SegmentOrder(index) => {
                write!(formatter, "segment {index} overlaps or precedes the one in front of it")
            }
            Self::SegmentAlignment(index) => {
                write!(formatter, "segment {index} is not aligned to whole pages of {PAGE_SIZE} bytes")
            }
            Self::SegmentSize(index) => {
                write!(formatter, "segment {index} is larger in the file than in memory")
            }
            Self::SegmentOverflow(index) => write!(formatter, "segment {index} exceeds the address space"),
            Self::WriteAndExecute(index) => {
                write!(formatter, "segment {index} requests WRITE and EXEC permissions")
            }
            Self::Entry(entry) => {
                write!(formatter, "the entry point {entry:#x} is not inside an executable segment")
            }
            Self::NoteSize(index) => {
                write!(formatter, "segment {index}: note does not fall within valid size")
            }
            Self::NoteTwice(name) => write!(formatter, "the {name} note comes twice"),
            Self::NoteMissing(name) => {
                write!(
                    formatter,
                    "no {name} note: this is not a Solo5 image (build one with `cargo xtask image`)"
                )
            }
            Self::Target(target) => {
                write!(formatter, "built for target {target}; this tender runs hvt (1) and spt (2)")
            }
            Self::AbiVersion(version) => {
                write!(formatter, "built for ABI version {version}; this tender has version {ABI_VERSION}")
            }
            Self::ThreadPointer(address) => {
                write!(formatter, "the thread pointer {address:#x} is not an aligned address of the image")
            }
            Self::Manifest(error) => write!(formatter, "invalid manifest: {error}"),
            Self::Memory { end, memory } => {
                let needed = end.div_ceil(1 << 20);
                write!(
                    formatter,
                    "needs {needed} MiB where the guest has {}: give more with --mem",
                    memory >> 20
                )
            }
        }
    }
}

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
}

impl<'a> Image<'a> {
    /// Validates the bytes of an image's file.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let header = file_header(file)?;
        let mut segments: Vec<Segment<'a>> = Vec::new();
        let mut notes = Notes::default();
        for (index, program_header) in program_headers(file, &header)?.iter().enumerate() {
            match program_header.p_type {
                abi::PT_LOAD if program_header.p_filesz > 0 => {
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
        Ok(Self { target, entry, segments, end, manifest, thread_pointer: notes.thread_pointer })
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

/// What was found in the PT_NOTE segments so far.
#[derive(Default)]
struct Notes {
    abi: Option<(u32, u32)>,
    manifest: Option<Manifest>,
    thread_pointer: Option<u64>,
}

impl Notes {
    /// Reads all notes of a segment. The first must be whole; upstream reads no further, so what follows may be cut off.
    fn read(&mut self, index: usize, segment: &[u8]) -> Result<(), ElfError> {
        let mut rest = segment;
        loop {
            let Some((note, behind)) = Note::split(rest) else {
                let first = rest.len() == segment.len();
                return if first { Err(ElfError::NoteSize(index)) } else { Ok(()) };
            };
            self.take(index, &note)?;
            rest = behind;
        }
    }

    fn take(&mut self, index: usize, note: &Note<'_>) -> Result<(), ElfError> {
        let size_error = || ElfError::NoteSize(index);
        match (note.name, note.note_type) {
            (b"Solo5\0", ABI1_NOTE_TYPE) => {
                let description: &[u8; 16] = note.description.try_into().map_err(|_| size_error())?;
                let abi = (u32_at(description, 0), u32_at(description, 4));
                set_once(&mut self.abi, abi, "ABI1")
            }
            (b"Solo5\0", MFT1_NOTE_TYPE) => {
                // Four bytes of padding align the manifest to eight.
                let manifest = note.description.get(4..).ok_or_else(size_error)?;
                if manifest.len() > MANIFEST_SIZE_MAX {
                    return Err(size_error());
                }
                let manifest = Manifest::parse(manifest).map_err(ElfError::Manifest)?;
                set_once(&mut self.manifest, manifest, "MFT1")
            }
            (b"Skerry\0", THREAD_POINTER_NOTE_TYPE) => {
                let address = note.description.get(4..12).ok_or_else(size_error)?;
                let address = u64::from_le_bytes(address.try_into().map_err(|_| size_error())?);
                set_once(&mut self.thread_pointer, address, "thread pointer")
            }
            _ => Ok(()),
        }
    }

    fn target(&self) -> Result<Target, ElfError> {
        let (target, version) = self.abi.ok_or(ElfError::NoteMissing("ABI1"))?;
        let target = match target {
            target if target == Target::Hvt as u32 => Target::Hvt,
            target if target == Target::Spt as u32 => Target::Spt,
            other => return Err(ElfError::Target(other)),
        };
        if version != ABI_VERSION {
            return Err(ElfError::AbiVersion(version));
        }
        Ok(target)
    }
}

/// Bytes of the largest manifest, without the note's padding.
const MANIFEST_SIZE_MAX: usize = size_of::<solo5_sys::manifest::Header>()
    + solo5_sys::manifest::MAX_ENTRIES * size_of::<solo5_sys::manifest::Entry>();

fn set_once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), ElfError> {
    match place.replace(value) {
        Some(_) => Err(ElfError::NoteTwice(name)),
        None => Ok(()),
    }
}

/// One note. Name and description are padded to four bytes each.
struct Note<'a> {
    name: &'a [u8],
    note_type: u32,
    description: &'a [u8],
}

impl<'a> Note<'a> {
    /// The first note of `bytes` and what comes behind it, if the note is whole.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = bytes.get(..12)?;
        let (name, rest) = split_padded(&bytes[12..], u32_at(header, 0))?;
        let (description, rest) = split_padded(rest, u32_at(header, 4))?;
        Some((Self { name, note_type: u32_at(header, 8), description }, rest))
    }
}

fn split_padded(bytes: &[u8], size: u32) -> Option<(&[u8], &[u8])> {
    let size = size as usize;
    let content = bytes.get(..size)?;
    let behind = bytes.get(size.next_multiple_of(4)..).unwrap_or_default();
    Some((content, behind))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}
