//! Why an image is refused: one reason for each check, so that tests can tell them apart, and a line for a person.

use std::fmt;

use solo5_sys::elf::{ABI_VERSION, GUEST_MIN_BASE};

use crate::limits::{PAGE_SIZE, PROGRAM_HEADERS_MAX};
use crate::manifest::ManifestError;

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
    /// The place for the network ring is not an aligned address of writable memory.
    NetworkRing(u64),
    /// The same of what is to say of interfaces what the host does for them.
    NetworkOffload(u64),
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
            Self::NetworkOffload(address) => {
                write!(
                    formatter,
                    "the network offload {address:#x} is not an aligned address of writable memory"
                )
            }
            Self::NetworkRing(address) => {
                write!(
                    formatter,
                    "the network ring {address:#x} is not an aligned address of writable memory"
                )
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
