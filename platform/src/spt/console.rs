//! Console and the end: descriptor 1, and `exit_group`.

use super::{number, ring, system_call};

/// Writes `text` to the tender's standard output.
pub fn console(text: &[u8]) {
    // SAFETY: the kernel only reads `text`.
    unsafe { system_call(number::WRITE, [1, text.as_ptr().addr(), text.len(), 0, 0, 0]) };
}

/// Ends the process, when the frames sent so far are on their way.
pub fn exit(status: i32) -> ! {
    ring::flush();
    end(status)
}

/// Ends the process at once.
pub fn end(status: i32) -> ! {
    loop {
        // SAFETY: the call has no pointer and does not return.
        unsafe { system_call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]) };
    }
}
