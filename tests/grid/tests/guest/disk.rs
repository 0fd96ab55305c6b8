//! Writing other arguments to a disk image, as an operator does.

use fatfs::{FileSystem, FsOptions};
use std::io::{Cursor, Write};

const SECTOR: usize = 512;

/// Where the disk for a BIOS has the command line, and how many bytes. Source: docs/operating.md.
const BIOS_ARGUMENTS: usize = 10 * SECTOR;
const BIOS_ARGUMENTS_BYTES: usize = 4 * SECTOR;

/// Where the disk for UEFI has its one partition.
const PARTITION: usize = 64 * SECTOR;

/// Replaces the command line.
pub fn write_arguments_for_bios(disk: &mut [u8], arguments: &str) {
    let room = &mut disk[BIOS_ARGUMENTS..][..BIOS_ARGUMENTS_BYTES];
    room.fill(0);
    room[..arguments.len()].copy_from_slice(arguments.as_bytes());
}

/// Replaces the file with the arguments.
pub fn write_arguments_for_uefi(disk: &mut [u8], arguments: &str) {
    let partition = Cursor::new(&mut disk[PARTITION..]);
    let system = FileSystem::new(partition, FsOptions::new()).expect("the partition has a FAT");
    let mut file = system.root_dir().open_file("SKERRY/ARGS.TXT").expect("it has the arguments");
    file.truncate().and_then(|()| file.write_all(arguments.as_bytes())).expect("there is room");
}
