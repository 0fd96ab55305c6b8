//! A disk for UEFI: an EFI system partition with the loader, the image and its command line.
//!
//! ```text
//! \EFI\BOOT\BOOTX64.EFI    what firmware starts from a disk that it knows nothing else of
//! \SKERRY\IMAGE.ELF        the virtio ELF file
//! \SKERRY\ARGS.TXT         its command line, which an operator may change
//! ```

use super::{fat, gpt, pe, plan::Plan};
use crate::image::sums;

const LOADER: &str = "EFI/BOOT/BOOTX64.EFI";
const IMAGE: &str = "SKERRY/IMAGE.ELF";
const ARGUMENTS: &str = "SKERRY/ARGS.TXT";

const LABEL: [u8; 11] = *b"SKERRY     ";

/// The disk that boots `elf` with `command_line`, by the linked `loader`.
pub fn disk(loader: &[u8], elf: &[u8], command_line: &str) -> Result<Vec<u8>, String> {
    // The loader says it too, but to nobody who could still help it.
    Plan::of(elf)?;
    let loader = pe::pe(loader)?;
    let files = [(LOADER, loader.as_slice()), (IMAGE, elf), (ARGUMENTS, command_line.as_bytes())];
    let identity = sums::identity(&files.map(|(_, bytes)| bytes).concat());
    let serial = [identity[0], identity[1], identity[2], identity[3]];
    Ok(gpt::disk(&fat::file_system(&files, &LABEL, serial, gpt::PARTITION_SECTOR as u32)?))
}
