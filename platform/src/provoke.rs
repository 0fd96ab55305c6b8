//! Faults on purpose, for the boot grid: each breaks one rule that an image must not get away with breaking.
//!
//! They are here because only this crate and the tender may contain unsafe code. An image that does not call them does not
//! contain them.

use std::{arch::asm, hint::black_box};

/// Reads address 8: a null pointer with an offset.
#[inline(never)]
pub fn read_null() {
    // SAFETY: not at all; the page must be unmapped, and the image must end with a report.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) 8_usize => _, options(nostack, readonly)) };
}

/// Calls itself for ever.
#[inline(never)]
pub fn overflow_stack() {
    #[allow(unconditional_recursion, reason = "it is what this is for")]
    fn recurse(depth: usize) -> usize {
        let frame = black_box([depth; 64]);
        black_box(recurse(depth + 1) + frame[depth % 64])
    }
    black_box(recurse(0));
}

/// Writes to this very function.
#[inline(never)]
pub fn write_code() {
    let code = write_code as *const () as *mut u8;
    // SAFETY: not at all; code must be read-only, and the image must end with a report.
    unsafe { code.write_volatile(0xc3) };
}

/// Writes to a constant.
#[inline(never)]
pub fn write_constant() {
    static CONSTANT: [u8; 16] = *b"must not change.";
    let constant = black_box(&CONSTANT).as_ptr().cast_mut();
    // SAFETY: not at all; constants must be read-only, and the image must end with a report.
    unsafe { constant.write_volatile(b'M') };
}

/// Jumps to a `ret` instruction on the heap.
#[inline(never)]
pub fn execute_data() {
    let data = black_box(Box::new([0xc3_u8; 16]));
    // SAFETY: not at all; data must not be executable, and the image must end with a report.
    unsafe { asm!("call {}", in(reg) data.as_ptr(), clobber_abi("C")) };
}

/// Executes an instruction that does not exist.
#[inline(never)]
pub fn invalid_instruction() {
    // SAFETY: not at all; the image must end with a report.
    unsafe { asm!("ud2") };
}

/// Asks the hypervisor for what an image may not ask it for: its answers, which must be refusals. None where there is nothing to
/// ask.
pub fn forbidden_hypercalls() -> Vec<i64> {
    #[cfg(skerry_target = "xen")]
    return crate::target::hypercall::try_forbidden().to_vec();
    #[cfg(not(skerry_target = "xen"))]
    Vec::new()
}

/// The privilege level this runs at, from the code segment's selector: 3 everywhere.
pub fn privilege_level() -> u16 {
    let selector: u16;
    // SAFETY: reads a register.
    unsafe { asm!("mov {:x}, cs", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    selector & 3
}
