//! The multiboot 1 header of an image that boots by itself: what the assembler cannot know is filled in here.
//!
//! ```text
//! file, loaded as one piece:  text | rodata | data | baked
//! memory:                     text | rodata | stack | data | bss | supervisor | baked
//! ```
//!
//! Multiboot's loaders do not take 64-bit ELF; with the header's address fields they load the file as one piece. The image
//! then moves its last segments up to where they belong (platform/src/machine/entry.s), by a table behind the header.
//!
//! Source: Multiboot Specification 0.6.96 §3.1.

use elf::{abi, segment::ProgramHeader};

const MAGIC: u32 = 0x1bad_b002;

/// Loaders look for the header in so many bytes of the file, at multiples of four.
const SEARCHED: usize = 8192;

/// Offsets from the header: two of its fields, then the table of moves and the range to clear, as entry.s lays them out.
const LOAD_END: usize = 20;
const MEMORY_END: usize = 24;
const MOVES: usize = 32;
const ZERO: usize = MOVES + MOVES_MAX * 12;
const MOVES_MAX: usize = 2;

/// Offset of the header in `image`, if it has one.
pub fn find(image: &[u8]) -> Option<usize> {
    (0..image.len().min(SEARCHED).saturating_sub(ZERO + 8)).step_by(4).find(|&offset| {
        let [magic, flags, checksum] = [0, 4, 8].map(|field| word(image, offset + field));
        magic == MAGIC && magic.wrapping_add(flags).wrapping_add(checksum) == 0
    })
}

/// Fills in the header at `offset`, for an image with these program headers.
pub fn fill(image: &mut [u8], offset: usize, headers: &[ProgramHeader]) -> Result<(), String> {
    let load: Vec<&ProgramHeader> = headers.iter().filter(|header| header.p_type == abi::PT_LOAD).collect();
    let first = load.first().ok_or("it has no segment to load")?;
    let loaded_at = |header: &ProgramHeader| first.p_vaddr + (header.p_offset - first.p_offset);
    let in_file = || load.iter().filter(|header| header.p_filesz > 0);
    let moved: Vec<_> = in_file().filter(|header| loaded_at(header) != header.p_vaddr).collect();
    if moved.len() > MOVES_MAX {
        return Err(format!(
            "{} segments lie elsewhere than in the file; entry.s moves {MOVES_MAX}",
            moved.len()
        ));
    }
    let load_end = in_file().map(|header| loaded_at(header) + header.p_filesz).max().unwrap_or(0);
    let memory_end = load.iter().map(|header| header.p_vaddr + header.p_memsz).max().unwrap_or(0);
    write(image, offset + LOAD_END, load_end)?;
    write(image, offset + MEMORY_END, memory_end.max(load_end))?;
    // The last first: each moves up, over where the ones behind it were loaded.
    for (index, header) in moved.iter().rev().enumerate() {
        let row = offset + MOVES + index * 12;
        write(image, row, loaded_at(header))?;
        write(image, row + 4, header.p_vaddr)?;
        write(image, row + 8, header.p_filesz.next_multiple_of(4))?;
    }
    // Between data and what is baked in there is only what the file does not have: bss, supervisor.
    let writable = |header: &&&ProgramHeader| header.p_flags & abi::PF_W != 0;
    let data = load.iter().rfind(|header| writable(header) && header.p_filesz > 0);
    let data_end = data.map_or(load_end, |header| header.p_vaddr + header.p_filesz.next_multiple_of(4));
    let zero_end = load.iter().filter(writable).map(|header| header.p_vaddr + header.p_memsz).max();
    write(image, offset + ZERO, data_end)?;
    write(image, offset + ZERO + 4, zero_end.unwrap_or(data_end).max(data_end))
}

fn word(image: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(image[offset..offset + 4].try_into().expect("it is four bytes"))
}

fn write(image: &mut [u8], offset: usize, value: u64) -> Result<(), String> {
    let value = u32::try_from(value).map_err(|_| format!("address {value:#x} is beyond 4 GiB"))?;
    image[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    Ok(())
}
