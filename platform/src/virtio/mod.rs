//! Back end virtio: a virtual machine as QEMU, Firecracker, cloud-hypervisor, bhyve and clouds make it.

mod boot;
mod clock;
mod console;
pub mod device;
mod driver;
mod exit;
pub mod interrupt;
mod keyboard;
mod power;
mod wait;

pub use crate::machine::devices::{Disk, Interface, open};
pub use clock::{monotonic, wall};
pub use console::console;
pub use exit::exit;
pub use wait::wait;

/// What the ABI1 note says.
pub const TARGET: solo5_sys::elf::Target = solo5_sys::elf::Target::Virtio;
