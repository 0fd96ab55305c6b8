//! What an image says when the CPU refused something: what, where, and all registers.
//!
//! Ring 0 fills [`FAULT`] and starts [`report`] in ring 3 on a stack of its own, since the fault may have been the stack's.

use crate::report::{Console, caller, frames};
use crate::target::exit;
use std::fmt::Write;

/// Bytes of the stack that a report is made on.
pub const REPORT_STACK_SIZE: usize = 16 * 1024;

/// Exit status after a fault, as after a panic.
const EXIT_ABORT: i32 = 255;

/// The registers at a fault, as trap.s writes them.
#[repr(C)]
pub struct Fault {
    taken: u64,
    general: [u64; 15],
    cr2: u64,
    vector: u64,
    error: u64,
    rip: u64,
    rflags: u64,
    rsp: u64,
}

const _: () = assert!(std::mem::offset_of!(Fault, cr2) == 128);
const _: () = assert!(std::mem::offset_of!(Fault, rsp) == 168);

/// Names of [`Fault::general`], in order.
const GENERAL: [&str; 15] =
    ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const RBP: usize = 6;

const PAGE_FAULT: u64 = 14;
const PAGE_FAULT_WRITE: u64 = 1 << 1;
const PAGE_FAULT_FETCH: u64 = 1 << 4;

#[unsafe(no_mangle)]
static mut FAULT: Fault =
    Fault { taken: 0, general: [0; 15], cr2: 0, vector: 0, error: 0, rip: 0, rflags: 0, rsp: 0 };

/// Aligned as the ABI wants a stack.
#[repr(C, align(16))]
struct ReportStack([u8; REPORT_STACK_SIZE]);

#[used]
#[unsafe(no_mangle)]
static mut REPORT_STACK: ReportStack = ReportStack([0; REPORT_STACK_SIZE]);

/// Prints the fault and ends the image. Started by ring 0, never called.
pub extern "C" fn report(fault: &Fault) -> ! {
    let rip = fault.rip;
    let _ = match fault.vector {
        PAGE_FAULT => {
            writeln!(
                Console,
                "fault: page fault {} address {:#x} at {rip:#x}",
                access(fault.error),
                fault.cr2
            )
        }
        vector => writeln!(Console, "fault: {} (error code {:#x}) at {rip:#x}", name(vector), fault.error),
    };
    let _ = writeln!(Console, "  rip={rip:#018x} rsp={:#018x} rflags={:#x}", fault.rsp, fault.rflags);
    for (names, values) in GENERAL.chunks(4).zip(fault.general.chunks(4)) {
        for (name, value) in names.iter().zip(values) {
            let _ = write!(Console, "  {name}={value:#018x}");
        }
        let _ = writeln!(Console);
    }
    if fault.vector == PAGE_FAULT && fault.error & PAGE_FAULT_FETCH != 0 {
        // A jump into nothing: who called is on top of the stack.
        caller(fault.rsp as usize);
    }
    frames(fault.general[RBP] as usize);
    exit(EXIT_ABORT)
}

fn access(error: u64) -> &'static str {
    if error & PAGE_FAULT_FETCH != 0 {
        "executing"
    } else if error & PAGE_FAULT_WRITE != 0 {
        "writing"
    } else {
        "reading"
    }
}

fn name(vector: u64) -> &'static str {
    match vector {
        0 => "division error",
        1 | 3 => "breakpoint",
        4 => "overflow",
        6 => "invalid instruction",
        7 => "no coprocessor",
        8 => "double fault",
        12 => "stack fault",
        13 => "general protection fault",
        16 | 19 => "floating-point error",
        17 => "misaligned access",
        18 => "machine check",
        _ => "trap",
    }
}
