//! Finds virtio devices on PCI, by configuration mechanism 1: an address to port 0xcf8, a word from port 0xcfc.
//!
//! Firmware or hypervisor has given the devices their addresses; here nothing is moved. A device that speaks version 1 says in
//! capabilities where its registers are; one that does not has them in ports. Lists are followed a bounded number of times,
//! whatever the host writes into them.
//!
//! Source: PCI Local Bus 3.0 §3.2.2.3.2, §6.1, §6.7; PCI-to-PCI Bridge 1.2 §3.2; VIRTIO 1.2 §4.1.

use super::limits::{PCI_BUSES_MAX, PCI_CAPABILITIES_MAX, REGISTERS_MAX};
use super::{
    legacy::Legacy,
    modern::{Modern, Places},
    registers::{Bus, Registers},
    transport::{Kind, Transport},
};

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

const VENDOR: u16 = 0x1af4;
const DEVICE_FIRST: u16 = 0x1000;
/// From here on the device number is that of the kind of device (VIRTIO 1.2 §4.1.2.1); below, a device speaks both versions.
const MODERN_FIRST: u16 = 0x1040;
const DEVICE_LAST: u16 = 0x107f;

/// Offsets in a function's configuration.
mod register {
    pub const COMMAND: u8 = 0x04;
    pub const HEADER_TYPE: u8 = 0x0e;
    pub const BASE_ADDRESS: u8 = 0x10;
    pub const SECONDARY_BUS: u8 = 0x19;
    pub const SUBSYSTEM: u8 = 0x2e;
    pub const CAPABILITIES: u8 = 0x34;
    pub const INTERRUPT_LINE: u8 = 0x3c;
}

/// Bits of the command register: ports, memory, bus master.
const COMMAND_USE: u32 = 1 | 2 | 4;
/// And the one that keeps a device from its interrupt line.
const COMMAND_NO_LINE: u32 = 1 << 10;
/// Status, in the same word: there is a list of capabilities.
const STATUS_CAPABILITIES: u32 = 1 << 20;
/// A capability that is the vendor's own.
const CAPABILITY_VENDOR: u8 = 9;

/// A device's function on a bus.
#[derive(Clone, Copy)]
struct Function<'b> {
    bus: &'b dyn Bus,
    /// Bus, device and function, where the address port wants them.
    address: u32,
}

impl Function<'_> {
    /// The word that holds the register at `offset`.
    fn word(&self, offset: u8) -> u32 {
        self.bus.port_write(ADDRESS_PORT, 4, ENABLE | self.address | u32::from(offset & !3));
        self.bus.port_read(DATA_PORT, 4)
    }

    fn write_word(&self, offset: u8, value: u32) {
        self.bus.port_write(ADDRESS_PORT, 4, ENABLE | self.address | u32::from(offset & !3));
        self.bus.port_write(DATA_PORT, 4, value);
    }

    fn byte(&self, offset: u8) -> u8 {
        (self.word(offset) >> (8 * (offset & 3))) as u8
    }

    fn half(&self, offset: u8) -> u16 {
        (self.word(offset) >> (8 * (offset & 2))) as u16
    }

    /// The kind of virtio device that it is, with `None` for those without a driver here.
    fn kind(&self) -> Option<Kind> {
        let word = self.word(0);
        let (vendor, device) = (word as u16, (word >> 16) as u16);
        if vendor != VENDOR || !(DEVICE_FIRST..=DEVICE_LAST).contains(&device) {
            return None;
        }
        let number =
            if device >= MODERN_FIRST { device - MODERN_FIRST } else { self.half(register::SUBSYSTEM) };
        Kind::from_number(number.into())
    }

    /// A base address register: a port, or an address in memory; `None` where there is neither.
    fn base(&self, number: u8) -> Option<Base> {
        let offset = register::BASE_ADDRESS + 4 * (number < 6).then_some(number)?;
        let low = self.word(offset);
        if low & 1 != 0 {
            return u16::try_from(low & !3).ok().filter(|&port| port != 0).map(Base::Port);
        }
        let high = if low & 6 == 4 && number < 5 { self.word(offset + 4) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !15);
        (address != 0).then_some(Base::Memory(address))
    }

    /// The registers that a capability points to.
    fn place(&self, capability: u8) -> Option<Registers> {
        let at = |offset| capability.checked_add(offset);
        let Base::Memory(base) = self.base(self.byte(at(4)?))? else { return None };
        let (offset, length) = (self.word(at(8)?), self.word(at(12)?));
        self.bus.map(base.checked_add(offset.into())?, u64::from(length).min(REGISTERS_MAX))
    }

    /// Where a device of version 1 has its registers; `None` if it is none.
    fn places(&self) -> Option<Places> {
        if self.word(register::COMMAND) & STATUS_CAPABILITIES == 0 {
            return None;
        }
        let (mut common, mut notify, mut interrupt, mut device) = (None, None, None, None);
        let mut multiplier = 0;
        let mut at = self.byte(register::CAPABILITIES) & !3;
        for _ in 0..PCI_CAPABILITIES_MAX {
            if at == 0 {
                break;
            }
            let word = self.word(at);
            if word as u8 == CAPABILITY_VENDOR {
                // The first of each kind that can be used (VIRTIO 1.2 §4.1.4).
                match (word >> 24) as u8 {
                    1 => common = common.or_else(|| self.place(at)),
                    2 if notify.is_none() => {
                        notify = self.place(at);
                        multiplier = at.checked_add(16).map_or(0, |offset| self.word(offset));
                    }
                    3 => interrupt = interrupt.or_else(|| self.place(at)),
                    4 => device = device.or_else(|| self.place(at)),
                    _ => {}
                }
            }
            at = (word >> 8) as u8 & !3;
        }
        Some(Places { common: common?, notify: notify?, multiplier, interrupt: interrupt?, device })
    }

    /// The device behind it, ready for a driver.
    fn transport(self, bus: &'static dyn Bus) -> Option<Box<dyn Transport>> {
        let kind = self.kind()?;
        // Nobody takes back the line of others than network cards, and other devices may share it. QEMU has a device interrupt with its
        // first used buffer, whether that was asked for or not.
        let lines = if kind == Kind::Net { 0 } else { COMMAND_NO_LINE };
        let command = self.word(register::COMMAND) & 0xffff & !COMMAND_NO_LINE;
        self.write_word(register::COMMAND, command | COMMAND_USE | lines);
        // 0 and 255: nobody has said (PCI Local Bus 3.0 §6.2.4).
        let line = Some(self.byte(register::INTERRUPT_LINE)).filter(|&line| line != 0 && line != 255);
        if let Some(places) = self.places() {
            return Modern::new(kind, places, line).map(|modern| Box::new(modern) as _);
        }
        match self.base(0)? {
            Base::Port(port) => Some(Box::new(Legacy::new(bus, kind, port, line))),
            Base::Memory(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Port(u16),
    Memory(u64),
}

/// All virtio devices that there is a driver for, in the order of their places on the bus. A device whose registers are
/// nowhere is left out.
pub fn find(bus: &'static dyn Bus) -> Vec<Box<dyn Transport>> {
    // Without a host bridge the port does not remember.
    bus.port_write(ADDRESS_PORT, 4, ENABLE);
    if bus.port_read(ADDRESS_PORT, 4) != ENABLE {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut buses = vec![0];
    let mut next = 0;
    while let Some(&number) = buses.get(next) {
        next += 1;
        for device in 0..32 {
            let function =
                |function: u32| Function { bus, address: number << 16 | device << 11 | function << 8 };
            if function(0).word(0) as u16 == u16::MAX {
                continue;
            }
            // Bit 7: there are more functions than one.
            let functions = if function(0).byte(register::HEADER_TYPE) & 0x80 == 0 { 1 } else { 8 };
            for function in (0..functions).map(function) {
                if let Some(transport) = function.transport(bus) {
                    found.push(transport);
                } else if function.word(0) as u16 != u16::MAX
                    && function.byte(register::HEADER_TYPE) & 0x7f == 1
                {
                    let secondary = u32::from(function.byte(register::SECONDARY_BUS));
                    if secondary != 0 && !buses.contains(&secondary) && buses.len() < PCI_BUSES_MAX {
                        buses.push(secondary);
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, collections::HashMap, ptr::NonNull};

    /// A machine with some functions on its buses: the words of their configuration that are not zero.
    #[derive(Default)]
    struct Machine {
        address: Cell<u32>,
        functions: HashMap<(u32, u32, u32), HashMap<u8, u32>>,
    }

    impl Machine {
        fn with(mut self, place: (u32, u32, u32), words: &[(u8, u32)]) -> Self {
            self.functions.insert(place, words.iter().copied().collect());
            self
        }

        /// What is found on it: kinds and lines.
        fn find(self) -> Vec<(Kind, Option<u8>)> {
            find(Box::leak(Box::new(self)))
                .iter()
                .map(|transport| (transport.kind(), transport.interrupt_line()))
                .collect()
        }
    }

    impl Bus for Machine {
        fn port_read(&self, port: u16, width: u8) -> u32 {
            let address = self.address.get();
            let place = (address >> 16 & 0xff, address >> 11 & 31, address >> 8 & 7);
            match (port, width) {
                (ADDRESS_PORT, 4) => address,
                (DATA_PORT, 4) => self
                    .functions
                    .get(&place)
                    .map_or(u32::MAX, |words| words.get(&(address as u8)).copied().unwrap_or(0)),
                _ => panic!("port {port:#x} was read"),
            }
        }

        fn port_write(&self, port: u16, width: u8, value: u32) {
            match (port, width) {
                (ADDRESS_PORT, 4) => self.address.set(value),
                (DATA_PORT, 4) => {
                    assert_eq!(self.address.get() as u8, register::COMMAND);
                    let is_card = self.port_read(DATA_PORT, 4) & STATUS_CAPABILITIES != 0;
                    assert_eq!(value & COMMAND_NO_LINE == 0, is_card, "only cards raise their lines");
                }
                _ => panic!("port {port:#x} was written"),
            }
        }

        fn map(&self, address: u64, length: u64) -> Option<Registers> {
            // Nothing is looked at behind it; what lies beyond 4 GiB is not there.
            let length = usize::try_from(length).ok()?;
            (address < 1 << 32).then(|| unsafe {
                // SAFETY: the registers are never touched by these tests.
                Registers::new(NonNull::dangling(), length)
            })
        }
    }

    const COMMAND: (u8, u32) = (register::COMMAND, STATUS_CAPABILITIES);
    const LINE: (u8, u32) = (register::INTERRUPT_LINE, 11);

    /// A capability at `at` of the kind `kind`, pointing to `offset` of base address 4; the next is at `next`.
    fn capability(at: u8, next: u8, kind: u32, offset: u32, length: u32) -> [(u8, u32); 5] {
        let head = 9 | u32::from(next) << 8 | 20 << 16 | kind << 24;
        [(at, head), (at + 4, 4), (at + 8, offset), (at + 12, length), (at + 16, 4)]
    }

    /// A network card of version 1 whose common configuration is described so; the rest is as it should be.
    fn modern(offset: u32, length: u32, last: u8) -> Vec<(u8, u32)> {
        let mut words = vec![(0, 0x1041_1af4), COMMAND, LINE, (0x20, 0xfe00_0004), (0x24, 0), (0x34, 0x40)];
        words.extend(capability(0x40, 0x54, 1, offset, length));
        words.extend(capability(0x54, 0x68, 2, 0x1000, 16));
        words.extend(capability(0x68, 0x7c, 3, 0x2000, 1));
        words.extend(capability(0x7c, last, 4, 0x3000, 64));
        words
    }

    const LEGACY_DISK: [(u8, u32); 4] = [(0, 0x1001_1af4), (0x10, 0xc001), (0x2c, 2 << 16), LINE];

    #[track_caller]
    fn check(words: &[(u8, u32)], expect: Option<(Kind, Option<u8>)>) {
        let found = Machine::default().with((0, 3, 0), words).find();
        assert_eq!(found, expect.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn devices_of_both_versions_are_found() {
        check(&modern(0, 56, 0), Some((Kind::Net, Some(11))));
        check(&LEGACY_DISK, Some((Kind::Block, Some(11))));
        check(&[(0, 0x1001_1af4), (0x10, 0xc001), (0x2c, 2 << 16)], Some((Kind::Block, None)));
        // Another kind, another vendor, no ports.
        check(&[(0, 0x1005_1af4), (0x10, 0xc001), (0x2c, 4 << 16)], None);
        check(&[(0, 0x1001_8086), (0x10, 0xc001), (0x2c, 2 << 16)], None);
        check(&[(0, 0x1001_1af4), (0x2c, 2 << 16)], None);
    }

    #[test]
    fn registers_that_are_nowhere_are_not_used() {
        check(&modern(0, 55, 0), None);
        check(&modern(u32::MAX, 56, 0), None);
        let mut beyond = modern(0, 56, 0);
        beyond.extend([(0x20, 0xffff_fff4), (0x24, 0xffff_ffff)]);
        check(&beyond, None);
        let mut unplaced = modern(0, 56, 0);
        unplaced.extend([(0x20, 4)]);
        check(&unplaced, None);
    }

    #[test]
    fn a_list_that_goes_round_ends() {
        check(&modern(0, 56, 0x40), Some((Kind::Net, Some(11))));
        check(&[(0, 0x1041_1af4), COMMAND, (0x34, 0xfc), (0xfc, 0xfc09)], None);
    }

    #[test]
    fn buses_behind_bridges_are_looked_through_once() {
        let bridge = |to: u32| [(0, 0x1234_8086), (0x0c, 1 << 16), (0x18, to << 8)];
        let found = Machine::default()
            .with((0, 1, 0), &bridge(1))
            .with((1, 0, 0), &bridge(1))
            .with((1, 2, 0), &LEGACY_DISK)
            .with((0, 31, 0), &[(0, 0x1234_8086), (0x0c, 0x80 << 16)])
            .with((0, 31, 5), &modern(0, 56, 0))
            .find();
        assert_eq!(found, [(Kind::Net, Some(11)), (Kind::Block, Some(11))]);
    }

    #[test]
    fn a_machine_without_pci_has_none() {
        struct Nothing;
        impl Bus for Nothing {
            fn port_read(&self, _: u16, _: u8) -> u32 {
                u32::MAX
            }
            fn port_write(&self, _: u16, _: u8, _: u32) {}
            fn map(&self, _: u64, _: u64) -> Option<Registers> {
                None
            }
        }
        assert!(find(&Nothing).is_empty());
    }
}
