//! When which flow wants to be visited: one heap, lazily invalidated.
//!
//! A retransmission timer moves later with nearly every segment. Moving it in the heap each time would cost; so a flow's
//! entry stays where it is, and when it comes up too early the flow is asked anew. Only an earlier deadline adds an entry.
//! Entries that a flow no longer means are skipped when they come up, and swept out when they are the majority, so the heap
//! holds at most twice as many entries as there are flows.

use super::flows::FlowId;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Microseconds of the monotonic clock.
pub type Micros = i64;

/// Entries below which sweeping is not worth it.
const SMALL: usize = 64;

#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Micros, FlowId)>>,
}

impl Timers {
    /// When to look again; the flow may not mean it any more.
    pub fn next(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Notes that `flow` wants a visit at `wanted`, given the entry it already has. Returns the entry it has now.
    pub fn arm(&mut self, flow: FlowId, armed: Option<Micros>, wanted: Option<Micros>) -> Option<Micros> {
        match (armed, wanted) {
            (_, None) => armed,
            (Some(armed), Some(wanted)) if armed <= wanted => Some(armed),
            (_, Some(wanted)) => {
                self.heap.push(Reverse((wanted, flow)));
                Some(wanted)
            }
        }
    }

    /// The next entry that is due at `now`, if any.
    pub fn pop(&mut self, now: Micros) -> Option<(Micros, FlowId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Forgets entries that no flow means any more, if those may be the majority.
    pub fn sweep(&mut self, flows: usize, meant: impl Fn(Micros, FlowId) -> bool) {
        if self.heap.len() > SMALL + 2 * flows {
            self.heap.retain(|Reverse((at, flow))| meant(*at, *flow));
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: FlowId = FlowId::for_test(7);

    #[test]
    fn a_later_deadline_costs_nothing() {
        let mut timers = Timers::default();
        let armed = timers.arm(FLOW, None, Some(10));
        assert_eq!(timers.arm(FLOW, armed, Some(20)), Some(10));
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn an_earlier_deadline_comes_first() {
        let mut timers = Timers::default();
        let armed = timers.arm(FLOW, None, Some(10));
        assert_eq!(timers.arm(FLOW, armed, Some(5)), Some(5));
        assert_eq!(
            (timers.pop(4), timers.pop(5), timers.pop(9), timers.pop(10)),
            (None, Some((5, FLOW)), None, Some((10, FLOW)))
        );
    }

    #[test]
    fn sweeping_keeps_what_is_meant() {
        let mut timers = Timers::default();
        for at in 0..1_000 {
            timers.arm(FLOW, None, Some(at));
        }
        timers.sweep(1, |at, _| at == 500);
        assert_eq!((timers.len(), timers.next()), (1, Some(500)));
    }
}
