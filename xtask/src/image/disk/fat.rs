//! A FAT16 file system with a few files, as small and plain as firmware likes it.
//!
//! ```text
//! boot sector │ table │ the same table │ root folder │ clusters: folders and files, one behind the other
//! ```
//!
//! Written once and whole: names are short ones, files lie in one piece, times are FAT's first day. The crate `fatfs` was
//! tried: it gives `.` and `..` long names, which `fsck.fat` takes for damage.
//!
//! Source: Microsoft FAT specification; ECMA-107.

use super::SECTOR;
use std::collections::BTreeMap;

/// Copies of the table.
const TABLES: usize = 2;
/// Entries of the root folder, which is of fixed size.
const ROOT_ENTRIES: usize = 512;
const ENTRY_BYTES: usize = 32;
const ROOT_SECTORS: usize = ROOT_ENTRIES * ENTRY_BYTES / SECTOR;
/// FAT16 has at least 4085 clusters, and at most so many; with a margin, since programs differ by a few.
const CLUSTERS_MIN: usize = 4200;
const CLUSTERS_MAX: usize = 65_000;
/// Clusters that are left for whoever edits a file.
const CLUSTERS_FREE: usize = 512;
/// First day of FAT, 1980-01-01.
const DATE: u16 = 1 << 5 | 1;
const FIXED_DISK: u8 = 0xf8;
const END_OF_FILE: u16 = 0xffff;
const FOLDER: u8 = 0x10;
const FILE: u8 = 0x20;
const VOLUME_LABEL: u8 = 0x08;

/// A file: its path in capital letters, with `/` between parts of at most 8.3 letters; and its bytes.
pub type File<'a> = (&'a str, &'a [u8]);

/// A file system with these files, `label` of 11 letters and this serial number. `hidden` sectors lie in front of it.
pub fn file_system(
    files: &[File<'_>],
    label: &[u8; 11],
    serial: [u8; 4],
    hidden: u32,
) -> Result<Vec<u8>, String> {
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let cluster = SECTOR * bytes.div_ceil(SECTOR * (CLUSTERS_MAX - 2 * CLUSTERS_FREE)).next_power_of_two();
    if cluster / SECTOR > 64 {
        return Err(format!("{bytes} bytes are more than a FAT16 file system holds"));
    }
    let mut volume =
        Volume { cluster, table: vec![u16::from(FIXED_DISK) | 0xff00, END_OF_FILE], data: Vec::new() };
    let mut root = entry(label, VOLUME_LABEL, 0, 0);
    volume.folder(&mut root, files, 0)?;
    let clusters = (volume.table.len() - 2 + CLUSTERS_FREE).max(CLUSTERS_MIN);
    let table_sectors = ((clusters + 2) * 2).div_ceil(SECTOR);
    let sectors = 1 + TABLES * table_sectors + ROOT_SECTORS + clusters * (cluster / SECTOR);

    let mut image = boot_sector(sectors as u32, cluster, table_sectors as u16, label, serial, hidden);
    let mut table: Vec<u8> = volume.table.iter().flat_map(|next| next.to_le_bytes()).collect();
    table.resize(table_sectors * SECTOR, 0);
    image.extend(table.repeat(TABLES));
    root.resize(ROOT_SECTORS * SECTOR, 0);
    image.extend(root);
    image.extend(volume.data);
    image.resize(sectors * SECTOR, 0);
    Ok(image)
}

/// Clusters that are filled one behind the other.
struct Volume {
    /// Bytes of a cluster.
    cluster: usize,
    /// For each cluster the next one of its file; the first two entries are none.
    table: Vec<u16>,
    data: Vec<u8>,
}

impl Volume {
    /// Appends what is in a folder to `entries`, files and folders below it first; `own` is the folder's cluster.
    fn folder(&mut self, entries: &mut Vec<u8>, files: &[File<'_>], own: u16) -> Result<(), String> {
        let mut below: BTreeMap<&str, Vec<File<'_>>> = BTreeMap::new();
        for (path, bytes) in files {
            match path.split_once('/') {
                Some((folder, rest)) => below.entry(folder).or_default().push((rest, bytes)),
                None => {
                    let first = self.append(bytes);
                    entries.extend(entry(&short_name(path)?, FILE, first, bytes.len() as u32));
                }
            }
        }
        for (name, files) in below {
            // Its own entry and its parent's come first, so that it needs to know where it will lie.
            let first = self.append(&vec![0; self.cluster]);
            let mut folder = entry(b".          ", FOLDER, first, 0);
            folder.extend(entry(b"..         ", FOLDER, own, 0));
            self.folder(&mut folder, &files, first)?;
            if folder.len() > self.cluster {
                return Err(format!("{name}: more files than a cluster of its folder names"));
            }
            let at = (usize::from(first) - 2) * self.cluster;
            self.data[at..at + folder.len()].copy_from_slice(&folder);
            entries.extend(entry(&short_name(name)?, FOLDER, first, 0));
        }
        Ok(())
    }

    /// Appends a file and returns its first cluster; an empty one has none, which is 0.
    fn append(&mut self, bytes: &[u8]) -> u16 {
        let clusters = bytes.len().div_ceil(self.cluster);
        if clusters == 0 {
            return 0;
        }
        let first = self.table.len();
        self.table.extend((first + 1..first + clusters).map(|next| next as u16));
        self.table.push(END_OF_FILE);
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(self.cluster), 0);
        first as u16
    }
}

fn boot_sector(
    sectors: u32,
    cluster: usize,
    table_sectors: u16,
    label: &[u8; 11],
    serial: [u8; 4],
    hidden: u32,
) -> Vec<u8> {
    let mut sector = vec![0xeb, 0x3c, 0x90]; // a jump over the parameters, by which some know the sector
    sector.extend(b"SKERRY  ");
    sector.extend((SECTOR as u16).to_le_bytes());
    sector.push((cluster / SECTOR) as u8);
    sector.extend(1_u16.to_le_bytes()); // sectors in front of the tables
    sector.push(TABLES as u8);
    sector.extend((ROOT_ENTRIES as u16).to_le_bytes());
    let small = u16::try_from(sectors).unwrap_or(0);
    sector.extend(small.to_le_bytes());
    sector.push(FIXED_DISK);
    sector.extend(table_sectors.to_le_bytes());
    sector.extend([63, 0, 255, 0]); // a geometry that nobody uses
    sector.extend(hidden.to_le_bytes());
    sector.extend(if small == 0 { sectors } else { 0 }.to_le_bytes());
    sector.extend([0x80, 0, 0x29]);
    sector.extend(serial);
    sector.extend(label);
    sector.extend(b"FAT16   ");
    sector.resize(SECTOR - 2, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

fn entry(name: &[u8; 11], attributes: u8, first: u16, bytes: u32) -> Vec<u8> {
    let mut entry = name.to_vec();
    entry.push(attributes);
    entry.extend([0; 4]);
    entry.extend(DATE.to_le_bytes()); // made
    entry.extend(DATE.to_le_bytes()); // read
    entry.extend([0; 4]);
    entry.extend(DATE.to_le_bytes()); // written
    entry.extend(first.to_le_bytes());
    entry.extend(bytes.to_le_bytes());
    entry
}

fn short_name(name: &str) -> Result<[u8; 11], String> {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let good = |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if stem.is_empty() || stem.len() > 8 || ending.len() > 3 || !good(stem) || !good(ending) {
        return Err(format!("'{name}' is no short name"));
    }
    let mut short = [b' '; 11];
    short[..stem.len()].copy_from_slice(stem.as_bytes());
    short[8..8 + ending.len()].copy_from_slice(ending.as_bytes());
    Ok(short)
}
