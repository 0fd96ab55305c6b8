//! Sleeping: a hypercall that returns when a device is ready or the time is over.

use super::{clock, hypercall};
use solo5_sys::hvt::{Hypercall, Poll};

/// Longest sleep at once, in nanoseconds. The tender takes longer ones amiss where its own time is signed; an early return
/// an hour later costs nothing.
const SLEEP_MAX_NS: u64 = 3600 * 1_000_000_000;

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`.
pub fn wait(deadline: Option<u64>) {
    let left = deadline.map_or(SLEEP_MAX_NS, |deadline| deadline.saturating_sub(clock::monotonic()));
    let mut poll = Poll { timeout_nsecs: left.min(SLEEP_MAX_NS), ready_set: 0, ret: 0 };
    // SAFETY: the tender writes the ready devices to the structure and touches nothing else.
    unsafe { hypercall(Hypercall::Poll, &mut poll) };
}
