//! Block devices: one block at an offset, by descriptor.

use super::{number, system_call};
use crate::block::IoError;
use solo5_sys::manifest::Entry;

/// A block device of the tender's: a file or a real device.
#[derive(Debug)]
pub struct Disk {
    descriptor: usize,
}

impl Disk {
    /// The device that `entry` describes.
    pub fn new(_handle: usize, entry: &Entry) -> Self {
        Self { descriptor: entry.host as u32 as usize }
    }

    /// Reads one block.
    pub fn read(&mut self, offset: u64, block: &mut [u8]) -> Result<(), IoError> {
        let arguments = [self.descriptor, block.as_mut_ptr().addr(), block.len(), offset as usize, 0, 0];
        // SAFETY: the kernel writes at most the length of `block` to it.
        let result = unsafe { system_call(number::PREAD64, arguments) };
        if result == block.len() as isize { Ok(()) } else { Err(IoError::Host) }
    }

    /// Writes one block.
    pub fn write(&mut self, offset: u64, block: &[u8]) -> Result<(), IoError> {
        let arguments = [self.descriptor, block.as_ptr().addr(), block.len(), offset as usize, 0, 0];
        // SAFETY: the kernel only reads `block`.
        let result = unsafe { system_call(number::PWRITE64, arguments) };
        if result == block.len() as isize { Ok(()) } else { Err(IoError::Host) }
    }

    /// Nothing to do: no call of the tender's is for it.
    pub fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }

    /// The tender does not say.
    pub fn read_only(&self) -> bool {
        false
    }
}
