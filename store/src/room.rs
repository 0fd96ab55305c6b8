//! Whether there is memory left: asked before anything that grows with what a remote sends.
//!
//! Small allocations do not fail, they end the image. So what may become large asks first, and leaves some memory to what is
//! small.

use crate::limits::SPARE_FRACTION;
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

/// There is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// Whether so many bytes can be allocated.
pub(crate) fn room(bytes: usize) -> Result<(), NoRoom> {
    let platform::Memory { total, used } = platform::memory();
    check(total, used, bytes)
}

fn check(total: usize, used: usize, bytes: usize) -> Result<(), NoRoom> {
    // Of a host's heap nothing is known.
    let spare = total / SPARE_FRACTION;
    if total == 0 || total.saturating_sub(used).saturating_sub(spare) >= bytes { Ok(()) } else { Err(NoRoom) }
}

/// Makes room for one more in a list. By a quarter, since doubling would take as much as the list itself.
pub(crate) fn grow<T>(list: &mut Vec<T>) -> Result<(), NoRoom> {
    if list.len() < list.capacity() {
        return Ok(());
    }
    let more = (list.len() / 4).max(64);
    reserve(list, more)
}

/// Makes room for so many more in a list.
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), NoRoom> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    // It may have to move, and is there twice while it does.
    room((list.len() + more) * size_of::<T>())?;
    list.try_reserve_exact(more).map_err(|_| NoRoom)
}

/// Makes room for one more in a set.
pub(crate) fn grow_set<T: Eq + Hash>(set: &mut HashSet<T>) -> Result<(), NoRoom> {
    if set.len() < set.capacity() {
        return Ok(());
    }
    room(table_bytes::<T>(set.len()))?;
    set.try_reserve(1).map_err(|_| NoRoom)
}

/// Makes room for one more in a map.
pub(crate) fn grow_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) -> Result<(), NoRoom> {
    if map.len() < map.capacity() {
        return Ok(());
    }
    room(table_bytes::<(K, V)>(map.len()))?;
    map.try_reserve(1).map_err(|_| NoRoom)
}

/// Bytes of a table that replaces a full one: twice the places, of which an eighth stays free, and a byte beside each.
fn table_bytes<T>(full: usize) -> usize {
    (full.max(8) / 7 * 8 * 2) * (size_of::<T>() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_memory_is_left_to_what_does_not_ask() {
        let total = 64 << 20;
        let spare = total / SPARE_FRACTION;
        for (used, bytes, expected) in [
            (0, total - spare, Ok(())),
            (0, total - spare + 1, Err(NoRoom)),
            (total - spare, 0, Ok(())),
            (total - spare, 1, Err(NoRoom)),
            (total, 1, Err(NoRoom)),
            (0, usize::MAX, Err(NoRoom)),
        ] {
            assert_eq!(check(total, used, bytes), expected, "{used} {bytes}");
        }
        assert_eq!(check(0, 0, usize::MAX), Ok(()));
    }

    #[test]
    fn lists_and_tables_grow() {
        let (mut list, mut set) = (Vec::new(), HashSet::new());
        for number in 0..10_000 {
            grow(&mut list).unwrap();
            let places = list.capacity();
            list.push(number);
            assert_eq!(list.capacity(), places);
            grow_set(&mut set).unwrap();
            let places = set.capacity();
            set.insert(number);
            assert_eq!(set.capacity(), places);
        }
    }
}
