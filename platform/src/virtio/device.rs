//! The devices of the machine, found and matched to the manifest. None yet.

use crate::manifest::OpenError;
use solo5_sys::manifest::Entry;

/// The device called `name`, which then has its one owner.
pub fn open(name: &str, device_type: u32) -> Result<(usize, Entry), OpenError> {
    crate::manifest::open(crate::baked::manifest(), name, device_type, &mut 0)
}

/// Asks every open device for an interrupt when it has something. False if one has already: do not sleep.
pub fn arm() -> bool {
    true
}

/// Lets every device take its interrupt back.
pub fn disarm() {}

/// A network interface.
#[derive(Debug)]
pub struct Interface;

impl Interface {
    /// The interface at `handle` in the manifest.
    pub fn new(_handle: usize, _entry: &Entry) -> Self {
        Self
    }

    /// Takes one frame; `None` when there is none now.
    pub fn receive(&mut self, _frame: &mut [u8]) -> Option<usize> {
        None
    }

    /// Sends one frame; false if the host did not take it.
    pub fn transmit(&mut self, _frame: &[u8]) -> bool {
        false
    }
}

/// A block device.
#[derive(Debug)]
pub struct Disk;

impl Disk {
    /// The device at `handle` in the manifest.
    pub fn new(_handle: usize, _entry: &Entry) -> Self {
        Self
    }

    /// Reads one block; false if the host failed.
    pub fn read(&mut self, _offset: u64, _block: &mut [u8]) -> bool {
        false
    }

    /// Writes one block; false if the host failed.
    pub fn write(&mut self, _offset: u64, _block: &[u8]) -> bool {
        false
    }
}
