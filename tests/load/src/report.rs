//! What a load program prints last: one line of `key=value` pairs, numbers only, for `xtask bench` to read.

use std::fmt::Display;
use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// One line in the making.
#[derive(Debug, Default)]
pub struct Report(String);

impl Report {
    /// Appends `key=value`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        let space = if self.0.is_empty() { "" } else { " " };
        write!(self.0, "{space}{key}={value}").expect("a String takes every write");
        self
    }

    /// Prints the line to standard output.
    pub fn print(self) {
        println!("{}", self.0);
    }
}

/// Processor time that this process has used so far, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage of oneself has no way to fail");
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}
