//! The writing end of a channel.
//!
//! It never waits for its reader and never looks at what it has written: its counters and sizes are its own, so that a reader
//! that could write to the region still could not lead it astray.

use super::{
    channel::{
        ELEMENTS, EPOCH, HEADER, MARKER, NULL_EPOCH, PROTOCOL, SIZE, TRANSPORT, WRITE_COUNT,
        WRITE_START_COUNT,
    },
    region::WritableRegion,
};
use std::sync::atomic::{Ordering, fence};

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    region: WritableRegion,
    size: usize,
    elements: u64,
    /// Elements written.
    count: u64,
}

impl Writer {
    /// Starts `epoch`, which must differ from the one before and is not 0, with elements of `size` bytes; `None` if the region
    /// has no room for one.
    pub fn new(mut region: WritableRegion, protocol: u64, size: usize, epoch: u64) -> Option<Self> {
        let elements = region.length().checked_sub(HEADER)?.checked_div(size)? as u64;
        if elements == 0 || epoch == NULL_EPOCH {
            return None;
        }
        region.store(EPOCH, NULL_EPOCH);
        fence(Ordering::Release);
        region.clear();
        for (offset, value) in [
            (TRANSPORT, MARKER),
            (PROTOCOL, protocol),
            (SIZE, size as u64),
            (ELEMENTS, elements),
            (EPOCH, epoch),
        ] {
            region.store(offset, value);
        }
        Some(Self { region, size, elements, count: 0 })
    }

    /// Writes one element: each piece at its offset in it, and between them whatever was there an epoch's turn ago. False, and
    /// nothing is written, if they do not all fit.
    pub fn write(&mut self, pieces: &[(usize, &[u8])]) -> bool {
        let fits = |(offset, bytes): &(usize, &[u8])| {
            offset.checked_add(bytes.len()).is_some_and(|end| end <= self.size)
        };
        if !pieces.iter().all(fits) {
            return false;
        }
        let place = HEADER + (self.count % self.elements) as usize * self.size;
        self.count = self.count.wrapping_add(1);
        self.region.store(WRITE_START_COUNT, self.count);
        // A reader that sees a byte of this element has to see that it was begun.
        fence(Ordering::Release);
        for (offset, bytes) in pieces {
            self.region.write(place + offset, bytes);
        }
        self.region.store(WRITE_COUNT, self.count);
        true
    }

    /// Says that nobody writes here any more.
    pub fn deactivate(mut self) {
        self.region.store(EPOCH, NULL_EPOCH);
    }
}
