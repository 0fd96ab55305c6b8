//! A line of text without a heap, for reports from inside the sandbox.

use std::fmt;

use crate::limits::REPORT_LINE_SIZE;

/// A line; what does not fit is cut off.
pub struct Line {
    bytes: [u8; REPORT_LINE_SIZE],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; REPORT_LINE_SIZE], length: 0 }
    }
}

impl Line {
    /// What was written to it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Its bytes with a line break behind them, for which the last one makes room if it must.
    pub fn finish(&mut self) -> &[u8] {
        self.length = self.length.min(REPORT_LINE_SIZE - 1);
        self.bytes[self.length] = b'\n';
        &self.bytes[..=self.length]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut line = Line::default();
        assert_eq!(line.finish(), b"\n");
        let _ = write!(line, "{}", "x".repeat(REPORT_LINE_SIZE + 1));
        let bytes = line.finish();
        assert_eq!(
            (bytes.len(), bytes[REPORT_LINE_SIZE - 2], bytes[REPORT_LINE_SIZE - 1]),
            (REPORT_LINE_SIZE, b'x', b'\n')
        );
    }
}
