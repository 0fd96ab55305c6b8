//! Inflating (RFC 1950, 1951): the one state there is, used by everything in turn.

use super::{Arena, PackError};
use crate::room::{reserve, room};
use std::fmt;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Bits of the window: the largest that zlib has.
const WINDOW_BITS: u8 = 15;

/// What one call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) consumed: usize,
    pub(crate) produced: usize,
    /// Whether that was all of it, its checksum included.
    pub(crate) finished: bool,
}

/// A state for inflating, some 40 KiB.
pub(crate) struct Inflater(Inflate);

impl fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Inflater")
    }
}

impl Inflater {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self(Inflate::new(true, WINDOW_BITS))
    }

    /// To the beginning of another stream.
    pub(crate) fn reset(&mut self) {
        self.0.reset(true);
    }

    /// Inflates what it can. Neither consuming nor producing anything means that it wants input, or room.
    pub(crate) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, PackError> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status =
            self.0.decompress(input, output, InflateFlush::NoFlush).map_err(|_| PackError::BadZlib)?;
        let count = |after: u64, before: u64| usize::try_from(after - before).unwrap_or_default();
        Ok(Progress {
            consumed: count(self.0.total_in(), before_in),
            produced: count(self.0.total_out(), before_out),
            finished: status == Status::StreamEnd,
        })
    }

    /// All of the stream at a place of the arena, which must make exactly `size` bytes.
    pub(crate) fn inflate_at(
        &mut self,
        arena: &Arena,
        mut place: u32,
        size: usize,
    ) -> Result<Vec<u8>, PackError> {
        self.reset();
        let mut data = Vec::new();
        // It is going to be shared, which takes a copy of it.
        room(size.saturating_mul(2))?;
        reserve(&mut data, size)?;
        data.resize(size, 0);
        let mut filled = 0;
        loop {
            let progress = self.inflate(arena.from(place), &mut data[filled..])?;
            filled += progress.produced;
            place += u32::try_from(progress.consumed).unwrap_or_default();
            if progress.finished {
                return if filled == size { Ok(data) } else { Err(PackError::WrongSize) };
            }
            if progress.consumed == 0 && progress.produced == 0 {
                return Err(if filled == size { PackError::WrongSize } else { PackError::Truncated });
            }
        }
    }

    /// How many bytes the stream at a place of the arena takes.
    pub(crate) fn length_at(&mut self, arena: &Arena, place: u32) -> Result<usize, PackError> {
        self.reset();
        let mut scratch = [0; 8 * 1024];
        let mut length = 0;
        loop {
            let input = arena.from(place + u32::try_from(length).unwrap_or_default());
            let progress = self.inflate(input, &mut scratch)?;
            length += progress.consumed;
            if progress.finished {
                return Ok(length);
            }
            if progress.consumed == 0 && progress.produced == 0 {
                return Err(PackError::Truncated);
            }
        }
    }
}
