//! The power button, and switching the machine off: ACPI's fixed registers.
//!
//! The button raises an interrupt, which ends the sleep like any other; it is looked at then. An image that never sleeps
//! serves on until it does.
//!
//! Source: ACPI Specification 6.5 §4.8.3.

use super::interrupt;
use crate::machine::{
    acpi::{self, Power},
    map_device,
    physical::Mapped,
    port::{read16, write8, write16},
};
use std::sync::OnceLock;

const BUTTON: u16 = 1 << 8;
const CONTROL_IS_OURS: u16 = 1 << 0;
const SLEEP: u16 = 1 << 13;
const REDUCED_SLEEP: u8 = 1 << 5;

/// How often the firmware is asked whether it has handed ACPI over. Each time leaves the virtual machine: some milliseconds.
const ATTEMPTS: usize = 10_000;

static POWER: OnceLock<Option<Power>> = OnceLock::new();

fn power() -> Option<&'static Power> {
    POWER.get()?.as_ref()
}

/// Reads ACPI's tables, whose root is at `root` if the loader says so, and watches the button.
pub fn initialize(root: Option<u64>) {
    let power = POWER.get_or_init(|| acpi::read(&Mapped, root));
    let Some(power) = power.filter(|power| power.control != 0 && power.enable != 0) else { return };
    // SAFETY: the registers that the tables name; no interrupt of theirs does more than end a sleep.
    unsafe {
        if power.hand_over.0 != 0 && read16(power.control) & CONTROL_IS_OURS == 0 {
            write8(power.hand_over.0, power.hand_over.1);
            let _ = (0..ATTEMPTS).any(|_| read16(power.control) & CONTROL_IS_OURS != 0);
        }
        write16(power.status, BUTTON);
        write16(power.enable, BUTTON);
    }
    interrupt::enable_line(power.line);
}

/// Whether the button's interrupt arrives at `vector`.
pub fn is_line_of(vector: u32) -> bool {
    power().is_some_and(|power| power.enable != 0 && interrupt::vector_of(power.line) == vector)
}

/// Whether the button was pressed since it was asked for last.
pub fn is_button_pressed() -> bool {
    let Some(power) = power().filter(|power| power.status != 0) else { return false };
    // SAFETY: the status register that the tables name; writing a bit back clears it.
    unsafe {
        let is_pressed = read16(power.status) & BUTTON != 0;
        write16(power.status, BUTTON);
        is_pressed
    }
}

/// Switches the machine off. Returns where it cannot.
pub fn off() {
    let Some((power, kind)) = power().and_then(|power| Some((power, power.off?))) else { return };
    // SAFETY: the registers that the tables name, which end the machine.
    unsafe {
        if power.control != 0 {
            write16(power.control, u16::from(kind) << 10 | SLEEP);
        } else if let Some(register) = power.sleep_control.and_then(|address| map_device(address, 1)) {
            register.write_volatile(kind << 2 | REDUCED_SLEEP);
        }
    }
}
