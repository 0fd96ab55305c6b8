//! Memory that another subject sees too, and may change at any time.
//!
//! So bytes are only ever copied, in and out, and counters are atomic. What the kernel has mapped for reading only is a
//! [`Region`]; what may be written is a [`WritableRegion`] as well.

use std::{
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

/// A range of shared memory, for reading.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: it is a range of memory that lives for ever, and no thread's own.
unsafe impl Send for Region {}

impl Region {
    /// `length` bytes from `base`; `None` if `base` is not aligned to 8 bytes.
    ///
    /// # Safety
    /// Reading there must be possible for ever, and nothing that Rust knows of may lie there.
    pub unsafe fn new(base: NonNull<u8>, length: usize) -> Option<Self> {
        base.cast::<u64>().is_aligned().then_some(Self { base, length })
    }

    /// Its bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The word at `offset`, with all that was written before it; 0 where there is none.
    #[inline]
    pub fn load(&self, offset: usize) -> u64 {
        // SAFETY: the word lies in the region and is aligned.
        self.word(offset).map_or(0, |word| unsafe { AtomicU64::from_ptr(word) }.load(Ordering::Acquire))
    }

    /// Copies bytes out; false, and nothing is copied, if they are not all in the region.
    #[inline]
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let Some(source) = self.at(offset, bytes.len()) else { return false };
        // SAFETY: the range was checked; `bytes` is somebody else's memory. What another subject changes meanwhile is torn, which
        // the caller has to expect; the memory is none that the compiler knows.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(source, bytes.len()) };
        true
    }

    fn word(&self, offset: usize) -> Option<*mut u64> {
        self.at(offset, size_of::<u64>()).map(<*mut u8>::cast::<u64>).filter(|word| word.is_aligned())
    }

    fn at(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: the offset is within the region if its end is.
        (end <= self.length).then(|| unsafe { self.base.as_ptr().add(offset) })
    }
}

/// A range of shared memory, for reading and writing.
#[derive(Debug)]
pub struct WritableRegion(Region);

impl WritableRegion {
    /// The same memory, for writing as well.
    ///
    /// # Safety
    /// Writing there must be possible for ever.
    pub unsafe fn new(region: Region) -> Self {
        Self(region)
    }

    /// Writes the word at `offset` after all that was written before; does nothing where there is none.
    #[inline]
    pub fn store(&mut self, offset: usize, value: u64) {
        if let Some(word) = self.0.word(offset) {
            // SAFETY: the word lies in the region and is aligned.
            unsafe { AtomicU64::from_ptr(word) }.store(value, Ordering::Release);
        }
    }

    /// Copies bytes in; false, and nothing is copied, if there is no room for all of them.
    #[inline]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let Some(target) = self.0.at(offset, bytes.len()) else { return false };
        // SAFETY: the range was checked; `bytes` is somebody else's memory; the region is none that the compiler knows.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Fills the whole region with zeroes.
    pub fn clear(&mut self) {
        // SAFETY: all of it lies in the region.
        unsafe { self.0.base.as_ptr().write_bytes(0, self.0.length) };
    }
}

impl Deref for WritableRegion {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.0
    }
}
