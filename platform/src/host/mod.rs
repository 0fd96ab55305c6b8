//! The host: a clock and no devices, so that everything above can be tested as a process.

use crate::{
    block::IoError,
    manifest::OpenError,
    net::{Capabilities, Interrupt, Offload},
};
use solo5_sys::manifest::Entry;
use std::time::{Duration, Instant, SystemTime};

pub fn open(name: &str, device_type: u32) -> Result<(usize, Entry), OpenError> {
    crate::manifest::open(&[], name, device_type, &mut 0)
}

pub fn monotonic() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

pub fn wall() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

pub fn wait(deadline: Option<u64>) {
    let nanoseconds = deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(monotonic()));
    std::thread::sleep(Duration::from_nanos(nanoseconds));
}

pub fn exit(status: i32) -> ! {
    std::process::exit(status)
}

/// An interface that nothing is connected to; [`open`] finds none.
#[derive(Debug)]
pub struct Interface;

impl Interface {
    pub fn new(_handle: usize, _entry: &Entry) -> Self {
        Self
    }

    pub fn receive(&mut self, _frame: &mut [u8]) -> Option<usize> {
        None
    }

    pub fn transmit(&mut self, _frame: &[u8], _offload: Offload) -> bool {
        false
    }

    pub fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// How it ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::Host
    }
}

/// A disk that fails; [`open`] finds none.
#[derive(Debug)]
pub struct Disk;

impl Disk {
    pub fn new(_handle: usize, _entry: &Entry) -> Self {
        Self
    }

    pub fn read(&mut self, _offset: u64, _block: &mut [u8]) -> Result<(), IoError> {
        Err(IoError::Host)
    }

    pub fn write(&mut self, _offset: u64, _block: &[u8]) -> Result<(), IoError> {
        Err(IoError::Host)
    }

    pub fn flush(&mut self) -> Result<(), IoError> {
        Err(IoError::Host)
    }

    pub fn read_only(&self) -> bool {
        false
    }
}
