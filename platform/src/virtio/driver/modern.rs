//! A device on PCI that speaks version 1: registers in memory, where its capabilities say.
//!
//! Source: VIRTIO 1.2 §4.1.4.

use super::{
    registers::Registers,
    transport::{Kind, Refusal, RingAddresses, Transport},
};

/// Offsets of the common configuration (§4.1.4.3).
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    pub const DEVICE_FEATURE: usize = 4;
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    pub const DRIVER_FEATURE: usize = 12;
    pub const DEVICE_STATUS: usize = 20;
    pub const CONFIG_GENERATION: usize = 21;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
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

/// The transport.
#[derive(Debug)]
pub struct Modern {
    kind: Kind,
    places: Places,
    /// Offset of each queue's bell.
    bells: [usize; QUEUES],
    line: Option<u8>,
}

impl Modern {
    /// `None` if there is no room for the registers that it must have.
    pub fn new(kind: Kind, places: Places, line: Option<u8>) -> Option<Self> {
        let room = places.common.has(common::BYTES) && places.interrupt.has(1);
        room.then_some(Self { kind, places, bells: [0; QUEUES], line })
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
        self.places.interrupt.read(0) // reading ends it
    }

    fn interrupt_line(&self) -> Option<u8> {
        self.line
    }
}
