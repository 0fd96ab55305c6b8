//! A token bucket, for answers that nobody asked for.

use super::timers::Micros;
use crate::limits::{ERROR_BURST, ERRORS_PER_SECOND};

/// Allows [`ERRORS_PER_SECOND`] on average and [`ERROR_BURST`] at once.
#[derive(Debug)]
pub struct ErrorRate {
    tokens: u64,
    filled: Micros,
}

impl ErrorRate {
    pub fn new() -> Self {
        Self { tokens: ERROR_BURST, filled: 0 }
    }

    /// Takes a token, if there is one.
    pub fn allow(&mut self, now: Micros) -> bool {
        let gained = (now - self.filled).max(0) as u64 * ERRORS_PER_SECOND / 1_000_000;
        if gained > 0 {
            self.tokens = (self.tokens + gained).min(ERROR_BURST);
            self.filled = now;
        }
        let allowed = self.tokens > 0;
        self.tokens -= u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut rate = ErrorRate::new();
        let start = 1_000_000_000;
        assert_eq!((0..1_000).filter(|_| rate.allow(start)).count() as u64, ERROR_BURST);
        let second = (0..10_000).filter(|i| rate.allow(start + i * 100)).count() as u64;
        assert!((ERRORS_PER_SECOND - 2..=ERRORS_PER_SECOND).contains(&second), "{second}");
    }
}
