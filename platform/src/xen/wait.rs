//! Sleeping: the domain is blocked until an event, or a time.

use super::{device, event, store};
use crate::machine::devices::arm;

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`.
pub fn wait(deadline: Option<u64>) {
    event::take_all();
    store::obey();
    if arm() {
        event::block(deadline);
    }
    device::disarm();
}
