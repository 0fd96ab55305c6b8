//! Disks that boot by themselves: for a BIOS, or for UEFI; raw, and as qcow2 where `qemu-img` is installed.
//!
//! Each holds the virtio ELF file as it is and a loader (`platform/loader`) that enters it by PVH.

mod bios;
mod fat;
mod gpt;
mod pe;
mod plan;
mod uefi;

use super::{Built, Options, Source, arguments, read, write};
use crate::{Failure, cargo, test};
use std::{path::Path, process::Command};

/// Bytes of a sector.
const SECTOR: usize = 512;

/// What is to start the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS, such as SeaBIOS.
    Bios,
    /// UEFI, such as OVMF.
    Uefi,
}

/// A disk of a linked loader, an ELF file and a command line.
type Make = fn(&[u8], &[u8], &str) -> Result<Vec<u8>, String>;

/// Writes `NAME.disk-FIRMWARE.raw` beside the image, and `….qcow2` if that can be done here.
pub fn write_disk(source: &Source<'_>, options: &Options, firmware: Firmware) -> Result<Built, Failure> {
    let command_line = arguments::command_line(options)?;
    if command_line.len() >= bios::COMMAND_LINE_BYTES {
        return Err(format!(
            "the arguments have {} bytes, {} fit",
            command_line.len(),
            bios::COMMAND_LINE_BYTES - 1
        ));
    }
    let elf = read(&source.elf)?;
    let (name, make) = match firmware {
        Firmware::Bios => ("bios", bios::disk as Make),
        Firmware::Uefi => ("uefi", uefi::disk as Make),
    };
    let loader = read(&cargo::link_loader(name)?)?;
    let disk =
        make(&loader, &elf, &command_line).map_err(|error| format!("{}: {error}", source.elf.display()))?;
    let path = source.path(&format!("disk-{name}.raw"));
    write(&path, &disk)?;
    let mut beside = vec![("image", source.elf.clone())];
    let qcow2 = path.with_extension("qcow2");
    if test::is_installed("qemu-img") {
        convert(&path, &qcow2)?;
        beside.push(("qcow2", qcow2));
    } else {
        // An old one would not be of this image.
        let _ = std::fs::remove_file(&qcow2);
        eprintln!("note: no {}: it takes qemu-img; sudo apt-get install qemu-utils", qcow2.display());
    }
    Ok(Built { artefact: path, beside, next: Vec::new() })
}

fn convert(raw: &Path, qcow2: &Path) -> Result<(), Failure> {
    let mut convert = Command::new("qemu-img");
    cargo::check(convert.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(raw).arg(qcow2))
}

/// Bytes of a disk that holds `bytes`: clouds want whole MiB.
fn whole_mib(bytes: usize) -> usize {
    bytes.next_multiple_of(1 << 20)
}

#[cfg(test)]
mod tests;
