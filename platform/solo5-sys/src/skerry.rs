//! Notes of our own, next to Solo5's in the ELF file. Other tenders ignore them, so an image never depends on one.

use crate::elf::NoteHeader;

/// Owner of our notes, with its terminator and padded to eight bytes.
pub const NOTE_NAME: [u8; 8] = *b"Skerry\0\0";

/// `n_namesz` of our notes.
pub const NOTE_NAME_SIZE: u32 = 7;

/// Type of [`ThreadPointerNote`].
pub const THREAD_POINTER_NOTE_TYPE: u32 = 1;

/// Type of [`BakedNote`].
pub const BAKED_NOTE_TYPE: u32 = 2;

/// Where the image keeps its one thread control block (x86_64 TLS variant II: `%fs:0` holds its own address).
///
/// A tender that sets `fs` from it before it enters the guest need not allow `arch_prctl`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ThreadPointerNote {
    /// Name "Skerry", type [`THREAD_POINTER_NOTE_TYPE`].
    pub header: NoteHeader,
    /// Zero.
    pub padding: u32,
    /// Address of the thread control block.
    pub address: u64,
}

/// What was baked into the image after linking; lies in memory, all zero where nothing was.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BakedNote {
    /// Name "Skerry", type [`BAKED_NOTE_TYPE`].
    pub header: NoteHeader,
    /// Zero.
    pub padding: u32,
    /// Address and bytes of the content, a tar archive.
    pub content: [u64; 2],
    /// Address and bytes of the configuration, a TOML document.
    pub configuration: [u64; 2],
}

const _: () = assert!(size_of::<ThreadPointerNote>() == 32);
const _: () = assert!(size_of::<BakedNote>() == 56);
