//! What every way to a virtio device has in common: status, features, configuration, queues, a bell.
//!
//! A transport moves registers and nothing else. It is used while a device is set up, to ring its bell and to acknowledge its
//! interrupt; frames and blocks move through the rings (`ring.rs`), which a transport never sees.
//!
//! Source: Virtual I/O Device (VIRTIO) 1.2, §2.1 to §2.5, §3.1, and §4.

use super::limits::{CONFIGURATION_ATTEMPTS, QUEUE_SIZE_MAX, QUEUE_SIZE_MIN, RESET_ATTEMPTS};
use super::ring::Violation;
use crate::net::Interrupt;
use std::fmt;

/// What kind of device it is (VIRTIO 1.2 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Network card, number 1.
    Net,
    /// Block device, number 2.
    Block,
    /// Console, number 3.
    Console,
}

impl Kind {
    /// The device with this number; `None` if there is no driver for it.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Net),
            2 => Some(Self::Block),
            3 => Some(Self::Console),
            _ => None,
        }
    }
}

/// Bits of the device status (§2.1).
pub mod status {
    /// The driver has noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The driver knows how to drive it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// Both have agreed on features.
    pub const FEATURES_OK: u8 = 8;
    /// The device cannot go on.
    pub const NEEDS_RESET: u8 = 64;
    /// The driver has given up.
    pub const FAILED: u8 = 128;
}

/// Bits of the interrupt status (§4.1.4.5, §4.2.2).
pub mod interrupt {
    /// The configuration or the status has changed.
    pub const CONFIGURATION: u8 = 2;
}

/// Feature bits that are not of a kind of device (§6).
pub mod feature {
    /// A legacy device takes header and data in one buffer.
    pub const ANY_LAYOUT: u64 = 1 << 27;
    /// Each side says after which entry it wants to be told.
    pub const EVENT_INDEX: u64 = 1 << 29;
    /// The device keeps to version 1 of the specification; one without is a legacy device.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Where the three parts of a ring lie, as the device sees memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingAddresses {
    /// The descriptor table; on a page boundary, and the others follow as the legacy layout wants it.
    pub descriptors: u64,
    /// The ring of what the driver has given.
    pub available: u64,
    /// The ring of what the device has done with.
    pub used: u64,
}

/// One device's registers.
///
/// # Implementation safety
/// None of it is trusted: a value that a transport returns may be anything, and every user checks it. A transport itself may
/// touch nothing but its device's registers, whatever these hold.
pub trait Transport {
    /// The kind of device behind it.
    fn kind(&self) -> Kind;
    /// The status register.
    fn status(&mut self) -> u8;
    /// Writes the status register; 0 resets the device.
    fn set_status(&mut self, status: u8);
    /// The features that the device offers.
    fn offered(&mut self) -> u64;
    /// Tells the device which of them are used.
    fn accept(&mut self, features: u64);
    /// The largest size of a queue, in descriptors; 0 if there is no such queue.
    fn queue_size_max(&mut self, queue: u16) -> u32;
    /// Whether a queue has to have the size that [`queue_size_max`](Self::queue_size_max) says.
    fn queue_size_is_fixed(&self) -> bool;
    /// Hands a ring of `size` descriptors over to the device.
    fn enable_queue(&mut self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), Refusal>;
    /// Tells the device that there is something in a queue.
    fn notify(&mut self, queue: u16);
    /// A byte of the device's own configuration; 0 where there is none.
    fn configuration_byte(&mut self, offset: u16) -> u8;
    /// Changes whenever the configuration does; always 0 on legacy devices.
    fn configuration_generation(&mut self) -> u32;
    /// Acknowledges the device's interrupt, which ends it. What it was for, as [`interrupt`] has it; 0 where it was a message,
    /// which has ended with its arrival.
    fn acknowledge_interrupt(&mut self) -> u8;
    /// How it interrupts.
    fn interrupt(&self) -> Interrupt;
    /// Has the device say by messages what it would say by a line, if it sends any; once it was reset.
    fn map_messages(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Why a device is not used. What it says is in its answers, so it is the host's fault in each case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not reset.
    NoReset,
    /// It does not accept the features that it offered itself; these were wanted.
    Features(u64),
    /// One of its queues is missing or has a size that cannot be; the queue and the size.
    Queue(u16, u32),
    /// Its configuration changes while it is read, again and again.
    Unsteady,
    /// It does not take a place in its own table of messages for its state, or for this queue.
    Message(Option<u16>),
    /// A value of its configuration cannot be; what, and the value.
    Configuration(&'static str, u64),
    /// There is no memory for its rings and buffers: the image's fault.
    NoMemory,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReset => write!(f, "the host's device does not reset"),
            Self::Features(wanted) => {
                write!(f, "the host's device offers features and then refuses them ({wanted:#x})")
            }
            Self::Queue(queue, size) => write!(f, "the host's device has a queue {queue} of size {size}"),
            Self::Unsteady => write!(f, "the configuration of the host's device does not stand still"),
            Self::Configuration(what, value) => {
                write!(f, "the host's device has a {what} of {value}, which cannot be")
            }
            Self::Message(None) => write!(f, "the host's device sends no message when its state changes"),
            Self::Message(Some(queue)) => write!(f, "the host's device sends no messages for queue {queue}"),
            Self::NoMemory => {
                write!(f, "there is no memory for its rings and buffers: start the image with more")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// Resets a device and agrees with it on features: those of `wanted` that it offers (§3.1.1, steps 1 to 6).
pub fn negotiate(transport: &mut dyn Transport, wanted: u64) -> Result<u64, Refusal> {
    transport.set_status(0);
    // A reset is done when the status reads 0 (§4.1.4.3.1).
    if (0..RESET_ATTEMPTS).all(|_| transport.status() != 0) {
        return Err(Refusal::NoReset);
    }
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
    let features = transport.offered() & (wanted | feature::VERSION_1 | feature::EVENT_INDEX);
    transport.accept(features);
    if features & feature::VERSION_1 != 0 {
        // A legacy device has no such bit.
        transport.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
        if transport.status() & status::FEATURES_OK == 0 {
            transport.set_status(status::FAILED);
            return Err(Refusal::Features(features));
        }
    }
    transport.map_messages()?;
    Ok(features)
}

/// Tells a device that its driver is ready (§3.1.1, step 8).
pub fn start(transport: &mut dyn Transport, features: u64) {
    let agreed = if features & feature::VERSION_1 == 0 { 0 } else { status::FEATURES_OK };
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER | agreed | status::DRIVER_OK);
}

/// Ends a device's interrupt, and looks whether it was to say that the device has given up. Whether there was one.
pub fn check_interrupt(transport: &mut dyn Transport) -> Result<bool, Violation> {
    let interrupt = transport.acknowledge_interrupt();
    if interrupt & interrupt::CONFIGURATION != 0 {
        check_state(transport)?;
    }
    Ok(interrupt != 0)
}

/// Looks whether a device has given up.
pub fn check_state(transport: &mut dyn Transport) -> Result<(), Violation> {
    if transport.status() & status::NEEDS_RESET == 0 { Ok(()) } else { Err(Violation::GaveUp) }
}

/// Reads `N` bytes of a device's configuration, all of one generation.
pub fn configuration<const N: usize>(transport: &mut dyn Transport, offset: u16) -> Result<[u8; N], Refusal> {
    for _ in 0..CONFIGURATION_ATTEMPTS {
        let generation = transport.configuration_generation();
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = transport.configuration_byte(offset + at as u16);
        }
        if transport.configuration_generation() == generation {
            return Ok(bytes);
        }
    }
    Err(Refusal::Unsteady)
}

/// The size that a queue gets: at most `wanted`, unless the device insists.
pub fn queue_size(transport: &mut dyn Transport, queue: u16, wanted: u16) -> Result<u16, Refusal> {
    let largest = transport.queue_size_max(queue);
    let size = match u16::try_from(largest) {
        Ok(size) if transport.queue_size_is_fixed() => size,
        // The largest power of two that both take.
        Ok(size @ 1..) => wanted.min(1 << size.ilog2()),
        Ok(0) => 0,
        Err(_) => wanted,
    };
    // A split ring's size is a power of two (§2.7); 32768 is the largest.
    if size.is_power_of_two() && (QUEUE_SIZE_MIN..=QUEUE_SIZE_MAX).contains(&size) {
        Ok(size)
    } else {
        Err(Refusal::Queue(queue, largest))
    }
}
