//! Event channels. None of them interrupts: all are masked, are looked at, and end a wait.
//!
//! The order that loses nothing: take the event back, look at the ring, block. An event that comes after the first step is
//! pending when Xen is asked to block, which then does not.

use super::{hypercall, shared};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Event channels that end a wait: xenstore's and one a device. More devices are refused.
const WATCHED_MAX: usize = 32;

static WATCHED: [AtomicU32; WATCHED_MAX] = [const { AtomicU32::new(0) }; WATCHED_MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Nothing is watched yet.
pub fn initialize() {
    COUNT.store(0, Relaxed);
}

/// Lets events of `port` end a wait from now on. False if there is no room.
pub fn watch(port: u32) -> bool {
    let count = COUNT.load(Relaxed);
    let Some(slot) = WATCHED.get(count) else { return false };
    slot.store(port, Relaxed);
    COUNT.store(count + 1, Relaxed);
    true
}

/// Takes every pending event back.
pub fn take_all() {
    for port in &WATCHED[..COUNT.load(Relaxed)] {
        shared::take_event(port.load(Relaxed));
    }
}

/// Blocks until an event, or until Xen's clock says `deadline`.
pub fn block(deadline: Option<u64>) {
    let mut ports = [0; WATCHED_MAX];
    let count = COUNT.load(Relaxed);
    for (port, watched) in ports.iter_mut().zip(&WATCHED[..count]) {
        *port = watched.load(Relaxed);
    }
    // To Xen 0 is never, and so is a time a century away.
    hypercall::block_until(&ports[..count], deadline.map_or(0, |deadline| deadline.max(1)));
}

/// Blocks until an event of `port`, which is taken back, or until Xen's clock says `deadline`.
pub fn block_on(port: u32, deadline: u64) {
    hypercall::block_until(&[port], deadline.max(1));
    shared::take_event(port);
}
