//! Answers of signed zones as they went out, kept: with its signatures an answer is put together from many places, and the
//! next client that asks the same is sent the same octets.
//!
//! What is kept is what stands behind the question, so it fits whatever case the next client writes the name in: pointers lead
//! to places in the question, and those are the same. The octets lie in a ring, in which the newest take the place of the
//! oldest; a slot says where, and knows from the distance whether they have been written over since:
//!
//! ```text
//! slot   key │ version │ at │ counts …                    found by key; of four the one that lies oldest makes room
//! ring   … name, records │ name, records │ ◄ written next │ name, records …
//! ```
//!
//! A version is the zone's and that of everything around it: zones beside it, keys, and the time that signatures go by. With any
//! other version an answer is none.

use super::limits::{ANSWER_OCTETS, RING_OCTETS_LEAST};
use crate::query::Rcode;

/// Slots that one key may be in.
const WAYS: usize = 4;

/// What is asked: by whom it is found, and what it must be to be true.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Hash of name and type.
    pub key: u64,
    /// Of what answers.
    pub version: u64,
}

/// An answer without header, question and OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished<'a> {
    /// Its response code.
    pub rcode: Rcode,
    /// Whether the AA flag is set.
    pub authoritative: bool,
    /// Records in each section.
    pub counts: [u16; 3],
    /// The records.
    pub records: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// 0 where there is none.
    key: u64,
    version: u64,
    /// How many octets had been written when this was.
    at: u64,
    counts: [u16; 3],
    octets: u16,
    name_octets: u8,
    authoritative: bool,
    rcode: Rcode,
}

const EMPTY: Slot = Slot {
    key: 0,
    version: 0,
    at: 0,
    counts: [0; 3],
    octets: 0,
    name_octets: 0,
    authoritative: false,
    rcode: Rcode::NoError,
};

/// See the module. Never allocates again once it is made.
#[derive(Debug, Default)]
pub struct Answers {
    slots: Vec<Slot>,
    ring: Vec<u8>,
    /// How many octets have been written in all.
    written: u64,
}

impl Answers {
    /// So many slots, and a ring of about so many octets; nothing is kept where there is no memory for them.
    pub fn new(slots: usize, octets: usize) -> Answers {
        let (slots, octets) = (slots.next_power_of_two().max(WAYS), octets.next_power_of_two());
        let mut answers = Answers::default();
        let has_memory = octets >= RING_OCTETS_LEAST
            && answers.slots.try_reserve_exact(slots).is_ok()
            && answers.ring.try_reserve_exact(octets).is_ok();
        if !has_memory {
            return Answers::default();
        }
        answers.slots.resize(slots, EMPTY);
        answers.ring.resize(octets, 0);
        answers
    }

    /// What was answered, if it is still there. `name` is in lower case.
    #[inline]
    pub fn get(&self, asked: Asked, name: &[u8]) -> Option<Finished<'_>> {
        let slot = self.bucket(asked.key)?.iter().find(|slot| slot.key == asked.key)?;
        if slot.version != asked.version || !self.is_there(slot) {
            return None;
        }
        let start = self.place(slot.at);
        let (there, rest) = self.ring.get(start..)?.split_at_checked(usize::from(slot.name_octets))?;
        if there != name {
            return None;
        }
        let records = rest.get(..usize::from(slot.octets))?;
        let Slot { rcode, authoritative, counts, .. } = *slot;
        Some(Finished { rcode, authoritative, counts, records })
    }

    /// Keeps an answer, unless it is very long.
    pub fn put(&mut self, asked: Asked, name: &[u8], answer: Finished<'_>) {
        let octets = name.len() + answer.records.len();
        if octets > ANSWER_OCTETS || self.ring.is_empty() {
            return;
        }
        // In one piece: the end of the ring stays empty where it is too short.
        let room = self.ring.len() - self.place(self.written);
        self.written += if room < octets { room as u64 } else { 0 };
        let (at, start) = (self.written, self.place(self.written));
        self.ring[start..start + name.len()].copy_from_slice(name);
        self.ring[start + name.len()..start + octets].copy_from_slice(answer.records);
        self.written += octets as u64;
        let Finished { rcode, authoritative, counts, records } = answer;
        let (octets, name_octets) = (records.len() as u16, name.len() as u8);
        let Asked { key, version } = asked;
        if let Some(slot) = self.slot_for(key) {
            *slot = Slot { key, version, at, counts, octets, name_octets, authoritative, rcode };
        }
    }

    fn slot_for(&mut self, key: u64) -> Option<&mut Slot> {
        let start = self.bucket_start(key)?;
        let bucket = self.slots.get_mut(start..)?.first_chunk_mut::<WAYS>()?;
        let at = bucket.iter().position(|slot| slot.key == key);
        let at = at.or_else(|| (0..WAYS).min_by_key(|at| bucket[*at].at))?;
        Some(&mut bucket[at])
    }

    #[inline]
    fn bucket(&self, key: u64) -> Option<&[Slot; WAYS]> {
        self.slots.get(self.bucket_start(key)?..)?.first_chunk()
    }

    #[inline]
    fn bucket_start(&self, key: u64) -> Option<usize> {
        Some(((key >> 32) as usize & (self.slots.len() / WAYS).checked_sub(1)?) * WAYS)
    }

    /// Whether what the slot says has not been written over.
    #[inline]
    fn is_there(&self, slot: &Slot) -> bool {
        self.written - slot.at <= self.ring.len() as u64
    }

    #[inline]
    fn place(&self, at: u64) -> usize {
        at as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: u64, version: u64) -> Asked {
        Asked { key: key << 32 | 1, version }
    }

    fn answer(records: &[u8]) -> Finished<'_> {
        Finished { rcode: Rcode::NxDomain, authoritative: true, counts: [1, 2, 3], records }
    }

    #[test]
    fn an_answer_is_found_by_what_was_asked_and_in_its_version_alone() {
        let mut answers = Answers::new(8, RING_OCTETS_LEAST);
        answers.put(asked(1, 5), b"\x01a\0", answer(b"records"));
        assert_eq!(answers.get(asked(1, 5), b"\x01a\0"), Some(answer(b"records")));
        assert_eq!(answers.get(asked(1, 5), b"\x01b\0"), None, "a name that happens to have the same hash");
        assert_eq!(answers.get(asked(1, 6), b"\x01a\0"), None);
        assert_eq!(answers.get(asked(2, 5), b"\x01a\0"), None);
        answers.put(asked(1, 6), b"\x01a\0", answer(b"others"));
        assert_eq!(answers.get(asked(1, 6), b"\x01a\0"), Some(answer(b"others")));
    }

    #[test]
    fn what_was_written_over_is_not_there_and_nothing_else_is_taken_for_it() {
        let mut answers = Answers::new(1 << 12, RING_OCTETS_LEAST);
        let octets = |number: u64| vec![number as u8; 1 + (number as usize * 37) % 900];
        let mut kept = 0;
        for number in 1..500u64 {
            answers.put(asked(number, 1), &number.to_be_bytes(), answer(&octets(number)));
            assert!(answers.get(asked(number, 1), &number.to_be_bytes()).is_some());
            kept = 0;
            for other in 1..=number {
                if let Some(found) = answers.get(asked(other, 1), &other.to_be_bytes()) {
                    assert_eq!(found.records, octets(other));
                    kept += 1;
                }
            }
        }
        assert!((20..500).contains(&kept), "{kept}");
    }

    #[test]
    fn long_answers_are_not_kept_and_without_memory_none_is() {
        let mut answers = Answers::new(8, RING_OCTETS_LEAST);
        answers.put(asked(1, 1), b"\0", answer(&[0; ANSWER_OCTETS]));
        assert_eq!(answers.get(asked(1, 1), b"\0"), None);
        let mut none = Answers::new(0, 0);
        none.put(asked(1, 1), b"\0", answer(b"records"));
        assert_eq!(none.get(asked(1, 1), b"\0"), None);
    }

    #[test]
    fn of_four_slots_the_oldest_makes_room() {
        let mut answers = Answers::new(WAYS, RING_OCTETS_LEAST);
        for key in 1..=5 {
            answers.put(asked(key, 1), b"\0", answer(&[key as u8]));
        }
        let there = (1..=5).filter(|key| answers.get(asked(*key, 1), b"\0").is_some());
        assert_eq!(there.collect::<Vec<_>>(), [2, 3, 4, 5]);
    }
}
