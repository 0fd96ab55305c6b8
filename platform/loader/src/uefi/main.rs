//! `loader-uefi`: the program that UEFI starts, `\EFI\BOOT\BOOTX64.EFI` of a disk image.
//!
//! ```text
//! firmware ─► efi_main: files of its own partition ─ Image::parse ─► memory map ─► boot services end ─► handover.s ─► image
//!                                                          └─► one line on the console, back to the firmware
//! ```
//!
//! It reads the image and its command line to memory below 4 GiB, takes leave of the firmware, and lets `handover.s` copy
//! the image to where it belongs, which may be where the firmware was until then.
//!
//! `cargo xtask image` links it as a position-independent ELF file and makes the PE file of it; it builds it with the cfg
//! `skerry_loader`. Without, as for editors and lints, it is an empty program.
#![cfg_attr(skerry_loader, no_std, no_main)]

#[cfg(skerry_loader)]
mod boot;
#[cfg(skerry_loader)]
mod console;
#[cfg(skerry_loader)]
mod firmware;
#[cfg(skerry_loader)]
mod functions;
#[cfg(skerry_loader)]
mod handover;

#[cfg(not(skerry_loader))]
fn main() {}
