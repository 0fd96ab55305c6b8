//! The reading end of a channel.
//!
//! The writer does not wait: it overwrites the oldest element, and starts anew when it likes, with a new epoch. A reader notices
//! either, before it hands out what it has copied. Unlike other readers of this protocol it takes no size from the channel: an
//! element has the bytes that its protocol says and as many fit as the region has room for, or the channel is none for us.

use super::{
    channel::{
        ELEMENTS, EPOCH, HEADER, MARKER, NULL_EPOCH, PROTOCOL, SIZE, TRANSPORT, WRITE_COUNT,
        WRITE_START_COUNT,
    },
    region::Region,
};
use std::sync::atomic::{Ordering, fence};

/// What came of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// An element was copied, whole.
    Element,
    /// There is none now.
    Nothing,
    /// Nobody writes to this channel.
    Inactive,
    /// The channel speaks another protocol, or says sizes that cannot be.
    Incompatible,
    /// The writer has started anew meanwhile. Try again.
    EpochChanged,
    /// Elements were overwritten before they were read. They are lost, with all that were there; what is written from now on
    /// is read.
    Overrun,
}

/// The reading end.
#[derive(Debug)]
pub struct Reader {
    region: Region,
    protocol: u64,
    size: usize,
    /// Elements that the region has room for, as the writer says and we have checked.
    elements: u64,
    /// The epoch that `elements` and `count` are of.
    epoch: u64,
    /// The epoch that was found to be incompatible: not looked at again.
    refused: u64,
    /// Elements read.
    count: u64,
}

impl Reader {
    /// A reader of elements of `size` bytes; `None` if the region has no room for one.
    pub fn new(region: Region, protocol: u64, size: usize) -> Option<Self> {
        let has_room = size > 0 && region.length().checked_sub(HEADER)? >= size;
        has_room.then_some(Self {
            region,
            protocol,
            size,
            elements: 0,
            epoch: NULL_EPOCH,
            refused: NULL_EPOCH,
            count: 0,
        })
    }

    /// Copies the next element to `element`, which has exactly an element's bytes; they are of use only with [`Read::Element`].
    pub fn read(&mut self, element: &mut [u8]) -> Read {
        self.copy(element).unwrap_or_else(|| self.judge())
    }

    /// Copies the next element, if there may be one; what came of it otherwise.
    fn copy(&mut self, element: &mut [u8]) -> Option<Read> {
        debug_assert_eq!(element.len(), self.size, "one element");
        match self.region.load(EPOCH) {
            NULL_EPOCH => {
                self.epoch = NULL_EPOCH;
                return Some(Read::Inactive);
            }
            epoch if epoch == self.refused => return Some(Read::Incompatible),
            epoch if epoch != self.epoch => {
                if let Err(refusal) = self.synchronise(epoch) {
                    return Some(refusal);
                }
            }
            _ => {}
        }
        let written = self.region.load(WRITE_COUNT);
        if written == self.count {
            return Some(Read::Nothing);
        }
        if written.wrapping_sub(self.count) > self.elements {
            self.count = written;
            return Some(Read::Overrun);
        }
        let place = (self.count % self.elements) as usize;
        self.region.read(HEADER + place * self.size, element);
        None
    }

    /// What was copied counts only if, after that, the writer had neither begun to overwrite it nor started anew.
    fn judge(&mut self) -> Read {
        fence(Ordering::Acquire);
        let begun = self.region.load(WRITE_START_COUNT);
        if self.region.load(EPOCH) != self.epoch {
            return Read::EpochChanged;
        }
        if begun.wrapping_sub(self.count) > self.elements {
            self.count = self.region.load(WRITE_COUNT);
            return Read::Overrun;
        }
        self.count = self.count.wrapping_add(1);
        Read::Element
    }

    /// Whether it is worth to call [`read`](Self::read).
    pub fn is_pending(&self) -> bool {
        match self.region.load(EPOCH) {
            NULL_EPOCH => false,
            epoch if epoch == self.refused => false,
            epoch => self.region.load(WRITE_COUNT) != if epoch == self.epoch { self.count } else { 0 },
        }
    }

    /// Takes over a new epoch's sizes.
    fn synchronise(&mut self, epoch: u64) -> Result<(), Read> {
        let [transport, protocol, size, elements] =
            [TRANSPORT, PROTOCOL, SIZE, ELEMENTS].map(|offset| self.region.load(offset));
        if self.region.load(EPOCH) != epoch {
            return Err(Read::EpochChanged);
        }
        let room = ((self.region.length() - HEADER) / self.size) as u64;
        let fits = size == self.size as u64 && (1..=room).contains(&elements);
        if transport != MARKER || protocol != self.protocol || !fits {
            (self.refused, self.epoch) = (epoch, NULL_EPOCH);
            return Err(Read::Incompatible);
        }
        (self.epoch, self.refused, self.elements, self.count) = (epoch, NULL_EPOCH, elements, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::muen::{region::WritableRegion, writer::Writer};
    use std::ptr::NonNull;

    const PROTOCOL: u64 = 7;
    const SIZE: usize = 8;
    const ELEMENTS: usize = 2;

    /// A channel in memory that is never freed, for either end.
    fn channel() -> impl Fn() -> Region {
        let words: &'static mut [u64] = Vec::leak(vec![0; (HEADER + ELEMENTS * SIZE) / 8]);
        let (base, length) = (NonNull::from(&mut *words).cast::<u8>(), size_of_val(words));
        // SAFETY: it lives for ever, is aligned, and only these regions refer to it.
        move || unsafe { Region::new(base, length) }.expect("it is aligned")
    }

    fn writer(region: Region, epoch: u64) -> Writer {
        // SAFETY: it is memory of this test's.
        let region = unsafe { WritableRegion::new(region) };
        Writer::new(region, PROTOCOL, SIZE, epoch).expect("there is room")
    }

    fn write(writer: &mut Writer, value: u8) {
        assert!(writer.write(&[(0, &[value; SIZE])]), "it fits");
    }

    /// What the writer does between the copy of the first element and the look whether that counts.
    #[track_caller]
    fn check(meanwhile: impl FnOnce(Writer, &dyn Fn() -> Region), expect: Read) {
        let region = channel();
        let mut writer = writer(region(), 1);
        write(&mut writer, 1);
        let mut reader = Reader::new(region(), PROTOCOL, SIZE).expect("there is room");
        let mut element = [0; SIZE];
        assert_eq!((reader.copy(&mut element), element), (None, [1; SIZE]));
        meanwhile(writer, &region);
        assert_eq!(reader.judge(), expect);
    }

    #[test]
    fn what_the_writer_changes_after_the_copy_is_noticed() {
        check(|_, _| (), Read::Element);
        check(|mut same, _| write(&mut same, 2), Read::Element);
        check(|mut same, _| (2..5).for_each(|value| write(&mut same, value)), Read::Overrun);
        check(|old, _| old.deactivate(), Read::EpochChanged);
        // As many elements as before, so that the epoch alone tells.
        check(|_, region| write(&mut writer(region(), 2), 9), Read::EpochChanged);
    }
}
