//! Sleeping: a `hlt` that a device's interrupt or the timer ends.
//!
//! An interrupt does nothing else. It is raised while interrupts are masked, so one that comes between the last look at a
//! device and the `hlt` ends that at once: no wake-up is lost.

use super::{clock, console, device, exit, interrupt, keyboard, power};
use crate::machine::devices::arm;

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`.
pub fn wait(deadline: Option<u64>) {
    if !arm() {
        return;
    }
    let vector = match deadline {
        None => interrupt::sleep(),
        Some(deadline) => {
            let left = deadline.saturating_sub(clock::monotonic());
            if left == 0 {
                device::disarm();
                return;
            }
            interrupt::set_timer(left);
            let vector = interrupt::sleep();
            interrupt::stop_timer();
            vector
        }
    };
    device::disarm();
    if vector == interrupt::STATE_VECTOR {
        device::check_state();
    }
    if power::is_line_of(vector) && power::is_button_pressed() {
        console(b"power button: the image stops\n");
        exit(0);
    }
    if keyboard::is_line_of(vector) && keyboard::is_stop_asked_for() {
        console(b"Ctrl-Alt-Del: the image stops\n");
        exit(0);
    }
}
