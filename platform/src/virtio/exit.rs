//! The end of the image: a last line on the console with its status, then the machine is switched off.
//!
//! A virtual machine has no exit status of its own, so the line says it: `exit status 0`. It is the last thing an image
//! prints, on every hypervisor, and what the boot grid goes by. Off is what ACPI calls S5; without ACPI the processor is reset,
//! which Firecracker takes for the end and QEMU with `-no-reboot`.

use super::{device, power};
use crate::{
    machine::{port::write8, ring0},
    report::Console,
};
use std::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

const KEYBOARD_COMMAND: u16 = 0x64;
/// Pulses the processor's reset line; how Firecracker's guests end.
const KEYBOARD_RESET: u8 = 0xfe;

static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the virtual machine.
pub fn exit(status: i32) -> ! {
    // What was sent last goes out; once, for what is used here may end the image again.
    if !ENDING.swap(true, Relaxed) {
        device::finish();
    }
    let _ = writeln!(Console, "exit status {status}");
    power::off();
    // SAFETY: resets the machine, which is what the caller wants.
    unsafe { write8(KEYBOARD_COMMAND, KEYBOARD_RESET) };
    ring0::reset()
}
