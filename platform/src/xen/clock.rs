//! Xen's clocks: nanoseconds since the host's boot by the time stamp counter, and the wall clock.
//!
//! Source: Xen `public/xen.h`, `struct vcpu_time_info`.

use super::shared;
use std::{
    arch::x86_64::_rdtsc,
    sync::atomic::{Ordering, fence},
};

/// How to make nanoseconds of the time stamp counter.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Time {
    version: u32,
    _padding: u32,
    tsc_timestamp: u64,
    system_time: u64,
    multiplier: u32,
    shift: i8,
    _flags: [u8; 3],
}

/// The wall clock when the other one was zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WallClock {
    version: u32,
    seconds: u32,
    nanoseconds: u32,
    seconds_high: u32,
}

/// How often a clock is read again because Xen changed it meanwhile. It does so once a second.
const ATTEMPTS: usize = 1000;

/// Nanoseconds of Xen's clock.
#[inline]
pub fn monotonic() -> u64 {
    let place = shared::time();
    for _ in 0..ATTEMPTS {
        // SAFETY: the shared page, which lives for ever. Xen makes the version odd while it writes, and another one after.
        let (time, after) = unsafe {
            let before = (&raw const (*place).version).read_volatile();
            fence(Ordering::Acquire);
            let time = place.read_volatile();
            fence(Ordering::Acquire);
            (Time { version: before, ..time }, (&raw const (*place).version).read_volatile())
        };
        if time.version & 1 == 0 && time.version == after {
            // SAFETY: every x86_64 has the counter, and CR4.TSD, which would forbid it to ring 3, is never set.
            return nanoseconds(&time, unsafe { _rdtsc() });
        }
    }
    0
}

fn nanoseconds(time: &Time, counter: u64) -> u64 {
    let cycles = counter.saturating_sub(time.tsc_timestamp);
    let shift = u32::from(time.shift.unsigned_abs()).min(31);
    let cycles = if time.shift < 0 { cycles >> shift } else { cycles << shift };
    let passed = (u128::from(cycles) * u128::from(time.multiplier)) >> 32;
    time.system_time.wrapping_add(passed as u64)
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    let place = shared::wall_clock();
    for _ in 0..ATTEMPTS {
        // SAFETY: as for the other clock.
        let (wall, after) = unsafe {
            let before = (&raw const (*place).version).read_volatile();
            fence(Ordering::Acquire);
            let wall = place.read_volatile();
            fence(Ordering::Acquire);
            (WallClock { version: before, ..wall }, (&raw const (*place).version).read_volatile())
        };
        if wall.version & 1 == 0 && wall.version == after {
            let seconds = u64::from(wall.seconds_high) << 32 | u64::from(wall.seconds);
            let start = seconds.wrapping_mul(1_000_000_000).wrapping_add(wall.nanoseconds.into());
            return start.wrapping_add(monotonic());
        }
    }
    0
}
