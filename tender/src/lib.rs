//! Runs a Solo5 image on this host, as `solo5-hvt` and `solo5-spt` do: hvt through KVM, spt through seccomp.
//!
//! ```text
//! args ─► image file ─► elf + manifest ─► devices (network, block) ─┬► spt: map, load, filter, jump
//!                                                                   └► hvt: map, load, vcpu, filter, hypercalls
//! ```
//!
//! It does not restart, migrate, meter or keep logs: it runs one guest and exits with its status. Every byte of the image,
//! and on hvt everything that the running guest passes, is taken as hostile. The library exists for tests and fuzzing; the
//! program is `skerry-tender`.
//!
//! In reading order:
//! - [`args`]: the command line
//! - [`elf`], [`manifest`]: the image, validated
//! - [`devices`], [`network`]: what is attached
//! - [`boot`], [`confine`]: what both targets share, and what they may still do
//! - [`spt`], [`hvt`]: the targets
//! - [`limits`], [`failure`]: numbers and errors

pub mod args;
pub mod boot;
pub mod confine;
pub mod devices;
pub mod elf;
pub mod failure;
pub mod hvt;
pub mod limits;
mod line;
pub mod manifest;
pub mod network;
pub mod spt;
