//! The power button, and switching the machine off: ACPI's fixed registers, or what a reduced machine has instead.
//!
//! The button raises an interrupt, which ends the sleep like any other; it is looked at then. An image that never sleeps
//! serves on until it does.
//!
//! Source: ACPI Specification 6.5 §4.8.3; QEMU docs/specs/acpi_hw_reduced_hotplug.rst.

use super::interrupt;
use crate::machine::{
    acpi::{self, Power, Register},
    map_device,
    physical::Mapped,
    port::{read16, write8, write16},
};
use std::sync::OnceLock;

const BUTTON: u16 = 1 << 8;
const EVENT_POWER_DOWN: u32 = 1 << 1;
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
    let Some(power) = POWER.get_or_init(|| acpi::read(&Mapped, root)) else { return };
    if power.control != 0 && power.enable != 0 {
        enable_button(power);
        interrupt::enable_line(power.line);
    } else if let Some(device) = power.event_device {
        interrupt::enable_line(device.line);
    }
}

/// Takes the fixed registers over from the firmware, and enables the button's event.
fn enable_button(power: &Power) {
    // SAFETY: the registers that the tables name; no interrupt of theirs does more than end a sleep.
    unsafe {
        if power.hand_over.0 != 0 && read16(power.control) & CONTROL_IS_OURS == 0 {
            write8(power.hand_over.0, power.hand_over.1);
            let _ = (0..ATTEMPTS).any(|_| read16(power.control) & CONTROL_IS_OURS != 0);
        }
        write16(power.status, BUTTON);
        write16(power.enable, BUTTON);
    }
}

/// Whether the button's interrupt arrives at `vector`.
pub fn is_line_of(vector: u32) -> bool {
    let line = |power: &Power| match power.event_device {
        Some(device) => Some(device.line),
        None => (power.enable != 0).then_some(power.line),
    };
    power().and_then(line).is_some_and(|line| interrupt::vector_of(line) == vector)
}

/// Whether the button was pressed since it was asked for last.
pub fn is_button_pressed() -> bool {
    let Some(power) = power() else { return false };
    if let Some(register) = power.event_device.and_then(|device| map_device(device.select, 4)) {
        // SAFETY: the register that the byte code names, mapped; reading it only makes it forget.
        return unsafe { register.cast::<u32>().read_volatile() } & EVENT_POWER_DOWN != 0;
    }
    if power.status == 0 {
        return false;
    }
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
            return;
        }
        let value = kind << 2 | REDUCED_SLEEP;
        match power.sleep_control {
            Some(Register::Port(port)) => write8(port, value),
            Some(Register::Memory(address)) => {
                let _ = map_device(address, 1).map(|register| register.write_volatile(value));
            }
            None => {}
        }
    }
}
