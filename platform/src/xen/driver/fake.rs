//! A back end in memory, for tests and fuzzing: it does what it is told, right or wrong.
//!
//! It knows the pages by their grants alone, as a real one does: what was not granted, or not for writing, it does not reach.

use super::{
    Backend,
    limits::{PAGE, RING_HEADER},
};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
};

/// Grants of this domain begin here, so that a forgotten one is no grant.
const FIRST_GRANT: u32 = 8;

/// What was granted to the other domain.
#[derive(Debug, Default)]
pub struct Host {
    pages: Vec<(usize, bool)>,
    /// Grants that there are at most.
    pub grants_max: Option<usize>,
    /// Times it was notified.
    pub notified: u32,
}

impl Host {
    /// A domain to which nothing is granted.
    pub fn new() -> Rc<RefCell<Self>> {
        Rc::default()
    }

    /// Whether there is such a grant, for writing if need be.
    pub fn is_granted(&self, reference: u32, writes: bool) -> bool {
        let index = reference.checked_sub(FIRST_GRANT).map(|index| index as usize);
        index.and_then(|index| self.pages.get(index)).is_some_and(|(_, writable)| *writable || !writes)
    }

    /// The start of the page behind a grant. Panics where a real back end would get an error.
    fn page(&self, reference: u32, writes: bool) -> *mut u8 {
        let index = reference.checked_sub(FIRST_GRANT).expect("a grant");
        let (address, writable) = self.pages[index as usize];
        assert!(writable || !writes, "grant {reference} is for reading");
        address as *mut u8
    }

    /// Copies bytes out of a granted page.
    pub fn read(&self, reference: u32, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset + length <= PAGE);
        let mut bytes = vec![0; length];
        // SAFETY: the driver has granted the page, and never frees it.
        unsafe {
            bytes.as_mut_ptr().copy_from_nonoverlapping(self.page(reference, false).add(offset), length);
        };
        bytes
    }

    /// Copies bytes into a granted page.
    pub fn write(&self, reference: u32, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= PAGE);
        // SAFETY: as for reading.
        unsafe {
            self.page(reference, true).add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        };
    }

    /// Writes a byte somewhere into what was granted for writing, where only a hostile back end would.
    pub fn scribble(&self, place: usize, value: u8) {
        let writable: Vec<_> = self.pages.iter().filter(|(_, writable)| *writable).collect();
        let (address, _) = writable[place / PAGE % writable.len()];
        // SAFETY: as for reading.
        unsafe { ((address + place % PAGE) as *mut u8).write_volatile(value) };
    }

    fn index(&self, ring: u32, offset: usize) -> &AtomicU32 {
        // SAFETY: it lies within the ring's page, which is never freed, and is aligned.
        unsafe { AtomicU32::from_ptr(self.page(ring, true).add(offset).cast()) }
    }
}

impl Backend for Rc<RefCell<Host>> {
    fn grant(&mut self, page: *mut u8, writable: bool) -> Option<u32> {
        let mut host = self.borrow_mut();
        if host.grants_max.is_some_and(|max| host.pages.len() >= max) {
            return None;
        }
        host.pages.push((page as usize, writable));
        Some(FIRST_GRANT + host.pages.len() as u32 - 1)
    }

    fn notify(&mut self) {
        self.borrow_mut().notified += 1;
    }
}

/// The back end's end of a ring.
#[derive(Clone, Copy, Debug)]
pub struct End {
    ring: u32,
    slot: usize,
    taken: u32,
    answered: u32,
}

impl End {
    /// The ring in the page behind a grant, with slots of so many bytes.
    pub fn new(ring: u32, slot: usize) -> Self {
        Self { ring, slot, taken: 0, answered: 0 }
    }

    /// Takes the next request; if there is none, asks to be notified of the next.
    pub fn take(&mut self, host: &Host) -> Option<Vec<u8>> {
        if host.index(self.ring, 0).load(Ordering::Acquire) == self.taken {
            host.index(self.ring, 4).store(self.taken.wrapping_add(1), Ordering::Relaxed);
            return None;
        }
        let request = host.read(self.ring, self.offset(self.taken), self.slot);
        self.taken = self.taken.wrapping_add(1);
        Some(request)
    }

    /// Writes the next response and shows it. Whether the driver wants an event for it.
    pub fn answer(&mut self, host: &Host, response: &[u8]) -> bool {
        host.write(self.ring, self.offset(self.answered), &response[..response.len().min(self.slot)]);
        self.answered = self.answered.wrapping_add(1);
        self.set_answered(host, self.answered);
        host.index(self.ring, 12).load(Ordering::Acquire) == self.answered
    }

    /// Says that so many requests were answered.
    pub fn set_answered(&self, host: &Host, answered: u32) {
        host.index(self.ring, 8).store(answered, Ordering::Release);
    }

    fn offset(&self, number: u32) -> usize {
        let size = 1 << ((PAGE - RING_HEADER) / self.slot).ilog2();
        RING_HEADER + (number % size) as usize * self.slot
    }
}
