//! Where everything packed lies: bytes that only grow at their end, in pieces, so that growing copies nothing.
//!
//! A `Vec` would hold two copies of a pack, and half as much again, whenever it grows.

use crate::{limits::PIECE_BYTES, room::room};

/// Bytes in pieces. A place in it is a `u32`.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pieces: Vec<Piece>,
    end: u32,
}

#[derive(Debug)]
struct Piece {
    /// The place of its first byte.
    start: u32,
    bytes: Vec<u8>,
}

/// The arena has 4 GiB, or there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Arena {
    /// How many bytes there are, which is also the place of the next.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Adds bytes at the end. On an error some of them may have been added.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> Result<(), Full> {
        u32::try_from(bytes.len()).ok().and_then(|bytes| self.end.checked_add(bytes)).ok_or(Full)?;
        while !bytes.is_empty() {
            if self.pieces.last().is_none_or(|piece| piece.bytes.len() >= PIECE_BYTES) {
                self.pieces.push(Piece { start: self.end, bytes: Vec::new() });
            }
            let Some(piece) = self.pieces.last_mut() else { return Err(Full) };
            let count = bytes.len().min(PIECE_BYTES - piece.bytes.len());
            let needed = piece.bytes.len() + count;
            if piece.bytes.capacity() < needed {
                let target = needed.max(piece.bytes.capacity() * 2).min(PIECE_BYTES);
                room(target).map_err(|_| Full)?;
                piece.bytes.try_reserve_exact(target - piece.bytes.len()).map_err(|_| Full)?;
            }
            piece.bytes.extend_from_slice(&bytes[..count]);
            // `count` is at most what was checked above.
            self.end += u32::try_from(count).map_err(|_| Full)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// The bytes from a place to the end of its piece; empty at the end of everything, and beyond.
    pub(crate) fn from(&self, place: u32) -> &[u8] {
        let next = self.pieces.partition_point(|piece| piece.start <= place);
        let Some(piece) = next.checked_sub(1).and_then(|at| self.pieces.get(at)) else { return &[] };
        piece.bytes.get((place - piece.start) as usize..).unwrap_or_default()
    }

    /// Fills a buffer with the bytes from a place on; returns how many there were.
    pub(crate) fn copy(&self, mut place: u32, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.from(place);
            let count = bytes.len().min(buffer.len() - filled);
            if count == 0 {
                break;
            }
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            place += u32::try_from(count).unwrap_or_default();
        }
        filled
    }

    /// Adds everything of another arena at the end, without copying it, and returns the place of its first byte.
    pub(crate) fn join(&mut self, mut other: Self) -> Result<u32, Full> {
        let start = self.end;
        let end = start.checked_add(other.end).ok_or(Full)?;
        for piece in &mut other.pieces {
            piece.start += start;
        }
        if let Some(last) = other.pieces.last_mut() {
            last.bytes.shrink_to_fit();
        }
        self.pieces.append(&mut other.pieces);
        self.end = end;
        Ok(start)
    }

    /// Moves bytes down, from the place `from` to the place `to`, which is no later.
    pub(crate) fn slide(&mut self, mut from: u32, mut to: u32, mut count: u32) {
        let mut buffer = [0; 4096];
        while count > 0 && to < from {
            let length = buffer.len().min(count as usize);
            let length = self.copy(from, &mut buffer[..length]);
            let Ok(moved) = u32::try_from(length) else { return };
            if moved == 0 {
                return;
            }
            self.write(to, &buffer[..length]);
            (from, to, count) = (from + moved, to + moved, count - moved);
        }
    }

    /// Overwrites bytes that are there.
    pub(crate) fn write(&mut self, mut place: u32, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let next = self.pieces.partition_point(|piece| piece.start <= place);
            let Some(piece) = next.checked_sub(1).and_then(|at| self.pieces.get_mut(at)) else { return };
            let target = piece.bytes.get_mut((place - piece.start) as usize..).unwrap_or_default();
            let count = target.len().min(bytes.len());
            if count == 0 {
                return;
            }
            target[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            place += u32::try_from(count).unwrap_or_default();
        }
    }

    /// Forgets everything from a place on, and gives its memory back.
    pub(crate) fn truncate(&mut self, end: u32) {
        if end >= self.end {
            return;
        }
        self.pieces.retain(|piece| piece.start < end);
        if let Some(last) = self.pieces.last_mut() {
            last.bytes.truncate((end - last.start) as usize);
            last.bytes.shrink_to_fit();
        }
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect()
    }

    #[track_caller]
    fn check(arena: &Arena, expect: &[u8]) {
        let mut all = vec![0; expect.len() + 1];
        assert_eq!(arena.copy(0, &mut all), expect.len());
        assert_eq!(&all[..expect.len()], expect);
        assert_eq!(arena.end() as usize, expect.len());
    }

    #[test]
    fn pieces_are_one_sequence_of_bytes() {
        let bytes = numbered(3 * PIECE_BYTES + 5);
        let mut arena = Arena::default();
        for part in bytes.chunks(1000) {
            arena.append(part).unwrap();
        }
        check(&arena, &bytes);
        assert_eq!(arena.from(u32::try_from(PIECE_BYTES).unwrap() - 1).len(), 1);
        assert!(arena.from(arena.end()).is_empty());
        arena.truncate(70_000);
        check(&arena, &bytes[..70_000]);
    }

    #[test]
    fn joining_continues_behind_what_was_there() {
        let bytes = numbered(100_000);
        let (mut one, mut other) = (Arena::default(), Arena::default());
        one.append(&bytes[..10]).unwrap();
        other.append(&bytes[10..90_000]).unwrap();
        assert_eq!(one.join(other), Ok(10));
        one.append(&bytes[90_000..]).unwrap();
        check(&one, &bytes);
    }

    #[test]
    fn sliding_moves_down_over_pieces() {
        let bytes = numbered(200_000);
        let mut arena = Arena::default();
        arena.append(&bytes).unwrap();
        arena.slide(1_000, 500, 199_000);
        arena.truncate(199_500);
        check(&arena, &[&bytes[..500], &bytes[1_000..]].concat());
    }
}
