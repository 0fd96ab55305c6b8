//! The entry in ring 3, and what the tender said at boot.

use super::{clock, console, exit, net};
use crate::{
    machine::{fault, map_memory, ring0},
    manifest::OpenError,
    start,
};
use solo5_sys::{
    hvt::{BootInfo, HYPERCALL_PORT_BASE, Hypercall, Ring},
    manifest,
};
use std::{arch::global_asm, ffi::c_char};

global_asm!(
    include_str!("boot.s"),
    include_str!("../machine/tables.s"),
    include_str!("../machine/ring3.s"),
    include_str!("../machine/trap.s"),
    start = sym hvt_start,
    report = sym fault::report,
    last_words = sym LAST_WORDS,
    last_words_length = const LAST_WORDS.len(),
    report_stack_size = const fault::REPORT_STACK_SIZE,
    request_wait = const ring0::WAIT,
    request_map = const ring0::MAP,
    request_reset = const ring0::RESET,
    port_puts = const HYPERCALL_PORT_BASE + Hypercall::Puts as u16,
    port_halt = const HYPERCALL_PORT_BASE + Hypercall::Halt as u16,
);

/// Printed by ring 0 itself, where there is nobody left to make a report.
static LAST_WORDS: [u8; 67] = *b"fault: a second one while the first was reported, or one in ring 0\n";

static mut BOOT_INFO: *mut BootInfo = std::ptr::null_mut();
static mut TAKEN: u64 = 0;

extern "C" fn hvt_start(boot_info: *mut BootInfo) -> ! {
    // SAFETY: this is the first code in ring 3 and runs once, on the image's own stack, with the boot information the
    // tender placed for us, and `fs` set by ring 0; memory behind the image belongs to nobody else.
    unsafe {
        BOOT_INFO = boot_info;
        start::set_up_thread_local_block();
        clock::initialize((*boot_info).cpu_cycle_freq);
        map_all(&*boot_info);
        net::accept_ring(&mut *boot_info);
        start::start(start::Boot {
            kernel_end: (*boot_info).kernel_end,
            mem_size: (*boot_info).mem_size,
            command_line: (*boot_info).command_line as *const c_char,
        })
    }
}

/// Maps what is not mapped yet: memory up to its end, and the network ring, which lies behind the memory that is ours.
fn map_all(boot_info: &BootInfo) {
    let end = boot_info.mem_size.max(boot_info.net_ring + size_of::<Ring>() as u64);
    if !map_memory(0, end) {
        console(b"boot refused: the tender gives more memory than an image can use; give it less\n");
        exit(1)
    }
}

/// The device called `name`, which then has its one owner.
pub fn open(name: &str, device_type: u32) -> Result<(usize, manifest::Entry), OpenError> {
    // SAFETY: the tender passes a manifest with as many entries as its header says, 8-byte aligned behind it; there is one
    // thread, so TAKEN has no other user.
    unsafe {
        let header = (*BOOT_INFO).manifest as *const manifest::Header;
        let entries = std::slice::from_raw_parts(header.add(1).cast(), (*header).entries as usize);
        crate::manifest::open(entries, name, device_type, &mut *(&raw mut TAKEN))
    }
}
