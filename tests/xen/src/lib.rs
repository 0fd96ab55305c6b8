//! A real Xen to try images on: Debian's hypervisor and dom0 with unmodified `xl`, in QEMU, without root.
//!
//! ```text
//!  host ── 127.0.0.1 ── QEMU's user network ── eth0 ── dom0: a shell for each connection   Lab::shell, Lab::put
//!       ── wire ─────── dgram ──────────────── eth1 ── xenbr0 ┐
//!       ── wire ─────── dgram ──────────────── eth2 ── xenbr1 ┴─ netback ── netfront of a domain
//! ```
//!
//! Emulation in software (TCG) does: it has AMD's virtualisation with nested paging. Hardware virtualisation is not asked for,
//! so that results are the same everywhere. A start takes some ten seconds, a domain about two.
//!
//! What is not here: Linux domains, migration, passthrough.

mod archive;
mod dom0;
mod lab;
mod packages;

pub use lab::{Lab, Output};
pub use packages::missing;
