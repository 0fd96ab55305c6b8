//! Time.

use super::errno;
use crate::clock;
use std::ffi::{c_int, c_long};

pub const CLOCK_REALTIME: c_int = 0;

/// `struct timespec`.
#[repr(C)]
pub struct TimeSpec {
    seconds: c_long,
    nanoseconds: c_long,
}

impl TimeSpec {
    /// The whole time in nanoseconds; a negative one counts as zero.
    pub fn nanoseconds(&self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut TimeSpec) -> c_int {
    let now = if clock == CLOCK_REALTIME { clock::wall() } else { clock::monotonic() };
    let (seconds, nanoseconds) = ((now / 1_000_000_000) as c_long, (now % 1_000_000_000) as c_long);
    // SAFETY: the caller passes a place for the result.
    unsafe { time.write(TimeSpec { seconds, nanoseconds }) };
    0
}

/// Sleeps without polling the network: only for the little code that blocks before there is an executor.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const TimeSpec, _left: *mut TimeSpec) -> c_int {
    // SAFETY: the caller passes a valid time.
    sleep_until(clock::monotonic().saturating_add(unsafe { (*time).nanoseconds() }));
    0
}

const TIMER_ABSTIME: c_int = 1;

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: c_int,
    flags: c_int,
    time: *const TimeSpec,
    _left: *mut TimeSpec,
) -> c_int {
    if clock == CLOCK_REALTIME {
        return errno::EINVAL;
    }
    // SAFETY: the caller passes a valid time.
    let time = unsafe { (*time).nanoseconds() };
    sleep_until(if flags & TIMER_ABSTIME != 0 { time } else { clock::monotonic().saturating_add(time) });
    0
}

fn sleep_until(deadline: u64) {
    while clock::monotonic() < deadline {
        crate::wait(Some(deadline));
    }
}
