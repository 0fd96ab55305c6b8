//! Pages that the back end may reach, each under its own grant, always the same.
//!
//! It may do so whenever it likes. So bytes are only ever copied, in and out, and what was copied out is judged in the copy.

use super::{Backend, NoPages, limits::PAGE};
use std::{
    alloc::{Layout, alloc_zeroed},
    ptr::NonNull,
};

/// So many pages, and their grants.
pub struct Pages {
    memory: NonNull<u8>,
    references: Box<[u32]>,
}

impl Pages {
    /// Zeroed pages, granted to `backend`. An image never gives them back: nobody can take a page from a domain that holds it.
    pub fn new(backend: &mut dyn Backend, count: u16, writable: bool) -> Result<Self, NoPages> {
        let layout = Layout::from_size_align(usize::from(count) * PAGE, PAGE).map_err(|_| NoPages)?;
        assert!(count > 0, "at least one page");
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(NoPages)?;
        let references = (0..usize::from(count)).map(|index| {
            // SAFETY: the page is one of those just allocated.
            backend.grant(unsafe { memory.as_ptr().add(index * PAGE) }, writable)
        });
        Ok(Self { memory, references: references.collect::<Option<_>>().ok_or(NoPages)? })
    }

    /// The grant of a page.
    pub fn reference(&self, index: u16) -> u32 {
        self.references[usize::from(index)]
    }

    /// Copies bytes out of a page.
    #[inline]
    pub fn read(&self, index: u16, offset: usize, bytes: &mut [u8]) {
        let source = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(source, bytes.len()) };
    }

    /// Copies bytes into a page.
    #[inline]
    pub fn write(&mut self, index: u16, offset: usize, bytes: &[u8]) {
        let target = self.at(index, offset, bytes.len());
        // SAFETY: `at` has checked the range; `bytes` is somebody else's memory.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// `length` bytes within one page, which live for ever.
    pub fn at(&self, index: u16, offset: usize, length: usize) -> *mut u8 {
        let index = usize::from(index);
        assert!(
            index < self.references.len() && offset <= PAGE && length <= PAGE - offset,
            "within one page"
        );
        // SAFETY: the range lies within the allocation, as just checked.
        unsafe { self.memory.as_ptr().add(index * PAGE + offset) }
    }
}

/// A build for the host has nobody who could still reach them, and makes many.
#[cfg(skerry_target = "host")]
impl Drop for Pages {
    fn drop(&mut self) {
        if let Ok(layout) = Layout::from_size_align(self.references.len() * PAGE, PAGE) {
            // SAFETY: the memory was allocated with this very layout, and what refers to it (`fake`) is gone or not used any more.
            unsafe { std::alloc::dealloc(self.memory.as_ptr(), layout) };
        }
    }
}
