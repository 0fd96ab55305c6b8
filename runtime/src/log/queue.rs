//! Messages that are not with the collector yet: a ring of bytes whose size never changes.
//!
//! ```text
//!      released      acknowledged        next               end
//!   ───────┬───────────────┬───────────────┬─────────────────┬───
//!          │ kept for a    │ written, not  │ not written     │ room
//!          │ while         │ acknowledged  │                 │
//! ```
//! A connection may break after the collector's kernel has acknowledged bytes that the collector never read. So what was
//! written stays for a while after its acknowledgement, and is written again on the next connection: a message may come twice,
//! and has the same sequence number then. Only where room is needed does what was acknowledged make way; if that is not enough
//! the new message is lost, and counted.

use std::collections::{TryReserveError, VecDeque};

/// Octets before each message that say how long it is.
const PREFIX: usize = 2;

/// The ring. Positions count octets since boot, and stand between two messages.
#[derive(Debug)]
pub(super) struct Queue {
    ring: VecDeque<u8>,
    capacity: usize,
    released: u64,
    acknowledged: u64,
    next: u64,
    /// Messages for which there was no room.
    pub lost: u64,
}

impl Queue {
    /// With room for so many octets, if there is memory.
    pub fn new(capacity: usize) -> Result<Self, TryReserveError> {
        let mut ring = VecDeque::new();
        ring.try_reserve_exact(capacity)?;
        Ok(Self { ring, capacity, released: 0, acknowledged: 0, next: 0, lost: 0 })
    }

    /// Takes a message. Whether there was room.
    pub fn push(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u16::try_from(message.len()) else {
            self.lost += 1;
            return false;
        };
        while self.ring.len() + PREFIX + message.len() > self.capacity && self.released < self.acknowledged {
            self.drop_first();
        }
        if self.ring.len() + PREFIX + message.len() > self.capacity {
            self.lost += 1;
            return false;
        }
        self.ring.extend(length.to_be_bytes());
        self.ring.extend(message);
        true
    }

    /// Copies the next message that is to be written behind what `buffer` has; whether there was one.
    pub fn take(&mut self, buffer: &mut Vec<u8>, frame: impl FnOnce(&mut Vec<u8>, usize)) -> bool {
        let at = (self.next - self.released) as usize;
        let Some(length) = self.length_at(at) else { return false };
        frame(buffer, length);
        buffer.extend(self.ring.range(at + PREFIX..at + PREFIX + length));
        self.next += (PREFIX + length) as u64;
        true
    }

    /// Whether there is a message to be written.
    pub fn has_next(&self) -> bool {
        self.next < self.end()
    }

    /// How far has been written.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Octets that are not known to be with the collector.
    pub fn unacknowledged(&self) -> usize {
        (self.end() - self.acknowledged.max(self.released)) as usize
    }

    /// Whether messages are kept in case they have to be written again.
    pub fn keeps(&self) -> bool {
        self.released < self.next
    }

    /// The collector has everything up to a position.
    pub fn acknowledge(&mut self, position: u64) {
        self.acknowledged = self.acknowledged.max(position.min(self.next));
    }

    /// What was acknowledged up to a position will not be written again.
    pub fn release(&mut self, position: u64) {
        while self.released < position.min(self.acknowledged) {
            self.drop_first();
        }
    }

    /// A new connection: what is kept is to be written again.
    pub fn rewind(&mut self) {
        self.next = self.released;
        self.acknowledged = self.released;
    }

    fn end(&self) -> u64 {
        self.released + self.ring.len() as u64
    }

    fn length_at(&self, at: usize) -> Option<usize> {
        Some(usize::from(u16::from_be_bytes([*self.ring.get(at)?, *self.ring.get(at + 1)?])))
    }

    fn drop_first(&mut self) {
        let octets = self.length_at(0).map_or(self.ring.len(), |length| PREFIX + length);
        self.ring.drain(..octets);
        self.released += octets as u64;
        self.next = self.next.max(self.released);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::Dice;

    /// A queue with room for three messages of two octets.
    fn queue() -> Queue {
        Queue::new(12).expect("there is memory")
    }

    fn written(queue: &mut Queue) -> String {
        let mut buffer = Vec::new();
        while queue.take(&mut buffer, |buffer, _| buffer.push(b' ')) {}
        String::from_utf8(buffer).expect("it is ASCII")
    }

    #[test]
    fn a_full_queue_refuses_what_is_new() {
        let mut queue = queue();
        assert_eq!(
            [b"m1", b"m2", b"m3", b"m4"].map(|message| queue.push(message)),
            [true, true, true, false]
        );
        assert_eq!((written(&mut queue), queue.lost), (" m1 m2 m3".into(), 1));
        assert!(!queue.push(b"m5"), "nothing was acknowledged");
        assert!(!queue.push(&[0; 70_000]), "no message is as long");
    }

    #[test]
    fn what_was_acknowledged_makes_way_for_what_is_new() {
        let mut queue = queue();
        assert!(queue.push(b"m1") && queue.push(b"m2"));
        assert_eq!(written(&mut queue), " m1 m2");
        queue.acknowledge(queue.position());
        assert!(queue.push(b"m3") && queue.push(b"m4"));
        assert_eq!((written(&mut queue), queue.lost), (" m3 m4".into(), 0));
    }

    #[test]
    fn what_was_not_released_is_written_again() {
        let mut queue = queue();
        assert!(queue.push(b"m1"));
        assert_eq!(written(&mut queue), " m1");
        let first = queue.position();
        assert!(queue.push(b"m2"));
        assert_eq!(written(&mut queue), " m2");
        queue.acknowledge(queue.position());
        queue.release(first);
        queue.rewind();
        assert!(queue.has_next());
        assert_eq!(written(&mut queue), " m2");
        queue.release(queue.position());
        assert!(queue.keeps(), "nothing of it was acknowledged since");
        queue.acknowledge(queue.position());
        queue.release(queue.position());
        assert!(!queue.keeps() && queue.unacknowledged() == 0);
    }

    /// Whatever happens in whatever order: what was taken in comes out, in order, until it was released.
    #[test]
    fn nothing_is_lost_in_between() {
        let mut dice = Dice(7);
        for _ in 0..200 {
            let mut queue = Queue::new(60).expect("there is memory");
            let (mut accepted, mut seen, mut number) = (Vec::new(), Vec::new(), 0_u32);
            for _ in 0..300 {
                match dice.next() % 8 {
                    0..=3 => {
                        number += 1;
                        if queue.push(format!("{number}").as_bytes()) {
                            accepted.push(number);
                        }
                    }
                    4 | 5 => {
                        let mut message = Vec::new();
                        if queue.take(&mut message, |_, _| ()) {
                            seen.push(String::from_utf8(message).unwrap().parse::<u32>().unwrap());
                        }
                    }
                    6 => queue.acknowledge(queue.position()),
                    _ if dice.percent(50) => queue.release(queue.position()),
                    _ => queue.rewind(),
                }
                assert!(queue.ring.len() <= 60 && queue.released <= queue.next && queue.next <= queue.end());
            }
            let mut last = Vec::new();
            while queue.take(&mut last, |last, _| last.push(b' ')) {}
            let last = String::from_utf8(last).unwrap();
            seen.extend(
                last.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse::<u32>().unwrap()),
            );
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, accepted);
        }
    }
}
