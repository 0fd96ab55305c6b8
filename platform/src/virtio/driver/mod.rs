//! The devices that a virtio host offers, and their drivers.
//!
//! ```text
//!   pci ──► modern, legacy ──┐                    ┌── net ──► buffers
//!   mmio ────────────────────┴── Transport ───────┤
//!                                                 ├── block
//!                                                 └── console
//!                                ring: what the device holds, and what has come back
//! ```
//!
//! `messages` are interrupts of devices on PCI that need no line.
//!
//! Nothing here trusts the device (`ring` says how), and nothing here needs a virtual machine: a build for the host has all of
//! it, with a device in memory (`fake`) for tests and fuzzing.

pub mod block;
mod buffers;
pub mod console;
mod function;
mod legacy;
pub mod limits;
pub mod messages;
pub mod mmio;
mod modern;
pub mod net;
pub mod pci;
pub mod registers;
pub mod ring;
pub mod transport;

#[cfg(skerry_target = "host")]
pub mod fake;
