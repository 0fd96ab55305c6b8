//! The console: the first serial port, as every PC has had it; a virtio console where there is none.
//!
//! Output alone, without interrupts. A transmitter that does not get ready within some milliseconds counts as broken: an
//! image serves without its console rather than not at all.
//!
//! Source: National Semiconductor PC16550D data sheet.

use super::device;
use crate::machine::port::{read8, write8};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PORT: u16 = 0x3f8;
const DIVISOR_LOW: u16 = PORT;
const DIVISOR_HIGH: u16 = PORT + 1;
const INTERRUPTS: u16 = PORT + 1;
const FIFO: u16 = PORT + 2;
const IDENTIFICATION: u16 = PORT + 2;
const LINE_CONTROL: u16 = PORT + 3;
const MODEM_CONTROL: u16 = PORT + 4;
const LINE_STATUS: u16 = PORT + 5;

const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// What a port without a device reads as.
const ABSENT: u8 = 0xff;

/// Bytes that a transmitter with a FIFO takes at once.
const FIFO_BYTES: usize = 16;

/// How often the transmitter is looked at before it counts as broken. At 115200 baud the FIFO empties in 1.4 ms, and a
/// reading of the port takes about a microsecond.
const ATTEMPTS: usize = 100_000;

/// Bytes to send for each time that the transmitter is empty; none if there is no port.
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// 115200 baud, 8 bits, no parity, FIFO where there is one.
pub fn initialize() {
    // SAFETY: the serial port's registers, which touch no memory.
    unsafe {
        if read8(LINE_STATUS) == ABSENT {
            return;
        }
        write8(INTERRUPTS, 0);
        write8(LINE_CONTROL, 0x80);
        write8(DIVISOR_LOW, 1);
        write8(DIVISOR_HIGH, 0);
        write8(LINE_CONTROL, 0x03);
        write8(FIFO, 0x07);
        write8(MODEM_CONTROL, 0x03);
        let has_fifo = read8(IDENTIFICATION) & 0xc0 == 0xc0;
        AT_ONCE.store(if has_fifo { FIFO_BYTES } else { 1 }, Relaxed);
    }
}

/// Whether there is a serial port that works.
pub fn has_serial_port() -> bool {
    AT_ONCE.load(Relaxed) != 0
}

/// Writes `text`, with the carriage returns that terminals want.
pub fn console(text: &[u8]) {
    let mut room = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let (line, end): (_, &[u8]) = match line {
            [line @ .., b'\n'] => (line, b"\r\n"),
            _ => (line, b""),
        };
        for part in [line, end] {
            if has_serial_port() {
                send(part, &mut room);
            } else {
                device::print(part);
            }
        }
    }
}

/// Sends `text` by the serial port, which has `room` for some bytes without being looked at.
fn send(text: &[u8], room: &mut usize) {
    for &byte in text {
        if *room == 0 {
            *room = wait_until_empty();
        }
        if *room == 0 {
            return;
        }
        *room -= 1;
        // SAFETY: the transmitter's register, which touches no memory.
        unsafe { write8(PORT, byte) };
    }
}

/// How many bytes may be sent now.
fn wait_until_empty() -> usize {
    for _ in 0..ATTEMPTS {
        // SAFETY: a register of the serial port; reading it clears error flags that nobody looks at.
        if unsafe { read8(LINE_STATUS) } & TRANSMITTER_EMPTY != 0 {
            return AT_ONCE.load(Relaxed);
        }
    }
    AT_ONCE.store(0, Relaxed);
    0
}
