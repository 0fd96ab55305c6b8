//! The machine below an image that boots as a virtual machine: what hvt, virtio and xen have in common.
//!
//! ```text
//! loader ─► entry.s: 32 → 64 bits ─┐
//! tender ─► hvt/boot.s ────────────┴─► tables.s ─► ring3.s ─ iretq ─► start in ring 3
//!                                                                       │ fault, request
//!                                                        trap.s ◄───────┘
//! ```
//!
//! The assembly is one text for each target: its own `boot.s` in front, then the parts here, in ring 0 and with integer
//! registers only. Everything else is Rust in ring 3, which has the ports (IOPL 3) and memory mapped to itself, but neither
//! page tables nor privileged instructions: [`ring0`] is all it can ask for.

#[cfg(not(skerry_target = "host"))]
pub mod fault;
#[cfg(not(skerry_target = "host"))]
pub mod ring0;

#[cfg(any(test, skerry_target = "virtio"))]
pub mod acpi;
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub mod boot;
#[cfg(any(test, skerry_target = "virtio"))]
pub mod calendar;
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
#[cfg_attr(
    skerry_target = "xen",
    allow(dead_code, reason = "a domain of Xen's has no devices on its command line")
)]
pub mod command_line;
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub mod devices;
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
#[cfg_attr(
    skerry_target = "xen",
    allow(dead_code, reason = "a domain of Xen's needs its command line alone")
)]
pub mod loaded;
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
pub mod memory_map;
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
pub mod names;
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub mod physical;
#[cfg(not(skerry_target = "hvt"))]
pub mod pieces;
#[cfg(skerry_target = "virtio")]
pub mod port;
#[cfg(not(skerry_target = "hvt"))]
pub mod request;

#[cfg(skerry_target = "virtio")]
pub use ring0::map_device;
#[cfg(not(skerry_target = "host"))]
pub use ring0::map_memory;
