//! What was asked before: records, and that there are none, for as long as their owner says and within bounds.

use super::{Found, message::Question};
use crate::limits::{RESOLVER_CACHE, RESOLVER_CACHED_OCTETS, RESOLVER_NEGATIVE_SECONDS, RESOLVER_SECONDS};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Answers by question.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Question, (Instant, Found)>,
}

impl Cache {
    /// What is known at `now`.
    pub fn get(&self, question: &Question, now: Instant) -> Option<Found> {
        self.entries.get(question).filter(|(until, _)| *until > now).map(|(_, found)| found.clone())
    }

    /// Remembers an answer for `seconds`, at most as long and as much as limits.rs says.
    pub fn put(&mut self, question: Question, found: &Found, seconds: u32, now: Instant) {
        let (most, octets) = match found {
            Found::Records(records) => {
                (RESOLVER_SECONDS, records.iter().map(|record| record.data.len()).sum::<usize>())
            }
            Found::Nothing { .. } => (RESOLVER_NEGATIVE_SECONDS, 0),
        };
        if seconds == 0 || octets > RESOLVER_CACHED_OCTETS {
            return;
        }
        if self.entries.len() >= RESOLVER_CACHE && !self.entries.contains_key(&question) {
            self.make_room(now);
        }
        let until = now + Duration::from_secs(seconds.min(most).into());
        self.entries.insert(question, (until, found.clone()));
    }

    /// Forgets what is over, or else what is over first.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, (until, _)| *until > now);
        if self.entries.len() >= RESOLVER_CACHE {
            let first = self.entries.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(question) = first.map(|(question, _)| question.clone()) {
                self.entries.remove(&question);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::message::{Name, Record, kind};

    fn question(number: usize) -> Question {
        Question { name: Name::parse(&format!("h{number}.example")).expect("a name"), kind: kind::A }
    }

    fn found(octets: usize) -> Found {
        Found::Records([Record { kind: kind::A, seconds: 60, data: vec![1; octets] }].into())
    }

    /// Put with so many seconds, it is known for exactly `expect`.
    #[track_caller]
    fn check(found: Found, seconds: u32, expect: u32) {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(question(1), &found, seconds, now);
        let known = |after: u32| cache.get(&question(1), now + Duration::from_secs(after.into())).is_some();
        assert!(expect == 0 || known(expect - 1));
        assert!(!known(expect));
    }

    #[test]
    fn answers_are_known_for_their_time() {
        check(found(4), 60, 60);
        check(found(4), 0, 0);
        check(found(4), u32::MAX, RESOLVER_SECONDS);
        check(found(RESOLVER_CACHED_OCTETS + 1), 60, 0);
        check(Found::Nothing { exists: false }, 60, 60);
        check(Found::Nothing { exists: true }, u32::MAX, RESOLVER_NEGATIVE_SECONDS);
    }

    #[test]
    fn the_first_to_end_makes_room() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..10 * RESOLVER_CACHE {
            cache.put(question(number), &found(4), 1_000 + number as u32 % 7_919, now);
            assert!(cache.entries.len() <= RESOLVER_CACHE);
        }
        let shortest = cache.entries.values().map(|(until, _)| *until).min().expect("there are some");
        assert!(shortest > now + Duration::from_secs(1_000));
        let later = now + Duration::from_secs(100_000);
        cache.put(question(0), &found(4), 60, later);
        assert_eq!(cache.entries.len(), 1, "what is over goes at once");
    }
}
