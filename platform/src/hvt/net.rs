//! Network interfaces: by the tender's ring where it offers one, else by hypercall.
//!
//! The ring saves leaving the virtual machine: frames to send are copied into buffers of ours and the tender's thread sends
//! them while we go on; to receive, an entry is submitted and the thread's answer awaited, which comes within the time of
//! its own read. The tender is trusted with our memory (it holds all of it), but not to keep its indices sane: each is
//! compared and masked, and an answer that never comes ends the image with a reason.

use super::{console, exit, hypercall, kick};
use crate::{
    net::{Capabilities, Interrupt, Offload},
    report::interface_gone,
};
use solo5_sys::{
    hvt::{
        BootInfo, FEATURE_RING_IO, Hypercall, NetIo, RING_BUFFER_SIZE, RING_SIZE, Ring, RingEntry, result,
        ring_operation,
    },
    manifest::Entry,
};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Frames on their way to the tender's thread at most: fewer than the ring holds, so that their buffers stay small.
const SENDING_MAX: usize = 64;

/// How often an awaited answer is looked for before the tender counts as dead: some seconds.
const AWAIT_ATTEMPTS: u32 = 1 << 30;

const _: () = assert!(SENDING_MAX.is_power_of_two() && SENDING_MAX < RING_SIZE);

static mut RING: *mut Ring = std::ptr::null_mut();
static mut BUFFERS: [[u8; RING_BUFFER_SIZE]; SENDING_MAX] = [[0; RING_BUFFER_SIZE]; SENDING_MAX];

/// Uses the tender's ring, if there is one.
pub fn accept_ring(boot_info: &mut BootInfo) {
    if boot_info.host_features & FEATURE_RING_IO == 0 || boot_info.net_ring == 0 {
        return;
    }
    boot_info.guest_features = FEATURE_RING_IO;
    // SAFETY: there is one thread, and this runs before any interface is opened.
    unsafe { RING = boot_info.net_ring as *mut Ring };
}

/// An interface of the tender's.
#[derive(Debug)]
pub struct Interface {
    handle: u32,
}

impl Interface {
    /// The interface at `handle` in the manifest.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        Self { handle: handle as u32 }
    }

    /// Takes one frame; `None` when there is none now.
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let (data, room) = (frame.as_mut_ptr().addr() as u64, frame.len());
        if let Some(mut ring) = SharedRing::get() {
            return ring.receive(self.handle, data, room as u32);
        }
        let mut call = NetIo { handle: u64::from(self.handle), data, len: room as u64, ret: result::EUNSPEC };
        // SAFETY: the tender writes at most the length of `frame` to it.
        unsafe { hypercall(Hypercall::NetRead, &mut call) };
        received(call.ret, call.len)
    }

    /// Sends one frame; false if the host did not take it.
    pub fn transmit(&mut self, frame: &[u8], _: Offload) -> bool {
        if let Some(mut ring) = SharedRing::get()
            && frame.len() <= RING_BUFFER_SIZE
        {
            return ring.transmit(self.handle, frame);
        }
        let (data, len) = (frame.as_ptr().addr() as u64, frame.len() as u64);
        let mut call = NetIo { handle: u64::from(self.handle), data, len, ret: result::EUNSPEC };
        // SAFETY: the tender only reads `frame`.
        unsafe { hypercall(Hypercall::NetWrite, &mut call) };
        call.ret == result::OK
    }

    /// Nothing: a tender takes frames as they are.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// How it ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::Host
    }
}

/// What the tender's answer to a read says.
fn received(code: i32, length: u64) -> Option<usize> {
    match code {
        result::OK => Some(length as usize),
        result::AGAIN => None,
        _ => interface_gone(),
    }
}

/// The ring, shared with the tender's thread: every index goes through an atomic access.
struct SharedRing {
    ring: *mut Ring,
}

impl SharedRing {
    fn get() -> Option<Self> {
        // SAFETY: written once, before any interface was opened.
        let ring = unsafe { RING };
        (!ring.is_null()).then_some(Self { ring })
    }

    fn index(&self, field: impl FnOnce(*mut Ring) -> *mut u32) -> &AtomicU32 {
        // SAFETY: the field lies in the ring, which is mapped and aligned for ever; both sides access it atomically.
        unsafe { AtomicU32::from_ptr(field(self.ring)) }
    }

    fn entry_tail(&self) -> &AtomicU32 {
        // SAFETY: a place in the ring; nothing is read.
        self.index(|ring| unsafe { &raw mut (*ring).entry_tail })
    }

    fn entry_head(&self) -> &AtomicU32 {
        // SAFETY: a place in the ring; nothing is read.
        self.index(|ring| unsafe { &raw mut (*ring).entry_head })
    }

    fn commit_tail(&self) -> &AtomicU32 {
        // SAFETY: a place in the ring; nothing is read.
        self.index(|ring| unsafe { &raw mut (*ring).commit_tail })
    }

    fn commit_head(&self) -> &AtomicU32 {
        // SAFETY: a place in the ring; nothing is read.
        self.index(|ring| unsafe { &raw mut (*ring).commit_head })
    }

    fn needs_kick(&self) -> &AtomicU32 {
        // SAFETY: a place in the ring; nothing is read.
        self.index(|ring| unsafe { &raw mut (*ring).needs_kick })
    }

    fn receive(&mut self, handle: u32, data: u64, room: u32) -> Option<usize> {
        self.submit(RingEntry {
            operation: ring_operation::NET_READ,
            handle,
            data,
            len: room,
            id: 0,
            reserved: 0,
        });
        let head = self.commit_head().load(Ordering::Relaxed);
        self.wait_until(|ring| ring.commit_tail().load(Ordering::Acquire) != head);
        // SAFETY: the index is masked to the array's length, and the tender has released this commit.
        let commit = unsafe { (&raw const (*self.ring).commits[head as usize % RING_SIZE]).read_volatile() };
        self.commit_head().store(head.wrapping_add(1), Ordering::Release);
        received(commit.ret, u64::from(commit.len))
    }

    fn transmit(&mut self, handle: u32, frame: &[u8]) -> bool {
        let tail = self.entry_tail().load(Ordering::Relaxed);
        self.wait_until(|ring| {
            (tail.wrapping_sub(ring.entry_head().load(Ordering::Acquire)) as usize) < SENDING_MAX
        });
        // SAFETY: fewer than SENDING_MAX frames are under way, so the tender has done with this buffer; the frame fits, as
        // the caller has checked; there is one thread.
        let data = unsafe {
            let buffer = (&raw mut BUFFERS[tail as usize % SENDING_MAX]).cast::<u8>();
            buffer.copy_from_nonoverlapping(frame.as_ptr(), frame.len());
            buffer.addr() as u64
        };
        let len = frame.len() as u32;
        self.submit(RingEntry {
            operation: ring_operation::NET_WRITE,
            handle,
            data,
            len,
            id: 0,
            reserved: 0,
        });
        true
    }

    fn submit(&mut self, entry: RingEntry) {
        let tail = self.entry_tail().load(Ordering::Relaxed);
        // SAFETY: the index is masked to the array's length; the tender does not read the entry before the tail passes it.
        unsafe { (&raw mut (*self.ring).entries[tail as usize % RING_SIZE]).write_volatile(entry) };
        self.entry_tail().store(tail.wrapping_add(1), Ordering::Release);
        // The tail must be visible before the flag is read, or both sides could miss each other.
        fence(Ordering::SeqCst);
        if self.needs_kick().load(Ordering::Relaxed) != 0 {
            kick();
        }
    }

    fn wait_until(&self, done: impl Fn(&Self) -> bool) {
        for _ in 0..AWAIT_ATTEMPTS {
            if done(self) {
                return;
            }
            std::hint::spin_loop();
        }
        console(b"the tender does not answer on its network ring any more: nobody can be served\n");
        exit(1)
    }
}
