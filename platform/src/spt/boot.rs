//! The entry: own stack, thread pointer, then the common start.
//!
//! A tender that knows our thread-pointer note has set `fs` already and forbids `arch_prctl`; every other has left its own
//! thread control block there, whose first word is its own address, not ours.

use super::{number, system_call};
use crate::{manifest::OpenError, start};
use solo5_sys::{manifest, spt::BootInfo};
use std::{arch::global_asm, ffi::c_char};

global_asm!(
    ".pushsection .text.boot, \"ax\", @progbits",
    ".globl _start",
    "_start:",
    "lea rsp, [rip + __stack_top]",
    "xor ebp, ebp",
    "call {start}",
    "ud2",
    ".popsection",
    start = sym spt_start,
);

static mut BOOT_INFO: *const BootInfo = std::ptr::null();
static mut TAKEN: u64 = 0;

/// `arch_prctl` code that sets the `fs` base.
const ARCH_SET_FS: usize = 0x1002;

extern "C" fn spt_start(boot_info: *const BootInfo) -> ! {
    // SAFETY: this is the first code that runs, once, on the image's own stack, with the boot information the tender
    // placed for us; memory behind the image belongs to nobody else.
    unsafe {
        BOOT_INFO = boot_info;
        start::set_up_thread_local_block();
        if thread_pointer() != start::thread_pointer() {
            system_call(number::ARCH_PRCTL, [ARCH_SET_FS, start::thread_pointer(), 0, 0, 0, 0]);
        }
        start::start(start::Boot {
            kernel_end: (*boot_info).kernel_end,
            mem_size: (*boot_info).mem_size,
            command_line: (*boot_info).command_line as *const c_char,
        })
    }
}

/// The word at `%fs:0`, by convention of the ABI the address of the thread control block.
fn thread_pointer() -> usize {
    let word;
    // SAFETY: reads the first word of the thread control block, the tender's or ours; both exist.
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) word, options(nostack, readonly, preserves_flags)) };
    word
}

/// What the tender said at boot.
pub fn boot_info() -> &'static BootInfo {
    // SAFETY: set by the first code that ran; the tender keeps it in memory for ever and nothing writes it.
    unsafe { &*BOOT_INFO }
}

/// The device called `name`, which then has its one owner.
pub fn open(name: &str, device_type: u32) -> Result<(usize, manifest::Entry), OpenError> {
    let header = boot_info().manifest as *const manifest::Header;
    // SAFETY: the tender passes a manifest with as many entries as its header says, 8-byte aligned behind it; there is one
    // thread, so TAKEN has no other user.
    unsafe {
        let entries = std::slice::from_raw_parts(header.add(1).cast(), (*header).entries as usize);
        crate::manifest::open(entries, name, device_type, &mut *(&raw mut TAKEN))
    }
}
