//! Updates seen before: a datagram that was sent again must not be carried out again, be it by the network, by a client that
//! did not get its answer, or by somebody who listened.
//!
//! A signature is good for as long as its fudge says (RFC 8945 §5.2.3), so its MAC is remembered for that long. Where there are
//! more than are kept, whatever was signed no later than the forgotten is taken for seen.

use crate::limits::REPLAYS;
use crate::query::Rcode;
use crate::tsig::FUDGE_SECONDS;
use std::collections::{HashMap, VecDeque};

/// What is known of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new, and from now on known.
    New,
    /// It is being carried out.
    UnderWay,
    /// It was answered so.
    Answered(Rcode),
    /// It is too old to be known.
    TooOld,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Replays {
    answers: HashMap<Vec<u8>, Option<Rcode>>,
    /// MACs and when they were signed, in the order they came.
    order: VecDeque<(u64, Vec<u8>)>,
    /// What was signed at this time or before and is not known may be a replay.
    forgotten: u64,
}

impl Replays {
    /// Notes an update by its MAC, signed at `time`.
    pub fn note(&mut self, mac: &[u8], time: u64, now: u64) -> Seen {
        match self.answers.get(mac) {
            Some(Some(rcode)) => return Seen::Answered(*rcode),
            Some(None) => return Seen::UnderWay,
            None if time <= self.forgotten => return Seen::TooOld,
            None => {}
        }
        while let Some((time, mac)) = self.order.front() {
            let expired = time + 2 * u64::from(FUDGE_SECONDS) < now;
            if !expired && self.order.len() < REPLAYS {
                break;
            }
            if !expired {
                self.forgotten = self.forgotten.max(*time);
            }
            self.answers.remove(mac);
            self.order.pop_front();
        }
        self.answers.insert(mac.to_vec(), None);
        self.order.push_back((time, mac.to_vec()));
        Seen::New
    }

    /// Notes how it was answered. What may go better the next time is forgotten, so that it can be tried again.
    pub fn answered(&mut self, mac: &[u8], rcode: Rcode) {
        if rcode == Rcode::ServFail {
            self.answers.remove(mac);
            self.order.retain(|(_, other)| other != mac);
        } else if let Some(answer) = self.answers.get_mut(mac) {
            *answer = Some(rcode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_answered_again_and_not_carried_out() {
        let mut replays = Replays::default();
        assert_eq!(replays.note(b"a", 1000, 1000), Seen::New);
        assert_eq!(replays.note(b"a", 1000, 1001), Seen::UnderWay);
        replays.answered(b"a", Rcode::NxRrset);
        assert_eq!(replays.note(b"a", 1000, 1002), Seen::Answered(Rcode::NxRrset));
        assert_eq!(replays.note(b"b", 1000, 1002), Seen::New);
        replays.answered(b"b", Rcode::ServFail);
        assert_eq!(replays.note(b"b", 1000, 1003), Seen::New);
    }

    #[test]
    fn what_is_forgotten_early_is_not_taken_for_new() {
        let mut replays = Replays::default();
        for number in 0..REPLAYS + 10 {
            let mac = number.to_be_bytes();
            assert_eq!(replays.note(&mac, 1000 + number as u64 / 1000, 1000), Seen::New);
        }
        assert_eq!(replays.note(&0usize.to_be_bytes(), 1000, 1000), Seen::TooOld);
        assert_eq!(replays.note(&(REPLAYS + 5).to_be_bytes(), 1000, 1000), Seen::UnderWay);
        // Once their time is over they are forgotten without a trace: their signatures are too old by then.
        assert_eq!(replays.note(b"new", 9000, 9000), Seen::New);
        assert_eq!(replays.order.len(), 1);
    }
}
