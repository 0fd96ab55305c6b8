//! Memory that loader and firmware wrote, read where they say it is.

use super::{loaded::Physical, map_memory};

unsafe extern "C" {
    static __data_end: u8;
    static __image_end: u8;
}

/// First address that is mapped to itself: a null pointer must fault.
const LOW_START: u64 = 0x1000;

/// Where the first two pages can be read nevertheless, since QEMU puts PVH's memory map into the first one: the address of a
/// PC's graphics memory, which is nobody's here.
pub const FIRST_PAGES: u64 = 0xa_0000;
const FIRST_PAGES_END: u64 = 0x2000;

/// The machine's memory.
#[derive(Debug)]
pub struct Mapped;

impl Physical for Mapped {
    fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        let end = address.checked_add(length)?;
        let tables = (&raw const __data_end).addr() as u64..(&raw const __image_end).addr() as u64;
        let meets_tables = address < tables.end && end > tables.start;
        let address = match address {
            address if address < LOW_START && end <= FIRST_PAGES_END => address + FIRST_PAGES,
            address if address < LOW_START || meets_tables || !map_memory(address, length) => return None,
            address => address,
        };
        // SAFETY: the range is mapped, and not ring 0's. The host may change it at any time, as all our memory; whoever
        // reads it takes each value once and for what it is.
        Some(unsafe { std::slice::from_raw_parts(address as *const u8, length as usize) })
    }
}
