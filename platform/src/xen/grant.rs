//! The grant table: which of our pages another domain may reach, and how.
//!
//! A page is granted once, when its device is set up, and never taken back: a device has the same pages all its life, and
//! frames are copied in and out. So a host that keeps a grant too long reaches nothing that was not its own already.
//!
//! Source: Xen `public/grant_table.h`, version 1.

use super::hypercall::{self, PAGE, Page, Space};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// Pages of the table: grants for eleven network interfaces. Xen's own default limit is 64 pages.
const TABLE_PAGES: usize = 6;

/// Entries below belong to Xen's tools. Source: `GNTTAB_NR_RESERVED_ENTRIES`.
const RESERVED: usize = 8;

const ENTRY: usize = 8;
const ENTRIES: usize = TABLE_PAGES * PAGE / ENTRY;

/// Flags: the domain may reach the page, and may only read it.
const PERMIT_ACCESS: u32 = 1;
const READ_ONLY: u32 = 1 << 2;

static mut TABLE: [Page; TABLE_PAGES] = [const { Page([0; PAGE]) }; TABLE_PAGES];
static USED: AtomicUsize = AtomicUsize::new(RESERVED);

/// Gets the table. False if Xen refuses.
pub fn initialize() -> bool {
    (0..TABLE_PAGES).all(|index| {
        let page = (&raw mut TABLE).cast::<Page>().wrapping_add(index);
        // SAFETY: the page is zero and nobody has looked at it.
        unsafe { hypercall::replace_page(page, Space::GrantTable, index as u64) }
    })
}

/// Lets `domain` reach the page at `page`. The grant's number; `None` if the table is full.
///
/// # Safety
/// The page must be meant for that domain alone, and live for ever.
pub unsafe fn grant(page: *const u8, domain: u16, writable: bool) -> Option<u32> {
    let number = USED.load(Ordering::Relaxed);
    if number >= ENTRIES {
        return None;
    }
    USED.store(number + 1, Ordering::Relaxed);
    let entry = (&raw mut TABLE).cast::<u8>().wrapping_add(number * ENTRY);
    let flags = PERMIT_ACCESS | if writable { 0 } else { READ_ONLY };
    // SAFETY: the entry lies within the table, which lives for ever; Xen reads the frame only once it sees the flags, which
    // are written last and with the domain in one piece.
    unsafe {
        entry.add(4).cast::<u32>().write_volatile((page.addr() / PAGE) as u32);
        fence(Ordering::Release);
        (*entry.cast::<AtomicU32>()).store(flags | u32::from(domain) << 16, Ordering::Release);
    }
    Some(number as u32)
}
