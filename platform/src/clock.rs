//! The two clocks. On spt each reading is a system call (about 0.1 µs), so nothing reads them per packet.

use crate::target;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What [`monotonic`] said when the image was entered; on the host, where nothing is entered, zero.
static ENTRY: AtomicU64 = AtomicU64::new(0);

/// Remembers this moment as the one when the image was entered.
#[cfg(not(skerry_target = "host"))]
pub(crate) fn mark_entry() {
    ENTRY.store(monotonic(), Relaxed);
}

/// Nanoseconds since the image was entered.
pub fn since_entry() -> u64 {
    monotonic().saturating_sub(ENTRY.load(Relaxed))
}

/// Nanoseconds of a clock that never goes back; its zero is arbitrary.
#[inline]
pub fn monotonic() -> u64 {
    target::monotonic()
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    target::wall()
}
