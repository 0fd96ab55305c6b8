//! Which object lies where: 24 bytes an object by SHA-1, 36 by SHA-256.
//!
//! A sorted table, found in by where an id of its kind should be (hashes are evenly spread), and the latest few beside it,
//! so that one more object does not move the table.

use crate::{
    id::{Format, ObjectId},
    limits::RECENT_OBJECTS,
    room::{NoRoom, grow, reserve},
};
use std::collections::BTreeMap;

/// Places of objects by id.
#[derive(Debug)]
pub(crate) enum Index {
    Sha1(Table<20>),
    Sha256(Table<32>),
}

/// For both kinds of tables.
macro_rules! either {
    ($index:expr, $table:ident => $result:expr) => {
        match $index {
            Index::Sha1($table) => $result,
            Index::Sha256($table) => $result,
        }
    };
}

impl Index {
    pub(crate) fn new(format: Format) -> Self {
        match format {
            Format::Sha1 => Self::Sha1(Table::default()),
            Format::Sha256 => Self::Sha256(Table::default()),
        }
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        either!(self, table => table.sorted.len() + table.recent.len())
    }

    /// Where an object lies.
    pub(crate) fn find(&self, id: &ObjectId) -> Option<u32> {
        either!(self, table => table.find(id.as_bytes().try_into().ok()?))
    }

    /// Adds an object; one that is there stays where it was.
    pub(crate) fn insert(&mut self, id: &ObjectId, place: u32) -> Result<(), NoRoom> {
        either!(self, table => {
            let Ok(id) = id.as_bytes().try_into() else { return Ok(()) };
            table.insert(id, place)
        })
    }

    /// Adds an object at the end, whether sorted or not: until [`Index::sort`] only [`Index::at`] and this may be used.
    pub(crate) fn push(&mut self, id: &ObjectId, place: u32) -> Result<(), NoRoom> {
        either!(self, table => {
            let Ok(id) = id.as_bytes().try_into() else { return Ok(()) };
            grow(&mut table.sorted)?;
            table.sorted.push(Record { id, place });
        });
        Ok(())
    }

    /// Sorts what was pushed; returns an object that is there twice.
    pub(crate) fn sort(&mut self) -> Option<ObjectId> {
        either!(self, table => {
            table.sorted.sort_unstable_by_key(|record| record.id);
            let twice = table.sorted.windows(2).find(|pair| pair[0].id == pair[1].id);
            twice.and_then(|pair| ObjectId::from_bytes(&pair[0].id))
        })
    }

    /// The object with this number, in order.
    pub(crate) fn at(&self, number: usize) -> Option<(ObjectId, u32)> {
        either!(self, table => {
            let record = table.sorted.get(number)?;
            Some((ObjectId::from_bytes(&record.id)?, record.place))
        })
    }

    /// Makes room to join an index.
    pub(crate) fn reserve(&mut self, other: &Self) -> Result<(), NoRoom> {
        let more = other.len();
        either!(self, table => {
            // An empty table is replaced by the other.
            if table.sorted.is_empty() { Ok(()) } else { reserve(&mut table.sorted, more + table.recent.len()) }
        })
    }

    /// Takes all objects of another index of the same format, their places moved by `start`. Room has been made.
    pub(crate) fn join(&mut self, other: Self, start: u32) {
        match (self, other) {
            (Self::Sha1(table), Self::Sha1(other)) => table.join(other, start),
            (Self::Sha256(table), Self::Sha256(other)) => table.join(other, start),
            _ => {}
        }
    }

    /// Moves what is recent into the table, for which there may be no room.
    pub(crate) fn settle(&mut self) -> Result<(), NoRoom> {
        either!(self, table => table.settle())
    }

    /// Keeps those objects for whose places there is a new one. All are settled.
    pub(crate) fn move_all(&mut self, new_place: impl Fn(u32) -> Option<u32>) {
        either!(self, table => {
            table.sorted.retain_mut(|record| match new_place(record.place) {
                Some(place) => {
                    record.place = place;
                    true
                }
                None => false,
            });
            table.sorted.shrink_to_fit();
        });
    }

    /// All places, in no order.
    pub(crate) fn places(&self) -> Result<Vec<u32>, NoRoom> {
        let mut places = Vec::new();
        reserve(&mut places, self.len())?;
        either!(self, table => {
            places.extend(table.sorted.iter().map(|record| record.place).chain(table.recent.values().copied()));
        });
        Ok(places)
    }
}

/// A table for ids of one length.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    sorted: Vec<Record<N>>,
    recent: BTreeMap<[u8; N], u32>,
}

#[derive(Clone, Copy, Debug)]
struct Record<const N: usize> {
    id: [u8; N],
    place: u32,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self { sorted: Vec::new(), recent: BTreeMap::new() }
    }
}

impl<const N: usize> Table<N> {
    fn find(&self, id: [u8; N]) -> Option<u32> {
        if let Some(&place) = self.recent.get(&id) {
            return Some(place);
        }
        let at = self.sorted.binary_search_by_key(&id, |record| record.id).ok()?;
        self.sorted.get(at).map(|record| record.place)
    }

    fn insert(&mut self, id: [u8; N], place: u32) -> Result<(), NoRoom> {
        if self.find(id).is_some() {
            return Ok(());
        }
        if self.recent.len() >= RECENT_OBJECTS {
            self.settle()?;
        }
        self.recent.insert(id, place);
        Ok(())
    }

    /// Moves what is recent into the table.
    fn settle(&mut self) -> Result<(), NoRoom> {
        reserve(&mut self.sorted, self.recent.len())?;
        self.merge_recent();
        Ok(())
    }

    fn merge_recent(&mut self) {
        let recent = std::mem::take(&mut self.recent);
        self.merge(recent.into_iter().map(|(id, place)| Record { id, place }).collect());
    }

    fn join(&mut self, mut other: Self, start: u32) {
        other.merge_recent();
        for record in &mut other.sorted {
            record.place += start;
        }
        self.merge_recent();
        if self.sorted.is_empty() {
            self.sorted = other.sorted;
            self.sorted.shrink_to_fit();
            return;
        }
        other.sorted.retain(|record| self.find(record.id).is_none());
        self.merge(other.sorted);
    }

    /// Merges sorted records that are not there yet, from the back, so that nothing is in memory twice. Room has been made.
    fn merge(&mut self, new: Vec<Record<N>>) {
        let (mut old, mut from) = (self.sorted.len(), new.len());
        self.sorted.extend_from_slice(&new);
        let mut to = self.sorted.len();
        while from > 0 {
            to -= 1;
            if old > 0 && self.sorted[old - 1].id > new[from - 1].id {
                old -= 1;
                self.sorted[to] = self.sorted[old];
            } else {
                from -= 1;
                self.sorted[to] = new[from];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ObjectId {
        let mut hasher = crate::id::Hasher::new(Format::Sha1);
        hasher.update(&number.to_be_bytes());
        hasher.finish().unwrap()
    }

    #[track_caller]
    fn check(index: &Index, objects: u32) {
        assert_eq!(index.len(), objects as usize);
        for number in 0..objects {
            assert_eq!(index.find(&id(number)), Some(number));
        }
        assert_eq!(index.find(&id(objects)), None);
    }

    #[test]
    fn objects_are_found_however_they_came() {
        let mut index = Index::new(Format::Sha1);
        for number in 0..3000 {
            index.push(&id(number), number).unwrap();
        }
        assert_eq!(index.sort(), None);
        check(&index, 3000);
        for number in 3000..6000 {
            index.insert(&id(number), number).unwrap();
            index.insert(&id(number), 0).unwrap();
        }
        check(&index, 6000);
        let mut other = Index::new(Format::Sha1);
        for number in 5000..9000 {
            other.push(&id(number), number - 10).unwrap();
        }
        other.sort();
        index.reserve(&other).unwrap();
        index.join(other, 10);
        check(&index, 9000);
    }

    #[test]
    fn what_is_there_twice_is_told() {
        let mut index = Index::new(Format::Sha1);
        for number in [1, 2, 3, 2] {
            index.push(&id(number), number).unwrap();
        }
        assert_eq!(index.sort(), Some(id(2)));
    }
}
