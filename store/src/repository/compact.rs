//! Compaction: what no branch reaches is dropped, and the rest moves together where it lies.
//!
//! Entries only ever move towards the beginning, so a delta's distance to its base only shrinks, and with it the header: no
//! second copy is needed, and no byte is deflated anew.

use super::{Repository, walk::Walk};
use crate::{
    error::Error,
    id::ObjectId,
    pack::{Base, Header, PackError, encode_header},
    room::{grow, grow_set, reserve},
};
use std::collections::HashSet;

impl Repository {
    /// Drops every object that can be reached neither from a branch nor from `also`; returns how many bytes that freed.
    pub fn compact(&mut self, also: &[ObjectId]) -> Result<u32, Error> {
        let heads: Vec<ObjectId> =
            self.branches().map(|(_, head)| head).chain(also.iter().copied()).collect();
        let mut walk = Walk::new(self, &[])?;
        walk.run(&heads)?;
        let damaged = |error| Error::Damaged(ObjectId::null(self.format), error);
        let moves = self.plan(walk.found).map_err(|error| match error {
            PackError::OutOfMemory => Error::OutOfMemory,
            error => damaged(error),
        })?;
        self.index.settle()?;
        let before = self.arena.end();
        let end = self.slide(&moves);
        self.arena.truncate(end);
        let find = |place| moves.binary_search_by_key(&place, |entry| entry.place).ok();
        self.index.move_all(|place| find(place).map(|number| moves[number].target));
        self.reader.get_mut().cache.clear();
        let index = &self.index;
        self.shallow.retain(|commit| index.find(commit).is_some());
        Ok(before - end)
    }

    /// Where each of these entries goes, and each that one of them is a delta upon, sorted by place.
    fn plan(&self, mut kept: Vec<u32>) -> Result<Vec<Move>, PackError> {
        let mut seen = HashSet::new();
        for &place in &kept {
            grow_set(&mut seen)?;
            seen.insert(place);
        }
        let mut next = 0;
        while let Some(&place) = kept.get(next) {
            next += 1;
            let base = self.base_place(place, Header::read(self.format, &self.arena, place)?.base)?;
            grow_set(&mut seen)?;
            if seen.insert(base) {
                grow(&mut kept)?;
                kept.push(base);
            }
        }
        drop(seen);
        kept.sort_unstable();
        let mut all = self.index.places()?;
        reserve(&mut all, kept.len())?;
        all.extend_from_slice(&kept);
        all.sort_unstable();
        let mut moves: Vec<Move> = Vec::new();
        reserve(&mut moves, kept.len())?;
        let mut end = 0;
        for place in kept {
            let next = all.partition_point(|&other| other <= place);
            let length = all.get(next).copied().unwrap_or(self.arena.end()) - place;
            let header = Header::read(self.format, &self.arena, place)?;
            let base = match header.base {
                Base::Distance(_) => {
                    let base = self.base_place(place, header.base)?;
                    let number = moves.binary_search_by_key(&base, |entry| entry.place);
                    let base = number.map_err(|_| PackError::BadBaseOffset)?;
                    Base::Distance((end - moves[base].target).into())
                }
                base => base,
            };
            let old = u32::try_from(header.length).unwrap_or_default();
            let new = u32::try_from(encode_header(base, header.size).len()).unwrap_or_default();
            moves.push(Move { place, target: end, length });
            end += length - old + new;
        }
        Ok(moves)
    }

    /// Moves the entries, and returns where the last one ends.
    fn slide(&mut self, moves: &[Move]) -> u32 {
        let mut end = 0;
        for entry in moves {
            let Ok(header) = Header::read(self.format, &self.arena, entry.place) else { continue };
            let base = match header.base {
                Base::Distance(distance) => {
                    let base = u64::from(entry.place) - distance;
                    let number = moves.partition_point(|other| u64::from(other.place) < base);
                    Base::Distance((entry.target - moves[number].target).into())
                }
                base => base,
            };
            let new = encode_header(base, header.size);
            let body = u32::try_from(header.length).unwrap_or_default();
            let start = entry.target + u32::try_from(new.len()).unwrap_or_default();
            // The body first would overwrite nothing either: it goes to below where it lies, the header to below that.
            self.arena.write(entry.target, &new);
            self.arena.slide(entry.place + body, start, entry.length - body);
            end = start + entry.length - body;
        }
        end
    }
}

/// An entry on its way.
#[derive(Clone, Copy, Debug)]
struct Move {
    place: u32,
    target: u32,
    /// Bytes it takes where it lies, header included.
    length: u32,
}
