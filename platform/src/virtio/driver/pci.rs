//! Finds virtio devices on PCI.
//!
//! Firmware or hypervisor has given the devices their addresses; here nothing is moved. A device that speaks version 1 says in
//! capabilities where its registers are; one that does not has them in ports. Lists are followed a bounded number of times,
//! whatever the host writes into them.
//!
//! A network card of version 1 sends messages where it can, and raises a line otherwise; cloud-hypervisor has no lines.
//!
//! Source: PCI Local Bus 3.0 §6.2.4, §6.8.2; PCI-to-PCI Bridge 1.2 §3.2; VIRTIO 1.2 §4.1.

use super::{
    function::{ADDRESS_PORT, Base, COMMAND_NO_LINE, ENABLE, Function, register},
    legacy::Legacy,
    limits::PCI_BUSES_MAX,
    messages::{Entries, Messages},
    modern::{Modern, Places, Wired},
    registers::{Bus, Registers},
    transport::{Kind, Transport},
};

const VENDOR: u16 = 0x1af4;
const DEVICE_FIRST: u16 = 0x1000;
/// From here on the device number is that of the kind of device (VIRTIO 1.2 §4.1.2.1); below, a device speaks both versions.
const MODERN_FIRST: u16 = 0x1040;
const DEVICE_LAST: u16 = 0x107f;

/// A capability that is the vendor's own.
const CAPABILITY_VENDOR: u8 = 9;
/// Messages in place of a line: MSI-X.
const CAPABILITY_MESSAGES: u8 = 0x11;
/// Its control register, in the upper half of its first word: it sends messages; it sends none, whatever its table says.
const MESSAGES_ON: u32 = 1 << 31;
const MESSAGES_MASKED: u32 = 1 << 30;
/// The last entry of its table.
const MESSAGES_LAST: u32 = 0x7ff;

impl Function<'_> {
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

    /// The registers that a capability points to.
    fn place(&self, capability: u8) -> Option<Registers> {
        let at = |offset| capability.checked_add(offset);
        let (base, offset, length) = (self.byte(at(4)?), self.word(at(8)?), self.word(at(12)?));
        self.map(base, offset, length.into())
    }

    /// Where a device of version 1 has its registers; `None` if it is none.
    fn places(&self) -> Option<Places> {
        let (mut common, mut notify, mut interrupt, mut device) = (None, None, None, None);
        let mut multiplier = 0;
        for (at, word) in self.capabilities().filter(|&(_, word)| word as u8 == CAPABILITY_VENDOR) {
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
        Some(Places { common: common?, notify: notify?, multiplier, interrupt: interrupt?, device })
    }

    /// Has the device send messages; `None` if it has none to send, or no table that can be reached.
    fn send_messages(&self, messages: Messages) -> Option<Entries> {
        let (at, word) = self.capabilities().find(|&(_, word)| word as u8 == CAPABILITY_MESSAGES)?;
        let entries = Entries::of((word >> 16 & MESSAGES_LAST) + 1);
        let place = self.word(at.checked_add(4)?);
        let table = self.map((place & 7) as u8, place & !7, entries.bytes())?;
        messages.fill(table, entries);
        self.write_word(at, (word | MESSAGES_ON) & !MESSAGES_MASKED);
        Some(entries)
    }

    /// The device behind it, ready for a driver.
    fn transport(self, bus: &'static dyn Bus, messages: Messages) -> Option<Box<dyn Transport>> {
        let kind = self.kind()?;
        self.command(COMMAND_NO_LINE);
        let (places, base) = (self.places(), self.base(0));
        // Nobody waits for others than network cards.
        let is_card = kind == Kind::Net;
        let entries = if is_card && places.is_some() { self.send_messages(messages) } else { None };
        if is_card && entries.is_none() {
            self.command(0);
        }
        // 0 and 255: nobody has said (PCI Local Bus 3.0 §6.2.4).
        let line = Some(self.byte(register::INTERRUPT_LINE)).filter(|&line| line != 0 && line != 255);
        if let Some(places) = places {
            let interrupt = entries.map_or(Wired::Line(line), Wired::Messages);
            return Modern::new(kind, places, interrupt).map(|modern| Box::new(modern) as _);
        }
        match base? {
            Base::Port(port) => Some(Box::new(Legacy::new(bus, kind, port, line))),
            Base::Memory(_) => None,
        }
    }
}

/// All virtio devices that there is a driver for, in the order of their places on the bus. A device whose registers are
/// nowhere is left out. Network cards are to send `messages`, if they can.
pub fn find(bus: &'static dyn Bus, messages: Messages) -> Vec<Box<dyn Transport>> {
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
                if let Some(transport) = function.transport(bus, messages) {
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
    use super::super::function::{DATA_PORT, STATUS_CAPABILITIES};
    use super::*;
    use crate::net::Interrupt;
    use std::{
        cell::{Cell, RefCell},
        collections::HashMap,
        ptr::NonNull,
    };

    /// Bus, device, function.
    type Place = (u32, u32, u32);

    /// A machine with some functions on its buses: the words of their configuration that are not zero.
    #[derive(Default)]
    struct Machine {
        address: Cell<u32>,
        functions: RefCell<HashMap<Place, HashMap<u8, u32>>>,
        /// What lies where tables of messages do.
        table: Cell<Option<&'static [Cell<u32>]>>,
    }

    impl Machine {
        fn with(self, place: Place, words: &[(u8, u32)]) -> Self {
            self.functions.borrow_mut().insert(place, words.iter().copied().collect());
            self
        }

        /// What is found on it.
        fn find(&'static self) -> Vec<(Kind, Interrupt)> {
            let messages = Messages { address: 0xfee0_3000, state: 0x71, queue: 0x70 };
            find(self, messages).iter().map(|transport| (transport.kind(), transport.interrupt())).collect()
        }

        fn leak(self) -> &'static Self {
            Box::leak(Box::new(self))
        }

        fn place(&self) -> (Place, u8) {
            let address = self.address.get();
            ((address >> 16 & 0xff, address >> 11 & 31, address >> 8 & 7), address as u8)
        }
    }

    impl Bus for Machine {
        fn port_read(&self, port: u16, width: u8) -> u32 {
            let (place, offset) = self.place();
            match (port, width) {
                (ADDRESS_PORT, 4) => self.address.get(),
                (DATA_PORT, 4) => self
                    .functions
                    .borrow()
                    .get(&place)
                    .map_or(u32::MAX, |words| words.get(&offset).copied().unwrap_or(0)),
                _ => panic!("port {port:#x} was read"),
            }
        }

        fn port_write(&self, port: u16, width: u8, value: u32) {
            match (port, width) {
                (ADDRESS_PORT, 4) => self.address.set(value),
                (DATA_PORT, 4) => {
                    let (place, offset) = self.place();
                    let mut functions = self.functions.borrow_mut();
                    let word = functions.get_mut(&place).expect("it is there").entry(offset).or_insert(0);
                    // Half of each word cannot be written: the status stays, and what a capability is.
                    *word = match offset {
                        register::COMMAND => value & 0xffff | *word & 0xffff_0000,
                        _ if *word as u8 == CAPABILITY_MESSAGES => value & 0xffff_0000 | *word & 0xffff,
                        _ => panic!("{value:#x} was written to {offset:#x}"),
                    };
                }
                _ => panic!("port {port:#x} was written"),
            }
        }

        fn map(&self, address: u64, length: u64) -> Option<Registers> {
            let length = usize::try_from(length).ok()?;
            let base = match address {
                TABLE..TABLE_END => {
                    let table: &'static [Cell<u32>] = Box::leak(vec![Cell::new(0); length / 4].into());
                    self.table.set(Some(table));
                    NonNull::from(table).cast()
                }
                // Nothing is looked at behind the others; what lies beyond 4 GiB is not there.
                0..0x1_0000_0000 => NonNull::dangling(),
                _ => return None,
            };
            // SAFETY: the table has so many bytes and lives for ever; others are never touched by these tests.
            Some(unsafe { Registers::new(base, length) })
        }
    }

    const COMMAND: (u8, u32) = (register::COMMAND, STATUS_CAPABILITIES);
    const LINE: (u8, u32) = (register::INTERRUPT_LINE, 11);
    /// Where base address 2 of a card points: some table.
    const TABLE: u64 = 0xfd00_0000;
    const TABLE_END: u64 = 0xfd01_0000;

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

    /// The same with a table of messages, whose size, place and next capability are described so.
    fn with_messages(size: u32, place: u32, next: u8) -> Vec<(u8, u32)> {
        let mut words = modern(0, 56, 0x90);
        let head = u32::from(CAPABILITY_MESSAGES) | u32::from(next) << 8 | (size - 1) << 16;
        words.extend([(0x18, TABLE as u32), (0x90, head), (0x94, place)]);
        words
    }

    const LEGACY_DISK: [(u8, u32); 4] = [(0, 0x1001_1af4), (0x10, 0xc001), (0x2c, 2 << 16), LINE];
    const ON_LINE: Option<(Kind, Interrupt)> = Some((Kind::Net, Interrupt::Line(11)));
    const BY_MESSAGES: Option<(Kind, Interrupt)> = Some((Kind::Net, Interrupt::Messages));

    #[track_caller]
    fn check(words: &[(u8, u32)], expect: Option<(Kind, Interrupt)>) -> &'static Machine {
        let machine = Machine::default().with((0, 3, 0), words).leak();
        assert_eq!(machine.find(), expect.into_iter().collect::<Vec<_>>());
        if expect.is_some() {
            let command = machine.functions.borrow()[&(0, 3, 0)][&register::COMMAND];
            let line = command & COMMAND_NO_LINE == 0;
            assert_eq!(line, expect == ON_LINE, "only cards without messages raise their lines");
        }
        machine
    }

    #[test]
    fn devices_of_both_versions_are_found() {
        check(&modern(0, 56, 0), ON_LINE);
        check(&LEGACY_DISK, Some((Kind::Block, Interrupt::Line(11))));
        let without_line = [(0, 0x1001_1af4), (0x10, 0xc001), (0x2c, 2 << 16)];
        check(&without_line, Some((Kind::Block, Interrupt::Never)));
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

    /// Checks what the device has to send: of each entry address, upper half of the address, data, control.
    #[track_caller]
    fn check_table(machine: &Machine, expect: &[[u32; 4]]) {
        let table = machine.table.get().expect("it was mapped");
        assert_eq!(table.iter().map(Cell::get).collect::<Vec<_>>(), expect.as_flattened());
        let words = machine.functions.borrow();
        let control = words[&(0, 3, 0)][&0x90] & (MESSAGES_ON | MESSAGES_MASKED);
        assert_eq!(control, MESSAGES_ON, "control");
    }

    #[test]
    fn a_card_sends_messages_where_it_can() {
        const QUEUE: [u32; 4] = [0xfee0_3000, 0, 0x70, 0];
        const STATE: [u32; 4] = [0xfee0_3000, 0, 0x71, 0];
        check_table(check(&with_messages(3, 2, 0), BY_MESSAGES), &[STATE, QUEUE]);
        check_table(check(&with_messages(0x800, 0x8002, 0), BY_MESSAGES), &[STATE, QUEUE]);
        check_table(check(&with_messages(1, 2, 0), BY_MESSAGES), &[STATE]);
        // Firmware has left them masked.
        let mut masked = with_messages(2, 2, 0);
        masked.push((0x90, MESSAGES_MASKED | 1 << 16 | u32::from(CAPABILITY_MESSAGES)));
        check_table(check(&masked, BY_MESSAGES), &[STATE, QUEUE]);
    }

    #[test]
    fn a_card_whose_table_is_nowhere_has_its_line() {
        // Base addresses that there are not, that are empty, behind everything, or ports.
        check(&with_messages(3, 6, 0), ON_LINE);
        check(&with_messages(3, 7, 0), ON_LINE);
        check(&with_messages(3, 3, 0), ON_LINE);
        let with_base = |low, high| {
            let mut words = with_messages(3, !7 | 2, 0);
            words.extend([(0x18, low), (0x1c, high)]);
            words
        };
        check(&with_base(0xffff_fff4, 0xffff_ffff), ON_LINE);
        check(&with_base(0x0000_0004, 0x0000_0001), ON_LINE);
        check(&with_base(0xc001, 0), ON_LINE);
        // A capability at the very end, whose place would be behind the configuration.
        let mut last = modern(0, 56, 0xfc);
        last.push((0xfc, u32::from(CAPABILITY_MESSAGES)));
        check(&last, ON_LINE);
    }

    #[test]
    fn disks_send_no_messages() {
        let mut disk = with_messages(3, 2, 0);
        disk[0] = (0, 0x1042_1af4);
        let machine = check(&disk, Some((Kind::Block, Interrupt::Line(11))));
        assert!(machine.table.get().is_none());
    }

    #[test]
    fn a_list_that_goes_round_ends() {
        check(&modern(0, 56, 0x40), ON_LINE);
        check(&with_messages(3, 2, 0x40), BY_MESSAGES);
        check(&with_messages(3, 2, 0x90), BY_MESSAGES);
        check(&[(0, 0x1041_1af4), COMMAND, (0x34, 0xfc), (0xfc, 0xfc09)], None);
        check(&[(0, 0x1041_1af4), COMMAND, (0x34, 0xfc), (0xfc, 0xfc11)], None);
    }

    #[test]
    fn buses_behind_bridges_are_looked_through_once() {
        let bridge = |to: u32| [(0, 0x1234_8086), (0x0c, 1 << 16), (0x18, to << 8)];
        let machine = Machine::default()
            .with((0, 1, 0), &bridge(1))
            .with((1, 0, 0), &bridge(1))
            .with((1, 2, 0), &LEGACY_DISK)
            .with((0, 31, 0), &[(0, 0x1234_8086), (0x0c, 0x80 << 16)])
            .with((0, 31, 5), &modern(0, 56, 0));
        let line = Interrupt::Line(11);
        assert_eq!(machine.leak().find(), [(Kind::Net, line), (Kind::Block, line)]);
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
        assert!(find(&Nothing, Messages { address: 0, state: 0, queue: 0 }).is_empty());
    }
}
