//! A function on a PCI bus and its configuration, by mechanism 1: an address to port 0xcf8, a word from port 0xcfc.
//!
//! What stands there is the host's word. Nothing here believes more of it than that it is a number: a list is followed as often
//! as there is room for entries, and an address is one only when the machine has mapped it.
//!
//! Source: PCI Local Bus 3.0 §3.2.2.3.2, §6.1, §6.2, §6.7.

use super::{
    limits::{PCI_CAPABILITIES_MAX, REGISTERS_MAX},
    registers::{Bus, Registers},
};

/// Takes an address.
pub const ADDRESS_PORT: u16 = 0xcf8;
/// Has the word at that address.
pub const DATA_PORT: u16 = 0xcfc;
/// In an address: it is one.
pub const ENABLE: u32 = 1 << 31;

/// Offsets in a function's configuration.
pub mod register {
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
pub const COMMAND_NO_LINE: u32 = 1 << 10;
/// Status, in the same word: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u32 = 1 << 20;

/// What a base address register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The first of a range of ports.
    Port(u16),
    /// An address in memory.
    Memory(u64),
}

/// A device's function.
#[derive(Clone, Copy)]
pub struct Function<'b> {
    /// Where it is reached.
    pub bus: &'b dyn Bus,
    /// Bus, device and function, where the address port wants them.
    pub address: u32,
}

impl Function<'_> {
    /// The word that holds the register at `offset`.
    pub fn word(&self, offset: u8) -> u32 {
        self.bus.port_write(ADDRESS_PORT, 4, ENABLE | self.address | u32::from(offset & !3));
        self.bus.port_read(DATA_PORT, 4)
    }

    /// Writes that word.
    pub fn write_word(&self, offset: u8, value: u32) {
        self.bus.port_write(ADDRESS_PORT, 4, ENABLE | self.address | u32::from(offset & !3));
        self.bus.port_write(DATA_PORT, 4, value);
    }

    /// The byte at `offset`.
    pub fn byte(&self, offset: u8) -> u8 {
        (self.word(offset) >> (8 * (offset & 3))) as u8
    }

    /// The 16 bits at `offset`.
    pub fn half(&self, offset: u8) -> u16 {
        (self.word(offset) >> (8 * (offset & 2))) as u16
    }

    /// A base address register: a port, or an address in memory; `None` where there is neither.
    pub fn base(&self, number: u8) -> Option<Base> {
        let offset = register::BASE_ADDRESS + 4 * (number < 6).then_some(number)?;
        let low = self.word(offset);
        if low & 1 != 0 {
            return u16::try_from(low & !3).ok().filter(|&port| port != 0).map(Base::Port);
        }
        let high = if low & 6 == 4 && number < 5 { self.word(offset + 4) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !15);
        (address != 0).then_some(Base::Memory(address))
    }

    /// The list of capabilities: where each is, and its first word.
    pub fn capabilities(&self) -> impl Iterator<Item = (u8, u32)> {
        let at = |pointer: u8| Some(pointer & !3).filter(|&at| at != 0).map(|at| (at, self.word(at)));
        let has_list = self.word(register::COMMAND) & STATUS_CAPABILITIES != 0;
        let first = if has_list { at(self.byte(register::CAPABILITIES)) } else { None };
        std::iter::successors(first, move |(_, word)| at((word >> 8) as u8))
            .take(PCI_CAPABILITIES_MAX as usize)
    }

    /// The registers at `offset` behind the base address with this number; `None` where there is no memory.
    pub fn map(&self, base: u8, offset: u32, length: u64) -> Option<Registers> {
        let Base::Memory(base) = self.base(base)? else { return None };
        self.bus.map(base.checked_add(offset.into())?, length.min(REGISTERS_MAX))
    }

    /// Lets the device use what it has, and its line unless `lines` is [`COMMAND_NO_LINE`].
    ///
    /// Nobody takes back the line of others than network cards, and other devices may share it. QEMU has a device interrupt with
    /// its first used buffer, whether that was asked for or not.
    pub fn command(&self, lines: u32) {
        let command = self.word(register::COMMAND) & 0xffff & !COMMAND_NO_LINE;
        self.write_word(register::COMMAND, command | COMMAND_USE | lines);
    }
}
