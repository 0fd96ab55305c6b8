//! The guest's memory, and the only way to it: every address from the guest is checked against size and protection here.
//!
//! The guest runs while its network thread reads and writes this memory, so there are no references into it, only copies
//! and pointers that go straight to the kernel. What the guest itself may not write, its own page tables and code among
//! it, no hypercall writes for it either.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::ops::Range;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use solo5_sys::elf::GUEST_MIN_BASE;

use crate::elf::Segment;

/// What is to be done with a range of the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The host reads.
    Read,
    /// The host writes.
    Write,
}

/// The guest passed addresses that it may not use in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// First byte.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes at {:#x} are not the guest's to pass", self.length, self.address)
    }
}

/// Types that the guest's memory may be read and written as: any bytes are a value, without padding or pointers.
///
/// # Safety
/// Implementors must be plain data: valid for every bit pattern.
pub unsafe trait Plain: Copy {}

/// Guest-physical memory from address 0.
#[derive(Debug)]
pub struct GuestMemory {
    base: *mut u8,
    mapped: u64,
    /// First address that the guest may not pass: the ring lies behind it.
    end: u64,
    /// Pages with less than read and write access for the guest, and whether they can be read.
    restricted: Vec<(Range<u64>, bool)>,
}

// SAFETY: the pointer is to a mapping of its own that lives as long as the process; access to it is by raw copies and system
// calls, which stay within the mapping whichever thread makes them.
unsafe impl Send for GuestMemory {}
// SAFETY: as above.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Maps `mapped` bytes, zero and not yet taken. The guest sees `end` of them; both are multiples of a page.
    pub fn new(mapped: u64, end: u64) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped as usize, protection, flags) }?;
        Ok(Self { base: base.cast(), mapped, end, restricted: vec![(0..GUEST_MIN_BASE, true)] })
    }

    /// The mapping, for KVM.
    pub fn host_address(&self) -> u64 {
        self.base.addr() as u64
    }

    /// Bytes of the mapping.
    pub fn mapped(&self) -> u64 {
        self.mapped
    }

    /// Bytes that the guest is told of.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Puts a segment in place and protects it: for the guest through KVM, which honours the host's protection except that
    /// it cannot keep readable pages from being executed.
    pub fn load(&mut self, segment: &Segment<'_>) -> io::Result<()> {
        self.write_bytes(segment.address, segment.content);
        let mut protection = MprotectFlags::empty();
        let readable = segment.protection.read || segment.protection.execute;
        protection.set(MprotectFlags::READ, readable);
        protection.set(MprotectFlags::WRITE, segment.protection.write);
        let pages = segment.pages.clone();
        // SAFETY: the loader checked that the pages lie inside of the guest's memory; nothing refers to them.
        unsafe {
            let start = self.base.add(pages.start as usize).cast::<c_void>();
            mprotect(start, (pages.end - pages.start) as usize, protection)?;
        }
        if !(readable && segment.protection.write) {
            self.restricted.push((pages, readable));
        }
        Ok(())
    }

    /// Writes what the tender itself has to say, before the guest runs.
    ///
    /// # Panics
    /// If it does not lie inside of the mapping: addresses here are the tender's own or were checked by the loader.
    pub fn write_bytes(&mut self, address: u64, bytes: &[u8]) {
        let behind = address.checked_add(bytes.len() as u64);
        assert!(behind.is_some_and(|behind| behind <= self.mapped), "outside of the guest's memory");
        // SAFETY: checked just now; the memory is writable until `load` has protected it, which happens once per segment.
        unsafe { self.base.add(address as usize).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// A pointer to the ring, which lies behind the guest's memory proper.
    pub fn behind_end(&self) -> *mut u8 {
        // SAFETY: the end lies inside of the mapping, or just behind it.
        unsafe { self.base.add(self.end as usize) }
    }

    /// A pointer to `length` bytes at `address`, for a system call that reads or writes them.
    pub fn range(&self, address: u64, length: u64, access: Access) -> Result<*mut u8, BadAddress> {
        let bad = BadAddress { address, length };
        let behind = address.checked_add(length).ok_or(bad)?;
        if behind > self.end {
            return Err(bad);
        }
        let forbidden = |(pages, readable): &(Range<u64>, bool)| {
            let touches = address < pages.end && behind > pages.start;
            touches && !(*readable && access == Access::Read)
        };
        if self.restricted.iter().any(forbidden) {
            return Err(bad);
        }
        // SAFETY: inside of the mapping.
        Ok(unsafe { self.base.add(address as usize) })
    }

    /// Copies a value out of the guest's memory.
    pub fn read<T: Plain>(&self, address: u64) -> Result<T, BadAddress> {
        let place = self.range(address, size_of::<T>() as u64, Access::Read)?;
        // SAFETY: mapped and readable; any bytes are a `T`, whatever the guest writes meanwhile.
        Ok(unsafe { place.cast::<T>().read_unaligned() })
    }

    /// Copies a value into the guest's memory.
    pub fn write<T: Plain>(&self, address: u64, value: T) -> Result<(), BadAddress> {
        let place = self.range(address, size_of::<T>() as u64, Access::Write)?;
        // SAFETY: mapped and writable; nothing in this program refers to it.
        unsafe { place.cast::<T>().write_unaligned(value) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Protection;

    const CODE: Range<u64> = 0x10_0000..0x10_1000;
    const NOTHING: Range<u64> = 0x10_2000..0x10_3000;
    const END: u64 = 0x20_0000;

    fn memory() -> GuestMemory {
        let mut memory = GuestMemory::new(END + 0x20_0000, END).expect("memory for a test");
        let none = Protection { read: false, write: false, execute: false };
        for (pages, protection) in [(CODE, Protection { execute: true, ..none }), (NOTHING, none)] {
            let (address, memory_size) = (pages.start, 0x1000);
            memory
                .load(&Segment { address, content: b"content", memory_size, pages, protection })
                .expect("a segment inside of memory");
        }
        memory
    }

    #[track_caller]
    fn check(address: u64, length: u64, readable: bool, writable: bool) {
        let memory = memory();
        assert_eq!(memory.range(address, length, Access::Read).is_ok(), readable, "reading");
        assert_eq!(memory.range(address, length, Access::Write).is_ok(), writable, "writing");
    }

    #[test]
    fn all_of_the_heap_may_be_passed() {
        check(0x10_3000, END - 0x10_3000, true, true);
        check(END - 1, 1, true, true);
        check(END, 0, true, true);
    }

    #[test]
    fn nothing_behind_the_end_may_be_passed() {
        check(END - 1, 2, false, false);
        check(END, 1, false, false);
        check(0x10_1000, u64::MAX, false, false);
        check(u64::MAX, 1, false, false);
        check(u64::MAX, u64::MAX, false, false);
    }

    #[test]
    fn page_tables_and_boot_information_are_not_written_for_the_guest() {
        check(0x2000, 8, true, false);
        check(0xf_fff8, 8, true, false);
        check(0xf_fff8, 16, true, false);
    }

    #[test]
    fn code_is_read_but_not_written() {
        check(CODE.start, 16, true, false);
        check(CODE.end - 8, 16, true, false);
        check(CODE.end, 16, true, true);
    }

    #[test]
    fn what_the_guest_cannot_read_is_not_read_for_it() {
        check(NOTHING.start, 1, false, false);
        check(NOTHING.start - 1, 2, false, false);
        check(NOTHING.start - 1, 1, true, true);
    }
}
