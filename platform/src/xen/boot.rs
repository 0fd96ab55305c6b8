//! The entry in ring 3: what Xen's tool stack left, then the common start.

use super::{
    console, event, grant,
    hypercall::{self, Reason},
    shared, store,
};
use crate::{
    limits::MEMORY_MAP_ENTRIES_MAX,
    machine::{
        boot::{refuse, take_command_line},
        fault,
        loaded::{self, LoadError},
        map_memory,
        memory_map::{self, Entry},
        physical::{FIRST_PAGES, Mapped},
        ring0,
    },
    start,
};
use std::{arch::global_asm, ffi::c_char, ops::Range};

global_asm!(
    include_str!("boot.s"),
    include_str!("../machine/tables.s"),
    include_str!("../machine/ring3.s"),
    include_str!("../machine/trap.s"),
    include_str!("../machine/entry.s"),
    first_pages = const FIRST_PAGES,
    start = sym xen_start,
    report = sym fault::report,
    last_words = sym LAST_WORDS,
    last_words_length = const LAST_WORDS.len(),
    report_stack_size = const fault::REPORT_STACK_SIZE,
    request_wait = const ring0::WAIT,
    request_map = const ring0::MAP,
    request_reset = const ring0::RESET,
    request_hypercall = const hypercall::REQUEST_HYPERCALL,
    request_seal = const hypercall::REQUEST_SEAL,
    sched_op = const hypercall::SCHED_OP,
    event_channel_op = const hypercall::EVENT_CHANNEL_OP,
    shutdown = const hypercall::SHUTDOWN,
    send = const hypercall::SEND,
    allocate_unbound = const hypercall::ALLOCATE_UNBOUND,
    crash = const Reason::Crash as u32,
);

/// Written to Xen's log by ring 0 itself, where there is nobody left to make a report.
static LAST_WORDS: [u8; 67] = *b"fault: a second one while the first was reported, or one in ring 0\n";

extern "C" fn xen_start(information: u64, _is_multiboot: u64) -> ! {
    // SAFETY: this is the first code in ring 3 and runs once, on the image's own stack, with `fs` set by ring 0; the memory
    // that is handed over is, by Xen's map, ours alone, and is mapped before.
    unsafe {
        start::set_up_thread_local_block();
        console::initialize();
        if !shared::initialize() || !grant::initialize() {
            refuse("Xen does not let the image have its shared pages: it needs Xen 4.10 or later")
        }
        event::initialize();
        let memory = memory().unwrap_or_else(|error| refuse(error));
        // The heap begins where the loader has left it.
        let line = loaded::pvh_command_line(&Mapped, information).unwrap_or_else(|error| refuse(error));
        let parsed = take_command_line(line);
        if !map_memory(memory.start, memory.end - memory.start) {
            refuse("Xen gives more memory than an image can use; give it less")
        }
        store::initialize();
        hypercall::seal();
        start::start(start::Boot {
            kernel_end: memory.start,
            mem_size: memory.end,
            command_line: parsed.arguments().as_ptr().cast::<c_char>(),
        })
    }
}

/// The memory behind the image. Asked for by hypercall, since Xen before 4.12 says nothing of it in the start info.
fn memory() -> Result<Range<u64>, LoadError> {
    let mut map = [[0; 20]; MEMORY_MAP_ENTRIES_MAX];
    let count = hypercall::memory_map(&mut map).ok_or(LoadError::NoMemoryMap)?;
    let entries = map[..count].iter().map(|entry| {
        let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, l4, l5, l6, l7, kind @ ..] = *entry;
        Entry {
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            length: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
            kind: u32::from_le_bytes(kind),
        }
    });
    memory_map::around(&start::image(), entries).ok_or(LoadError::NoMemory)
}
