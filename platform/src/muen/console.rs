//! The console: messages of 56 bytes with the time, on the channel "debuglog", which Muen's debug server prints.
//!
//! Source: Solo5 `bindings/muen/muen-console.c`.

use super::{limits::MESSAGE_TEXT, subject::Subject, writer::Writer};

/// What the elements of this channel are.
const PROTOCOL: u64 = 0xf007_8909_4b6f_70cf;

/// Bytes of an element: the time as a counter's value, then text, filled up with zeroes.
const ELEMENT: usize = size_of::<u64>() + MESSAGE_TEXT;

/// The console.
#[derive(Debug)]
pub struct Console {
    output: Writer,
    text: [u8; MESSAGE_TEXT],
    length: usize,
}

impl Console {
    /// The subject's console; `None` if the policy gives it none, or none that can be used.
    pub fn open(subject: &Subject, epoch: u64) -> Option<Self> {
        let region = subject.memory("debuglog")?.writable_region()?;
        let output = Writer::new(region, PROTOCOL, ELEMENT, epoch.max(1))?;
        Some(Self { output, text: [0; MESSAGE_TEXT], length: 0 })
    }

    /// Writes `text`, which is sent by lines, long ones in pieces; `now` is the counter's value.
    pub fn write(&mut self, text: &[u8], now: u64) {
        for &byte in text.iter().filter(|byte| ![0, b'\r'].contains(*byte)) {
            self.text[self.length] = byte;
            self.length += 1;
            if byte == b'\n' || self.length == MESSAGE_TEXT {
                self.flush(now);
            }
        }
    }

    /// Sends what is left of a line, as before the end.
    pub fn flush(&mut self, now: u64) {
        self.text[self.length..].fill(0);
        if self.length > 0 {
            self.output.write(&[(0, &now.to_le_bytes()), (size_of::<u64>(), &self.text)]);
        }
        self.length = 0;
    }
}
