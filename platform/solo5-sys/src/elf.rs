//! Notes in an image's ELF file: which target it is for, in which version.
//!
//! A tender refuses a file without the ABI1 note. Two more marks keep the host's kernel from running the file itself: an
//! interpreter that does not exist, and an OpenBSD identification, which the ABI1 note must not be mistaken for.
//!
//! Source: Solo5 `include/elf_abi.h`.

/// Lowest address at which a segment may be loaded, in bytes.
pub const GUEST_MIN_BASE: u64 = 0x10_0000;

/// Owner of the Solo5 notes, with its terminator and padded to four bytes.
pub const NOTE_NAME: [u8; 8] = *b"Solo5\0\0\0";

/// `n_namesz` of a Solo5 note: the name and its terminator.
pub const NOTE_NAME_SIZE: u32 = 6;

/// Type of the ABI1 note: "ABI1" in little-endian order.
pub const ABI1_NOTE_TYPE: u32 = 0x3149_4241;

/// Type of the MFT1 note, which holds the [manifest](crate::manifest): "MFT1" in little-endian order.
pub const MFT1_NOTE_TYPE: u32 = 0x3154_464d;

/// The interpreter an image names so that no kernel runs it by accident; 24 bytes with its terminators.
pub const INTERPRETER: [u8; 24] = *b"/nonexistent/solo5/\0\0\0\0\0";

/// Header of every ELF note whose owner's name fills eight bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteHeader {
    /// Bytes in the name, with its terminator, without padding.
    pub name_size: u32,
    /// Bytes in the description that follows, with any padding in front of it.
    pub description_size: u32,
    /// What the description means, in the owner's name space.
    pub note_type: u32,
    /// The owner.
    pub name: [u8; 8],
}

/// Which tender or hypervisor an image is built for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Hardware virtualised: KVM, FreeBSD vmm, OpenBSD vmm.
    Hvt = 1,
    /// Sandboxed process: Linux seccomp.
    Spt = 2,
    /// Any virtio hypervisor.
    Virtio = 3,
    /// Muen separation kernel.
    Muen = 4,
    /// Genode.
    Genode = 5,
    /// Xen, PVH.
    Xen = 6,
}

/// Version of the ABI that this crate describes, the same number on hvt and spt.
pub const ABI_VERSION: u32 = 2;

/// Description of the ABI1 note.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abi1Info {
    /// A [`Target`].
    pub target: u32,
    /// [`ABI_VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved0: u32,
    /// Zero.
    pub reserved1: u32,
}

/// The whole ABI1 note; its description needs no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abi1Note {
    /// Name "Solo5", type [`ABI1_NOTE_TYPE`].
    pub header: NoteHeader,
    /// The description.
    pub info: Abi1Info,
}

impl Abi1Note {
    /// The note of an image for `target`.
    pub const fn new(target: Target) -> Self {
        Self {
            header: NoteHeader {
                name_size: NOTE_NAME_SIZE,
                description_size: size_of::<Abi1Info>() as u32,
                note_type: ABI1_NOTE_TYPE,
                name: NOTE_NAME,
            },
            info: Abi1Info { target: target as u32, version: ABI_VERSION, reserved0: 0, reserved1: 0 },
        }
    }
}

/// The note that keeps OpenBSD from mistaking an image for one of its own binaries.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBsdNote {
    /// Name "OpenBSD", type 1 (`NT_VERSION`).
    pub header: NoteHeader,
    /// Zero.
    pub data: u32,
}

/// The only value of [`OpenBsdNote`] there is.
pub const OPENBSD_NOTE: OpenBsdNote = OpenBsdNote {
    header: NoteHeader { name_size: 8, description_size: 4, note_type: 1, name: *b"OpenBSD\0" },
    data: 0,
};

const _: () = assert!(size_of::<NoteHeader>() == 20);
const _: () = assert!(size_of::<Abi1Info>() == 16);
const _: () = assert!(size_of::<Abi1Note>() == 36 && align_of::<Abi1Note>() == 4);
const _: () = assert!(size_of::<OpenBsdNote>() == 24);
