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

pub mod fault;
pub mod ring0;

pub use ring0::map_memory;
