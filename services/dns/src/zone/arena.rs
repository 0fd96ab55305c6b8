//! Where a zone's nodes and records lie: chunks of memory that are only ever added to.
//!
//! One growing vector would need twice its memory while it grows. Places are counted in units of four octets, so that
//! 32 bits reach 16 GiB.

/// Octets of a chunk. What is allocated at once never spans two, so it is also the largest allocation.
const CHUNK_OCTETS: usize = 1 << CHUNK_SHIFT;
const CHUNK_SHIFT: u32 = 18;
const UNIT_OCTETS: usize = 4;
const UNITS_SHIFT: u32 = CHUNK_SHIFT - UNIT_OCTETS.trailing_zeros();

/// A place in an arena. [`Place::NONE`] is never allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u32);

impl Place {
    /// Nowhere.
    pub const NONE: Place = Place(0);

    /// What is allocated first.
    pub const FIRST: Place = Place(1);
}

/// There is no memory for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// See the module.
#[derive(Debug, Default)]
pub struct Arena {
    chunks: Vec<Vec<u8>>,
}

impl Arena {
    /// Room for `octets` (at most a chunk), zeroed.
    pub fn allocate(&mut self, octets: usize) -> Result<Place, OutOfMemory> {
        if self.chunks.is_empty() {
            self.chunks.push(vec![0; UNIT_OCTETS]); // So that place 0 is taken.
        }
        if self.last_length().next_multiple_of(UNIT_OCTETS) + octets > CHUNK_OCTETS {
            self.seal();
            self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.chunks.push(Vec::new());
        }
        let start = self.last_length().next_multiple_of(UNIT_OCTETS);
        let place = (((self.chunks.len() - 1) as u64) << UNITS_SHIFT) + (start / UNIT_OCTETS) as u64;
        let place = u32::try_from(place).map_err(|_| OutOfMemory)?;
        self.extend_last_to(start + octets)?;
        Ok(Place(place))
    }

    /// Makes what was allocated last, at `place`, `octets` long in all; says no where the chunk has no room.
    pub fn extend(&mut self, place: Place, octets: usize) -> Result<bool, OutOfMemory> {
        let end = offset(place) + octets;
        if end > CHUNK_OCTETS {
            return Ok(false);
        }
        self.extend_last_to(end)?;
        Ok(true)
    }

    /// What lies from `place` to the end of its chunk.
    #[inline]
    pub fn get(&self, place: Place) -> &[u8] {
        let chunk = self.chunks.get((place.0 >> UNITS_SHIFT) as usize).map_or(&[][..], |chunk| chunk);
        chunk.get(offset(place)..).unwrap_or_default()
    }

    /// The same, to write.
    pub fn get_mut(&mut self, place: Place) -> &mut [u8] {
        let chunk = self.chunks.get_mut((place.0 >> UNITS_SHIFT) as usize).map_or(&mut [][..], |chunk| chunk);
        chunk.get_mut(offset(place)..).unwrap_or_default()
    }

    /// Gives back what the last chunk does not use; to be called when nothing is going to be added for long.
    pub fn seal(&mut self) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.shrink_to_fit();
        }
    }

    /// Octets of memory taken.
    pub fn octets(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }

    fn last_length(&self) -> usize {
        self.chunks.last().map_or(0, Vec::len)
    }

    fn extend_last_to(&mut self, length: usize) -> Result<(), OutOfMemory> {
        let chunk = self.chunks.last_mut().ok_or(OutOfMemory)?;
        chunk.try_reserve(length.saturating_sub(chunk.len())).map_err(|_| OutOfMemory)?;
        chunk.resize(length, 0);
        Ok(())
    }
}

fn offset(place: Place) -> usize {
    (place.0 as usize & ((1 << UNITS_SHIFT) - 1)) * UNIT_OCTETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again_across_chunks() {
        let mut arena = Arena::default();
        assert_eq!(Arena::default().allocate(1), Ok(Place::FIRST));
        let places: Vec<Place> = (0..1000u32)
            .map(|number| {
                let place = arena.allocate(1001).unwrap();
                arena.get_mut(place)[..4].copy_from_slice(&number.to_le_bytes());
                place
            })
            .collect();
        for (number, place) in (0..1000u32).zip(places) {
            assert_eq!(arena.get(place)[..4], number.to_le_bytes());
        }
    }

    #[test]
    fn the_last_allocation_can_grow_to_the_end_of_its_chunk() {
        let mut arena = Arena::default();
        let place = arena.allocate(10).unwrap();
        assert_eq!(arena.extend(place, 100), Ok(true));
        assert_eq!(arena.get(place).len(), 100);
        assert_eq!(arena.extend(place, CHUNK_OCTETS), Ok(false));
        assert_ne!(arena.allocate(CHUNK_OCTETS).unwrap(), Place::NONE);
    }
}
