//! Ctrl-Alt-Del, which stops the image like the power button: Firecracker has no other way to ask for that.
//!
//! Keys are only read when the keyboard's interrupt has ended a sleep. Both sets of codes are
//! understood: a PC's controller translates set 2 to set 1, and another may not.
//!
//! Codes: IBM PS/2 Hardware Interface Technical Reference. Seen with QEMU's keyboard, set 1; that Firecracker's
//! `SendCtrlAltDel` sends set 2 was not checked against it.

use super::interrupt;
use crate::machine::port::read8;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
/// What a port without a device reads as.
const ABSENT: u8 = 0xff;
const HAS_BYTE: u8 = 1 << 0;
const LINE: u8 = 1;

/// Bytes that are read at once at most: more than a controller holds.
const BYTES_MAX: usize = 64;

/// What has come so far of the three keys, a bit each, and the prefix of the last.
static PRESSED: AtomicU8 = AtomicU8::new(0);
const CONTROL: u8 = 1 << 0;
const ALT: u8 = 1 << 1;
const PREFIX: u8 = 1 << 2;

/// Listens, if there is a keyboard.
pub fn initialize() {
    // SAFETY: the controller's status, which reading does not change.
    if unsafe { read8(STATUS) } == ABSENT {
        return;
    }
    // What somebody typed before is nobody's.
    is_stop_asked_for();
    PRESSED.store(0, Relaxed);
    interrupt::enable_line(LINE);
}

/// Whether the keyboard's interrupt arrives at `vector`.
pub fn is_line_of(vector: u32) -> bool {
    interrupt::vector_of(LINE) == vector
}

/// Reads what was typed. Whether Ctrl-Alt-Del was.
pub fn is_stop_asked_for() -> bool {
    for _ in 0..BYTES_MAX {
        // SAFETY: the controller's registers, which touch no memory.
        let byte = unsafe {
            if read8(STATUS) & HAS_BYTE == 0 {
                return false;
            }
            read8(DATA)
        };
        let pressed = PRESSED.load(Relaxed);
        let keys = pressed & (CONTROL | ALT);
        let now = match byte {
            0x14 | 0x1d => keys | CONTROL,
            0x11 | 0x38 => keys | ALT,
            0xe0 => keys | PREFIX,
            0x71 | 0x53 if pressed == CONTROL | ALT | PREFIX => return true,
            _ => 0,
        };
        PRESSED.store(now, Relaxed);
    }
    false
}
