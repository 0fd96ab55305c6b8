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

/// Type of [`NetworkRingNote`].
pub const NETWORK_RING_NOTE_TYPE: u32 = 3;

/// Type of [`NetworkOffloadNote`].
pub const NETWORK_OFFLOAD_NOTE_TYPE: u32 = 4;

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

/// Where an spt image would have a [`NetworkRing`] written before it is entered. Without a tender that does, it stays zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetworkRingNote {
    /// Name "Skerry", type [`NETWORK_RING_NOTE_TYPE`].
    pub header: NoteHeader,
    /// Zero.
    pub padding: u32,
    /// Address of a [`NetworkRing`] in writable memory of the image.
    pub address: u64,
}

/// An io_uring of the host's kernel for all network interfaces: many frames a system call instead of one.
///
/// `io_uring_enter(descriptor, n, n, IORING_ENTER_GETEVENTS, NULL, 0)` takes the place of `read`, and of `write` on
/// interfaces; both are forbidden then. The ring takes IORING_OP_READ and IORING_OP_WRITE with IOSQE_FIXED_FILE alone; an
/// interface's file is its handle, its index in the manifest. Entry `n` of the submission array is `n`, for ever.
///
/// Addresses are the guest's own. Source of layout and opcodes: Linux `include/uapi/linux/io_uring.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetworkRing {
    /// Descriptor of the ring; the other fields mean nothing where `submission_entries` is 0.
    pub descriptor: i32,
    /// Entries of the submission queue, a power of two; 0 if there is no ring.
    pub submission_entries: u32,
    /// Entries of the completion queue, a power of two.
    pub completion_entries: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of the submission queue's tail, 32 bits, ours to advance.
    pub submission_tail: u64,
    /// Address of the array of `struct io_uring_sqe`, 64 bytes each.
    pub submissions: u64,
    /// Address of the completion queue's head, 32 bits, ours to advance.
    pub completion_head: u64,
    /// Address of the completion queue's tail, 32 bits.
    pub completion_tail: u64,
    /// Address of the array of `struct io_uring_cqe`, 16 bytes each.
    pub completions: u64,
}

/// Where an spt image would have a [`NetworkOffload`] written before it is entered. Without a tender that does, it stays zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetworkOffloadNote {
    /// Name "Skerry", type [`NETWORK_OFFLOAD_NOTE_TYPE`].
    pub header: NoteHeader,
    /// Zero.
    pub padding: u32,
    /// Address of a [`NetworkOffload`] in writable memory of the image.
    pub address: u64,
}

/// Interfaces on which each frame is preceded by [`OFFLOAD_HEADER_SIZE`] bytes that say what is still to be done with it, both
/// ways and by whatever way frames are moved.
///
/// The header is `struct virtio_net_hdr` without a number of buffers (VIRTIO 1.2 §5.1.6), little-endian. The host completes
/// checksums and cuts TCP over IPv4 and IPv6 into segments for the guest; what it hands to the guest is complete, no larger than
/// the MTU, and may be vouched for by VIRTIO_NET_HDR_F_DATA_VALID.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkOffload {
    /// Bit `n` is set for the interface whose handle is `n`.
    pub interfaces: u64,
}

/// Bytes of header before each frame; see [`NetworkOffload`].
pub const OFFLOAD_HEADER_SIZE: usize = 10;

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
    /// Address and number of the device [entries](crate::manifest::Entry), where no tender passes them.
    pub manifest: [u64; 2],
}

const _: () = assert!(size_of::<ThreadPointerNote>() == 32);
const _: () = assert!(size_of::<BakedNote>() == 72);
const _: () = assert!(size_of::<NetworkRingNote>() == 32);
const _: () = assert!(size_of::<NetworkRing>() == 56);
const _: () = assert!(size_of::<NetworkOffloadNote>() == 32);
