//! What `handover.s` is told to do.

use core::{arch::global_asm, slice};
use loader::elf::Segment;

global_asm!(include_str!("handover.s"));

unsafe extern "C" {
    static handover: u8;
    static handover_end: u8;
}

/// Copies that an order can hold: an image has five segments.
const COPIES: usize = 16;

/// Layout that handover.s reads.
#[repr(C)]
pub struct Orders {
    /// Where to jump to.
    pub entry: u32,
    /// What ebx is to be then.
    pub start_info: u32,
    copies: u32,
    padding: u32,
    list: [[u32; 4]; COPIES],
}

impl Orders {
    /// Orders to copy nothing.
    pub fn new(entry: u32, start_info: u32) -> Self {
        Self { entry, start_info, copies: 0, padding: 0, list: [[0; 4]; COPIES] }
    }

    /// Adds the copy of a segment of the file that lies at this address; whether there was room for it.
    pub fn add(&mut self, file: u32, segment: &Segment) -> bool {
        let Some(copy) = self.list.get_mut(self.copies as usize) else { return false };
        *copy = [file + segment.offset as u32, segment.address, segment.bytes, segment.zeroes];
        self.copies += 1;
        true
    }
}

/// Carries the orders out; the code runs in `page`, the orders lie at `orders` with a stack in front of them.
///
/// # Safety
///
/// Boot services have ended; both lie below 4 GiB, and neither they nor what is to be copied lies where something is copied
/// to. What is copied there is an image that can be entered as the orders say.
pub unsafe fn carry_out(page: &mut [u8], orders: &'static Orders) -> ! {
    let (start, end) = (&raw const handover, &raw const handover_end);
    // SAFETY: both are labels of handover.s, one behind the other.
    let code = unsafe { slice::from_raw_parts(start, end as usize - start as usize) };
    page[..code.len()].copy_from_slice(code);
    // SAFETY: the page now holds that code, which takes its orders in rdi and does not come back.
    unsafe {
        let run: extern "sysv64" fn(&'static Orders) -> ! = core::mem::transmute(page.as_ptr());
        run(orders)
    }
}
