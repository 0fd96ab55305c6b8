//! The PE file that UEFI takes, made of a position-independent ELF file: the stable toolchain links no PE.
//!
//! ```text
//! ELF:  program headers │ text │ rodata with .rela.dyn │ data, bss
//! PE:   DOS header │ PE headers │ section table │ .text │ .rdata │ .data │ .reloc
//! ```
//!
//! Each segment becomes a section at the address that it was linked for, and each relative relocation a word that the
//! firmware adds the load address to.
//!
//! Source: Microsoft PE format; UEFI specification 2.10 §2.1.1.

use elf::{ElfBytes, abi, endian::LittleEndian};
use std::collections::BTreeMap;

const FILE_ALIGNMENT: usize = 512;
const PAGE: usize = 4096;
const DOS_HEADER: usize = 64;
const OPTIONAL_HEADER: usize = 240;
const MACHINE_X86_64: u16 = 0x8664;
/// Executable, 64-bit addresses.
const CHARACTERISTICS: u16 = 0x22;
const MAGIC_64_BIT: u16 = 0x20b;
const SUBSYSTEM_EFI_APPLICATION: u16 = 10;
/// Position-independent, data not executable.
const DLL_CHARACTERISTICS: u16 = 0x140;
const DIRECTORIES: u32 = 16;
const RELOCATION_DIRECTORY: usize = 5;
/// Type of a relocation of a 64-bit word.
const DIR64: u16 = 10 << 12;
const R_X86_64_RELATIVE: u32 = 8;

/// Code, readable, executable; constants, readable; data, readable, writable; relocations, which may be dropped.
const TEXT: (&[u8], u32) = (b".text", 0x6000_0020);
const RDATA: (&[u8], u32) = (b".rdata", 0x4000_0040);
const DATA: (&[u8], u32) = (b".data", 0xc000_0040);
const RELOC: (&[u8], u32) = (b".reloc", 0x4200_0040);

struct Section {
    kind: (&'static [u8], u32),
    address: usize,
    in_memory: usize,
    bytes: Vec<u8>,
}

/// The PE file for the linked `program`.
pub fn pe(program: &[u8]) -> Result<Vec<u8>, String> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(program).map_err(|error| error.to_string())?;
    let mut sections = sections(&file)?;
    let relocated = relocate(&file, &mut sections)?;
    let end = sections.last().map_or(PAGE, |last| (last.address + last.in_memory).next_multiple_of(PAGE));
    let table = relocation_table(&relocated);
    sections.push(Section { kind: RELOC, address: end, in_memory: table.len(), bytes: table });
    Ok(write(file.ehdr.e_entry as u32, &sections))
}

fn sections(file: &ElfBytes<'_, LittleEndian>) -> Result<Vec<Section>, String> {
    let headers = file.segments().ok_or("the loader has no program headers")?;
    let load = headers.iter().filter(|header| header.p_type == abi::PT_LOAD);
    load.map(|header| {
        let kind = match header.p_flags & (abi::PF_W | abi::PF_X) {
            abi::PF_X => TEXT,
            abi::PF_W => DATA,
            0 => RDATA,
            _ => return Err("the loader has memory that is writable and executable".to_owned()),
        };
        let bytes = file.segment_data(&header).map_err(|error| error.to_string())?.to_vec();
        Ok(Section { kind, address: header.p_vaddr as usize, in_memory: header.p_memsz as usize, bytes })
    })
    .collect()
}

/// Writes into each relocated word what it is for load address 0; the addresses of those words.
fn relocate(file: &ElfBytes<'_, LittleEndian>, sections: &mut [Section]) -> Result<Vec<usize>, String> {
    let header = file.section_header_by_name(".rela.dyn").map_err(|error| error.to_string())?;
    let Some(header) = header else { return Ok(Vec::new()) };
    let relocations = file.section_data_as_relas(&header).map_err(|error| error.to_string())?;
    let mut addresses = Vec::new();
    for relocation in relocations {
        if relocation.r_type != R_X86_64_RELATIVE {
            return Err(format!("the loader has a relocation of type {}", relocation.r_type));
        }
        let address = relocation.r_offset as usize;
        let inside = |section: &&mut Section| {
            (section.address..(section.address + section.bytes.len()).saturating_sub(7)).contains(&address)
        };
        let section =
            sections.iter_mut().find(inside).ok_or("the loader has a relocation outside of its bytes")?;
        section.bytes[address - section.address..][..8].copy_from_slice(&relocation.r_addend.to_le_bytes());
        addresses.push(address);
    }
    addresses.sort_unstable();
    Ok(addresses)
}

/// The relocations, in a block for each page.
fn relocation_table(addresses: &[usize]) -> Vec<u8> {
    let mut pages: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
    for address in addresses {
        pages.entry(address & !(PAGE - 1)).or_default().push(DIR64 | (address % PAGE) as u16);
    }
    if pages.is_empty() {
        // Without a block the firmware takes the program for one that cannot be moved.
        pages.insert(0, Vec::new());
    }
    let mut table = Vec::new();
    for (page, mut entries) in pages {
        // Blocks are whole words; an entry of zeroes is none.
        entries.resize(entries.len().next_multiple_of(2), 0);
        table.extend((page as u32).to_le_bytes());
        table.extend((8 + 2 * entries.len() as u32).to_le_bytes());
        table.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    }
    table
}

fn write(entry: u32, sections: &[Section]) -> Vec<u8> {
    let headers_bytes =
        (DOS_HEADER + 24 + OPTIONAL_HEADER + 40 * sections.len()).next_multiple_of(FILE_ALIGNMENT);
    let of_kind = |kind| sections.iter().filter(move |section| section.kind == kind);
    let raw = |section: &Section| section.bytes.len().next_multiple_of(FILE_ALIGNMENT) as u32;
    let last = sections.last().map_or(0, |last| last.address + last.in_memory);

    let mut image = vec![0; DOS_HEADER];
    image[..2].copy_from_slice(b"MZ");
    image[60] = DOS_HEADER as u8;
    image.extend(b"PE\0\0");
    image.extend(MACHINE_X86_64.to_le_bytes());
    image.extend((sections.len() as u16).to_le_bytes());
    image.extend([0; 12]); // time stamp, symbols: none
    image.extend((OPTIONAL_HEADER as u16).to_le_bytes());
    image.extend(CHARACTERISTICS.to_le_bytes());

    image.extend(MAGIC_64_BIT.to_le_bytes());
    image.extend([0; 2]); // version of the linker
    let data = of_kind(RDATA).chain(of_kind(DATA)).map(raw).sum();
    let text = of_kind(TEXT).next().map_or(0, |section| section.address as u32);
    let bytes_of_sections: [u32; 5] = [of_kind(TEXT).map(raw).sum(), data, 0, entry, text];
    image.extend(bytes_of_sections.iter().flat_map(|word| word.to_le_bytes()));
    image.extend([0; 8]); // preferred address: none
    image.extend([PAGE as u32, FILE_ALIGNMENT as u32].iter().flat_map(|word| word.to_le_bytes()));
    image.extend([0; 16]); // versions
    let sizes = [last.next_multiple_of(PAGE) as u32, headers_bytes as u32, 0];
    image.extend(sizes.iter().flat_map(|word| word.to_le_bytes()));
    image.extend(SUBSYSTEM_EFI_APPLICATION.to_le_bytes());
    image.extend(DLL_CHARACTERISTICS.to_le_bytes());
    image.extend([0; 36]); // stack, heap, flags: the firmware's
    image.extend(DIRECTORIES.to_le_bytes());
    for directory in 0..DIRECTORIES as usize {
        let section = of_kind(RELOC).next().filter(|_| directory == RELOCATION_DIRECTORY);
        let [address, bytes] = section.map_or([0; 2], |section| [section.address, section.in_memory]);
        image.extend([address as u32, bytes as u32].iter().flat_map(|word| word.to_le_bytes()));
    }

    let mut offset = headers_bytes as u32;
    for section in sections {
        let mut name = [0; 8];
        name[..section.kind.0.len()].copy_from_slice(section.kind.0);
        image.extend(name);
        let place = [section.in_memory as u32, section.address as u32, raw(section), offset, 0, 0, 0];
        image.extend(place.iter().flat_map(|word| word.to_le_bytes()));
        image.extend(section.kind.1.to_le_bytes());
        offset += raw(section);
    }
    image.resize(headers_bytes, 0);
    for section in sections {
        image.extend(&section.bytes);
        image.resize(image.len().next_multiple_of(FILE_ALIGNMENT), 0);
    }
    image
}
