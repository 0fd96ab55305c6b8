//! What the tender lets the host do with frames: checksums and segments, told by a header before each.

use solo5_sys::{
    elf::NoteHeader,
    skerry::{NETWORK_OFFLOAD_NOTE_TYPE, NOTE_NAME, NOTE_NAME_SIZE, NetworkOffload, OFFLOAD_HEADER_SIZE},
};

/// Layout of `solo5_sys::skerry::NetworkOffloadNote`; only the linker knows the address.
#[repr(C)]
struct Note {
    header: NoteHeader,
    padding: u32,
    address: *const NetworkOffload,
}

// SAFETY: the pointer is an address for the tender to read from the file; nothing dereferences it.
unsafe impl Sync for Note {}

#[used]
#[unsafe(link_section = ".note.skerry.network_offload")]
static NOTE: Note = Note {
    header: NoteHeader {
        name_size: NOTE_NAME_SIZE,
        description_size: 12,
        note_type: NETWORK_OFFLOAD_NOTE_TYPE,
        name: NOTE_NAME,
    },
    padding: 0,
    address: &raw const OFFERED,
};

/// Written by the tender before the image is entered; a tender that knows nothing of it leaves it zero.
static mut OFFERED: NetworkOffload = NetworkOffload { interfaces: 0 };

/// Bytes of header before each frame of the interface at `handle`.
pub fn header_size(handle: usize) -> usize {
    // SAFETY: the tender wrote it before the first instruction; volatile, because the compiler sees nobody write it.
    let offered = unsafe { (&raw const OFFERED).read_volatile() };
    let has = u32::try_from(handle)
        .is_ok_and(|handle| offered.interfaces.checked_shr(handle).unwrap_or(0) & 1 != 0);
    if has { OFFLOAD_HEADER_SIZE } else { 0 }
}
