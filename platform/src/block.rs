//! Block devices: whole blocks, read and written in place.

use crate::{manifest::OpenError, target};
use solo5_sys::manifest::device_type::BLOCK_BASIC;

/// Why a block could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The buffer is not one block, or the offset is no multiple of the block size: the caller's fault.
    Misaligned,
    /// The block lies outside the device: the caller's fault.
    OutOfRange,
    /// The device takes no writes: attach it for writing, or do not write.
    ReadOnly,
    /// The host could not do it.
    Host,
    /// The host does not know how to do it.
    Unsupported,
    /// The host did not answer, and is not asked any more: the device has to be attached anew.
    Silent,
}

impl std::fmt::Display for IoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "not a whole block",
            Self::OutOfRange => "outside the block device",
            Self::ReadOnly => "the block device is read-only",
            Self::Host => "the host failed to read or write the block device",
            Self::Unsupported => "the host's block device does not know this operation",
            Self::Silent => "the host's block device does not answer any more",
        })
    }
}

impl std::error::Error for IoError {}

impl From<IoError> for std::io::Error {
    fn from(error: IoError) -> Self {
        Self::other(error)
    }
}

/// A block device of the image. It has one owner, and none can be made but by [`open`].
#[derive(Debug)]
pub struct BlockDevice {
    disk: target::Disk,
    capacity: u64,
    block_size: usize,
}

/// Opens the block device that the manifest calls `name` ("storage").
pub fn open(name: &str) -> Result<BlockDevice, OpenError> {
    let (handle, entry) = target::open(name, BLOCK_BASIC)?;
    let [c0, c1, c2, c3, c4, c5, c6, c7, b0, b1, ..] = entry.properties;
    Ok(BlockDevice {
        disk: target::Disk::new(handle, &entry),
        capacity: u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        block_size: usize::from(u16::from_le_bytes([b0, b1])),
    })
}

impl BlockDevice {
    /// Size of the device in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Size of a block in bytes: the only length that is read or written at once.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Reads the block at `offset` bytes into `block`.
    pub fn read(&mut self, offset: u64, block: &mut [u8]) -> Result<(), IoError> {
        self.check(offset, block.len())?;
        self.disk.read(offset, block)
    }

    /// Writes `block` at `offset` bytes.
    pub fn write(&mut self, offset: u64, block: &[u8]) -> Result<(), IoError> {
        self.check(offset, block.len())?;
        if self.read_only() { Err(IoError::ReadOnly) } else { self.disk.write(offset, block) }
    }

    /// Has everything written reach the device itself, where the host keeps it in a cache that it lets us flush. A tender does
    /// not: there it does nothing.
    pub fn flush(&mut self) -> Result<(), IoError> {
        self.disk.flush()
    }

    /// Whether the device is known to take no writes.
    pub fn read_only(&self) -> bool {
        self.disk.read_only()
    }

    fn check(&self, offset: u64, length: usize) -> Result<(), IoError> {
        if length != self.block_size || !offset.is_multiple_of(self.block_size as u64) {
            return Err(IoError::Misaligned);
        }
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.capacity => Ok(()),
            _ => Err(IoError::OutOfRange),
        }
    }
}
