//! Console and the end: descriptor 1, and `exit_group`.

use super::{number, system_call};

/// Writes `text` to the tender's standard output.
pub fn console(text: &[u8]) {
    // SAFETY: the kernel only reads `text`.
    unsafe { system_call(number::WRITE, [1, text.as_ptr().addr(), text.len(), 0, 0, 0]) };
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the call has no pointer and does not return.
        unsafe { system_call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]) };
    }
}
