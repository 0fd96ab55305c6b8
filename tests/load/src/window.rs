//! What is outstanding on one socket: a window of slots whose number travels in the message ID.
//!
//! ```text
//!   ID: 0 ggg gggg ssss ssss     s = slot, g = generation of that slot (here for a window of 256)
//!       1 ccc cccc cccc cccc     sent without waiting, c = a counter
//! ```
//!
//! A slot is free, or awaits the one answer that carries its present generation. A late answer to a query that
//! was given up carries an older one and is recognised. Nothing is searched and nothing is allocated per query.

use crate::limits::WINDOW_MAX;

/// The bit that marks the ID of a query which is sent without waiting.
pub const UNTRACKED: u16 = 0x8000;

#[derive(Clone, Copy)]
struct Slot {
    id: u16,
    waiting: bool,
    query: u32,
    sent_ms: u32,
}

/// The outstanding queries of one socket.
pub struct Window {
    slots: Box<[Slot]>,
    free: Vec<u16>,
    untracked: u16,
}

impl Window {
    /// A window of `size` slots, rounded up to a power of two and at most [`WINDOW_MAX`].
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.next_power_of_two().clamp(1, WINDOW_MAX);
        let slot = |id| Slot { id, waiting: false, query: 0, sent_ms: 0 };
        Self {
            slots: (0..size as u16).map(slot).collect(),
            free: (0..size as u16).rev().collect(),
            untracked: UNTRACKED,
        }
    }

    /// Queries that could be sent now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Queries that await an answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a slot for query number `query` and returns the ID to send it with; None when the window is full.
    pub fn take(&mut self, query: u32, now_ms: u32) -> Option<u16> {
        let slot = &mut self.slots[usize::from(self.free.pop()?)];
        (slot.waiting, slot.query, slot.sent_ms) = (true, query, now_ms);
        Some(slot.id)
    }

    /// An ID for a query whose answer is not awaited.
    pub fn untracked(&mut self) -> u16 {
        self.untracked = self.untracked.wrapping_add(1) | UNTRACKED;
        self.untracked
    }

    /// The query that an answer with this ID belongs to; its slot is free again. None for an ID that awaits
    /// nothing: a duplicate, a late answer or a wrong ID.
    pub fn answered(&mut self, id: u16) -> Option<u32> {
        let index = id & (self.slots.len() as u16 - 1);
        let slot = self.slots[usize::from(index)];
        if !slot.waiting || slot.id != id {
            return None;
        }
        self.release(index);
        Some(slot.query)
    }

    /// Frees the slots whose query was sent more than `patience_ms` ago; returns how many were lost.
    pub fn give_up(&mut self, now_ms: u32, patience_ms: u32) -> u64 {
        let mut lost = 0;
        for index in 0..self.slots.len() {
            let slot = self.slots[index];
            if slot.waiting && now_ms.wrapping_sub(slot.sent_ms) > patience_ms {
                self.release(index as u16);
                lost += 1;
            }
        }
        lost
    }

    fn release(&mut self, index: u16) {
        let size = self.slots.len() as u16;
        let slot = &mut self.slots[usize::from(index)];
        slot.waiting = false;
        slot.id = slot.id.wrapping_add(size) & !UNTRACKED;
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_matched_once() {
        let mut window = Window::new(4);
        let id = window.take(7, 0).unwrap();
        assert_eq!(window.outstanding(), 1);
        assert_eq!(window.answered(id), Some(7));
        assert_eq!(window.answered(id), None, "a duplicate");
        assert_ne!(window.take(8, 0), Some(id), "the slot is reused under another ID");
    }

    #[test]
    fn a_full_window_sends_nothing() {
        let mut window = Window::new(3);
        let ids: Vec<_> = (0..4).map(|query| window.take(query, 0).unwrap()).collect();
        assert_eq!((window.take(4, 0), window.free()), (None, 0));
        assert_eq!(window.answered(ids[2]), Some(2), "answers may come in any order");
        assert_eq!(window.free(), 1);
    }

    #[test]
    fn a_lost_query_frees_its_slot_and_its_late_answer_counts_for_nothing() {
        let mut window = Window::new(1);
        let id = window.take(1, 100).unwrap();
        assert_eq!(window.give_up(150, 50), 0);
        assert_eq!(window.give_up(151, 50), 1);
        window.take(2, 151).unwrap();
        assert_eq!(window.answered(id), None);
    }

    #[test]
    fn ids_keep_clear_of_the_untracked_half() {
        let mut window = Window::new(1024);
        for query in 0..200_000 {
            let id = window.take(query, 0).unwrap();
            assert_eq!(id & UNTRACKED, 0);
            assert_eq!(window.answered(id), Some(query));
            assert_ne!(window.untracked() & UNTRACKED, 0);
        }
    }
}
