//! A remote that cannot be reached, told once and again from time to time, not at every try.

use log::{info, warn};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

/// How long nothing is said of an outage that goes on for the same reason.
const REMINDER: Duration = Duration::from_secs(600);

/// Since when, and when it was last told.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    told: Option<Instant>,
    reason: String,
}

impl Outage {
    /// It failed once more, while this many zones are served.
    pub fn failed(&mut self, reason: &dyn Display, zones: usize) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let reason = reason.to_string();
        let is_old = self.told.is_some_and(|told| now - told < REMINDER) && reason == self.reason;
        if is_old {
            return;
        }
        let seconds = (now - since).as_secs();
        let how_long = if seconds == 0 { String::new() } else { format!(", for {seconds} s now") };
        warn!("{reason}{how_long}; {zones} zones are served as they are, updates are answered with SERVFAIL");
        (self.told, self.reason) = (Some(now), reason);
    }

    /// It worked.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            info!("the remote answers again, after {} s", since.elapsed().as_secs());
        }
        (self.told, self.reason) = (None, String::new());
    }
}
