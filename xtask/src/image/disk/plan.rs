//! What a loader has to do with an ELF file: which bytes go where, and where to jump.

use elf::{ElfBytes, abi, endian::LittleEndian, note::Note};

/// Lowest address of an image: what lies below belongs to the firmware and the loader.
const FIRST_ADDRESS: u64 = 0x10_0000;

/// Name and type of the note that says where a PVH guest is entered. Source: Xen `include/public/elfnote.h`.
const PVH_NOTE: (&str, u64) = ("Xen", 18);

/// A piece of memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its bytes are in the file.
    pub offset: u32,
    /// How many there are.
    pub bytes: u32,
    /// Where they go, a physical address.
    pub address: u32,
    /// Zeroes behind them.
    pub zeroes: u32,
}

/// The whole of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Physical address to jump to, in 32-bit mode without paging.
    pub entry: u32,
    /// In the order of the file.
    pub segments: Vec<Segment>,
}

impl Plan {
    /// The plan for an ELF file; says what is wrong with one that cannot be booted.
    pub fn of(elf: &[u8]) -> Result<Self, String> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(elf).map_err(|error| error.to_string())?;
        let headers = file.segments().ok_or("it has no program headers")?;
        let mut segments = Vec::new();
        let mut entry = None;
        for header in headers.iter() {
            match header.p_type {
                abi::PT_LOAD => segments.push(segment(&header, elf.len())?),
                abi::PT_NOTE => {
                    let notes = file.segment_data_as_notes(&header).map_err(|error| error.to_string())?;
                    entry = entry.or(notes.filter_map(pvh_entry).next());
                }
                _ => {}
            }
        }
        let entry = entry.ok_or("it has no PVH entry: was it linked for virtio?")?;
        let inside = |segment: &Segment| (segment.address..segment.address + segment.bytes).contains(&entry);
        if !segments.iter().any(inside) {
            return Err(format!("its PVH entry {entry:#x} lies in no segment"));
        }
        Ok(Self { entry, segments })
    }

    /// First address of the image, and the one behind its last.
    pub fn range(&self) -> (u32, u32) {
        let first = self.segments.iter().map(|segment| segment.address).min().unwrap_or(0);
        let end = |segment: &Segment| segment.address + segment.bytes + segment.zeroes;
        (first, self.segments.iter().map(end).max().unwrap_or(0))
    }
}

fn segment(header: &elf::segment::ProgramHeader, file_bytes: usize) -> Result<Segment, String> {
    let place = format!("its segment at {:#x}", header.p_paddr);
    let end = header.p_paddr.checked_add(header.p_memsz).filter(|end| u32::try_from(*end).is_ok());
    if header.p_paddr < FIRST_ADDRESS || end.is_none() {
        return Err(format!("{place} does not lie between 1 MiB and 4 GiB"));
    }
    let in_file = header.p_offset.checked_add(header.p_filesz).is_some_and(|end| end <= file_bytes as u64);
    if !in_file || header.p_filesz > header.p_memsz {
        return Err(format!("{place} is not whole in the file"));
    }
    let number =
        |value: u64| u32::try_from(value).map_err(|_| format!("{place} lies behind 4 GiB of the file"));
    Ok(Segment {
        offset: number(header.p_offset)?,
        bytes: number(header.p_filesz)?,
        address: number(header.p_paddr)?,
        zeroes: number(header.p_memsz - header.p_filesz)?,
    })
}

/// The entry that a note names, if it is the one for PVH.
fn pvh_entry(note: Note<'_>) -> Option<u32> {
    let Note::Unknown(note) = note else { return None };
    let name = note.name_str().ok()?;
    if (name.trim_end_matches('\0'), note.n_type) != PVH_NOTE {
        return None;
    }
    // 32 or 64 bits; an address above 4 GiB could not be entered in 32-bit mode.
    let (low, high) = note.desc.split_first_chunk()?;
    high.iter().all(|byte| *byte == 0).then(|| u32::from_le_bytes(*low))
}
