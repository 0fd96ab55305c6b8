//! The console: a ring of characters that xenconsoled in dom0 reads.
//!
//! Output alone. Where nobody reads, the rest is left out after some time: an image serves without its console rather than
//! not at all. Source: Xen `public/io/console.h`.

use super::{
    clock,
    hypercall::{self, PAGE, Parameter},
};
use crate::machine::map_memory;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

const OUT: usize = 1024;
const OUT_SIZE: u32 = 2048;
const OUT_CONSUMED: usize = 3080;
const OUT_PRODUCED: usize = 3084;

/// Looks at the ring until its reader counts as gone, and the nanoseconds between two of them: two seconds in all.
const LOOKS: u32 = 2_000;
const LOOK_NS: u64 = 1_000_000;

static RING: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static PORT: AtomicU32 = AtomicU32::new(0);

/// Finds the ring; without one, nothing is printed.
pub fn initialize() {
    let (Some(frame), Some(port)) =
        (hypercall::parameter(Parameter::ConsoleFrame), hypercall::parameter(Parameter::ConsolePort))
    else {
        return;
    };
    let address = frame * PAGE as u64;
    if map_memory(address, PAGE as u64) {
        PORT.store(port as u32, Ordering::Relaxed);
        RING.store(address as *mut u8, Ordering::Relaxed);
    }
}

/// Writes `text`, with the carriage returns that terminals want.
pub fn console(text: &[u8]) {
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let (line, end): (_, &[u8]) = match line {
            [line @ .., b'\n'] => (line, b"\r\n"),
            _ => (line, b""),
        };
        if !write(line) || !write(end) {
            return;
        }
    }
    notify();
}

/// Waits until everything was read, but not for ever.
pub fn drain() {
    notify();
    wait_for_room(OUT_SIZE);
}

/// False if the reader makes no room.
fn write(bytes: &[u8]) -> bool {
    let ring = RING.load(Ordering::Relaxed);
    if ring.is_null() {
        return false;
    }
    for &byte in bytes {
        if room() == 0 {
            notify();
            if !wait_for_room(1) {
                return false;
            }
        }
        let produced = index(OUT_PRODUCED).load(Ordering::Relaxed);
        // SAFETY: the ring has OUT_SIZE bytes from OUT on, and this is one of them.
        unsafe { ring.add(OUT + (produced % OUT_SIZE) as usize).write_volatile(byte) };
        index(OUT_PRODUCED).store(produced.wrapping_add(1), Ordering::Release);
    }
    true
}

/// Whether there is room for `wanted` bytes before the reader's time is over.
fn wait_for_room(wanted: u32) -> bool {
    if RING.load(Ordering::Relaxed).is_null() {
        return false;
    }
    for _ in 0..LOOKS {
        if room() >= wanted {
            return true;
        }
        hypercall::block_until(&[], clock::monotonic() + LOOK_NS);
    }
    false
}

/// Bytes that can be written now. A reader that says it has read more than was written gets nothing.
fn room() -> u32 {
    let written = index(OUT_PRODUCED).load(Ordering::Relaxed);
    let unread = written.wrapping_sub(index(OUT_CONSUMED).load(Ordering::Acquire));
    OUT_SIZE.saturating_sub(unread)
}

fn notify() {
    if !RING.load(Ordering::Relaxed).is_null() {
        hypercall::notify(PORT.load(Ordering::Relaxed));
    }
}

fn index(offset: usize) -> &'static AtomicU32 {
    // SAFETY: called only where there is a ring: it is mapped for ever, and has its indices there.
    unsafe { &*RING.load(Ordering::Relaxed).add(offset).cast::<AtomicU32>() }
}
