//! One line on standard error from inside the sandbox: no heap, one `write`.

use std::fmt::{self, Write};

/// A line of text; what does not fit is cut off.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length += length;
        Ok(())
    }
}

/// Writes `text` as a line of its own, after the tender's name.
pub fn line(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 256], length: 0 };
    let _ = write!(line, "skerry-tender: {text}");
    line.length = line.length.min(line.bytes.len() - 1);
    line.bytes[line.length] = b'\n';
    // SAFETY: the bytes outlive the call. If standard error is gone there is nobody to tell.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.length + 1) };
}

/// Ends the process at once, with nothing run that the sandbox would forbid.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}
