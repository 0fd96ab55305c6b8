//! `cargo xtask bench linux-vm`: our image on virtio beside NSD on a minimal Debian, in the same virtual machine.
//!
//! ```text
//!    CPU 0                                              CPU 1
//!    QEMU, one virtual CPU: image ─ virtio ─ TAP ──┐ network namespace   generator
//!    QEMU, the same: Linux, NSD ─── virtio ─ TAP ──┘ of the client       first
//! ```
//!
//! Both get the same QEMU, machine, accelerator, processor model, network device and zone. Debian's side has nothing that
//! NSD does not need: the kernel for virtual machines, entered as a hypervisor enters ours (uncompressed, by PVH, without
//! firmware's help), three modules for virtio-net, and an initramfs of NSD and its libraries whose first process becomes
//! NSD. A real Debian would have an init system, a disk and a boot loader besides.
//!
//! Reading order: [`system`] starts either side, [`debian`] and [`initramfs`] make the Linux one, the rows are [`boot`],
//! [`memory`], [`speed`] and [`code`], which counts with [`lines`].

mod boot;
mod code;
mod debian;
mod initramfs;
mod lines;
mod memory;
mod speed;
mod system;

use super::Row;

pub use system::{Guest, System};

/// What is measured, in this order.
pub const ROWS: &[Row] = &[
    Row { name: "boot", shows: "from starting QEMU to the first answer", measure: boot::measure },
    Row {
        name: "memory",
        shows: "the smallest machine that serves, and what the host has resident for it",
        measure: memory::measure,
    },
    Row { name: "cpu", shows: "host CPU per query", measure: speed::measure },
    Row { name: "code", shows: "bytes of what boots, and lines of the trusted base", measure: code::measure },
];
