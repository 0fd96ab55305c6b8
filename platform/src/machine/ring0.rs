//! What ring 3 may ask of ring 0: a `hlt`, which traps, with one of these numbers in `eax`. trap.s has the other side.
//!
//! None of the requests can make anything executable, or reach the image and the rest of its last 2 MiB: an attacker in ring 3
//! gains nothing by them that the image does not have already.

use std::arch::asm;

/// Sleep until an interrupt has come.
pub const WAIT: u32 = REQUESTS;
/// Map memory or a device behind the image to itself.
pub const MAP: u32 = REQUESTS + 1;
/// Reset the machine.
pub const RESET: u32 = REQUESTS + 2;

/// Not zero or another number that a stray `hlt` would find in `eax`.
const REQUESTS: u32 = 0x534b_5200;

/// Bytes of the pages behind the image.
const LARGE_PAGE: u64 = 2 << 20;

/// First address that can be mapped: what lies below is mapped from the start, in small pages.
fn pages_end() -> u64 {
    unsafe extern "C" {
        static __pages_end: u8;
    }
    (&raw const __pages_end).addr() as u64
}

/// Maps the memory from `address` on to itself, cached, readable and writable, in whole 2 MiB pages. What lies below
/// [`pages_end`] is mapped already. False if there is no room for another page table, or the address is not one.
pub fn map_memory(address: u64, length: u64) -> bool {
    map(address, length, 0)
}

/// The smallest range of large pages that holds all of this one, less what is mapped from the start.
fn pages(address: u64, length: u64) -> Option<(u64, u64)> {
    let end = address.checked_add(length)?.checked_next_multiple_of(LARGE_PAGE)?;
    let start = (address / LARGE_PAGE * LARGE_PAGE).max(pages_end());
    Some((start, end.max(start)))
}

/// Maps the registers of a device at `address` to themselves, not cached, in whole 2 MiB pages, and returns the address as a
/// pointer. `None` if there is no room for another page table, or the address is below [`pages_end`] or no address.
#[cfg(skerry_target = "virtio")]
pub fn map_device(address: u64, length: usize) -> Option<*mut u8> {
    (address >= pages_end() && map(address, length as u64, 1)).then_some(address as *mut u8)
}

/// Sleeps until an interrupt, and returns its vector. One that came before ends it at once.
#[cfg(skerry_target = "virtio")]
pub fn wait() -> u32 {
    let vector: u32;
    // SAFETY: the request touches no memory.
    unsafe { asm!("hlt", inlateout("eax") WAIT => vector, options(nostack)) };
    vector
}

/// Resets the machine.
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub fn reset() -> ! {
    // SAFETY: the request does not return.
    unsafe { asm!("hlt", in("eax") RESET, options(nostack, noreturn)) }
}

fn map(address: u64, length: u64, kind: u32) -> bool {
    let Some((start, end)) = pages(address, length) else { return false };
    let done: u32;
    // SAFETY: the request maps addresses to themselves outside of the image; nothing that is mapped goes away, and nothing
    // becomes executable. What lies there is for the caller to know, who has no pointer from here.
    unsafe {
        asm!("hlt", inlateout("eax") MAP => done, inlateout("rdi") start => _, inlateout("rsi") end => _,
             inlateout("edx") kind => _, lateout("rcx") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
             lateout("r11") _, options(nostack));
    }
    done == 1
}
