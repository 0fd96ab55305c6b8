//! A disk with GUID partitions, of which one is the EFI system partition.
//!
//! ```text
//! sector 0 protective MBR │ 1 header │ 2-33 table │ 64 … the partition … │ table │ header
//! ```
//!
//! Identifiers are made of what is on the partition, so that they are unique and the same every time.
//!
//! Source: UEFI specification 2.10, chapter 5.

use super::{SECTOR, whole_mib};
use crate::image::sums;

const TABLE_SECTORS: usize = 32;
const ENTRY_BYTES: usize = 128;
const ENTRIES: usize = TABLE_SECTORS * SECTOR / ENTRY_BYTES;
/// First sector of the partition.
pub const PARTITION_SECTOR: usize = 64;
const HEADER_BYTES: usize = 92;

/// Type of an EFI system partition, C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const EFI_SYSTEM_PARTITION: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
const NAME: &str = "EFI system partition";

/// A disk with this partition.
pub fn disk(partition: &[u8]) -> Vec<u8> {
    let sectors = partition.len() / SECTOR;
    let bytes = whole_mib((PARTITION_SECTOR + sectors + TABLE_SECTORS + 1) * SECTOR);
    let last = bytes / SECTOR - 1;
    let identity = sums::identity(partition);
    let mut disk = vec![0; bytes];
    disk[PARTITION_SECTOR * SECTOR..][..partition.len()].copy_from_slice(partition);
    protective_mbr(&mut disk, last);
    let table = table(&identity, sectors);
    for (header_at, other_at, table_at) in [(1, last, 2), (last, 1, last - TABLE_SECTORS)] {
        let header = header(&identity, &table, header_at, other_at, table_at, last);
        disk[header_at * SECTOR..][..HEADER_BYTES].copy_from_slice(&header);
        disk[table_at * SECTOR..][..table.len()].copy_from_slice(&table);
    }
    disk
}

/// Tells what knows no GUID partitions that the disk is in use, and the image that it is none of its devices.
fn protective_mbr(disk: &mut [u8], last: usize) {
    disk[3..9].copy_from_slice(b"SKERRY");
    let entry = &mut disk[446..462];
    entry[1..8].copy_from_slice(&[0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&1_u32.to_le_bytes());
    entry[12..16].copy_from_slice(&(last as u32).to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
}

fn table(identity: &[u8; 32], sectors: usize) -> Vec<u8> {
    let mut table = EFI_SYSTEM_PARTITION.to_vec();
    table.extend(guid(&identity[16..]));
    let range = [PARTITION_SECTOR as u64, (PARTITION_SECTOR + sectors - 1) as u64, 0];
    table.extend(range.iter().flat_map(|word| word.to_le_bytes()));
    table.extend(NAME.encode_utf16().flat_map(u16::to_le_bytes));
    table.resize(ENTRIES * ENTRY_BYTES, 0);
    table
}

fn header(
    identity: &[u8; 32],
    table: &[u8],
    header_at: usize,
    other_at: usize,
    table_at: usize,
    last: usize,
) -> Vec<u8> {
    let mut header = b"EFI PART\0\0\x01\0".to_vec();
    header.extend((HEADER_BYTES as u32).to_le_bytes());
    header.extend([0; 8]); // checksum, below; reserved
    let usable = [2 + TABLE_SECTORS, last - TABLE_SECTORS - 1];
    let places = [header_at, other_at, usable[0], usable[1]];
    header.extend(places.iter().flat_map(|place| (*place as u64).to_le_bytes()));
    header.extend(guid(&identity[..16]));
    header.extend((table_at as u64).to_le_bytes());
    let words = [ENTRIES as u32, ENTRY_BYTES as u32, crc32fast::hash(table)];
    header.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    let checksum = crc32fast::hash(&header).to_le_bytes();
    header[16..20].copy_from_slice(&checksum);
    header
}

/// A GUID of these bytes, marked as one of nobody's making. Source: RFC 9562 §5.8.
fn guid(bytes: &[u8]) -> [u8; 16] {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[..16]);
    guid[7] = guid[7] & 0x0f | 0x80;
    guid[8] = guid[8] & 0x3f | 0x80;
    guid
}
