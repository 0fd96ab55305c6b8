//! Disks: other arguments written to a disk image, as an operator does, and those that killed runs left behind.

use fatfs::{FileSystem, FsOptions};
use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

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

/// Removes the disks of processes that are no more. They are called `grid-PROCESS-…` or `grid-dns-PROCESS-…`.
pub fn remove_left_behind(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix("grid-")
            .and_then(|rest| rest.split('-').find_map(|part| part.parse::<u32>().ok()));
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
