//! What an image says when it fails: the message, the place, and the return addresses, which `cargo xtask symbolize` names.

use crate::{limits::REPORT_FRAMES_MAX, target};
use std::{arch::asm, fmt::Write};

unsafe extern "C" {
    static __rodata_end: u8;
    static __stack_top: u8;
}

/// Writes to the console without the heap, the formatter's own buffers or std's locks.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        target::console(text.as_bytes());
        Ok(())
    }
}

/// Makes every panic end with a report. std then calls `abort`, which ends the image with status 255.
pub fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let _ = match panic.location() {
            Some(place) => writeln!(Console, "panic: {message}, at {place}"),
            None => writeln!(Console, "panic: {message}"),
        };
        frames(frame_pointer());
    }));
}

/// Prints the return addresses above `frame`, one a line, and how to read them.
///
/// Images are built with frame pointers, std has them too: each frame starts with its caller's frame pointer and the
/// return address. The walk never leaves the stack, whatever it finds.
pub fn frames(mut frame: usize) {
    for _ in 0..REPORT_FRAMES_MAX {
        let (Some(next), Some(address)) = (on_stack(frame), on_stack(frame.wrapping_add(8))) else { break };
        let _ = writeln!(Console, "  frame {address:#x}");
        if next <= frame {
            break;
        }
        frame = next;
    }
    let _ = writeln!(Console, "  names: cargo xtask symbolize IMAGE < this text");
}

/// Ends an image whose network interface the host has taken away: it can serve nobody, and waiting would never sleep, since
/// a descriptor in error is always ready.
#[cfg(any(skerry_target = "spt", skerry_target = "hvt"))]
#[cold]
pub fn interface_gone() -> ! {
    target::console(
        b"the host took a network interface away: nobody can be served; attach one and start again\n",
    );
    target::exit(1)
}

/// Prints the return address at `stack_pointer`.
#[cfg(not(skerry_target = "spt"))]
pub fn caller(stack_pointer: usize) {
    if let Some(address) = on_stack(stack_pointer) {
        let _ = writeln!(Console, "  frame {address:#x}");
    }
}

/// The word at `address`, if that lies on the image's stack.
fn on_stack(address: usize) -> Option<usize> {
    let stack = (&raw const __rodata_end).addr()..(&raw const __stack_top).addr() - 7;
    if !address.is_multiple_of(8) || !stack.contains(&address) {
        return None;
    }
    // SAFETY: the word lies on the image's stack, which is mapped and readable.
    Some(unsafe { (address as *const usize).read() })
}

#[inline(always)]
fn frame_pointer() -> usize {
    let frame;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
}
