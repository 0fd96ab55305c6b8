//! The tender's network ring, an io_uring: one system call for a batch of frames taken and all frames to send.
//!
//! ```text
//! receive ─► next frame of the batch │ none left ─► one io_uring_enter: frames to send out, a new batch in
//! transmit ─► copied, queued ───────────────────────────┘    (also before sleeping, and before the end)
//! ```
//!
//! Every entry is asked for with RWF_NOWAIT, so all of them have completed when the call returns; nothing is under way in
//! between. How many frames a batch asks for follows how many came: twice as many after a full one. Entries, opcodes and
//! flags: Linux `include/uapi/linux/io_uring.h`.

use super::{
    console::{console, end},
    number, system_call,
};
use solo5_sys::{
    elf::NoteHeader,
    skerry::{NETWORK_RING_NOTE_TYPE, NOTE_NAME, NOTE_NAME_SIZE, NetworkRing},
};
use std::sync::atomic::{AtomicU32, Ordering};

/// `IORING_OP_READ`, `IORING_OP_WRITE`.
const READ: u8 = 22;
const WRITE: u8 = 23;
/// `IOSQE_FIXED_FILE`.
const FIXED_FILE: u8 = 1;
/// `RWF_NOWAIT`.
const NO_WAIT: u32 = 8;
/// `IORING_ENTER_GETEVENTS`.
const GET_EVENTS: usize = 1;
/// What a completion of a write is known by; of a read, its place in the batch.
const WRITTEN: u64 = u64::MAX;

/// Calls in a row that may move nothing before the ring counts as broken. A signal ends a call early, rarely twice.
const ATTEMPTS: u32 = 1000;

/// `struct io_uring_sqe`, as reads and writes use it.
#[repr(C)]
struct Submission {
    operation: u8,
    flags: u8,
    priority: u16,
    file: u32,
    offset: u64,
    address: u64,
    length: u32,
    read_write_flags: u32,
    user_data: u64,
    unused: [u64; 3],
}

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Completion {
    user_data: u64,
    result: i32,
    _flags: u32,
}

const _: () = assert!(size_of::<Submission>() == 64 && size_of::<Completion>() == 16);

/// Layout of `solo5_sys::skerry::NetworkRingNote`; only the linker knows the address.
#[repr(C)]
struct Note {
    header: NoteHeader,
    padding: u32,
    address: *const NetworkRing,
}

// SAFETY: the pointer is an address for the tender to read from the file; nothing dereferences it.
unsafe impl Sync for Note {}

#[used]
#[unsafe(link_section = ".note.skerry.network_ring")]
static NOTE: Note = Note {
    header: NoteHeader {
        name_size: NOTE_NAME_SIZE,
        description_size: 12,
        note_type: NETWORK_RING_NOTE_TYPE,
        name: NOTE_NAME,
    },
    padding: 0,
    address: &raw const OFFERED,
};

/// Written by the tender before the image is entered; a tender that offers no ring leaves it zero.
static mut OFFERED: NetworkRing = NetworkRing {
    descriptor: 0,
    submission_entries: 0,
    completion_entries: 0,
    reserved: 0,
    submission_tail: 0,
    submissions: 0,
    completion_head: 0,
    completion_tail: 0,
    completions: 0,
};

static mut RING: Option<Ring> = None;

/// The ring of this image. There is one thread, and no two callers keep it at a time.
pub struct Ring {
    shared: NetworkRing,
    queued: u32,
    /// How often everything queued was handed to the kernel: buffers of an earlier round are free.
    round: u64,
    /// Frames that the host did not take and nobody has counted yet.
    lost: u32,
}

impl Ring {
    /// The tender's ring, if it offers one.
    #[inline]
    pub fn get() -> Option<&'static mut Self> {
        // SAFETY: there is one thread, and the functions of this module that use the ring do not call each other's callers.
        unsafe { (*(&raw mut RING)).as_mut() }
    }

    /// Looks whether the tender offers a ring. Called whenever an interface is opened.
    pub fn accept() -> bool {
        // SAFETY: the tender wrote it before the first instruction; volatile, because the compiler sees nobody write it.
        let offered = unsafe { (&raw const OFFERED).read_volatile() };
        if offered.submission_entries == 0 {
            return false;
        }
        // SAFETY: there is one thread, and nobody keeps the ring while an interface is opened.
        unsafe { (*(&raw mut RING)).get_or_insert(Self { shared: offered, queued: 0, round: 0, lost: 0 }) };
        true
    }

    /// Rounds so far. What was queued in an earlier one is no longer under way.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Frames that the host did not take since the last call, at most one at a time.
    pub fn take_lost(&mut self) -> bool {
        let lost = self.lost > 0;
        self.lost -= u32::from(lost);
        lost
    }

    /// Whether nothing more can be queued in this round.
    pub fn full(&self) -> bool {
        self.queued == self.shared.submission_entries
    }

    /// Queues `frame` for the interface at `handle`, unless the ring is full.
    ///
    /// # Safety
    /// `frame` must stay as it is until the next round.
    #[inline]
    pub unsafe fn send(&mut self, handle: u32, frame: *const [u8]) {
        debug_assert!(!self.full());
        self.queue(WRITE, handle, frame.cast::<u8>().addr(), frame.len(), WRITTEN);
    }

    /// Sends what is queued and takes frames of the interface at `handle` into `frames`, one in every `stride` bytes. The
    /// kernel's results go to `results`: a frame's length or a negative error.
    pub fn exchange(&mut self, handle: u32, frames: &mut [u8], stride: usize, results: &mut [i32]) {
        if self.shared.submission_entries - self.queued < results.len() as u32 {
            self.enter(&mut []);
        }
        for (place, frame) in (0..results.len() as u64).zip(frames.chunks_exact_mut(stride)) {
            self.queue(READ, handle, frame.as_mut_ptr().addr(), stride, place);
        }
        self.enter(results);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        if self.queued > 0 {
            self.enter(&mut []);
        }
    }

    #[inline]
    fn queue(&mut self, operation: u8, handle: u32, address: usize, length: usize, user_data: u64) {
        let tail = self.submission_tail().load(Ordering::Relaxed).wrapping_add(self.queued);
        let index = (tail & (self.shared.submission_entries - 1)) as usize;
        let submission = Submission {
            operation,
            flags: FIXED_FILE,
            priority: 0,
            file: handle,
            offset: 0,
            address: address as u64,
            length: length as u32,
            read_write_flags: NO_WAIT,
            user_data,
            unused: [0; 3],
        };
        // SAFETY: the index is masked to the array's length, and the kernel reads no entry before the tail passes it.
        unsafe { (self.shared.submissions as *mut Submission).add(index).write(submission) };
        self.queued += 1;
    }

    /// Hands everything queued to the kernel, waits until it is done and collects the results.
    fn enter(&mut self, results: &mut [i32]) {
        let all = self.queued;
        let tail = self.submission_tail().load(Ordering::Relaxed).wrapping_add(all);
        self.submission_tail().store(tail, Ordering::Release);
        let (mut left, mut done) = (all, 0);
        for _ in 0..ATTEMPTS {
            let descriptor = self.shared.descriptor as usize;
            let arguments = [descriptor, left as usize, (all - done) as usize, GET_EVENTS, 0, 0];
            // SAFETY: the kernel writes to the buffers of queued reads, which are the caller's for as long as this lasts, and reads those of
            // queued writes.
            let submitted = unsafe { system_call(number::IO_URING_ENTER, arguments) };
            left -= u32::try_from(submitted).unwrap_or(0).min(left);
            done += self.collect(results);
            if left == 0 && done == all {
                self.queued = 0;
                self.round += 1;
                return;
            }
        }
        console(b"the host's kernel does not serve the network ring any more: nobody can be served\n");
        end(1)
    }

    /// Takes what has completed; how much that was.
    fn collect(&mut self, results: &mut [i32]) -> u32 {
        let tail = self.completion_tail().load(Ordering::Acquire);
        let head = self.completion_head().load(Ordering::Relaxed);
        let count = tail.wrapping_sub(head);
        for position in 0..count {
            let index = (head.wrapping_add(position) & (self.shared.completion_entries - 1)) as usize;
            // SAFETY: the index is masked to the array's length, and the kernel has released this entry.
            let completion = unsafe { (self.shared.completions as *const Completion).add(index).read() };
            match results.get_mut(completion.user_data as usize) {
                Some(result) => *result = completion.result,
                None => self.lost += u32::from(completion.result < 0),
            }
        }
        self.completion_head().store(tail, Ordering::Release);
        count
    }

    fn submission_tail(&self) -> &'static AtomicU32 {
        index(self.shared.submission_tail)
    }

    fn completion_head(&self) -> &'static AtomicU32 {
        index(self.shared.completion_head)
    }

    fn completion_tail(&self) -> &'static AtomicU32 {
        index(self.shared.completion_tail)
    }
}

fn index(address: u64) -> &'static AtomicU32 {
    // SAFETY: an index of the ring, which the tender mapped for ever; kernel and image access it atomically.
    unsafe { AtomicU32::from_ptr(address as *mut u32) }
}

/// Sends what is queued: before the image sleeps or ends.
#[inline]
pub fn flush() {
    if let Some(ring) = Ring::get() {
        ring.flush();
    }
}
