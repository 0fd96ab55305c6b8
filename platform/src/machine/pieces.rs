//! Memory that the host may reach, in pieces of one size, always the same.
//!
//! It may do so whenever it likes. So bytes are only ever copied, in and out, and what was copied out is judged in the copy.

use std::{
    alloc::{Layout, alloc, alloc_zeroed},
    ptr::NonNull,
};

/// So many pieces of `SIZE` bytes, a power of two, each aligned to its size.
pub struct Pieces<const SIZE: usize> {
    memory: NonNull<u8>,
    count: u16,
}

impl<const SIZE: usize> Pieces<SIZE> {
    /// `None` if there is no memory, or `count` is 0. It is never given back: the host may write to it as long as the image runs.
    /// Memory that is not `zeroed` costs nothing until it is used.
    pub fn new(count: u16, zeroed: bool) -> Option<Self> {
        let layout = Self::layout(count)?;
        // SAFETY: the layout is not empty. Bytes that are not initialised are never read but through copies of what the host
        // wrote; they lie outside of what the compiler sees.
        let memory = NonNull::new(unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } })?;
        Some(Self { memory, count })
    }

    fn layout(count: u16) -> Option<Layout> {
        Layout::from_size_align(usize::from(count) * SIZE, SIZE).ok().filter(|layout| layout.size() > 0)
    }

    /// Where the host finds a piece: memory is mapped one to one.
    #[cfg(not(skerry_target = "xen"))]
    pub fn address(&self, index: u16) -> u64 {
        self.at(index, 0, SIZE).addr() as u64
    }

    /// Copies bytes out of a piece.
    #[inline]
    pub fn read(&self, index: u16, offset: usize, bytes: &mut [u8]) {
        let source = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(source, bytes.len()) };
    }

    /// Copies bytes into a piece.
    #[inline]
    pub fn write(&mut self, index: u16, offset: usize, bytes: &[u8]) {
        let target = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// `length` bytes within one piece, which live for ever.
    #[inline]
    pub fn at(&self, index: u16, offset: usize, length: usize) -> *mut u8 {
        assert!(index < self.count && offset <= SIZE && length <= SIZE - offset, "within one piece");
        // SAFETY: the range lies within the allocation, as just checked.
        unsafe { self.memory.as_ptr().add(usize::from(index) * SIZE + offset) }
    }
}

/// In a build for the host a device is gone when its test is.
#[cfg(skerry_target = "host")]
impl<const SIZE: usize> Drop for Pieces<SIZE> {
    fn drop(&mut self) {
        let layout = Self::layout(self.count).expect("it was good for `new`");
        // SAFETY: `new` has allocated it with this layout, and what refers to it (`fake`) is gone or not used any more.
        unsafe { std::alloc::dealloc(self.memory.as_ptr(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart() {
        let mut pieces = Pieces::<16>::new(2, true).expect("there is memory");
        pieces.write(0, 12, &[1, 2, 3, 4]);
        pieces.write(1, 0, &[5]);
        let mut bytes = [9; 5];
        pieces.read(0, 11, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 3, 4]);
        pieces.read(1, 0, &mut bytes);
        assert_eq!(bytes, [5, 0, 0, 0, 0]);
        assert!(Pieces::<16>::new(0, false).is_none());
    }

    #[track_caller]
    fn check_refused(index: u16, offset: usize, length: usize) {
        let pieces = Pieces::<16>::new(2, true).expect("there is memory");
        assert!(std::panic::catch_unwind(move || pieces.at(index, offset, length).addr()).is_err());
    }

    #[test]
    fn nothing_reaches_out_of_a_piece() {
        check_refused(2, 0, 1);
        check_refused(0, 16, 1);
        check_refused(0, 17, 0);
        check_refused(1, 1, 16);
        check_refused(0, 8, usize::MAX);
    }
}
