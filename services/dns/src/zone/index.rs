//! From the hash of a name to its node: open addressing with linear probing.
//!
//! A slot keeps 32 bits of the hash beside the place of the node. So a lookup touches one cache line of the table
//! almost always, a node is only read when it is the right one, and growing the table reads no node at all.

use super::arena::{OutOfMemory, Place};

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    node: Place,
}

const EMPTY: Slot = Slot { hash: 0, node: Place::NONE };
const LEAST_SLOTS: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Slot>,
    used: usize,
}

impl Index {
    /// The node with this hash for which `is_it` says yes.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(Place) -> bool) -> Option<Place> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = shorten(hash);
        let mut at = hash as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot.node == Place::NONE {
                return None;
            }
            if slot.hash == hash && is_it(slot.node) {
                return Some(slot.node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a node; the caller has seen that it is not there.
    pub fn insert(&mut self, hash: u64, node: Place) -> Result<(), OutOfMemory> {
        // At most 3/4 full: a search for what is not there then sees 8 slots, one line, on average.
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow()?;
        }
        put(&mut self.slots, Slot { hash: shorten(hash), node });
        self.used += 1;
        Ok(())
    }

    /// All nodes, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = Place> + '_ {
        self.slots.iter().map(|slot| slot.node).filter(|node| *node != Place::NONE)
    }

    /// Octets of memory taken.
    pub fn octets(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let length = (self.slots.len() * 2).max(LEAST_SLOTS);
        let mut slots = Vec::new();
        slots.try_reserve_exact(length).map_err(|_| OutOfMemory)?;
        slots.resize(length, EMPTY);
        for slot in self.slots.iter().filter(|slot| slot.node != Place::NONE) {
            put(&mut slots, *slot);
        }
        self.slots = slots;
        Ok(())
    }
}

fn shorten(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn put(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.hash as usize & mask;
    while slots[at].node != Place::NONE {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_inserted_is_found_and_nothing_else() {
        let hash = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut index = Index::default();
        assert_eq!(index.find(hash(1), |_| true), None);
        for number in 1..10_000 {
            index.insert(hash(number), Place(number as u32)).unwrap();
        }
        for number in 1..10_000 {
            let is_it = |place: Place| u64::from(place.0) == number;
            assert_eq!(index.find(hash(number), is_it), Some(Place(number as u32)));
        }
        assert_eq!(index.find(hash(10_001), |_| false), None);
        assert_eq!(index.nodes().count(), 9_999);
    }
}
