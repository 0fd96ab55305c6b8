//! Sleeping: a `hlt` that a device's interrupt or the timer ends.
//!
//! An interrupt does nothing else. It is raised while interrupts are masked, so one that comes between the last look at a
//! device and the `hlt` ends that at once: no wake-up is lost.

use super::{clock, device, interrupt};

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`.
pub fn wait(deadline: Option<u64>) {
    if !device::arm() {
        return;
    }
    match deadline {
        None => drop(interrupt::sleep()),
        Some(deadline) => {
            let left = deadline.saturating_sub(clock::monotonic());
            if left > 0 {
                interrupt::set_timer(left);
                let _ = interrupt::sleep();
                interrupt::stop_timer();
            }
        }
    }
    device::disarm();
}
