//! Clocks: the host's, by system call (a sandboxed process has no vDSO).

use super::{number, system_call};

const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;

/// Nanoseconds of the host's monotonic clock.
#[inline]
pub fn monotonic() -> u64 {
    read(CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    read(CLOCK_REALTIME)
}

#[inline]
fn read(clock: usize) -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a timespec, two 64-bit words, to `time`.
    unsafe { system_call(number::CLOCK_GETTIME, [clock, (&raw mut time).addr(), 0, 0, 0, 0]) };
    time[0] * 1_000_000_000 + time[1]
}
