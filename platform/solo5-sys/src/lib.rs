//! The Solo5 guest/host contract, ABI version 2, for x86_64: what an image and the tender that runs it agree on.
//!
//! Types, constants and layouts, each with a const assertion on its size; no logic and no code that runs.
//! Both sides use it: `platform` as the guest, `skerry-tender` as the host. Pointers are written as `u64` guest-physical
//! addresses everywhere: on spt they are also valid in the tender's own address space, on hvt only in the guest.
//!
//! Source: Solo5 0.12.1, `include/{elf_abi,mft_abi,hvt_abi,hvt_ring,spt_abi}.h`. The crate of this name on crates.io wraps
//! the headers of ABI version 1; this one is ours, for version 2.
//!
//! - [`elf`]: the notes by which an image says what it is and which devices it wants
//! - [`manifest`]: the device manifest
//! - [`hvt`]: boot information, hypercalls and the network ring of the hardware-virtualised target
//! - [`spt`]: boot information of the sandboxed-process target
//! - [`skerry`]: notes of our own, which other tenders ignore
#![no_std]

pub mod elf;
pub mod hvt;
pub mod manifest;
pub mod skerry;
pub mod spt;
