//! What boots an image from a disk, where no hypervisor's own loader does: a boot sector for a BIOS, a program for UEFI.
//!
//! ```text
//! BIOS ─► bios/boot.s ─► bios/load.s: E820, INT 13h ───────────────────────┐
//!                                                                           ├─► the image's PVH entry, 32-bit mode,
//! UEFI ─► uefi: files of the EFI system partition, memory map ─ handover.s ─┘   start information in ebx
//! ```
//!
//! Both hand over what a hypervisor would: memory map, command line, ACPI's root pointer. What they do not have: drivers,
//! menus, a file system, a configuration. Disks are put together by `cargo xtask image SERVICE disk-bios|disk-uefi`.
//!
//! This library is the part of the UEFI program that is pure, so that it can be tested anywhere; it has no unsafe code.
//! The BIOS part needs none of it: xtask works out at build time what it has to read.
#![no_std]
#![forbid(unsafe_code)]

pub mod elf;
pub mod memory;
pub mod start_info;
