//! A device on PCI from before version 1, as bhyve and old QEMUs have them: registers in ports.
//!
//! The size of a queue is the device's, and a ring lies in one piece whose page number the device is told.
//! Source: VIRTIO 1.2 §4.1.4.10.

use super::{
    registers::Bus,
    transport::{Kind, Refusal, RingAddresses, Transport},
};
use crate::net::Interrupt;

/// Offsets from the first port.
mod port {
    pub const DEVICE_FEATURES: u16 = 0;
    pub const DRIVER_FEATURES: u16 = 4;
    pub const QUEUE_ADDRESS: u16 = 8;
    pub const QUEUE_SIZE: u16 = 12;
    pub const QUEUE_SELECT: u16 = 14;
    pub const QUEUE_NOTIFY: u16 = 16;
    pub const STATUS: u16 = 18;
    pub const INTERRUPT: u16 = 19;
    /// The configuration of its kind, as long as MSI-X is off.
    pub const DEVICE: u16 = 20;
}

/// Ports of a device, with the configuration of the kinds that there is a driver for.
const PORTS: u16 = 64;

/// Bytes of the pages that a ring's place is counted in.
const PAGE: u64 = 4096;

/// The transport.
pub struct Legacy {
    bus: &'static dyn Bus,
    kind: Kind,
    base: u16,
    line: Option<u8>,
}

impl Legacy {
    /// The device whose ports start at `base`.
    pub fn new(bus: &'static dyn Bus, kind: Kind, base: u16, line: Option<u8>) -> Self {
        // A base at the very end would go round to the machine's own ports.
        Self { bus, kind, base: base.min(u16::MAX - PORTS), line }
    }

    fn read(&self, offset: u16, width: u8) -> u32 {
        self.bus.port_read(self.base + offset, width)
    }

    fn write(&self, offset: u16, width: u8, value: u32) {
        self.bus.port_write(self.base + offset, width, value);
    }
}

impl Transport for Legacy {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn status(&mut self) -> u8 {
        self.read(port::STATUS, 1) as u8
    }

    fn set_status(&mut self, status: u8) {
        self.write(port::STATUS, 1, status.into());
    }

    fn offered(&mut self) -> u64 {
        self.read(port::DEVICE_FEATURES, 4).into()
    }

    fn accept(&mut self, features: u64) {
        self.write(port::DRIVER_FEATURES, 4, features as u32);
    }

    fn queue_size_max(&mut self, queue: u16) -> u32 {
        self.write(port::QUEUE_SELECT, 2, queue.into());
        self.read(port::QUEUE_SIZE, 2)
    }

    fn queue_size_is_fixed(&self) -> bool {
        true
    }

    fn enable_queue(&mut self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), Refusal> {
        let page = u32::try_from(ring.descriptors / PAGE).map_err(|_| Refusal::Queue(queue, size.into()))?;
        self.write(port::QUEUE_SELECT, 2, queue.into());
        self.write(port::QUEUE_ADDRESS, 4, page);
        Ok(())
    }

    #[inline]
    fn notify(&mut self, queue: u16) {
        self.write(port::QUEUE_NOTIFY, 2, queue.into());
    }

    fn configuration_byte(&mut self, offset: u16) -> u8 {
        if offset < PORTS - port::DEVICE { self.read(port::DEVICE + offset, 1) as u8 } else { 0 }
    }

    fn configuration_generation(&mut self) -> u32 {
        0
    }

    fn acknowledge_interrupt(&mut self) -> u8 {
        self.read(port::INTERRUPT, 1) as u8 // reading ends it
    }

    fn interrupt(&self) -> Interrupt {
        self.line.map_or(Interrupt::Never, Interrupt::Line)
    }
}
