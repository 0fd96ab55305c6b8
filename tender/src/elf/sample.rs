//! The smallest image there is, byte by byte: what tests and fuzz targets start from before they break something.
//!
//! ```text
//! ELF header │ 6 program headers: ABI1, MFT1, thread pointer, code, constants, data │ notes │ segments
//! ```

use solo5_sys::elf::{ABI_VERSION, ABI1_NOTE_TYPE, GUEST_MIN_BASE, MFT1_NOTE_TYPE, Target};
use solo5_sys::manifest::{Entry, Header, NAME_SIZE, VERSION, device_type};
use solo5_sys::skerry::THREAD_POINTER_NOTE_TYPE;

/// Bytes of the ELF header.
pub const ELF_HEADER_SIZE: usize = 64;
/// Bytes of a program header.
pub const PROGRAM_HEADER_SIZE: usize = 56;
/// Program headers of the image, in this order.
pub const PROGRAM_HEADERS: [&str; 6] = ["ABI1", "MFT1", "thread pointer", "code", "constants", "data"];
/// First instruction of the image, and first address of its code.
pub const ENTRY: u64 = GUEST_MIN_BASE;
/// First address of its data, and its thread pointer.
pub const DATA: u64 = GUEST_MIN_BASE + 2 * SEGMENT_SIZE;
/// Bytes of each segment in memory.
const SEGMENT_SIZE: u64 = 0x1000;

/// An image for `target` that declares `devices`: block devices where the name starts with "storage", networks otherwise.
pub fn image(target: Target, devices: &[&str]) -> Vec<u8> {
    program(target, devices, &[0xf4; 16], &[0; 16])
}

/// The same with this code at [`ENTRY`] and these bytes at [`DATA`], a page of either at most.
pub fn program(target: Target, devices: &[&str], code: &[u8], data: &[u8]) -> Vec<u8> {
    let abi = [target as u32, ABI_VERSION, 0, 0].map(u32::to_le_bytes).concat();
    let padded = |description: &[u8]| [&[0; 4], description].concat();
    let notes = [
        note(b"Solo5\0", ABI1_NOTE_TYPE, &abi),
        note(b"Solo5\0", MFT1_NOTE_TYPE, &padded(&manifest(devices))),
        note(b"Skerry\0", THREAD_POINTER_NOTE_TYPE, &padded(&DATA.to_le_bytes())),
    ];
    let segments = [(READ | EXECUTE, code), (READ, b"constants".as_slice()), (READ | WRITE, data)];
    let mut file = elf_header();
    let mut offset = (ELF_HEADER_SIZE + PROGRAM_HEADERS.len() * PROGRAM_HEADER_SIZE) as u64;
    for note in &notes {
        let size = note.len() as u64;
        file.extend(program_header(NOTE, READ, [offset, 0, size, size, 4]));
        offset += size;
    }
    let mut address = GUEST_MIN_BASE;
    for (flags, content) in segments {
        let size = content.len() as u64;
        file.extend(program_header(LOAD, flags, [offset, address, size, SEGMENT_SIZE, SEGMENT_SIZE]));
        offset += size;
        address += SEGMENT_SIZE;
    }
    file.extend(notes.concat());
    file.extend(segments.map(|(_, content)| content).concat());
    file
}

/// The manifest of [`image`], without its note.
pub fn manifest(devices: &[&str]) -> Vec<u8> {
    let count = devices.len() as u32 + 1;
    let mut bytes = [VERSION, count].map(u32::to_le_bytes).concat();
    bytes.extend(entry("", device_type::RESERVED_FIRST));
    for name in devices {
        let block = name.starts_with("storage");
        bytes.extend(entry(name, if block { device_type::BLOCK_BASIC } else { device_type::NET_BASIC }));
    }
    debug_assert_eq!(bytes.len(), size_of::<Header>() + count as usize * size_of::<Entry>());
    bytes
}

/// A note: name and description padded to four bytes each.
pub fn note(name: &[u8], note_type: u32, description: &[u8]) -> Vec<u8> {
    let mut note = [name.len() as u32, description.len() as u32, note_type].map(u32::to_le_bytes).concat();
    for part in [name, description] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

fn entry(name: &str, device_type: u32) -> Vec<u8> {
    let mut entry = name.as_bytes().to_vec();
    entry.resize(NAME_SIZE, 0);
    entry.extend(device_type.to_le_bytes());
    entry.resize(size_of::<Entry>(), 0);
    entry
}

const LOAD: u32 = elf::abi::PT_LOAD;
const NOTE: u32 = elf::abi::PT_NOTE;
const EXECUTE: u32 = elf::abi::PF_X;
const WRITE: u32 = elf::abi::PF_W;
const READ: u32 = elf::abi::PF_R;

fn elf_header() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([elf::abi::ET_EXEC, elf::abi::EM_X86_64].map(u16::to_le_bytes).concat());
    header.extend(u32::from(elf::abi::EV_CURRENT).to_le_bytes());
    header.extend([GUEST_MIN_BASE, ELF_HEADER_SIZE as u64, 0].map(u64::to_le_bytes).concat());
    header.extend([0; 4]);
    let sizes = [ELF_HEADER_SIZE, PROGRAM_HEADER_SIZE, PROGRAM_HEADERS.len(), 64, 0, 0];
    header.extend(sizes.map(|size| (size as u16).to_le_bytes()).concat());
    header
}

/// `fields`: offset, address, bytes in the file, bytes in memory, alignment.
fn program_header(kind: u32, flags: u32, fields: [u64; 5]) -> Vec<u8> {
    let [offset, address, file_size, memory_size, alignment] = fields;
    let mut header = [kind, flags].map(u32::to_le_bytes).concat();
    header
        .extend([offset, address, address, file_size, memory_size, alignment].map(u64::to_le_bytes).concat());
    header
}
