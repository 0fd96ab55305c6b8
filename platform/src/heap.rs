//! The heap: everything behind the image, and what a machine has in front of it, handed out by a two-level segregated fit allocator in constant time.
//!
//! `rlsf` was chosen over `talc`, see docs/decisions/allocator.md: both are quick, but its bound on the worst case does not
//! depend on what was allocated before. There is one thread and no interrupt handler that allocates: no lock.

use crate::{Allocations, Memory};
use rlsf::Tlsf;
use std::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ops::Range,
    ptr::NonNull,
};

/// 32 first-level lists of blocks from 32 bytes up to 64 GiB, each split into 32: at most 1/32 of a block is lost.
type Allocator = Tlsf<'static, u32, u32, 32, 32>;

struct Heap {
    allocator: UnsafeCell<Allocator>,
    memory: UnsafeCell<Memory>,
    allocations: UnsafeCell<Allocations>,
}

// SAFETY: there is one thread, and nothing preempts it to run code that uses the heap.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    allocator: UnsafeCell::new(Allocator::new()),
    memory: UnsafeCell::new(Memory { total: 0, used: 0 }),
    allocations: UnsafeCell::new(Allocations { made: 0, failed: 0, most: 0 }),
};

/// Gives the allocator memory.
///
/// # Safety
/// To be called with a range of mapped, writable memory that nothing else uses.
pub unsafe fn add(range: Range<usize>) {
    let Some(start) = NonNull::new(range.start as *mut u8) else { return };
    let pool = NonNull::slice_from_raw_parts(start, range.end.saturating_sub(range.start));
    // SAFETY: the caller hands the range over, and no reference into HEAP is alive: there is one thread.
    unsafe {
        if let Some(length) = (*HEAP.allocator.get()).insert_free_block_ptr(pool) {
            (*HEAP.memory.get()).total += length.get();
        }
    }
}

/// See [`crate::memory`].
pub fn memory() -> Memory {
    // SAFETY: a copy of two words; there is one thread.
    unsafe { *HEAP.memory.get() }
}

/// See [`crate::allocations`].
pub fn allocations() -> Allocations {
    // SAFETY: a copy of three words; there is one thread.
    unsafe { *HEAP.allocations.get() }
}

impl Heap {
    /// Notes that a block of `new` bytes stands where `old` bytes were, or that there was no memory for it.
    #[inline]
    fn note(&self, made: bool, old: usize, new: usize) {
        // SAFETY: no other reference is alive: there is one thread, and nothing here calls anybody.
        let (memory, allocations) = unsafe { (&mut *self.memory.get(), &mut *self.allocations.get()) };
        if made {
            memory.used = memory.used - old + new;
            allocations.made += 1;
            allocations.most = allocations.most.max(memory.used);
        } else {
            allocations.failed += 1;
        }
    }
}

// SAFETY: rlsf returns blocks of the layout asked for that do not overlap; `used` is only a count.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no other reference is alive, there is one thread and rlsf does not call back.
        let block = unsafe { (*self.allocator.get()).allocate(layout) };
        self.note(block.is_some(), 0, layout.size());
        block.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that the block came from `alloc` with this layout; no other reference is alive.
        unsafe {
            (*self.allocator.get()).deallocate(NonNull::new_unchecked(block), layout.align());
            (*self.memory.get()).used -= layout.size();
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that new_size is valid for this alignment and that the block came from `alloc` with
        // `layout`; no other reference is alive.
        let moved = unsafe {
            let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());
            (*self.allocator.get()).reallocate(NonNull::new_unchecked(block), new_layout)
        };
        self.note(moved.is_some(), layout.size(), new_size);
        moved.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }
}
