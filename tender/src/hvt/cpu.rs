//! The state in which a guest starts: 64-bit mode, one-to-one page tables, flat segments.
//!
//! ```text
//! 0x1000  GDT: null, code, data
//! 0x2000  PML4 ─► 0x3000 PDPT ─► 0x4000 four page directories of 2 MiB pages; the first 2 MiB ─► 0x8000 page table
//!         below 0x10000 not mapped (zero page, these tables), below 0x100000 read-only, the rest writable
//! ```
//!
//! An image of ours leaves all of this behind within its first instructions. Source: Solo5 `tenders/hvt/hvt_cpu_x86_64.h`;
//! bits: Intel SDM volume 3, 2.5, 3.4.5 and 4.5.

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use solo5_sys::elf::GUEST_MIN_BASE;
use solo5_sys::hvt::BOOT_INFO_BASE;

use super::memory::GuestMemory;
use crate::limits::{HVT_PAGE_SIZE, PAGE_SIZE};

const GDT: u64 = 0x1000;
const PML4: u64 = 0x2000;
const PDPT: u64 = 0x3000;
const PAGE_DIRECTORIES: u64 = 0x4000;
const FIRST_PAGE_TABLE: u64 = 0x8000;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;

/// Protection enable, numeric error, write protect, paging.
const CR0: u64 = 1 << 0 | 1 << 5 | 1 << 16 | 1 << 31;
/// Physical address extension, FXSAVE, SSE exceptions.
const CR4: u64 = 1 << 5 | 1 << 9 | 1 << 10;
/// Long mode, enabled and active.
const EFER: u64 = 1 << 8 | 1 << 10;
/// The bit that is always one.
const RFLAGS: u64 = 1 << 1;

/// Writes page tables and GDT into `memory`.
pub fn write_tables(memory: &mut GuestMemory) {
    let mut table = |address, entries: &mut dyn Iterator<Item = u64>| {
        let bytes: Vec<u8> = entries.flat_map(u64::to_le_bytes).collect();
        memory.write_bytes(address, &bytes);
    };
    table(GDT, &mut [0, descriptor(&code_segment()), descriptor(&data_segment())].into_iter());
    table(PML4, &mut [PDPT | PRESENT | WRITABLE].into_iter());
    table(PDPT, &mut (0..4).map(|index| (PAGE_DIRECTORIES + index * PAGE_SIZE) | PRESENT | WRITABLE));
    table(FIRST_PAGE_TABLE, &mut (0..512).map(|page| first_page(page * PAGE_SIZE)));
    let large_pages = memory.mapped() / HVT_PAGE_SIZE;
    let directory = (0..large_pages).map(|page| match page {
        0 => FIRST_PAGE_TABLE | PRESENT | WRITABLE,
        page => (page * HVT_PAGE_SIZE) | PRESENT | WRITABLE | LARGE,
    });
    let bytes: Vec<u8> = directory.flat_map(u64::to_le_bytes).collect();
    memory.write_bytes(PAGE_DIRECTORIES, &bytes);
}

/// The entry of a page in the first 2 MiB.
fn first_page(address: u64) -> u64 {
    match address {
        0..BOOT_INFO_BASE => 0,
        BOOT_INFO_BASE..GUEST_MIN_BASE => address | PRESENT,
        _ => address | PRESENT | WRITABLE,
    }
}

/// System registers.
pub fn system_registers() -> kvm_sregs {
    let data = data_segment();
    kvm_sregs {
        cr0: CR0,
        cr3: PML4,
        cr4: CR4,
        efer: EFER,
        cs: code_segment(),
        ss: data,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        gdt: kvm_dtable { base: GDT, limit: 3 * 8 - 1, ..Default::default() },
        tr: kvm_segment { type_: 11, present: 1, ..Default::default() },
        ldt: kvm_segment { unusable: 1, ..Default::default() },
        ..Default::default()
    }
}

/// General registers: at the entry, with an aligned stack below `stack_end` and the boot information's address.
pub fn registers(entry: u64, stack_end: u64) -> kvm_regs {
    kvm_regs { rip: entry, rflags: RFLAGS, rsp: stack_end - 8, rdi: BOOT_INFO_BASE, ..Default::default() }
}

/// Execute-only, accessed, 64-bit.
fn code_segment() -> kvm_segment {
    kvm_segment { selector: 8, type_: 9, l: 1, ..flat_segment() }
}

/// Read and write, accessed.
fn data_segment() -> kvm_segment {
    kvm_segment { selector: 16, type_: 3, db: 1, ..flat_segment() }
}

fn flat_segment() -> kvm_segment {
    kvm_segment { limit: 0xffff_ffff, present: 1, s: 1, g: 1, ..Default::default() }
}

/// A flat segment as the GDT has it; base zero, limit in pages.
fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(segment.limit >> 12);
    let access = u64::from(segment.type_)
        | u64::from(segment.s) << 4
        | u64::from(segment.dpl) << 5
        | u64::from(segment.present) << 7;
    let flags = u64::from(segment.l) << 1 | u64::from(segment.db) << 2 | u64::from(segment.g) << 3;
    (limit & 0xffff) | access << 40 | (limit >> 16) << 48 | flags << 52
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_a_flat_64_bit_segment() {
        assert_eq!(descriptor(&code_segment()), 0x00af_9900_0000_ffff);
        assert_eq!(descriptor(&data_segment()), 0x00cf_9300_0000_ffff);
    }

    #[test]
    fn the_zero_page_and_the_tables_are_not_mapped() {
        assert_eq!([0, GDT, PML4, FIRST_PAGE_TABLE].map(first_page), [0; 4]);
        assert_eq!(first_page(BOOT_INFO_BASE), BOOT_INFO_BASE | PRESENT);
        assert_eq!(first_page(GUEST_MIN_BASE), GUEST_MIN_BASE | PRESENT | WRITABLE);
    }
}
