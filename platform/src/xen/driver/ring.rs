//! A shared ring: requests one way, responses the other, in the same slots of one page.
//!
//! ```text
//!   indices │ slot slot slot ...           a page that the back end reads and writes
//!      ▲         ▲        │
//!   publish     put     take               this file
//!                         ▼
//!   Ids: who holds each request            memory of ours alone
//! ```
//!
//! The back end is not trusted. Nothing that it can write is read back but its index and, once each, its responses; an index
//! that runs ahead is a [`Violation`], and so is an answer to what [`Ids`] says that nobody asked.
//!
//! Source: Xen `public/io/ring.h`.

use super::{
    Backend, NoPages,
    limits::{PAGE, RING_HEADER},
    pages::Pages,
};
use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering, fence},
};

/// Offsets of the four indices.
const REQUESTS: usize = 0;
const REQUEST_EVENT: usize = 4;
const RESPONSES: usize = 8;
const RESPONSE_EVENT: usize = 12;

/// What a back end did that it must not do. There is no going on after it: it is broken, or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It says it has answered more requests than it was given.
    Ahead {
        /// Answers it says it has given since last time.
        answered: u32,
        /// Requests it held.
        held: u32,
    },
    /// It answered a request with a number that no request has.
    OutOfRange(u64),
    /// It answered a request that it does not hold: never made, or answered before.
    NotHeld(u64),
    /// It answered in a form that was not offered to it, or spread one frame over more pages than it may.
    Form,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { answered, held } => {
                write!(f, "the back end says it has answered {answered} requests of the {held} it was given")
            }
            Self::OutOfRange(id) => write!(f, "the back end answered request {id}, which cannot be"),
            Self::NotHeld(id) => write!(f, "the back end answered request {id}, which it does not hold"),
            Self::Form => f.write_str("the back end answered in a form that was not offered to it"),
        }
    }
}

impl std::error::Error for Violation {}

/// One ring, of slots with `SLOT` bytes: those of the larger of request and response.
pub struct Ring<const SLOT: usize> {
    page: Pages,
    /// Requests ever made, of those visible to the back end, and of those when it was last thought of notifying it.
    made: u32,
    published: u32,
    announced: u32,
    /// Responses taken.
    taken: u32,
}

impl<const SLOT: usize> Ring<SLOT> {
    /// Slots of a ring: the largest power of two that fits.
    pub const SIZE: u32 = 1 << ((PAGE - RING_HEADER) / SLOT).ilog2();

    /// An empty ring in a page of its own.
    pub fn new(backend: &mut dyn Backend) -> Result<Self, NoPages> {
        let ring =
            Self { page: Pages::new(backend, 1, true)?, made: 0, published: 0, announced: 0, taken: 0 };
        ring.index(REQUEST_EVENT).store(1, Ordering::Relaxed);
        ring.disarm();
        Ok(ring)
    }

    /// The grant of its page.
    pub fn reference(&self) -> u32 {
        self.page.reference(0)
    }

    /// Requests that can be made now.
    #[inline]
    pub fn room(&self) -> u32 {
        Self::SIZE - self.held()
    }

    /// Slots with requests that were not answered.
    fn held(&self) -> u32 {
        self.made.wrapping_sub(self.taken)
    }

    /// Writes a request, which the back end sees with the next [`publish`](Self::publish).
    #[inline]
    pub fn put<const LENGTH: usize>(&mut self, request: [u8; LENGTH]) {
        assert!(self.room() > 0 && LENGTH <= SLOT, "a request that there is room for");
        // SAFETY: the slot is one of the ring's.
        unsafe { self.slot(self.made).cast::<[u8; LENGTH]>().write_volatile(request) };
        self.made = self.made.wrapping_add(1);
    }

    /// Shows the back end all requests.
    #[inline]
    pub fn publish(&mut self) {
        self.published = self.made;
        self.index(REQUESTS).store(self.made, Ordering::Release);
    }

    /// Whether the back end wants to be notified of what was published since the last call.
    #[inline]
    pub fn must_notify(&mut self) -> bool {
        let (new, old) = (self.published, self.announced);
        if new == old {
            return false;
        }
        self.announced = new;
        // What was published must be visible before the back end's wish is read, or both could wait for each other.
        fence(Ordering::SeqCst);
        let event = self.index(REQUEST_EVENT).load(Ordering::Relaxed);
        new.wrapping_sub(event) < new.wrapping_sub(old)
    }

    /// Takes the next response; `None` if there is none now.
    #[inline]
    pub fn take<const LENGTH: usize>(&mut self) -> Result<Option<[u8; LENGTH]>, Violation> {
        let answered = self.index(RESPONSES).load(Ordering::Acquire).wrapping_sub(self.taken);
        if answered == 0 {
            return Ok(None);
        }
        let held = self.published.wrapping_sub(self.taken);
        if answered > held {
            return Err(Violation::Ahead { answered, held });
        }
        assert!(LENGTH <= SLOT, "a response of this ring");
        // SAFETY: the slot is one of the ring's; it is read once.
        let response = unsafe { self.slot(self.taken).cast::<[u8; LENGTH]>().read_volatile() };
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(response))
    }

    /// Asks the back end for an event with its next response. Whether there is none already.
    pub fn arm(&mut self) -> bool {
        self.index(RESPONSE_EVENT).store(self.taken.wrapping_add(1), Ordering::Relaxed);
        // The wish must be visible before the ring is looked at, or both could miss each other.
        fence(Ordering::SeqCst);
        self.index(RESPONSES).load(Ordering::Acquire) == self.taken
    }

    /// Asks the back end for no events: for one with a response that it has given already.
    #[inline]
    pub fn disarm(&self) {
        self.index(RESPONSE_EVENT).store(self.taken, Ordering::Relaxed);
    }

    fn slot(&self, number: u32) -> *mut u8 {
        self.page.at(0, RING_HEADER + (number & (Self::SIZE - 1)) as usize * SLOT, SLOT)
    }

    /// An index that both sides use.
    fn index(&self, offset: usize) -> &AtomicU32 {
        let at = self.page.at(0, offset, size_of::<AtomicU32>());
        // SAFETY: it lies within the page, which is never freed, is aligned, and is only ever accessed as an atomic.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }
}

/// The numbers of requests, and which of them the back end holds.
pub struct Ids {
    held: Box<[bool]>,
    free: Vec<u16>,
}

impl Ids {
    /// The numbers below `count`, all free.
    pub fn new(count: u16) -> Self {
        Self { held: vec![false; usize::from(count)].into(), free: (0..count).rev().collect() }
    }

    /// Numbers that are free.
    #[inline]
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Takes a free number for a request that the back end is going to hold.
    #[inline]
    pub fn acquire(&mut self) -> Option<u16> {
        let id = self.free.pop()?;
        self.held[usize::from(id)] = true;
        Some(id)
    }

    /// Takes back the request that the back end says it has answered.
    #[inline]
    pub fn release(&mut self, id: u64) -> Result<u16, Violation> {
        let place = usize::try_from(id).ok().and_then(|place| self.held.get_mut(place));
        if !std::mem::take(place.ok_or(Violation::OutOfRange(id))?) {
            return Err(Violation::NotHeld(id));
        }
        let id = id as u16;
        self.free.push(id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::fake::{End, Host};

    fn ring() -> (Ring<8>, End, std::rc::Rc<std::cell::RefCell<Host>>) {
        let host = Host::new();
        let ring = Ring::new(&mut host.clone()).expect("there is memory");
        let end = End::new(ring.reference(), 8);
        (ring, end, host)
    }

    #[test]
    fn requests_go_there_and_responses_come_back() {
        let (mut ring, mut end, host) = ring();
        assert_eq!(Ring::<8>::SIZE, 256);
        for turn in 0..1000_u32 {
            ring.put(turn.to_le_bytes());
            assert_eq!(end.take(&host.borrow()), None, "not published yet");
            ring.publish();
            assert_eq!(
                end.take(&host.borrow()).map(|slot| slot[..4].to_vec()),
                Some(turn.to_le_bytes().to_vec())
            );
            end.answer(&host.borrow(), &[turn as u8; 8]);
            assert_eq!(ring.take(), Ok(Some([turn as u8; 8])));
            assert_eq!(ring.take::<8>(), Ok(None));
        }
    }

    #[test]
    fn who_waits_is_notified_once() {
        let (mut ring, mut end, host) = ring();
        let give = |ring: &mut Ring<8>| {
            ring.put([0; 8]);
            ring.publish();
            ring.must_notify()
        };
        assert!(give(&mut ring), "the first");
        assert!(!ring.must_notify());
        assert!(!give(&mut ring), "it has not asked again");
        while end.take(&host.borrow()).is_some() {}
        assert!(give(&mut ring), "it has looked at all, and sleeps");
    }

    #[test]
    fn an_event_is_asked_for_with_the_next_response_or_none() {
        let (mut ring, mut end, host) = ring();
        (0..3).for_each(|_| ring.put([0; 8]));
        ring.publish();
        assert!(!end.answer(&host.borrow(), &[0; 8]), "nobody has asked");
        assert!(!ring.arm(), "there is one already");
        assert_eq!(ring.take::<8>(), Ok(Some([0; 8])));
        assert!(ring.arm());
        assert!(end.answer(&host.borrow(), &[0; 8]));
        assert_eq!(ring.take::<8>(), Ok(Some([0; 8])));
        ring.disarm();
        assert!(!end.answer(&host.borrow(), &[0; 8]));
    }

    #[test]
    fn an_index_that_runs_ahead_is_found_out() {
        let (mut ring, end, host) = ring();
        end.set_answered(&host.borrow(), 1);
        assert_eq!(ring.take::<8>(), Err(Violation::Ahead { answered: 1, held: 0 }));
        ring.put([0; 8]);
        assert_eq!(ring.take::<8>(), Err(Violation::Ahead { answered: 1, held: 0 }), "not published");
        ring.publish();
        end.set_answered(&host.borrow(), u32::MAX);
        assert_eq!(ring.take::<8>(), Err(Violation::Ahead { answered: u32::MAX, held: 1 }));
    }

    #[test]
    fn a_number_is_taken_back_once_and_only_if_it_was_given() {
        let mut ids = Ids::new(2);
        assert_eq!(ids.release(0), Err(Violation::NotHeld(0)));
        assert_eq!((ids.acquire(), ids.acquire(), ids.acquire()), (Some(0), Some(1), None));
        assert_eq!(ids.release(2), Err(Violation::OutOfRange(2)));
        assert_eq!(ids.release(1 << 32), Err(Violation::OutOfRange(1 << 32)));
        assert_eq!(ids.release(1), Ok(1));
        assert_eq!(ids.release(1), Err(Violation::NotHeld(1)));
        assert_eq!((ids.acquire(), ids.free_count()), (Some(1), 0));
    }
}
