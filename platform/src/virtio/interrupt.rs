//! Interrupts, whose one purpose is to end a `hlt`: the processor's own controller with its timer, the lines of devices, and
//! their messages, which need neither of the two controllers for lines.
//!
//! Lines below 16 go through the old PC's controller where there is one: the firmware has routed PCI's interrupts to it, and
//! says where in each device's configuration, while the way to the I/O APIC is only told in ACPI's byte code. All others go
//! through the I/O APIC, the line being its pin, counted over both where there are two. Both are programmed from ring 3; what they do on the processor is ring 0's.
//!
//! Source: Intel SDM volume 3, chapter 11; 82093AA and 8259A data sheets.

use super::{clock, driver::messages::Messages};
use crate::machine::{
    map_device,
    port::{read8, write8},
    ring0,
};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Vectors: the processor's exceptions, then those below.
pub const GATES: u32 = STATE_VECTOR + 1;
const PIC_VECTOR: u8 = 0x20;
const IO_APIC_VECTOR: u32 = 0x30;
const TIMER_VECTOR: u32 = 0x60;
/// Its low bits are ones, as old processors want it.
const SPURIOUS_VECTOR: u32 = 0x6f;
/// For devices that send messages. One for all: whatever ended a sleep, every card is looked at, and a message that comes while
/// another is being served stays pending at the processor, so none is lost by sharing.
const MESSAGE_VECTOR: u32 = 0x70;
/// For messages which may say that a device's state has changed.
pub const STATE_VECTOR: u32 = 0x71;

const _: () = assert!(IO_APIC_VECTOR + IO_APICS.len() as u32 * IO_APIC_PINS <= TIMER_VECTOR);

const PIC_COMMAND: [u16; 2] = [0x20, 0xa0];
const PIC_END_OF_INTERRUPT: u8 = 0x20;
const PIC_DATA: [u16; 2] = [0x21, 0xa1];
/// The line of the first controller that the second hangs on.
const PIC_CASCADE: u8 = 2;

/// The processor's controller and its registers.
const LOCAL_APIC: u64 = 0xfee0_0000;
const IDENTIFIER: u64 = 0x20;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const TIMER: u64 = 0x320;
const LINT0: u64 = 0x350;
const LINT1: u64 = 0x360;
const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;
const TIMER_DIVIDE: u64 = 0x3e0;
const ENABLED: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const EXTERNAL: u32 = 7 << 8;
const DIVIDE_BY_16: u32 = 3;

/// The I/O APIC where a PC has it, and the second one of QEMU's microvm.
const IO_APICS: [u64; 2] = [0xfec0_0000, 0xfec1_0000];
/// Pins of each.
const IO_APIC_PINS: u32 = 24;
const IO_APIC_SELECT: u64 = 0;
const IO_APIC_WINDOW: u64 = 0x10;
const IO_APIC_VERSION: u32 = 1;
const REDIRECTIONS: u32 = 0x10;
const LEVEL: u32 = 1 << 15;

/// How long the timer is measured, in nanoseconds.
const MEASURE_NS: u64 = 200_000;

static HAS_PIC: AtomicBool = AtomicBool::new(false);
/// The vector of the interrupt that is still to be acknowledged; 0 if there is none.
static IN_SERVICE: AtomicU32 = AtomicU32::new(0);
/// Ticks of the timer in 2^32 nanoseconds.
static TIMER_RATE: AtomicU64 = AtomicU64::new(0);

/// Masks every line and enables the processor's controller.
pub fn initialize() {
    map_device(LOCAL_APIC, 0x1000);
    let has_pic = initialize_pic();
    HAS_PIC.store(has_pic, Relaxed);
    write(LOCAL_APIC + SPURIOUS, ENABLED | SPURIOUS_VECTOR);
    write(LOCAL_APIC + LINT0, if has_pic { EXTERNAL } else { MASKED });
    write(LOCAL_APIC + LINT1, MASKED);
    write(LOCAL_APIC + TIMER_DIVIDE, DIVIDE_BY_16);
    stop_timer();
}

/// Measures the timer; the clock must go.
pub fn measure_timer() {
    let sample = || clock::quickest(clock::monotonic, || read(LOCAL_APIC + TIMER_CURRENT));
    write(LOCAL_APIC + TIMER_INITIAL, u32::MAX);
    let (first, start) = sample();
    while clock::monotonic().wrapping_sub(start) < MEASURE_NS {}
    let (last, end) = sample();
    write(LOCAL_APIC + TIMER_INITIAL, 0);
    let ticks = u64::from(first.wrapping_sub(last));
    TIMER_RATE.store((ticks << 32) / end.wrapping_sub(start).max(1), Relaxed);
}

/// Lets line `line` end a sleep: the number in a PCI device's configuration, or behind `virtio_mmio.device=`. 0 and 255 are
/// no line.
pub fn enable_line(line: u8) {
    match line {
        0 | 255 => {}
        line if line < 16 && HAS_PIC.load(Relaxed) => {
            let (data, bit) = (PIC_DATA[usize::from(line / 8)], 1 << (line % 8));
            // SAFETY: the controller's mask; an unmasked line does nothing but end a sleep.
            unsafe { write8(data, read8(data) & !bit) };
        }
        line => enable_io_apic_pin(u32::from(line)),
    }
}

/// The vector that line `line` arrives at.
pub fn vector_of(line: u8) -> u32 {
    let is_old = line < 16 && HAS_PIC.load(Relaxed);
    u32::from(line) + if is_old { u32::from(PIC_VECTOR) } else { IO_APIC_VECTOR }
}

/// What a device writes, and where, to interrupt this processor: fixed, edge-triggered (Intel SDM volume 3 §11.11).
pub fn messages() -> Messages {
    let address = LOCAL_APIC | u64::from(read(LOCAL_APIC + IDENTIFIER) >> 24) << 12;
    Messages { address, state: STATE_VECTOR, queue: MESSAGE_VECTOR }
}

/// Rings once after `nanoseconds`, or earlier where that is more than the timer can count.
pub fn set_timer(nanoseconds: u64) {
    let ticks = (u128::from(nanoseconds) * u128::from(TIMER_RATE.load(Relaxed))) >> 32;
    write(LOCAL_APIC + TIMER, TIMER_VECTOR);
    write(LOCAL_APIC + TIMER_INITIAL, ticks.clamp(1, u128::from(u32::MAX)) as u32);
}

/// Stops the timer.
pub fn stop_timer() {
    write(LOCAL_APIC + TIMER, MASKED | TIMER_VECTOR);
    write(LOCAL_APIC + TIMER_INITIAL, 0);
}

/// Sleeps until an interrupt, and returns its vector.
pub fn sleep() -> u32 {
    // Only now: a line that was still raised when the interrupt came would have rung again.
    acknowledge(IN_SERVICE.swap(0, Relaxed));
    let vector = ring0::wait();
    IN_SERVICE.store(vector, Relaxed);
    vector
}

/// Tells whoever sent the interrupt that it has been served.
fn acknowledge(vector: u32) {
    match vector {
        0 | SPURIOUS_VECTOR => {}
        IO_APIC_VECTOR.. => write(LOCAL_APIC + END_OF_INTERRUPT, 0),
        _ => {
            let is_of_second = vector >= u32::from(PIC_VECTOR) + 8;
            for command in PIC_COMMAND.into_iter().take(1 + usize::from(is_of_second)).rev() {
                // SAFETY: the controller's command register, which touches no memory.
                unsafe { write8(command, PIC_END_OF_INTERRUPT) };
            }
        }
    }
}

/// Masks all lines of the old controller and moves it away from the processor's exceptions. False if there is none.
fn initialize_pic() -> bool {
    // SAFETY: the controller's registers, which touch no memory; no line is unmasked but the cascade.
    unsafe {
        write8(PIC_DATA[0], 0xa5);
        if read8(PIC_DATA[0]) != 0xa5 {
            return false;
        }
        for (chip, cascade) in [1 << PIC_CASCADE, PIC_CASCADE].into_iter().enumerate() {
            write8(PIC_COMMAND[chip], 0x11);
            write8(PIC_DATA[chip], PIC_VECTOR + 8 * chip as u8);
            write8(PIC_DATA[chip], cascade);
            // Not with automatic end of interrupt: of two lines of the second controller raised at once, the first controller
            // would never be told of the other.
            write8(PIC_DATA[chip], 0x01);
            write8(PIC_DATA[chip], 0xff);
        }
        write8(PIC_DATA[0], !(1 << PIC_CASCADE));
    }
    true
}

fn enable_io_apic_pin(line: u32) {
    let Some(&address) = IO_APICS.get((line / IO_APIC_PINS) as usize) else { return };
    let pin = line % IO_APIC_PINS;
    map_device(address, 0x1000);
    if pin > (read_io_apic(address, IO_APIC_VERSION) >> 16) & 0xff {
        return;
    }
    write_io_apic(address, REDIRECTIONS + 2 * pin + 1, read(LOCAL_APIC + IDENTIFIER));
    write_io_apic(address, REDIRECTIONS + 2 * pin, LEVEL | (IO_APIC_VECTOR + line));
}

fn read_io_apic(address: u64, register: u32) -> u32 {
    write(address + IO_APIC_SELECT, register);
    read(address + IO_APIC_WINDOW)
}

fn write_io_apic(address: u64, register: u32, value: u32) {
    write(address + IO_APIC_SELECT, register);
    write(address + IO_APIC_WINDOW, value);
}

fn read(register: u64) -> u32 {
    // SAFETY: a register of one of the two controllers, mapped before; reading changes nothing.
    unsafe { (register as *const u32).read_volatile() }
}

fn write(register: u64, value: u32) {
    // SAFETY: a register of one of the two controllers, mapped before. Whatever is enabled can only end a sleep: ring 0 has
    // gates for these vectors alone, and ring 3 masks them all.
    unsafe { (register as *mut u32).write_volatile(value) };
}
