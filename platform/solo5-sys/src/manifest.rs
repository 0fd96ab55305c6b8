//! The device manifest: which devices an image declares, and what the tender attached to each.
//!
//! An image carries it in the MFT1 note with only `name` and `device_type` set; the tender fills in the rest and passes a
//! copy at boot. A device's index in the manifest is its handle in every hypercall, and its bit in a set of handles.
//!
//! ```text
//! note header | pad 4 | version | entries | entry 0 (reserved, no name) | entry 1 | …
//! ```
//!
//! Source: Solo5 `include/mft_abi.h`.

use crate::elf::NoteHeader;

/// Version of the manifest's layout.
pub const VERSION: u32 = 1;

/// Bytes of a device's name, with its terminator.
pub const NAME_SIZE: usize = 68;

/// Entries a manifest may have, the reserved first one included: one bit each in a 64-bit set.
pub const MAX_ENTRIES: usize = 64;

/// What kind of device an entry declares.
pub mod device_type {
    /// A block device.
    pub const BLOCK_BASIC: u32 = 1;
    /// A network interface.
    pub const NET_BASIC: u32 = 2;
    /// First of the reserved types; the first entry of every manifest has it.
    pub const RESERVED_FIRST: u32 = 1 << 30;
}

/// Properties of a block device. Layout of `struct mft_block_basic`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockBasic {
    /// Size of the device in bytes, a multiple of `block_size`.
    pub capacity: u64,
    /// Size of a block in bytes, the unit of reading and writing.
    pub block_size: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

/// Properties of a network interface. Layout of `struct mft_net_basic`, padded to the union's size.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetBasic {
    /// The interface's MAC address.
    pub mac: [u8; 6],
    /// Largest frame without its Ethernet header, in bytes.
    pub mtu: u16,
    /// Zero.
    pub reserved: [u32; 2],
}

/// One device of the manifest. Layout of `struct mft_entry`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name, ASCII letters and digits, padded with zeroes; empty in the reserved entry.
    pub name: [u8; NAME_SIZE],
    /// One of [`device_type`].
    pub device_type: u32,
    /// [`BlockBasic`] or [`NetBasic`], by `device_type`; as bytes, since either side must check the type before it looks.
    pub properties: [u8; 16],
    /// On spt the host's descriptor (a 32-bit `int` at offset 0) for reading and writing the device; unused on hvt.
    pub host: u64,
    /// 1 if the tender attached something to this device, else 0 (a C `bool`).
    pub attached: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// What comes before the entries. Layout of the fixed part of `struct mft`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// Number of entries, at most [`MAX_ENTRIES`].
    pub entries: u32,
}

/// The MFT1 note's fixed part: the header, four bytes of padding (counted in `description_size`), the manifest's header.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mft1NoteHeader {
    /// Name "Solo5", type [`MFT1_NOTE_TYPE`](crate::elf::MFT1_NOTE_TYPE).
    pub header: NoteHeader,
    /// Zero: the manifest is aligned to 8 bytes.
    pub padding: u32,
    /// The manifest's own header; [`Entry`]s follow.
    pub manifest: Header,
}

const _: () = assert!(size_of::<BlockBasic>() == 16);
const _: () = assert!(size_of::<NetBasic>() == 16);
const _: () = assert!(size_of::<Entry>() == 104 && align_of::<Entry>() == 8);
const _: () = assert!(core::mem::offset_of!(Entry, properties) == 72);
const _: () = assert!(core::mem::offset_of!(Entry, host) == 88);
const _: () = assert!(core::mem::offset_of!(Entry, attached) == 96);
const _: () = assert!(size_of::<Header>() == 8);
const _: () = assert!(size_of::<Mft1NoteHeader>() == 32);
const _: () = assert!(MAX_ENTRIES <= u64::BITS as usize);
