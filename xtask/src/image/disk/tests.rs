//! Disks against the tools that others check theirs with. That they boot is for the boot grid to say.

use super::{SECTOR, fat, gpt, plan::Plan};
use std::{fs, path::PathBuf, process::Command};

/// Something larger than a table of FAT16's least clusters covers.
const LARGE: usize = 40 << 20;

fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
    let directory = crate::cargo::target_directory().join("test");
    fs::create_dir_all(&directory).expect("the target directory is writable");
    let path = directory.join(name);
    fs::write(&path, bytes).expect("the target directory is writable");
    path
}

fn partition(bytes: usize) -> Vec<u8> {
    let content = vec![7; bytes];
    let files: [fat::File<'_>; 3] = [("EFI/BOOT/BOOTX64.EFI", &content), ("A.TXT", b""), ("B/C.D", b"x")];
    fat::file_system(&files, b"SAMPLE     ", *b"1234", 64).expect("the names are short")
}

/// Runs a tool that says by its status whether it finds fault, and returns what it says.
#[track_caller]
fn check(tool: &mut Command) -> String {
    let output = tool.output().unwrap_or_else(|error| panic!("{tool:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{tool:?}: {said}");
    said
}

#[test]
#[ignore = "needs fsck.fat: cargo xtask test"]
fn file_systems_are_clean_by_fsck_fat() {
    for (name, bytes) in [("small.fat", 1), ("large.fat", LARGE)] {
        let path = scratch(name, &partition(bytes));
        check(Command::new("/usr/sbin/fsck.fat").arg("-n").arg(path));
    }
}

#[test]
#[ignore = "needs sgdisk: cargo xtask test"]
fn partitions_are_right_by_sgdisk() {
    let path = scratch("disk.gpt", &gpt::disk(&partition(1)));
    let said = check(Command::new("/usr/sbin/sgdisk").arg("--verify").arg(&path));
    assert!(said.contains("No problems found"), "{said}");
    let said = check(Command::new("/usr/sbin/sgdisk").arg("--info=1").arg(&path));
    assert!(said.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "{said}");
}

#[test]
fn names_that_are_not_short_are_refused() {
    for name in ["lower", "NINELETTERS", "A.LONG", "", "A B"] {
        assert!(fat::file_system(&[(name, b"x")], b"SAMPLE     ", [0; 4], 0).is_err(), "{name}");
    }
}

/// An ELF file with a PVH note and one segment, 16 bytes at 1 MiB and 16 zeroes behind them.
fn elf(entry: u32) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(SECTOR + 36, 0);
    let mut put = |offset: usize, bytes: &[u8]| file[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(18, &[62, 0, 1]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 2]);
    put(64, &[4]);
    put(64 + 8, &[16, 2, 0, 0, 0, 0, 0, 0]);
    put(64 + 32, &[20]);
    put(64 + 48, &[4]);
    put(120, &[1]);
    put(120 + 8, &[0, 2]);
    put(120 + 24, &[0, 0, 0x10]);
    put(120 + 32, &[16]);
    put(120 + 40, &[32]);
    put(SECTOR + 16, &[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, b'X', b'e', b'n', 0]);
    put(SECTOR + 32, &entry.to_le_bytes());
    file
}

#[test]
fn a_plan_is_what_the_file_says() {
    let plan = Plan::of(&elf(0x10_0008)).expect("the file is whole");
    assert_eq!((plan.entry, plan.range()), (0x10_0008, (0x10_0000, 0x10_0020)));
    let [segment] = plan.segments.as_slice() else { panic!("{plan:?}") };
    assert_eq!([segment.offset, segment.bytes, segment.address, segment.zeroes], [512, 16, 0x10_0000, 16]);
}

#[track_caller]
fn check_refused(file: &[u8], because: &str) {
    let error = Plan::of(file).expect_err("it cannot be booted");
    assert!(error.contains(because), "{error}");
}

#[test]
fn a_file_that_cannot_be_booted_is_refused_when_the_disk_is_made() {
    check_refused(&elf(0x20_0000), "lies in no segment");
    let changed = |offset: usize, byte: u8| {
        let mut file = elf(0x10_0008);
        file[offset] = byte;
        file
    };
    check_refused(&changed(SECTOR + 24, 17), "no PVH entry");
    check_refused(&changed(120 + 26, 0x0f), "between 1 MiB and 4 GiB");
    check_refused(&changed(120 + 28, 1), "between 1 MiB and 4 GiB");
    check_refused(&changed(120 + 33, 0xff), "not whole");
}
