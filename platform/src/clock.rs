//! The two clocks. On spt each reading is a system call (about 0.1 µs), so nothing reads them per packet.

use crate::target;

/// Nanoseconds of a clock that never goes back; its zero is arbitrary.
#[inline]
pub fn monotonic() -> u64 {
    target::monotonic()
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    target::wall()
}
