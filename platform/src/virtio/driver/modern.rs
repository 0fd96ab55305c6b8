//! A device on PCI that speaks version 1: registers in memory, where its capabilities say.
//!
//! Source: VIRTIO 1.2 §4.1.4.

use super::{
    messages::Entries,
    registers::Registers,
    transport::{Kind, Refusal, RingAddresses, Transport},
};
use crate::net::Interrupt;

/// Offsets of the common configuration (§4.1.4.3).
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    pub const DEVICE_FEATURE: usize = 4;
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    pub const DRIVER_FEATURE: usize = 12;
    pub const CONFIG_MSIX_VECTOR: usize = 16;
    pub const DEVICE_STATUS: usize = 20;
    pub const CONFIG_GENERATION: usize = 21;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
    pub const QUEUE_MSIX_VECTOR: usize = 26;
    pub const QUEUE_ENABLE: usize = 28;
    pub const QUEUE_NOTIFY_OFF: usize = 30;
    pub const QUEUE_DESC: usize = 32;
    pub const QUEUE_DRIVER: usize = 40;
    pub const QUEUE_DEVICE: usize = 48;
    pub const BYTES: usize = 56;
}

/// Queues that there is a driver for.
const QUEUES: usize = 2;

/// Where the registers of a device are.
#[derive(Debug)]
pub struct Places {
    /// The common configuration.
    pub common: Registers,
    /// The bells.
    pub notify: Registers,
    /// Bytes between two bells.
    pub multiplier: u32,
    /// The interrupt status.
    pub interrupt: Registers,
    /// The configuration of its kind, if it has any.
    pub device: Option<Registers>,
}

/// How the device was made to interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wired {
    /// By a line, if that is known.
    Line(Option<u8>),
    /// By messages.
    Messages(Entries),
}

/// The transport.
#[derive(Debug)]
pub struct Modern {
    kind: Kind,
    places: Places,
    /// Offset of each queue's bell.
    bells: [usize; QUEUES],
    interrupt: Wired,
}

impl Modern {
    /// `None` if there is no room for the registers that it must have.
    pub fn new(kind: Kind, places: Places, interrupt: Wired) -> Option<Self> {
        let room = places.common.has(common::BYTES) && places.interrupt.has(1);
        room.then_some(Self { kind, places, bells: [0; QUEUES], interrupt })
    }

    /// Names the entry of the table of messages for what `register` stands for, which the device confirms (§4.1.5.1.2). False if it
    /// does not: the register then reads as no entry.
    fn map(&self, register: usize, entry: u16) -> bool {
        self.places.common.write(register, entry);
        self.places.common.read::<u16>(register) == entry
    }

    fn write_address(&self, offset: usize, address: u64) {
        self.places.common.write(offset, address as u32);
        self.places.common.write(offset + 4, (address >> 32) as u32);
    }
}

impl Transport for Modern {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn status(&mut self) -> u8 {
        self.places.common.read(common::DEVICE_STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.places.common.write(common::DEVICE_STATUS, status);
    }

    fn offered(&mut self) -> u64 {
        let common = &self.places.common;
        [1_u32, 0].into_iter().fold(0, |features, half| {
            common.write(common::DEVICE_FEATURE_SELECT, half);
            features << 32 | u64::from(common.read::<u32>(common::DEVICE_FEATURE))
        })
    }

    fn accept(&mut self, features: u64) {
        for (half, bits) in [(0_u32, features as u32), (1, (features >> 32) as u32)] {
            self.places.common.write(common::DRIVER_FEATURE_SELECT, half);
            self.places.common.write(common::DRIVER_FEATURE, bits);
        }
    }

    fn queue_size_max(&mut self, queue: u16) -> u32 {
        self.places.common.write(common::QUEUE_SELECT, queue);
        self.places.common.read::<u16>(common::QUEUE_SIZE).into()
    }

    fn queue_size_is_fixed(&self) -> bool {
        false
    }

    fn enable_queue(&mut self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), Refusal> {
        let common = &self.places.common;
        common.write(common::QUEUE_SELECT, queue);
        common.write(common::QUEUE_SIZE, size);
        let number = usize::from(common.read::<u16>(common::QUEUE_NOTIFY_OFF));
        let bell = number * self.places.multiplier as usize; // at most 48 bits
        if !self.places.notify.has(bell + 2) {
            return Err(Refusal::Configuration("bell at offset", bell as u64));
        }
        self.bells[usize::from(queue)] = bell;
        if let Wired::Messages(entries) = self.interrupt
            && !self.map(common::QUEUE_MSIX_VECTOR, entries.queue)
        {
            return Err(Refusal::Message(Some(queue)));
        }
        self.write_address(common::QUEUE_DESC, ring.descriptors);
        self.write_address(common::QUEUE_DRIVER, ring.available);
        self.write_address(common::QUEUE_DEVICE, ring.used);
        self.places.common.write(common::QUEUE_ENABLE, 1_u16);
        Ok(())
    }

    #[inline]
    fn notify(&mut self, queue: u16) {
        self.places.notify.write(self.bells[usize::from(queue)], queue);
    }

    fn configuration_byte(&mut self, offset: u16) -> u8 {
        self.places.device.map_or(0, |device| device.read(offset.into()))
    }

    fn configuration_generation(&mut self) -> u32 {
        self.places.common.read::<u8>(common::CONFIG_GENERATION).into()
    }

    fn acknowledge_interrupt(&mut self) -> u8 {
        match self.interrupt {
            Wired::Line(_) => self.places.interrupt.read(0), // reading ends it
            Wired::Messages(_) => 0,
        }
    }

    fn interrupt(&self) -> Interrupt {
        match self.interrupt {
            Wired::Line(line) => line.map_or(Interrupt::Never, Interrupt::Line),
            Wired::Messages(_) => Interrupt::Messages,
        }
    }

    fn map_messages(&mut self) -> Result<(), Refusal> {
        match self.interrupt {
            Wired::Messages(entries) if !self.map(common::CONFIG_MSIX_VECTOR, entries.state) => {
                Err(Refusal::Message(None))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::NonNull;

    const RING: RingAddresses = RingAddresses { descriptors: 0, available: 0, used: 0 };

    /// So many bytes of registers that hold what is written to them.
    fn registers(length: usize) -> Registers {
        let memory = vec![0_u64; length.div_ceil(8)].leak();
        // SAFETY: the memory is nobody else's, and is never freed.
        unsafe { Registers::new(NonNull::from(memory).cast(), length) }
    }

    /// A card that interrupts so, and its registers: the common ones, and the interrupt status, which says 3.
    fn card(interrupt: Wired) -> (Modern, Registers) {
        let (common, status) = (registers(common::BYTES), registers(1));
        status.write(0, 3_u8);
        let places = Places { common, notify: registers(2), multiplier: 0, interrupt: status, device: None };
        (Modern::new(Kind::Net, places, interrupt).expect("there is room"), common)
    }

    #[test]
    fn messages_are_for_the_state_and_for_queues() {
        let (mut card, common) = card(Wired::Messages(Entries { state: 5, queue: 6 }));
        card.map_messages().expect("the register holds it");
        card.enable_queue(0, 4, RING).expect("the register holds it");
        assert_eq!(common.read::<u16>(common::CONFIG_MSIX_VECTOR), 5);
        assert_eq!(common.read::<u16>(common::QUEUE_MSIX_VECTOR), 6);
        assert_eq!(card.interrupt(), Interrupt::Messages);
        assert_eq!(card.acknowledge_interrupt(), 0, "nothing is read that only a line needs");
    }

    #[test]
    fn a_card_on_a_line_is_told_of_no_messages() {
        let (mut card, common) = card(Wired::Line(Some(9)));
        card.map_messages().expect("there is nothing to do");
        card.enable_queue(0, 4, RING).expect("it is a good queue");
        assert_eq!(common.read::<u16>(common::CONFIG_MSIX_VECTOR), 0);
        assert_eq!(common.read::<u16>(common::QUEUE_MSIX_VECTOR), 0);
        assert_eq!((card.interrupt(), card.acknowledge_interrupt()), (Interrupt::Line(9), 3));
    }

    #[test]
    fn a_device_that_keeps_no_message_is_refused() {
        let (mut card, _) = card(Wired::Messages(Entries { state: 1, queue: 2 }));
        // Registers that hold nothing: not what was written is read.
        card.places.common = registers(0);
        assert_eq!(card.map_messages(), Err(Refusal::Message(None)));
        assert_eq!(card.enable_queue(0, 4, RING), Err(Refusal::Message(Some(0))));
    }
}
