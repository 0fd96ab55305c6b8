//! Time: the processor's counter, and what it means.
//!
//! A subject `time` writes, once and for all, into the region `time_info`: microseconds since 1970 when the counter was 0, the
//! counter's rate in Hz, and the local offset in microseconds.

use crate::shared::Shared;
use core::sync::atomic::Ordering;

const NANOSECONDS: u128 = 1_000_000_000;

/// What the counter means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeInfo {
    base_us: u64,
    hertz: u64,
}

impl TimeInfo {
    /// None: it is not there yet, or its rate is 0.
    pub fn read(region: Shared<'_>) -> Option<Self> {
        let base_us = region.load(0, Ordering::Acquire);
        let hertz = region.load(1, Ordering::Relaxed);
        (base_us != 0 && hertz != 0).then_some(Self { base_us, hertz })
    }

    /// Nanoseconds that `ticks` of the counter are; the clock stands still at the end of u64, after 584 years.
    pub fn monotonic_ns(&self, ticks: u64) -> u64 {
        u64::try_from(u128::from(ticks) * NANOSECONDS / u128::from(self.hertz)).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since 1970 when the counter is `ticks`.
    pub fn wall_ns(&self, ticks: u64) -> u64 {
        self.base_us.saturating_mul(1000).saturating_add(self.monotonic_ns(ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    #[track_caller]
    fn check(base: u64, hertz: u64, ticks: u64, expect: Option<(u64, u64)>) {
        let words = [AtomicU64::new(base), AtomicU64::new(hertz), AtomicU64::new(0)];
        let info = TimeInfo::read(Shared::new(&words));
        assert_eq!(info.map(|info| (info.monotonic_ns(ticks), info.wall_ns(ticks))), expect);
    }

    #[test]
    fn ticks_become_nanoseconds_whatever_the_numbers_are() {
        check(0, 1_000, 1, None);
        check(1, 0, 1, None);
        check(5, 2_000_000_000, 3_000_000_000, Some((1_500_000_000, 1_500_005_000)));
        check(u64::MAX, 1, u64::MAX, Some((u64::MAX, u64::MAX)));
    }
}
