//! A disk for a BIOS: boot sector, loader, plan, command line, and the ELF file.
//!
//! ```text
//! sector 0        boot sector: code, signature of the disk, one partition
//!        1 to 8   loader
//!        9        plan: where to jump, and what to read to where
//!        10 to 13 command line, which an operator may change
//!        64 …     the ELF file, which is the partition
//! ```
//!
//! The layout is known to `platform/loader/src/bios/{boot,load}.s` as well.

use super::{SECTOR, plan::Plan, whole_mib};
use crate::image::sums;
use elf::{ElfBytes, abi, endian::LittleEndian};

/// Where the linked loader has its two segments, and how many bytes each fills at most.
const PARTS: [(u64, usize, usize); 2] = [(0x7c00, 0, SECTOR), (0x8000, 1, 8 * SECTOR)];
const PLAN_SECTOR: usize = 9;
/// First sector of the command line.
pub const COMMAND_LINE_SECTOR: usize = 10;
/// Bytes of the command line at most.
pub const COMMAND_LINE_BYTES: usize = 4 * SECTOR;
const ELF_SECTOR: usize = 64;

const DISK_SIGNATURE: usize = 440;
const PARTITION: usize = 446;
/// Type of the partition: data without a file system. Source: the list of partition types in util-linux.
const PARTITION_TYPE: u8 = 0xda;

/// The disk that boots `elf` with `command_line`, by the linked `loader`.
pub fn disk(loader: &[u8], elf: &[u8], command_line: &str) -> Result<Vec<u8>, String> {
    let plan = Plan::of(elf)?;
    let mut disk = vec![0; ELF_SECTOR * SECTOR];
    place_loader(&mut disk, loader)?;
    let sector = plan_sector(&plan)?;
    disk[PLAN_SECTOR * SECTOR..][..SECTOR].copy_from_slice(&sector);
    disk[COMMAND_LINE_SECTOR * SECTOR..][..command_line.len()].copy_from_slice(command_line.as_bytes());
    disk.extend_from_slice(elf);
    disk.resize(whole_mib(disk.len()), 0);
    partition(&mut disk, elf);
    Ok(disk)
}

/// Copies the segments of the loader to their sectors.
fn place_loader(disk: &mut [u8], loader: &[u8]) -> Result<(), String> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(loader).map_err(|error| error.to_string())?;
    let headers = file.segments().ok_or("the loader has no program headers")?;
    for (address, sector, room) in PARTS {
        let header = headers.iter().find(|header| header.p_type == abi::PT_LOAD && header.p_vaddr == address);
        let header = header.ok_or_else(|| format!("the loader has nothing at {address:#x}"))?;
        let bytes = file.segment_data(&header).map_err(|error| error.to_string())?;
        if bytes.len() > room {
            return Err(format!("the loader has {} bytes at {address:#x}, {room} fit", bytes.len()));
        }
        disk[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    }
    Ok(())
}

/// The plan as `load.s` reads it.
fn plan_sector(plan: &Plan) -> Result<Vec<u8>, String> {
    let (first, end) = plan.range();
    let mut words = vec![plan.entry, first, end, plan.segments.len() as u32];
    for segment in &plan.segments {
        if segment.offset % SECTOR as u32 != 0 {
            return Err(format!("its segment at {:#x} does not begin at a sector", segment.address));
        }
        let sector = (ELF_SECTOR + segment.offset as usize / SECTOR) as u32;
        words.extend([sector, segment.bytes, segment.address, segment.zeroes]);
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    if bytes.len() > SECTOR {
        return Err(format!("it has {} segments, more than a sector describes", plan.segments.len()));
    }
    bytes.resize(SECTOR, 0);
    Ok(bytes)
}

/// Writes the disk's signature and its partition, which is there to tell other tools that the disk is in use.
fn partition(disk: &mut [u8], elf: &[u8]) {
    disk[DISK_SIGNATURE..][..4].copy_from_slice(&sums::identity(elf)[..4]);
    let sectors = (disk.len() / SECTOR - ELF_SECTOR) as u32;
    let entry = &mut disk[PARTITION..][..16];
    entry[0] = 0x80; // active: some BIOSes boot no other
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = PARTITION_TYPE;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&(ELF_SECTOR as u32).to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
}
