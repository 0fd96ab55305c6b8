//! The page that Xen shares with every domain: pending events, and both clocks.
//!
//! Source: Xen `public/xen.h`, `struct shared_info` of a 64-bit domain.

use super::hypercall::{self, PAGE, Page, Space};
use std::sync::atomic::{AtomicU64, Ordering};

/// Event channels of a domain: one bit each.
const PORTS_MAX: u32 = 4096;

const TIME: usize = 32;
const PENDING: usize = 2048;
const MASK: usize = 2560;
const WALL_CLOCK: usize = 3072;

static mut SHARED_INFO: Page = Page([0; PAGE]);

/// Gets the page. False if Xen refuses.
pub fn initialize() -> bool {
    // SAFETY: the page is zero and nobody has looked at it.
    let done = unsafe { hypercall::replace_page(&raw mut SHARED_INFO, Space::SharedInfo, 0) };
    if done {
        // Events never interrupt: they are looked at, and end a wait.
        (0..PORTS_MAX as usize / 64).for_each(|word| bits(MASK, word).store(u64::MAX, Ordering::Relaxed));
    }
    done
}

/// Takes a pending event back. Whether there was one.
pub fn take_event(port: u32) -> bool {
    let port = port % PORTS_MAX;
    let bit = 1 << (port % 64);
    bits(PENDING, port as usize / 64).fetch_and(!bit, Ordering::AcqRel) & bit != 0
}

/// The first virtual processor's clock, which is the domain's.
pub fn time() -> *const super::clock::Time {
    at(TIME).cast()
}

/// Wall clock at the zero of the other one.
pub fn wall_clock() -> *const super::clock::WallClock {
    at(WALL_CLOCK).cast()
}

fn bits(array: usize, word: usize) -> &'static AtomicU64 {
    // SAFETY: the page lives for ever, and both arrays have 64 words of 8 bytes within it, which Xen changes atomically.
    unsafe { &*at(array + word * 8).cast::<AtomicU64>() }
}

fn at(offset: usize) -> *mut u8 {
    (&raw mut SHARED_INFO).cast::<u8>().wrapping_add(offset)
}
