//! The memory that frames travel in: one buffer for each descriptor of a ring, always the same.
//!
//! The device may write to it whenever it likes. So bytes are only ever copied, in and out, and what was copied out is judged
//! in the copy.

use super::limits::BUFFER;
use std::{
    alloc::{Layout, alloc},
    ptr::NonNull,
};

/// [`BUFFER`] bytes for each of so many descriptors.
pub struct Buffers {
    memory: NonNull<u8>,
    count: u16,
}

impl Buffers {
    /// `None` if there is no memory. It is never given back: the device may write to it until it is reset.
    pub fn new(count: u16) -> Option<Self> {
        let layout = Layout::from_size_align(usize::from(count) * BUFFER, BUFFER).ok()?;
        if layout.size() == 0 {
            return None;
        }
        // SAFETY: the layout is not empty. The bytes are not initialised, and are never read but through copies of what the
        // device wrote; they lie outside of what the compiler sees.
        let memory = NonNull::new(unsafe { alloc(layout) })?;
        Some(Self { memory, count })
    }

    /// Where the device finds a buffer: memory is mapped one to one.
    pub fn address(&self, index: u16) -> u64 {
        self.at(index, 0, BUFFER).addr() as u64
    }

    /// Copies bytes out of a buffer.
    #[inline]
    pub fn read(&self, index: u16, offset: usize, bytes: &mut [u8]) {
        let source = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(source, bytes.len()) };
    }

    /// Copies bytes into a buffer.
    #[inline]
    pub fn write(&mut self, index: u16, offset: usize, bytes: &[u8]) {
        let target = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn at(&self, index: u16, offset: usize, length: usize) -> *mut u8 {
        assert!(index < self.count && offset <= BUFFER && length <= BUFFER - offset, "within one buffer");
        // SAFETY: the range lies within the allocation, as just checked.
        unsafe { self.memory.as_ptr().add(usize::from(index) * BUFFER + offset) }
    }
}

/// On the host a device is gone when its test is.
#[cfg(skerry_target = "host")]
impl Drop for Buffers {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(usize::from(self.count) * BUFFER, BUFFER);
        // SAFETY: `new` has allocated it with this layout.
        unsafe { std::alloc::dealloc(self.memory.as_ptr(), layout.expect("it was good for `new`")) };
    }
}
