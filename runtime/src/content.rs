//! The content archive of an image: baked in, or on a block device.
//!
//! One reader for both, so that a service does not care. A block device is read in order, a run of blocks at a time.

use platform::block::{self, BlockDevice};
use std::io::{self, Read};

/// Where the content comes from; reads from its start.
pub enum Content {
    /// Baked in by `cargo xtask image --content`.
    Baked(&'static [u8]),
    /// On a block device.
    Device(DeviceReader),
}

/// A block device read in order. What is behind the archive on it is read as part of it.
pub struct DeviceReader {
    device: BlockDevice,
    offset: u64,
    block: Vec<u8>,
    taken: usize,
}

/// Opens the content: what is baked in, else the block device called `device`. The error says what is missing.
pub fn open(device: &str) -> Result<Content, platform::OpenError> {
    if let Some(archive) = platform::baked::content() {
        return Ok(Content::Baked(archive));
    }
    let device = block::open(device)?;
    Ok(Content::Device(DeviceReader { block: Vec::new(), taken: 0, offset: 0, device }))
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Baked(archive) => archive.read(buffer),
            Self::Device(reader) => reader.read(buffer),
        }
    }
}

impl Read for DeviceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            if self.offset >= self.device.capacity() {
                return Ok(0);
            }
            self.block.resize(self.device.block_size(), 0);
            self.device.read(self.offset, &mut self.block)?;
            self.offset += self.block.len() as u64;
            self.taken = 0;
        }
        let length = (self.block.len() - self.taken).min(buffer.len());
        buffer[..length].copy_from_slice(&self.block[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}
