//! Back end xen: a PVH domain, as `xl` starts it on Xen 4.10 or later.
//!
//! ```text
//! xl ─► start info ─► boot ─► console, shared page, grant table, xenstore ─► start ─► std ─► main
//!                                                                   device ─► driver: netfront, blkfront
//! ```
//!
//! Nothing interrupts the image: it asks Xen to be blocked until an event is pending (`wait`).

mod boot;
mod clock;
mod console;
pub mod device;
mod driver;
mod event;
mod exit;
mod grant;
pub mod hypercall;
mod peer;
mod shared;
mod store;
mod wait;

pub use crate::machine::devices::{Disk, Interface, open};
pub use clock::{monotonic, wall};
pub use console::console;
pub use exit::exit;
pub use wait::wait;

/// What the ABI1 note says.
pub const TARGET: solo5_sys::elf::Target = solo5_sys::elf::Target::Xen;
