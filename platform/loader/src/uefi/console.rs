//! One line on the firmware's console, as long as there is a firmware.

use core::sync::atomic::{AtomicPtr, Ordering};
use r_efi::protocols::simple_text_output::Protocol;

static CONSOLE: AtomicPtr<Protocol> = AtomicPtr::new(core::ptr::null_mut());

/// Letters that are passed on at once, with the terminator.
const PIECE: usize = 32;

/// Names the console that [`say`] writes to; null where there is none (any more).
///
/// # Safety
///
/// It must be the system table's, and stay until it is named another.
pub unsafe fn set(console: *mut Protocol) {
    CONSOLE.store(console, Ordering::Relaxed);
}

/// Prints a line that says whose it is.
pub fn say(text: &str) {
    for part in ["skerry: ", text, "\r\n"] {
        print(part);
    }
}

fn print(text: &str) {
    let console = CONSOLE.load(Ordering::Relaxed);
    if console.is_null() {
        return;
    }
    for piece in text.as_bytes().chunks(PIECE - 1) {
        let mut letters = [0; PIECE];
        for (letter, byte) in letters.iter_mut().zip(piece) {
            *letter = u16::from(*byte);
        }
        // SAFETY: `set` was given a console that is there, and the letters end with a zero.
        unsafe { ((*console).output_string)(console, letters.as_mut_ptr()) };
    }
}
