//! The little of ACPI that an image needs: how to switch the machine off, and where its power button shows.
//!
//! Tables only. Of the byte code in them two things are read, by their well-known shapes: the sleep type of state S5, and where
//! the event device of a reduced machine is. Addresses and lengths are the firmware's or the host's: nothing is read that [`Physical`] does not allow, every list has a limit.
//!
//! Source: ACPI Specification 6.5 §5.2 (tables), §4.8.3 (registers), §7.4.2 (`_Sx`), §20.2 (byte code).

use super::loaded::Physical;
use crate::limits::{ACPI_TABLE_BYTES_MAX, ACPI_TABLES_MAX};

/// How a machine is switched off and its button watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Line of the system control interrupt.
    pub line: u8,
    /// Port of the status register of fixed events; the one that enables them is at `enable`.
    pub status: u16,
    /// Port of the register that enables fixed events; 0 if there are none.
    pub enable: u16,
    /// Port of the control register; 0 if there is none.
    pub control: u16,
    /// Port and value by which the firmware hands ACPI over; port 0 if it has nothing to hand over.
    pub hand_over: (u16, u8),
    /// The sleep control register, on machines reduced to it.
    pub sleep_control: Option<Register>,
    /// Sleep type of state S5, if the byte code has it.
    pub off: Option<u8>,
    /// Where a reduced machine says what happened.
    pub event_device: Option<EventDevice>,
}

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// At an address in memory, as on QEMU's microvm.
    Memory(u64),
    /// At a port, as on cloud-hypervisor.
    Port(u16),
}

/// The generic event device, as QEMU has it (docs/specs/acpi_hw_reduced_hotplug.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventDevice {
    /// Its interrupt line.
    pub line: u8,
    /// Address of the 32-bit register that says what happened, and forgets it when read.
    pub select: u64,
}

const ROOT_SIGNATURE: &[u8; 8] = b"RSD PTR ";
/// Bytes of the root pointer that its checksum covers.
const ROOT: u64 = 20;
const ROOT_REVISED: u64 = 36;
/// Where firmware of PCs has it, at multiples of 16: the BIOS area, and the first KiB of the BIOS's own data.
const BIOS: (u64, u64) = (0xe_0000, 0x2_0000);
const BIOS_DATA_SEGMENT: u64 = 0x40e;
const BIOS_DATA: u64 = 0x400;

/// Bytes of a table's header.
const HEADER: usize = 36;

/// Offsets in the fixed description table.
mod fixed {
    pub const DSDT: usize = 40;
    pub const LINE: usize = 46;
    pub const SMI_COMMAND: usize = 48;
    pub const ENABLE: usize = 52;
    pub const EVENT: usize = 56;
    pub const CONTROL: usize = 64;
    pub const EVENT_LENGTH: usize = 88;
    pub const FLAGS: usize = 112;
    pub const LENGTH: usize = 116;
    pub const LONG_DSDT: usize = 140;
    pub const SLEEP_CONTROL: usize = 244;
    pub const LENGTH_WITH_SLEEP_CONTROL: usize = 256;
    pub const FLAG_REDUCED: u32 = 1 << 20;
}

/// Reads the tables, which start at `root` or where a PC's firmware has it. `None` where there is no ACPI.
pub fn read(physical: &impl Physical, root: Option<u64>) -> Option<Power> {
    let root = root.or_else(|| search(physical))?;
    let table = fixed_description(physical, root)?;
    let register = |offset| u16::try_from(word(table, offset)).unwrap_or(0);
    let is_reduced = word(table, fixed::FLAGS) & fixed::FLAG_REDUCED != 0;
    let events = if is_reduced { 0 } else { register(fixed::EVENT) };
    let half = u16::from(table[fixed::EVENT_LENGTH] / 2);
    let code = self::table(physical, code_address(table), b"DSDT");
    Some(Power {
        line: table[fixed::LINE],
        status: events,
        enable: if events == 0 { 0 } else { events.saturating_add(half) },
        control: if is_reduced { 0 } else { register(fixed::CONTROL) },
        hand_over: (if is_reduced { 0 } else { register(fixed::SMI_COMMAND) }, table[fixed::ENABLE]),
        sleep_control: is_reduced.then(|| sleep_control(table)).flatten(),
        off: code.and_then(off),
        event_device: code.filter(|_| is_reduced).and_then(event_device),
    })
}

/// The root pointer's address, where a PC's firmware has it.
fn search(physical: &impl Physical) -> Option<u64> {
    let data = physical.bytes(BIOS_DATA_SEGMENT, 2).map(|segment| u64::from(half_word(segment, 0)) << 4);
    let places = [(data.unwrap_or(0), BIOS_DATA), BIOS];
    places.into_iter().find_map(|(start, length)| {
        let area = physical.bytes(start, length)?;
        let is_root = |candidate: &&[u8]| candidate.starts_with(ROOT_SIGNATURE) && sum(candidate) == 0;
        let position = (0..area.len())
            .step_by(16)
            .find(|&at| area.get(at..at + ROOT as usize).as_ref().is_some_and(is_root))?;
        Some(start + position as u64)
    })
}

/// The fixed description table, found through the root pointer.
fn fixed_description(physical: &impl Physical, root: u64) -> Option<&[u8]> {
    let pointer = physical.bytes(root, ROOT)?;
    if !pointer.starts_with(ROOT_SIGNATURE) {
        return None;
    }
    let is_revised = pointer[15] >= 2;
    let extended =
        is_revised.then(|| physical.bytes(root, ROOT_REVISED)).flatten().map(|root| long(root, 24));
    let (list, width) = match extended.filter(|&address| address != 0) {
        Some(address) => (table(physical, address, b"XSDT")?, 8),
        None => (table(physical, u64::from(word(pointer, 16)), b"RSDT")?, 4),
    };
    list[HEADER..].chunks_exact(width).take(ACPI_TABLES_MAX).find_map(|entry| {
        let address = if width == 8 { long(entry, 0) } else { u64::from(word(entry, 0)) };
        table(physical, address, b"FACP").filter(|table| table.len() >= fixed::LENGTH)
    })
}

/// The table at `address`, if it has this signature.
fn table<'a>(physical: &'a impl Physical, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
    let header = physical.bytes(address, HEADER as u64)?;
    let length = word(header, 4);
    if !header.starts_with(signature) || !(HEADER as u32..=ACPI_TABLE_BYTES_MAX).contains(&length) {
        return None;
    }
    physical.bytes(address, u64::from(length))
}

/// Where the byte code is: newer tables may leave it out of the old place.
fn code_address(table: &[u8]) -> u64 {
    match word(table, fixed::DSDT) {
        0 if table.len() >= fixed::LONG_DSDT + 8 => long(table, fixed::LONG_DSDT),
        address => address.into(),
    }
}

/// The sleep control register. Source: ACPI Specification 6.5 §5.2.3.2, address spaces.
fn sleep_control(table: &[u8]) -> Option<Register> {
    const MEMORY: u8 = 0;
    const PORTS: u8 = 1;
    if table.len() < fixed::LENGTH_WITH_SLEEP_CONTROL {
        return None;
    }
    let address = Some(long(table, fixed::SLEEP_CONTROL + 4)).filter(|&address| address != 0)?;
    match table[fixed::SLEEP_CONTROL] {
        MEMORY => Some(Register::Memory(address)),
        PORTS => u16::try_from(address).ok().map(Register::Port),
        _ => None,
    }
}

/// The first element of the package called `_S5_`: a small number.
fn off(table: &[u8]) -> Option<u8> {
    const PACKAGE: u8 = 0x12;
    const BYTE: u8 = 0x0a;
    let name = table.windows(4).position(|name| name == b"_S5_")?;
    let [PACKAGE, length, rest @ ..] = table.get(name + 4..)? else { return None };
    // The package's length takes up to three more bytes; behind it comes the number of elements.
    let elements = rest.get(usize::from(length >> 6) + 1..)?;
    match elements {
        [BYTE, value, ..] if *value < 8 => Some(*value),
        [value @ (0 | 1), ..] => Some(*value),
        _ => None,
    }
}

/// Behind the name of the event device: its resources, one of which is an interrupt, and a region of memory.
fn event_device(table: &[u8]) -> Option<EventDevice> {
    const NAME: &[u8] = b"ACPI0013";
    const INTERRUPT: [u8; 3] = [0x89, 6, 0];
    const REGION: [u8; 2] = [0x5b, 0x80];
    /// Of a region in memory, whose address is a 32-bit constant: what lies between the name and the address.
    const IN_MEMORY: [u8; 2] = [0, 0x0c];
    let name = table.windows(NAME.len()).position(|bytes| bytes == NAME)?;
    let rest = &table[name..];
    let after = |shape: &[u8]| {
        let position = rest.windows(shape.len()).position(|bytes| bytes == shape)?;
        rest.get(position + shape.len()..)
    };
    let line = after(&INTERRUPT)?.get(2..6).map(|number| word(number, 0))?;
    let region = after(&REGION)?.get(4..10).filter(|region| region.starts_with(&IN_MEMORY))?;
    Some(EventDevice { line: u8::try_from(line).ok()?, select: u64::from(word(region, 2)) })
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn half_word(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("it is four bytes"))
}

fn long(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("it is eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 MiB from address 0.
    struct Memory(Vec<u8>);

    impl Physical for Memory {
        fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
            self.0.get(address as usize..address.checked_add(length)? as usize)
        }
    }

    const ROOT_AT: u64 = 0xf_59e0;
    const LIST_AT: u64 = 0x10_0000;
    const FIXED_AT: u64 = 0x10_1000;
    const CODE_AT: u64 = 0x10_2000;

    /// As QEMU's pc has it.
    struct Tables {
        root: Vec<u8>,
        list: Vec<u8>,
        fixed: Vec<u8>,
        code: Vec<u8>,
    }

    impl Tables {
        fn new() -> Self {
            let mut root = ROOT_SIGNATURE.to_vec();
            root.extend([0; 8]);
            root.extend((LIST_AT as u32).to_le_bytes());
            root[8] = 0_u8.wrapping_sub(sum(&root));
            let list =
                with_header(b"RSDT", &[CODE_AT as u32, FIXED_AT as u32].map(u32::to_le_bytes).concat());
            let mut fixed = with_header(b"FACP", &[0; 84]);
            fixed[fixed::DSDT..][..4].copy_from_slice(&(CODE_AT as u32).to_le_bytes());
            fixed[fixed::LINE] = 9;
            fixed[fixed::SMI_COMMAND] = 0xb2;
            fixed[fixed::ENABLE] = 0xf1;
            fixed[fixed::EVENT..][..2].copy_from_slice(&[0x00, 0x06]);
            fixed[fixed::CONTROL..][..2].copy_from_slice(&[0x04, 0x06]);
            fixed[fixed::EVENT_LENGTH] = 4;
            let code = with_header(
                b"DSDT",
                b"\x08_S3_\x12\x06\x04\x01\x01\x00\x00\x08_S5_\x12\x06\x04\x0a\x05\x00\x00",
            );
            Self { root, list, fixed, code }
        }

        fn memory(&self) -> Memory {
            let mut memory = Memory(vec![0; 2 << 20]);
            let parts = [
                (ROOT_AT, &self.root),
                (LIST_AT, &self.list),
                (FIXED_AT, &self.fixed),
                (CODE_AT, &self.code),
            ];
            for (address, part) in parts {
                memory.0[address as usize..][..part.len()].copy_from_slice(part);
            }
            memory
        }
    }

    fn with_header(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut table = signature.to_vec();
        table.extend(((HEADER + body.len()) as u32).to_le_bytes());
        table.resize(HEADER, 0);
        table.extend_from_slice(body);
        table
    }

    const PC: Power = Power {
        line: 9,
        status: 0x600,
        enable: 0x602,
        control: 0x604,
        hand_over: (0xb2, 0xf1),
        sleep_control: None,
        off: Some(5),
        event_device: None,
    };

    /// Of QEMU's microvm: name, resources, region.
    const EVENT_DEVICE: &[u8] = b"\x08_HID\x0dACPI0013\0\x08_UID\x0dGED\0\x08_CRS\x11\x0e\x0a\x0b\x89\x06\0\x03\x01\x09\0\0\0y\0[\x80EREG\0\x0c\0\0\xa0\xfe\x0a\x04";

    #[track_caller]
    fn check(change: impl FnOnce(&mut Tables), expect: Option<Power>) {
        let mut tables = Tables::new();
        change(&mut tables);
        assert_eq!(read(&tables.memory(), None), expect);
    }

    #[test]
    fn a_pc_is_understood() {
        check(|_| {}, Some(PC));
        assert_eq!(read(&Tables::new().memory(), Some(ROOT_AT)), Some(PC));
        check(|tables| tables.code[HEADER + 20] = 0, Some(Power { off: Some(0), ..PC }));
        check(|tables| tables.code.truncate(HEADER + 8), Some(Power { off: None, ..PC }));
    }

    #[test]
    fn a_reduced_machine_is_understood() {
        let reduce = |tables: &mut Tables| {
            let mut body = tables.fixed[HEADER..].to_vec();
            body.resize(fixed::LENGTH_WITH_SLEEP_CONTROL - HEADER, 0);
            tables.fixed = with_header(b"FACP", &body);
            tables.fixed[fixed::FLAGS + 2] = 0x10;
            tables.fixed[fixed::SLEEP_CONTROL + 4..][..4].copy_from_slice(&[0x00, 0x02, 0xa0, 0xfe]);
            tables.code = with_header(b"DSDT", &[&tables.code[HEADER..], EVENT_DEVICE].concat());
        };
        let expect = Power {
            status: 0,
            enable: 0,
            control: 0,
            hand_over: (0, 0xf1),
            sleep_control: Some(Register::Memory(0xfea0_0200)),
            event_device: Some(EventDevice { line: 9, select: 0xfea0_0000 }),
            ..PC
        };
        check(reduce, Some(expect));
        let cut = |tables: &mut Tables| {
            reduce(tables);
            let length = tables.code.len() - 8;
            tables.code[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        };
        check(cut, Some(Power { event_device: None, ..expect }));
        // As cloud-hypervisor has it: the register is a port, and the byte code in the new place alone.
        let move_away = |space: u8, port: u32| {
            move |tables: &mut Tables| {
                reduce(tables);
                tables.fixed[fixed::SLEEP_CONTROL] = space;
                tables.fixed[fixed::SLEEP_CONTROL + 4..][..4].copy_from_slice(&port.to_le_bytes());
                let code: [u8; 4] = tables.fixed[fixed::DSDT..][..4].try_into().expect("it is four bytes");
                tables.fixed[fixed::DSDT..][..4].fill(0);
                tables.fixed[fixed::LONG_DSDT..][..4].copy_from_slice(&code);
            }
        };
        check(move_away(1, 0x600), Some(Power { sleep_control: Some(Register::Port(0x600)), ..expect }));
        check(move_away(1, 0x1_0600), Some(Power { sleep_control: None, ..expect }));
        check(move_away(2, 0x600), Some(Power { sleep_control: None, ..expect }));
    }

    #[test]
    fn nonsense_is_no_acpi() {
        check(|tables| tables.root[9] ^= 1, None);
        check(|tables| tables.list[4..8].fill(0xff), None);
        check(|tables| tables.list[4] = 0, None);
        check(|tables| tables.list[HEADER..].fill(0xff), None);
        check(|tables| tables.fixed[4] = fixed::LENGTH as u8 - 1, None);
        assert_eq!(read(&Memory(vec![0; 2 << 20]), None), None);
        assert_eq!(read(&Tables::new().memory(), Some(u64::MAX)), None);
    }
}
