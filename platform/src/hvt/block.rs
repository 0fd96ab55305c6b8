//! Block devices, by hypercall.

use super::hypercall;
use crate::block::IoError;
use solo5_sys::{
    hvt::{BlockIo, Hypercall, result},
    manifest::Entry,
};

/// A block device of the tender's.
#[derive(Debug)]
pub struct Disk {
    handle: u64,
}

impl Disk {
    /// The device at `handle` in the manifest.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        Self { handle: handle as u64 }
    }

    /// Reads one block.
    pub fn read(&mut self, offset: u64, block: &mut [u8]) -> Result<(), IoError> {
        let (data, len) = (block.as_mut_ptr().addr() as u64, block.len() as u64);
        let mut call = BlockIo { handle: self.handle, offset, data, len, ret: result::EUNSPEC };
        // SAFETY: the tender writes at most the length of `block` to it.
        unsafe { hypercall(Hypercall::BlockRead, &mut call) };
        if call.ret == result::OK && call.len == len { Ok(()) } else { Err(IoError::Host) }
    }

    /// Writes one block.
    pub fn write(&mut self, offset: u64, block: &[u8]) -> Result<(), IoError> {
        let (data, len) = (block.as_ptr().addr() as u64, block.len() as u64);
        let mut call = BlockIo { handle: self.handle, offset, data, len, ret: result::EUNSPEC };
        // SAFETY: the tender only reads `block`.
        unsafe { hypercall(Hypercall::BlockWrite, &mut call) };
        if call.ret == result::OK { Ok(()) } else { Err(IoError::Host) }
    }

    /// Nothing to do: no hypercall is for it.
    pub fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }

    /// The tender does not say.
    pub fn read_only(&self) -> bool {
        false
    }
}
