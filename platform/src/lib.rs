//! What an ordinary Rust program needs to boot and run as a unikernel: nothing of it is known to the program itself.
//!
//! A service is a Rust program with `fn main()` and the stock `std`. Linked with this crate and `link.ld` it has its own
//! entry point, heap, thread-local block and a libc facade in place of the C library, and runs under a Solo5 tender, as a
//! process behind seccomp (spt) or as a virtual machine (hvt), or as a virtual machine of any hypervisor with virtio devices.
//! There is one thread, which nothing interrupts; the only place where it sleeps is [`wait`].
//!
//! ```text
//!   tender, loader ── boot info ──► _start (spt/boot; machine: ring 0 → ring 3, then hvt/boot, virtio/boot)
//!                                        │
//!                                     start: heap, thread-local block, arguments, constructors
//!                                        │
//!      fn main() of the service  ◄── std's own start-up ──► libc facade ──► console, clock, entropy, heap
//!              │
//!        net, block, baked, wait ──► back end (spt | hvt | virtio) ──► tender, devices
//! ```
//!
//! The back end is a directory with the same file names as its siblings, chosen by a cfg that `cargo xtask` sets. A build
//! without it is for the host, for tests: it has a clock and no devices.
//!
//! What is not here: sockets, protocols, an executor (those are `runtime`'s), files, threads, signals (those are nobody's).
//!
//! Reading order: [`start`](self), `spt`, `machine`, `hvt`, `virtio`, [`net`], [`block`], [`idle`](on_idle), `libc`.
#![cfg_attr(not(skerry_target = "host"), allow(clippy::missing_safety_doc))]

mod limits;

#[cfg(not(skerry_target = "host"))]
mod start;

#[cfg(not(skerry_target = "spt"))]
mod machine;

#[cfg_attr(skerry_target = "spt", path = "spt/mod.rs")]
#[cfg_attr(skerry_target = "hvt", path = "hvt/mod.rs")]
#[cfg_attr(skerry_target = "virtio", path = "virtio/mod.rs")]
#[cfg_attr(skerry_target = "xen", path = "xen/mod.rs")]
#[cfg_attr(skerry_target = "host", path = "host/mod.rs")]
mod target;

/// The drivers of the back end virtio, here without it: for tests and fuzzing.
#[cfg(skerry_target = "host")]
#[doc(hidden)]
#[path = "virtio/driver/mod.rs"]
pub mod virtio;

/// Bindings for Muen, which are not a back end yet: `docs/targets/muen.md`.
#[cfg(skerry_target = "host")]
#[doc(hidden)]
pub mod muen;

/// The same of the back end xen.
#[cfg(skerry_target = "host")]
#[doc(hidden)]
#[path = "xen/driver/mod.rs"]
pub mod xen;

pub mod baked;
pub mod block;
#[cfg(any(skerry_target = "host", skerry_target = "virtio", skerry_target = "xen"))]
mod checksum;
pub mod clock;
pub mod entropy;
mod idle;
mod manifest;
pub mod net;
pub mod provoke;

#[cfg(not(skerry_target = "host"))]
mod heap;
#[cfg(not(skerry_target = "host"))]
mod libc;
#[cfg(not(skerry_target = "host"))]
mod report;

pub use idle::{on_idle, wait};
pub use manifest::OpenError;

/// Memory of the image's heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the heap can hold at most.
    pub total: usize,
    /// What is allocated now, without the allocator's own overhead.
    pub used: usize,
}

/// How full the heap is. Zeroes on the host, whose heap is not ours.
pub fn memory() -> Memory {
    #[cfg(not(skerry_target = "host"))]
    return heap::memory();
    #[cfg(skerry_target = "host")]
    Memory { total: 0, used: 0 }
}

/// What the heap was asked for since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Blocks that were allocated, those that were moved included.
    pub made: u64,
    /// Requests that could not be met.
    pub failed: u64,
    /// Most bytes that were allocated at a time.
    pub most: usize,
}

/// What the heap was asked for. Zeroes on the host.
pub fn allocations() -> Allocations {
    #[cfg(not(skerry_target = "host"))]
    return heap::allocations();
    #[cfg(skerry_target = "host")]
    Allocations::default()
}

/// Ends the image with `status`, which becomes the tender's exit status, without running anything else.
pub fn exit(status: i32) -> ! {
    target::exit(status)
}
