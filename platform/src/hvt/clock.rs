//! Clocks: the time stamp counter, whose frequency the tender says, and the host's wall clock.

use super::hypercall;
use solo5_sys::hvt::{Hypercall, Walltime};
use std::{
    arch::x86_64::_rdtsc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Nanoseconds a cycle, times 2^32.
static NANOSECONDS_PER_CYCLE: AtomicU64 = AtomicU64::new(0);

/// The counter at boot, the clock's zero: so the product below does not overflow within a century.
static START: AtomicU64 = AtomicU64::new(0);

/// Takes over the counter's frequency in Hz.
pub fn initialize(frequency: u64) {
    NANOSECONDS_PER_CYCLE.store((1_000_000_000 << 32) / frequency.max(1), Relaxed);
    START.store(cycles(), Relaxed);
}

/// Nanoseconds since boot.
#[inline]
pub fn monotonic() -> u64 {
    let cycles = cycles().wrapping_sub(START.load(Relaxed));
    ((u128::from(cycles) * u128::from(NANOSECONDS_PER_CYCLE.load(Relaxed))) >> 32) as u64
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    let mut time = Walltime::default();
    // SAFETY: the tender writes the time to the structure and touches nothing else.
    unsafe { hypercall(Hypercall::Walltime, &mut time) };
    time.nsecs
}

#[inline]
fn cycles() -> u64 {
    // SAFETY: every x86_64 has the counter, and CR4.TSD, which would forbid it to ring 3, is never set.
    unsafe { _rdtsc() }
}
