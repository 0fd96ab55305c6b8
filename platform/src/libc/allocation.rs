//! malloc and its family, for C code and for the little of std that calls them: our allocator behind a size header.

use super::errno;
use std::{
    alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc as reallocate},
    ffi::{c_int, c_void},
    ptr::null_mut,
};

/// Bytes in front of every block: its layout's size, and padding that keeps the block aligned.
const HEADER: usize = 16;

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: `with_header` passes a layout that is not empty.
    with_header(size, |layout| unsafe { alloc(layout) })
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else { return null_mut() };
    // SAFETY: `with_header` passes a layout that is not empty.
    with_header(size, |layout| unsafe { alloc_zeroed(layout) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    // SAFETY: the block came from `with_header`, so its layout stands in front of it.
    let (start, layout) = unsafe { header(block) };
    // SAFETY: as above; `with_header` passes a layout of the same alignment.
    with_header(size, |new| unsafe { reallocate(start, layout, new.size()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: the block came from `with_header`, so its layout stands in front of it.
    unsafe {
        let (start, layout) = header(block);
        dealloc(start, layout);
    }
}

/// Larger alignments than malloc's are asked for by nothing we link; they are refused rather than freed wrongly.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(block: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    if alignment > HEADER {
        return errno::EINVAL;
    }
    let new = malloc(size);
    // SAFETY: the caller passes a place for the result.
    unsafe { block.write(new) };
    if new.is_null() { errno::ENOMEM } else { 0 }
}

fn with_header(size: usize, allocate: impl FnOnce(Layout) -> *mut u8) -> *mut c_void {
    let Some(Ok(layout)) = size.checked_add(HEADER).map(|size| Layout::from_size_align(size, HEADER)) else {
        return null_mut();
    };
    let start = allocate(layout);
    if start.is_null() {
        return null_mut();
    }
    // SAFETY: the block has room for the header, which lies at its aligned start.
    unsafe {
        start.cast::<usize>().write(layout.size());
        start.add(HEADER).cast()
    }
}

/// # Safety
/// The block must have come from [`with_header`].
unsafe fn header(block: *mut c_void) -> (*mut u8, Layout) {
    // SAFETY: by the caller's contract the header stands in front of the block and holds a size that was valid.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        (start, Layout::from_size_align_unchecked(start.cast::<usize>().read(), HEADER))
    }
}
