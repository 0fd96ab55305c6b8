//! Sleeping: the tender's epoll set holds every device and one timer.
//!
//! Setting the timer is a system call of its own, so it is set only when it would ring too late. One that rings too early
//! costs one early return, after which it is set anew.

use super::{boot::boot_info, number, ring, system_call};
use solo5_sys::spt::INTERNAL_TIMER;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// When the timer rings next, in nanoseconds; `NEVER` if it is not set.
static ARMED: AtomicU64 = AtomicU64::new(NEVER);
const NEVER: u64 = u64::MAX;

const TFD_TIMER_ABSTIME: usize = 1;
const EVENTS_MAX: usize = 8;

/// `struct epoll_event`, which is packed on x86_64.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    _events: u32,
    data: u64,
}

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`.
pub fn wait(deadline: Option<u64>) {
    ring::flush();
    if let Some(deadline) = deadline
        && deadline < ARMED.load(Relaxed)
    {
        arm(deadline);
    }
    let mut events = [Event { _events: 0, data: 0 }; EVENTS_MAX];
    let arguments =
        [boot_info().epoll_fd as usize, (&raw mut events).addr(), EVENTS_MAX, -1_isize as usize, 0, 0];
    // SAFETY: the kernel writes at most EVENTS_MAX events to `events`.
    let ready = unsafe { system_call(number::EPOLL_PWAIT, arguments) };
    let ready = usize::try_from(ready).unwrap_or(0).min(EVENTS_MAX);
    if events[..ready].iter().any(|event| { event.data } == INTERNAL_TIMER) {
        disarm();
    }
}

fn arm(deadline: u64) {
    // Zero would mean "never" to the kernel.
    let deadline = deadline.max(1);
    set_timer([0, 0, deadline / 1_000_000_000, deadline % 1_000_000_000]);
    ARMED.store(deadline, Relaxed);
}

/// A timer that rang stays readable until it is set again.
fn disarm() {
    set_timer([0; 4]);
    ARMED.store(NEVER, Relaxed);
}

fn set_timer(time: [u64; 4]) {
    let arguments = [boot_info().timer_fd as usize, TFD_TIMER_ABSTIME, time.as_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel reads an itimerspec, four 64-bit words, from `time`.
    unsafe { system_call(number::TIMERFD_SETTIME, arguments) };
}
