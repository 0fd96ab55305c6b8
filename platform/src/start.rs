//! From the back end's entry to the program's `main`: thread-local block, heap, arguments, constructors.
//!
//! Runs in ring 3 on the image's own stack. Nothing before [`start`] may use thread-local data or the heap.

use crate::{clock, entropy, heap, limits::ARGUMENTS_MAX, report, target};
use std::ffi::{c_char, c_int};

/// What every back end knows when its entry is done.
pub struct Boot {
    /// First address behind everything that was loaded. Some tenders do not count segments that are empty in the file.
    pub kernel_end: u64,
    /// First address behind the image's memory.
    pub mem_size: u64,
    /// The tender's command line: arguments separated by spaces, a C string.
    pub command_line: *const c_char,
}

unsafe extern "C" {
    static __tls_template_start: u8;
    static __tls_template_end: u8;
    static mut __tls_block: u8;
    static mut __thread_pointer: usize;
    static __init_array_start: Constructor;
    static __init_array_end: Constructor;
    static __image_end: u8;

    /// The C entry that rustc generates for the program; it runs std's start-up and then `fn main()`.
    fn main(argc: c_int, argv: *const *const c_char) -> c_int;
}

type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// Names the thread control block to the tender, see [`ThreadPointerNote`](solo5_sys::skerry::ThreadPointerNote), whose
/// layout this is; only the linker knows the address.
#[repr(C)]
struct ThreadPointerNote {
    header: solo5_sys::elf::NoteHeader,
    padding: u32,
    address: *const usize,
}

// SAFETY: the pointer is an address for the tender to read from the file; nothing dereferences it.
unsafe impl Sync for ThreadPointerNote {}

const _: () = assert!(size_of::<ThreadPointerNote>() == size_of::<solo5_sys::skerry::ThreadPointerNote>());

#[used]
#[unsafe(link_section = ".note.skerry.thread_pointer")]
static THREAD_POINTER_NOTE: ThreadPointerNote = ThreadPointerNote {
    header: solo5_sys::elf::NoteHeader {
        name_size: solo5_sys::skerry::NOTE_NAME_SIZE,
        description_size: 12,
        note_type: solo5_sys::skerry::THREAD_POINTER_NOTE_TYPE,
        name: solo5_sys::skerry::NOTE_NAME,
    },
    padding: 0,
    address: &raw const __thread_pointer,
};

#[used]
#[unsafe(link_section = ".note.solo5.abi")]
static ABI_NOTE: solo5_sys::elf::Abi1Note = solo5_sys::elf::Abi1Note::new(target::TARGET);

#[used]
#[unsafe(link_section = ".note.solo5.not_openbsd")]
static OPENBSD_NOTE: solo5_sys::elf::OpenBsdNote = solo5_sys::elf::OPENBSD_NOTE;

#[used]
#[unsafe(link_section = ".interp")]
static INTERPRETER: [u8; 24] = solo5_sys::elf::INTERPRETER;

/// Address of the thread control block, which `fs` must hold.
pub fn thread_pointer() -> usize {
    (&raw const __thread_pointer).addr()
}

/// Addresses that the image occupies, with what is baked in.
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub fn image() -> std::ops::Range<u64> {
    unsafe extern "C" {
        static __text_start: u8;
    }
    let end = ((&raw const __image_end).addr() as u64).max(crate::baked::end());
    (&raw const __text_start).addr() as u64..end.next_multiple_of(4096)
}

/// Fills the thread-local block. Everything that std does afterwards may use it, once `fs` points to its end.
///
/// # Safety
/// To be called once, before anything uses thread-local data.
pub unsafe fn set_up_thread_local_block() {
    let template = &raw const __tls_template_start;
    let length = (&raw const __tls_template_end).addr() - template.addr();
    // SAFETY: link.ld makes the block at least as large as the template, which ends with the initialised part; the rest of
    // the block is zero. The word at the thread pointer is the block's own, and must hold its address (variant II).
    unsafe {
        (&raw mut __tls_block).copy_from_nonoverlapping(template, length);
        (&raw mut __thread_pointer).write(thread_pointer());
    }
}

/// Runs the program and ends the image with its exit status.
///
/// # Safety
/// To be called once, on the image's own stack, with the thread-local block set up, memory behind the image that nothing else
/// uses, and a valid C string as command line, both valid for ever.
pub unsafe fn start(boot: Boot) -> ! {
    clock::mark_entry();
    let heap_start = (boot.kernel_end as usize).max((&raw const __image_end).addr());
    // SAFETY: the caller hands the memory behind the image over.
    unsafe { heap::add(heap_start..boot.mem_size as usize) };
    report::install();
    if let Err(error) = entropy::check() {
        eprintln!("boot refused: {error}");
        target::exit(1);
    }
    // SAFETY: the caller says that it is a valid C string.
    let (argc, argv) = arguments(unsafe { std::ffi::CStr::from_ptr(boot.command_line) }.to_bytes());
    let constructors = &raw const __init_array_start;
    let count =
        (&raw const __init_array_end).addr().wrapping_sub(constructors.addr()) / size_of::<Constructor>();
    for index in 0..count {
        // SAFETY: the linker put that many function pointers between the two symbols. glibc's convention, which std relies
        // on for its arguments, is to call them with the arguments of main.
        unsafe { (*constructors.add(index))(argc, argv, (&raw const crate::libc::environ).cast()) };
    }
    // SAFETY: argv is a valid, null-terminated array of C strings that is never freed.
    target::exit(unsafe { main(argc, argv) })
}

/// Splits the command line at spaces into what a C program gets: a count and a null-terminated array of C strings.
fn arguments(command_line: &[u8]) -> (c_int, *const *const c_char) {
    let mut argv: Vec<*const c_char> = vec![c"image".as_ptr()];
    for argument in command_line.split(u8::is_ascii_whitespace).filter(|argument| !argument.is_empty()) {
        if argv.len() == ARGUMENTS_MAX {
            eprintln!(
                "boot refused: more than {ARGUMENTS_MAX} arguments; put them into a configuration document"
            );
            target::exit(64);
        }
        argv.push([argument, b"\0"].concat().leak().as_ptr().cast());
    }
    let count = argv.len();
    argv.push(std::ptr::null());
    (count as c_int, argv.leak().as_ptr())
}
