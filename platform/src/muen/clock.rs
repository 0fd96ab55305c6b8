//! Clocks: the kernel's schedule says when the present minor frame began, the time subject what the counter means.
//!
//! Like Solo5's bindings this does not read the time stamp counter itself, which a policy may forbid to a subject: within a
//! minor frame time moves by the least step only, from frame to frame by what has passed.

use super::{region::Region, subject::Subject};

/// Offset of the rate in the time subject's region. Source: Muen `mutimeinfo`.
const TICKS_PER_SECOND: usize = 8;

/// Rates that a counter can have, in Hz; others mean that the region is none of the time subject's.
/// Source: Muen `musinfo.ads`, `TSC_Tick_Rate_Khz_Type`: 1 MHz to 100 GHz.
const RATES: std::ops::RangeInclusive<u64> = 1_000_000..=100_000_000_000;

/// Clocks of a subject.
#[derive(Debug)]
pub struct Clock {
    schedule: Region,
    time: Option<Region>,
    rate: u64,
    /// The last time that was told, in ticks of the counter, and the frame that it was told in.
    now: u64,
    frame: u64,
}

impl Clock {
    /// A clock by the schedule; `None` if the subject information says no rate that can be.
    pub fn new(subject: &Subject, schedule: Region) -> Option<Self> {
        let rate = u64::from(subject.tsc_khz()) * 1000;
        let time = subject.memory("time_info").and_then(|memory| memory.region());
        RATES.contains(&rate).then_some(Self { schedule, time, rate, now: 0, frame: 0 })
    }

    /// The counter's value when the present minor frame began: what epochs and messages are marked with.
    pub fn frame(&self) -> u64 {
        self.schedule.load(0)
    }

    /// Nanoseconds since the counter was zero. Never goes back.
    pub fn monotonic(&mut self) -> u64 {
        let frame = self.frame();
        // A nanosecond, so that a loop that waits for a deadline sees time pass.
        let step = self.rate.div_ceil(1_000_000_000);
        self.now = if frame > self.frame { frame.max(self.now) } else { self.now.saturating_add(step) };
        self.frame = self.frame.max(frame);
        self.nanoseconds(self.now)
    }

    /// Nanoseconds since 1970-01-01 UTC; `None` as long as the time subject has not said what the counter means.
    pub fn wall(&mut self) -> Option<u64> {
        let time = self.time.as_ref()?;
        let (base_us, rate) = (time.load(0), time.load(TICKS_PER_SECOND));
        if base_us == 0 || !RATES.contains(&rate) {
            return None;
        }
        base_us.checked_mul(1000)?.checked_add(self.monotonic())
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        u64::try_from(u128::from(ticks) * 1_000_000_000 / u128::from(self.rate)).unwrap_or(u64::MAX)
    }
}
