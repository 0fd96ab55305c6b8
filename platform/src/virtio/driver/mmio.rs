//! A device whose registers lie at an address that the hypervisor has named, as on Firecracker and QEMU's microvm.
//!
//! Version 2 and, since QEMU's microvm has it by default, the legacy version 1. Source: VIRTIO 1.2 §4.2.

use super::{
    limits::REGISTERS_MAX,
    registers::{Bus, Registers},
    transport::{Kind, Refusal, RingAddresses, Transport},
};
use crate::net::Interrupt;

/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;

/// Offsets of the registers (§4.2.2, §4.2.4).
mod register {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 4;
    pub const DEVICE: usize = 8;
    pub const DEVICE_FEATURES: usize = 0x10;
    pub const DEVICE_FEATURES_SELECT: usize = 0x14;
    pub const DRIVER_FEATURES: usize = 0x20;
    pub const DRIVER_FEATURES_SELECT: usize = 0x24;
    pub const LEGACY_PAGE_SIZE: usize = 0x28;
    pub const QUEUE_SELECT: usize = 0x30;
    pub const QUEUE_SIZE_MAX: usize = 0x34;
    pub const QUEUE_SIZE: usize = 0x38;
    pub const LEGACY_QUEUE_ALIGN: usize = 0x3c;
    pub const LEGACY_QUEUE_PAGE: usize = 0x40;
    pub const QUEUE_READY: usize = 0x44;
    pub const QUEUE_NOTIFY: usize = 0x50;
    pub const INTERRUPT_STATUS: usize = 0x60;
    pub const INTERRUPT_ACKNOWLEDGE: usize = 0x64;
    pub const STATUS: usize = 0x70;
    pub const QUEUE_DESCRIPTORS: usize = 0x80;
    pub const QUEUE_DRIVER: usize = 0x90;
    pub const QUEUE_DEVICE: usize = 0xa0;
    pub const CONFIG_GENERATION: usize = 0xfc;
    pub const CONFIG: usize = 0x100;
}

/// Bytes of the pages that a legacy device counts in.
const PAGE: u32 = 4096;

/// Where QEMU's microvm has its devices, and their interrupt lines without and with ACPI: with it they are the second I/O
/// APIC's. Source: QEMU include/hw/i386/microvm.h, hw/i386/microvm.c.
const MICROVM_FIRST: u64 = 0xfeb0_0000;
const MICROVM_BYTES: u64 = 512;
const MICROVM_PLACES: u8 = 24;
const MICROVM_LINE: u8 = 5;
const MICROVM_ACPI_LINE: u8 = 24;

/// The transport.
#[derive(Debug)]
pub struct Mmio {
    registers: Registers,
    kind: Kind,
    legacy: bool,
    line: Option<u8>,
}

impl Mmio {
    /// The device with registers from `address`, if there is one and there is a driver for it.
    pub fn find(bus: &dyn Bus, address: u64, length: u64, line: u8) -> Option<Box<dyn Transport>> {
        let registers = bus
            .map(address, length.min(REGISTERS_MAX))
            .filter(|registers| registers.has(register::CONFIG))?;
        if registers.read::<u32>(register::MAGIC) != MAGIC {
            return None;
        }
        let legacy = match registers.read::<u32>(register::VERSION) {
            1 => true,
            2 => false,
            _ => return None,
        };
        // Number 0 is a place without a device (§4.2.2.2).
        let kind = Kind::from_number(registers.read(register::DEVICE))?;
        Some(Box::new(Self { registers, kind, legacy, line: (line != 0).then_some(line) }))
    }

    /// The devices of QEMU's microvm, which names them in ACPI's byte code, or on a command line that only some boot protocols
    /// hand on. In the order in which QEMU was given them: it fills its places from the last to the first.
    pub fn find_microvm(bus: &dyn Bus) -> Vec<Box<dyn Transport>> {
        let address = |place: u8| MICROVM_FIRST + u64::from(place) * MICROVM_BYTES;
        let is_place = |place: &u8| {
            let registers = bus.map(address(*place), MICROVM_BYTES);
            registers.is_some_and(|registers| registers.read::<u32>(register::MAGIC) == MAGIC)
        };
        let places = (0..MICROVM_PLACES).take_while(is_place).count() as u8;
        // Without ACPI there are eight.
        let first_line = if places > 8 { MICROVM_ACPI_LINE } else { MICROVM_LINE };
        let find = |place| Self::find(bus, address(place), MICROVM_BYTES, first_line + place);
        (0..places).rev().filter_map(find).collect()
    }

    fn write_address(&self, offset: usize, address: u64) {
        self.registers.write(offset, address as u32);
        self.registers.write(offset + 4, (address >> 32) as u32);
    }
}

impl Transport for Mmio {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn status(&mut self) -> u8 {
        self.registers.read::<u32>(register::STATUS) as u8
    }

    fn set_status(&mut self, status: u8) {
        self.registers.write(register::STATUS, u32::from(status));
    }

    fn offered(&mut self) -> u64 {
        let halves: &[u32] = if self.legacy { &[0] } else { &[1, 0] };
        halves.iter().fold(0, |features, &half| {
            self.registers.write(register::DEVICE_FEATURES_SELECT, half);
            features << 32 | u64::from(self.registers.read::<u32>(register::DEVICE_FEATURES))
        })
    }

    fn accept(&mut self, features: u64) {
        for (half, bits) in [(0_u32, features as u32), (1, (features >> 32) as u32)] {
            self.registers.write(register::DRIVER_FEATURES_SELECT, half);
            self.registers.write(register::DRIVER_FEATURES, bits);
        }
        if self.legacy {
            self.registers.write(register::LEGACY_PAGE_SIZE, PAGE);
        }
    }

    fn queue_size_max(&mut self, queue: u16) -> u32 {
        self.registers.write(register::QUEUE_SELECT, u32::from(queue));
        self.registers.read(register::QUEUE_SIZE_MAX)
    }

    fn queue_size_is_fixed(&self) -> bool {
        false
    }

    fn enable_queue(&mut self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), Refusal> {
        self.registers.write(register::QUEUE_SELECT, u32::from(queue));
        self.registers.write(register::QUEUE_SIZE, u32::from(size));
        if self.legacy {
            let page = u32::try_from(ring.descriptors / u64::from(PAGE));
            let page = page.map_err(|_| Refusal::Queue(queue, size.into()))?;
            self.registers.write(register::LEGACY_QUEUE_ALIGN, PAGE);
            self.registers.write(register::LEGACY_QUEUE_PAGE, page);
        } else {
            self.write_address(register::QUEUE_DESCRIPTORS, ring.descriptors);
            self.write_address(register::QUEUE_DRIVER, ring.available);
            self.write_address(register::QUEUE_DEVICE, ring.used);
            self.registers.write(register::QUEUE_READY, 1_u32);
        }
        Ok(())
    }

    #[inline]
    fn notify(&mut self, queue: u16) {
        self.registers.write(register::QUEUE_NOTIFY, u32::from(queue));
    }

    fn configuration_byte(&mut self, offset: u16) -> u8 {
        self.registers.read(register::CONFIG + usize::from(offset))
    }

    fn configuration_generation(&mut self) -> u32 {
        if self.legacy { 0 } else { self.registers.read(register::CONFIG_GENERATION) }
    }

    fn acknowledge_interrupt(&mut self) -> u8 {
        let status: u32 = self.registers.read(register::INTERRUPT_STATUS);
        if status != 0 {
            self.registers.write(register::INTERRUPT_ACKNOWLEDGE, status);
        }
        status as u8
    }

    fn interrupt(&self) -> Interrupt {
        self.line.map_or(Interrupt::Never, Interrupt::Line)
    }
}
