//! Compares the two allocators that were considered for the heap: `cargo bench -p platform`.
//!
//! Time is quoted beside memory, because memory is what an image is given once and cannot ask for again: for each workload
//! the smallest heap in which it completes is searched, and set beside the bytes that were live at its peak.
//! docs/decisions/allocator.md has the figures and the decision.

use rlsf::Tlsf;
use std::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    hint::black_box,
    ptr::NonNull,
    time::Instant,
};
use talc::{TalcCell, source::Manual};

fn main() {
    println!(
        "workload             allocator  ns/operation (median of {ROUNDS}, spread)   heap needed / live at peak"
    );
    for workload in WORKLOADS {
        report::<Rlsf>(&workload);
        report::<Talc>(&workload);
    }
}

/// Timed repetitions of each workload.
const ROUNDS: usize = 7;

/// An allocator under comparison, made from one range of memory.
trait Candidate: GlobalAlloc {
    const NAME: &'static str;

    /// # Safety
    /// `heap` is writable, aligned to 16 and used by nobody else while the allocator is.
    unsafe fn new(heap: *mut [u8]) -> Option<Self>
    where
        Self: Sized;
}

/// With the parameters of `platform::heap`.
struct Rlsf(UnsafeCell<Tlsf<'static, u32, u32, 32, 32>>);

impl Candidate for Rlsf {
    const NAME: &'static str = "rlsf";

    unsafe fn new(heap: *mut [u8]) -> Option<Self> {
        let mut tlsf = Tlsf::new();
        // SAFETY: the caller hands the heap over.
        unsafe { tlsf.insert_free_block_ptr(NonNull::new(heap)?)? };
        Some(Self(UnsafeCell::new(tlsf)))
    }
}

// SAFETY: rlsf returns blocks of the layout asked for that do not overlap; there is one thread, and rlsf does not call back.
unsafe impl GlobalAlloc for Rlsf {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the only reference, see above.
        let block = unsafe { (*self.0.get()).allocate(layout) };
        block.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the only reference; the caller says that the block came from `alloc` with this layout.
        unsafe { (*self.0.get()).deallocate(NonNull::new_unchecked(block), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the caller says that `new_size` is valid for this alignment.
        let moved = unsafe {
            let layout = Layout::from_size_align_unchecked(new_size, layout.align());
            (*self.0.get()).reallocate(NonNull::new_unchecked(block), layout)
        };
        moved.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }
}

struct Talc(TalcCell<Manual>);

impl Candidate for Talc {
    const NAME: &'static str = "talc";

    unsafe fn new(heap: *mut [u8]) -> Option<Self> {
        let talc = TalcCell::new(Manual);
        // SAFETY: the caller hands the heap over.
        unsafe { talc.claim(heap.cast(), heap.len())? };
        Some(Self(talc))
    }
}

// SAFETY: every call goes to talc, whose implementation promises the same.
unsafe impl GlobalAlloc for Talc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}

/// What an image does with its heap, by the number of operations it takes.
struct Workload {
    name: &'static str,
    operations: usize,
    run: fn(&mut Arena<'_>, usize) -> Result<(), Exhausted>,
}

const WORKLOADS: [Workload; 3] = [
    // Connections that come and go: state of some hundred bytes, now and then a buffer of some KiB.
    Workload { name: "connections", operations: 400_000, run: connections },
    // Names, messages, tasks: small and short-lived, over a live set that fits the cache.
    Workload { name: "small objects", operations: 400_000, run: small_objects },
    // A zone being loaded: four vectors that double, with small objects between them.
    Workload { name: "growing vectors", operations: 400_000, run: growing_vectors },
];

fn connections(arena: &mut Arena<'_>, operations: usize) -> Result<(), Exhausted> {
    churn(arena, operations, 4096, |random| match random % 8 {
        0 => 2048 + random as usize / 8 % 6144,
        _ => 64 + random as usize / 8 % 704,
    })
}

fn small_objects(arena: &mut Arena<'_>, operations: usize) -> Result<(), Exhausted> {
    churn(arena, operations, 1024, |random| 8 + random as usize % 248)
}

/// Replaces blocks at random, so that as many as `live` are held.
fn churn(
    arena: &mut Arena<'_>,
    operations: usize,
    live: usize,
    size: fn(u64) -> usize,
) -> Result<(), Exhausted> {
    let mut blocks: Vec<Option<Block>> = (0..live).map(|_| None).collect();
    let mut random = Random(1);
    for _ in 0..operations / 2 {
        let slot = random.next() as usize % live;
        if let Some(block) = blocks[slot].take() {
            arena.free(block);
        }
        blocks[slot] = Some(arena.allocate(size(random.next()))?);
    }
    blocks.into_iter().flatten().for_each(|block| arena.free(block));
    Ok(())
}

fn growing_vectors(arena: &mut Arena<'_>, operations: usize) -> Result<(), Exhausted> {
    let mut vectors = [arena.allocate(64)?, arena.allocate(64)?, arena.allocate(64)?, arena.allocate(64)?];
    let mut filled = [0; 4];
    let mut random = Random(1);
    let mut small: Option<Block> = None;
    for _ in 0..operations / 4 {
        let which = random.next() as usize % vectors.len();
        filled[which] += 16 + random.next() as usize % 64;
        if filled[which] > vectors[which].layout.size() {
            let size = vectors[which].layout.size() * 2;
            vectors[which] = arena.reallocate(vectors[which], size)?;
        }
        let next = arena.allocate(16 + random.next() as usize % 240)?;
        if let Some(block) = small.replace(next) {
            arena.free(block);
        }
    }
    vectors.into_iter().chain(small).for_each(|block| arena.free(block));
    Ok(())
}

#[derive(Clone, Copy)]
struct Block {
    address: *mut u8,
    layout: Layout,
}

#[derive(Debug)]
struct Exhausted;

/// An allocator, and how much of it is in use.
struct Arena<'a> {
    allocator: &'a dyn GlobalAlloc,
    live: usize,
    peak: usize,
}

impl Arena<'_> {
    fn allocate(&mut self, size: usize) -> Result<Block, Exhausted> {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        // SAFETY: no size here is zero.
        let address = unsafe { self.allocator.alloc(layout) };
        self.count(0, size, address)?;
        Ok(Block { address, layout })
    }

    fn reallocate(&mut self, block: Block, size: usize) -> Result<Block, Exhausted> {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        // SAFETY: the block came from this allocator with its layout and is not used again.
        let address = unsafe { self.allocator.realloc(block.address, block.layout, size) };
        self.count(block.layout.size(), size, address)?;
        Ok(Block { address, layout })
    }

    fn free(&mut self, block: Block) {
        self.live -= block.layout.size();
        // SAFETY: the block came from this allocator with its layout and is not used again.
        unsafe { self.allocator.dealloc(block.address, block.layout) }
    }

    fn count(&mut self, before: usize, size: usize, address: *mut u8) -> Result<(), Exhausted> {
        if address.is_null() {
            return Err(Exhausted);
        }
        // SAFETY: the block is ours and at least one byte long; touching it costs what it costs a service.
        unsafe { address.write(black_box(1)) };
        self.live = self.live - before + size;
        self.peak = self.peak.max(self.live);
        Ok(())
    }
}

/// xorshift64: the same sequence for every allocator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes of the largest heap tried.
const LARGEST_HEAP: usize = 64 << 20;

fn report<C: Candidate>(workload: &Workload) {
    let mut memory = vec![0_u128; LARGEST_HEAP / 16];
    let mut attempt = |heap: usize| {
        let heap = std::ptr::slice_from_raw_parts_mut(memory.as_mut_ptr().cast::<u8>(), heap);
        // SAFETY: the heap lies within `memory`, which outlives the allocator and is used by nobody else meanwhile.
        let allocator = unsafe { C::new(heap) }.ok_or(Exhausted)?;
        let mut arena = Arena { allocator: &allocator, live: 0, peak: 0 };
        (workload.run)(&mut arena, workload.operations).map(|()| arena.peak)
    };
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            attempt(LARGEST_HEAP).expect("the largest heap is large enough");
            start.elapsed().as_nanos() as f64 / workload.operations as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let peak = attempt(LARGEST_HEAP).expect("the largest heap is large enough");
    let (mut too_small, mut enough) = (peak, LARGEST_HEAP);
    while enough - too_small > 4096 {
        let middle = usize::midpoint(too_small, enough);
        *(if attempt(middle).is_ok() { &mut enough } else { &mut too_small }) = middle;
    }
    let (median, least, most) = (times[ROUNDS / 2], times[0], times[ROUNDS - 1]);
    println!(
        "{:<20} {:<10} {median:>6.1} ({least:.1} to {most:.1}) {:>31.3}",
        workload.name,
        C::NAME,
        enough as f64 / peak as f64
    );
}
