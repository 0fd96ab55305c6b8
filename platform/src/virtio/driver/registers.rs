//! Registers of devices: ports, and memory that is none.
//!
//! What a machine has of both is behind [`Bus`], so that tests bring their own.

use std::ptr::NonNull;

/// What the drivers need of the machine they run on.
pub trait Bus {
    /// Reads `width` bytes, 1, 2 or 4, from a port.
    fn port_read(&self, port: u16, width: u8) -> u32;
    /// Writes the low `width` bytes, 1, 2 or 4, of `value` to a port.
    fn port_write(&self, port: u16, width: u8, value: u32);
    /// Makes a range of physical addresses accessible, whatever lies there; `None` where that cannot be device registers.
    fn map(&self, address: u64, length: u64) -> Option<Registers>;
}

/// A range of registers in memory.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: NonNull<u8>,
    length: usize,
}

impl Registers {
    /// `length` bytes from `base`.
    ///
    /// # Safety
    /// Reading and writing there, at any width, must touch nothing but a device's registers, for ever.
    pub unsafe fn new(base: NonNull<u8>, length: usize) -> Self {
        Self { base, length }
    }

    /// Whether the range has so many bytes.
    pub fn has(&self, length: usize) -> bool {
        self.length >= length
    }

    /// Reads a register; zero where there is none.
    #[inline]
    pub fn read<T: Register>(&self, offset: usize) -> T {
        match self.at::<T>(offset) {
            // SAFETY: it lies within the range and is aligned; what reading does there is the constructor's business.
            Some(register) => unsafe { register.read_volatile() },
            None => T::default(),
        }
    }

    /// Writes a register; does nothing where there is none.
    #[inline]
    pub fn write<T: Register>(&self, offset: usize, value: T) {
        if let Some(register) = self.at::<T>(offset) {
            // SAFETY: as for reading.
            unsafe { register.write_volatile(value) };
        }
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let end = offset.checked_add(size_of::<T>())?;
        // SAFETY: the offset is within the range if its end is.
        let register = (end <= self.length).then(|| unsafe { self.base.as_ptr().add(offset).cast::<T>() })?;
        register.is_aligned().then_some(register)
    }
}

/// What a register holds.
pub trait Register: Copy + Default {}

impl Register for u8 {}
impl Register for u16 {}
impl Register for u32 {}
