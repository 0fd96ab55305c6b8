//! A distribution of times: how many were at most so long, in buckets whose number never changes.

use std::{cell::Cell, time::Duration};

/// Upper ends of the buckets, in microseconds; the last bucket has none.
const BOUNDS: [u64; 9] = [100, 250, 1_000, 2_500, 10_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// The same in seconds, as they stand in OpenMetrics (which has a canonical form for them) and influx.
pub(super) const NAMES: [&str; 10] =
    ["0.0001", "0.00025", "0.001", "0.0025", "0.01", "0.025", "0.1", "1.0", "10.0", "+Inf"];

/// Times by length.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Cell<u64>; BOUNDS.len() + 1],
    microseconds: Cell<u64>,
}

impl Histogram {
    /// Without any times.
    pub const fn new() -> Self {
        Self { buckets: [const { Cell::new(0) }; BOUNDS.len() + 1], microseconds: Cell::new(0) }
    }

    /// Counts a time: a few comparisons and two additions.
    pub fn observe(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = &self.buckets[BOUNDS.partition_point(|bound| *bound < microseconds)];
        bucket.set(bucket.get() + 1);
        self.microseconds.set(self.microseconds.get().saturating_add(microseconds));
    }

    /// The ends of the buckets, and how many times were at most so long.
    pub fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut count = 0;
        NAMES.into_iter().zip(&self.buckets).map(move |(name, bucket)| {
            count += bucket.get();
            (name, count)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Cell::get).sum()
    }

    /// The sum of the times, in seconds.
    pub fn seconds(&self) -> f64 {
        self.microseconds.get() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_up_to_the_end_of_their_bucket() {
        let histogram = Histogram::new();
        for microseconds in [0, 100, 101, 10_000_000, 10_000_001, u64::MAX] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 4, 6]);
        assert_eq!(histogram.count(), 6);
    }

    #[test]
    fn the_names_are_the_bounds_in_seconds() {
        let seconds = NAMES[..BOUNDS.len()].iter().map(|name| name.parse::<f64>().unwrap());
        assert!(seconds.eq(BOUNDS.iter().map(|bound| *bound as f64 / 1e6)));
    }
}
