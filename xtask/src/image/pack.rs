//! Turns a linked file into an image: adds the device manifest and what is baked in, leaves sections and symbols out.
//!
//! ```text
//! linked:  header | program headers | segments … | sections, debug information
//! image:   header | program headers + 2 | segments … | baked: content, configuration | manifest note
//! ```
//!
//! The baked bytes get a read-only segment of their own behind the last one; a note in memory says where they are. The
//! manifest is read by the tender from the file and is not part of any segment; an image that boots without a tender (it has
//! PVH's note) has it among the baked bytes instead. Nothing of the build machine is left.

use super::{description::Device, multiboot};
use elf::{ElfBytes, abi, endian::LittleEndian, segment::ProgramHeader};
use solo5_sys::{
    elf::{MFT1_NOTE_TYPE, NOTE_NAME, NOTE_NAME_SIZE},
    manifest::{Entry, Mft1NoteHeader, NAME_SIZE, VERSION, device_type},
    skerry::{self, BakedNote},
};

const PAGE: usize = 4096;
const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// What goes into an image after linking.
pub struct Baked<'a> {
    /// A tar archive.
    pub content: Option<&'a [u8]>,
    /// A TOML document.
    pub configuration: Option<&'a [u8]>,
}

/// Packs `linked` into an image with `devices` as its manifest.
pub fn pack(linked: &[u8], devices: &[Device], baked: &Baked<'_>) -> Result<Vec<u8>, String> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(linked).map_err(|error| error.to_string())?;
    let mut headers: Vec<ProgramHeader> =
        file.segments().ok_or("it has no program headers")?.iter().collect();
    // Thread-local data is set up by the image itself; notes of other targets are empty.
    headers.retain(|header| header.p_type != abi::PT_TLS && header.p_memsz > 0);

    let end_in_file =
        headers.iter().map(|header| header.p_offset + header.p_filesz).max().unwrap_or(0) as usize;
    let mut image = linked.get(..end_in_file).ok_or("a segment lies outside of the file")?.to_vec();
    let multiboot_header = multiboot::find(&image);
    let manifest = entries(devices);
    let boots_alone = headers.iter().any(|header| is_pvh_note(&image, header));
    bake(&mut image, &mut headers, baked, boots_alone.then_some(manifest.as_slice()))?;
    if !boots_alone {
        append_manifest(&mut image, &mut headers, &manifest);
    }
    if let Some(header) = multiboot_header {
        multiboot::fill(&mut image, header, &headers)?;
    }
    write_headers(&mut image, &headers)?;
    Ok(image)
}

/// Whether a segment is the note by which PVH's loaders find the entry: a name of four bytes, an address, its type, "Xen".
/// Source: Xen `public/elfnote.h`.
fn is_pvh_note(image: &[u8], header: &ProgramHeader) -> bool {
    const NOTE: &[u8] = b"\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0";
    let bytes = image.get(header.p_offset as usize..).unwrap_or_default();
    header.p_type == abi::PT_NOTE && bytes.starts_with(NOTE)
}

/// Appends what is baked in as a segment, and writes its place into the note that the image reads.
fn bake(
    image: &mut Vec<u8>,
    headers: &mut Vec<ProgramHeader>,
    baked: &Baked<'_>,
    manifest: Option<&[u8]>,
) -> Result<(), String> {
    if baked.content.is_none() && baked.configuration.is_none() && manifest.is_none() {
        return Ok(());
    }
    let is_load = |header: &ProgramHeader| header.p_type == abi::PT_LOAD;
    let last = headers.iter().rposition(is_load).ok_or("it has no segment to load")?;
    let address = (headers[last].p_vaddr + headers[last].p_memsz).next_multiple_of(PAGE as u64);
    image.resize(image.len().next_multiple_of(PAGE), 0);
    let offset = image.len();
    let mut place = |bytes: Option<&[u8]>| match bytes {
        None => [0; 2],
        Some(bytes) => {
            let start = address + (image.len() - offset) as u64;
            image.extend_from_slice(bytes);
            image.resize(image.len().next_multiple_of(16), 0);
            [start, bytes.len() as u64]
        }
    };
    let (content, configuration) = (place(baked.content), place(baked.configuration));
    let [manifest, manifest_bytes] = place(manifest);
    let manifest = [manifest, manifest_bytes / size_of::<Entry>() as u64];
    let length = (image.len() - offset) as u64;

    let note = headers
        .iter()
        .find(|header| header.p_type == abi::PT_NOTE && is_baked_note(image, header))
        .ok_or("it has no note for baked content: was it linked with platform?")?;
    let words = note.p_offset as usize + std::mem::offset_of!(BakedNote, content);
    for (index, word) in [content, configuration, manifest].concat().into_iter().enumerate() {
        image[words + 8 * index..][..8].copy_from_slice(&word.to_le_bytes());
    }
    headers.insert(
        last + 1,
        ProgramHeader {
            p_type: abi::PT_LOAD,
            p_flags: abi::PF_R,
            p_offset: offset as u64,
            p_vaddr: address,
            p_paddr: address,
            p_filesz: length,
            p_memsz: length,
            p_align: PAGE as u64,
        },
    );
    Ok(())
}

fn is_baked_note(image: &[u8], header: &ProgramHeader) -> bool {
    let start = header.p_offset as usize;
    let Some(note) = image.get(start..start + size_of::<BakedNote>()) else { return false };
    note[8..12] == skerry::BAKED_NOTE_TYPE.to_le_bytes() && note[12..20] == skerry::NOTE_NAME
}

/// The manifest's entries: the reserved one, then the devices.
fn entries(devices: &[Device]) -> Vec<u8> {
    let mut entries = Vec::new();
    append_entry(&mut entries, "", device_type::RESERVED_FIRST);
    for device in devices {
        append_entry(&mut entries, &device.name, device.kind.device_type());
    }
    entries
}

/// Appends the MFT1 note with these entries.
fn append_manifest(image: &mut Vec<u8>, headers: &mut Vec<ProgramHeader>, entries: &[u8]) {
    let length = size_of::<Mft1NoteHeader>() + entries.len();
    image.resize(image.len().next_multiple_of(8), 0);
    let offset = image.len();
    let description_size = (length - size_of::<solo5_sys::elf::NoteHeader>()) as u32;
    for word in [NOTE_NAME_SIZE, description_size, MFT1_NOTE_TYPE] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(&NOTE_NAME);
    for word in [0, VERSION, (entries.len() / size_of::<Entry>()) as u32] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(entries);
    headers.push(ProgramHeader {
        p_type: abi::PT_NOTE,
        p_flags: abi::PF_R,
        p_offset: offset as u64,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: length as u64,
        p_memsz: 0,
        p_align: 8,
    });
}

fn append_entry(image: &mut Vec<u8>, name: &str, device_type: u32) {
    let start = image.len();
    image.extend_from_slice(name.as_bytes());
    image.resize(start + NAME_SIZE, 0);
    image.extend_from_slice(&device_type.to_le_bytes());
    image.resize(start + size_of::<Entry>(), 0);
}

/// Writes the program headers behind the ELF header, where the linker left room, and takes the sections out of the latter.
fn write_headers(image: &mut [u8], headers: &[ProgramHeader]) -> Result<(), String> {
    let end = ELF_HEADER + headers.len() * PROGRAM_HEADER;
    let first_segment =
        headers.iter().filter(|header| header.p_filesz > 0).map(|header| header.p_offset).min();
    if first_segment.is_none_or(|first| (first as usize) < end) {
        return Err("there is no room for the program headers in front of the first segment".into());
    }
    image[ELF_HEADER..end].fill(0);
    for (header, room) in headers.iter().zip(image[ELF_HEADER..].chunks_exact_mut(PROGRAM_HEADER)) {
        room[..4].copy_from_slice(&header.p_type.to_le_bytes());
        room[4..8].copy_from_slice(&header.p_flags.to_le_bytes());
        let words = [
            header.p_offset,
            header.p_vaddr,
            header.p_paddr,
            header.p_filesz,
            header.p_memsz,
            header.p_align,
        ];
        for (word, bytes) in words.iter().zip(room[8..].chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    image[32..40].copy_from_slice(&(ELF_HEADER as u64).to_le_bytes()); // e_phoff
    image[40..48].fill(0); // e_shoff
    image[56..58].copy_from_slice(&(headers.len() as u16).to_le_bytes()); // e_phnum
    image[58..64].fill(0); // e_shentsize, e_shnum, e_shstrndx
    Ok(())
}
