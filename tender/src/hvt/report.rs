//! One line on standard error from inside the sandbox: no heap, one `write`.

use std::fmt::{self, Write};

use crate::line::Line;

/// Writes `text` as a line of its own, after the tender's name.
pub fn line(text: fmt::Arguments<'_>) {
    let mut line = Line::default();
    let _ = write!(line, "skerry-tender: {text}");
    let bytes = line.finish();
    // SAFETY: the bytes outlive the call. If standard error is gone there is nobody to tell.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// Ends the process at once, with nothing run that the sandbox would forbid.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}
