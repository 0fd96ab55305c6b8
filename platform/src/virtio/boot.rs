//! The entry in ring 3: what the loader left, then the common start.

use super::{clock, console, interrupt, keyboard, power};
use crate::{
    heap,
    machine::{
        boot::{refuse, take_command_line},
        fault,
        loaded::{self, Loaded},
        map_memory,
        physical::{FIRST_PAGES, Mapped},
        ring0,
    },
    report::Console,
    start,
};
use std::{arch::global_asm, ffi::c_char, fmt::Write};

global_asm!(
    include_str!("boot.s"),
    include_str!("../machine/tables.s"),
    include_str!("../machine/ring3.s"),
    include_str!("../machine/trap.s"),
    include_str!("../machine/entry.s"),
    first_pages = const FIRST_PAGES,
    gates = const interrupt::GATES,
    start = sym virtio_start,
    report = sym fault::report,
    last_words = sym LAST_WORDS,
    last_words_length = const LAST_WORDS.len(),
    report_stack_size = const fault::REPORT_STACK_SIZE,
    request_wait = const ring0::WAIT,
    request_map = const ring0::MAP,
    request_reset = const ring0::RESET,
    kvm_clock = sym clock::KVM_CLOCK,
    kvm_wall_clock = sym clock::KVM_WALL_CLOCK,
);

/// Printed by ring 0 itself, where there is nobody left to make a report.
static LAST_WORDS: [u8; 92] =
    *b"fault: a second one while the first was reported, or one in ring 0\r\nexit status 255: fault\r\n";

extern "C" fn virtio_start(information: u64, is_multiboot: u64) -> ! {
    // SAFETY: this is the first code in ring 3 and runs once, on the image's own stack, with `fs` set by ring 0; the memory
    // that is handed over is, by the loader's map, ours alone, and was mapped before.
    unsafe {
        start::set_up_thread_local_block();
        console::initialize();
        let image = start::image();
        let read = if is_multiboot == 0 { loaded::pvh } else { loaded::multiboot };
        let Loaded { command_line, memory, low_memory, acpi_root } =
            read(&Mapped, information, &image).unwrap_or_else(|error| refuse(error));
        // The heap begins where the loader may have left these.
        let parsed = take_command_line(command_line);
        if parsed.not_understood() > 0 {
            let count = parsed.not_understood();
            let _ = writeln!(
                Console,
                "left out: {count} times virtio_mmio.device= that is not SIZE@ADDRESS:LINE"
            );
        }
        map_memory(memory.start, memory.end - memory.start);
        interrupt::initialize();
        clock::initialize();
        power::initialize(acpi_root);
        keyboard::initialize();
        // Nothing that loader and firmware have left there is needed from here on.
        heap::add(low_memory.start as usize..low_memory.end as usize);
        start::start(start::Boot {
            kernel_end: memory.start,
            mem_size: memory.end,
            command_line: parsed.arguments().as_ptr().cast::<c_char>(),
        })
    }
}
