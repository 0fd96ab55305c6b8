//! Back end hvt: a virtual machine whose devices are hypercalls.

mod block;
mod boot;
mod clock;
mod console;
mod net;
mod wait;

pub use block::Disk;
pub use boot::open;
pub use clock::{monotonic, wall};
pub use console::{console, exit};
pub use net::Interface;
pub use wait::wait;

use solo5_sys::hvt::{HYPERCALL_PORT_BASE, Hypercall, RING_KICK_PORT};
use std::arch::asm;

/// What the ABI1 note says.
pub const TARGET: solo5_sys::elf::Target = solo5_sys::elf::Target::Hvt;

/// One hypercall. Where the hypervisor honours IOPL 3 the instruction leaves the virtual machine at once, elsewhere it
/// traps into our ring 0, which repeats it.
///
/// # Safety
/// `argument` must be the structure of this call, filled in: the tender reads and writes memory through it.
#[inline(always)]
unsafe fn hypercall<T>(number: Hypercall, argument: &mut T) {
    let address = (&raw mut *argument).addr() as u32;
    // SAFETY: all memory lies below 4 GiB; what the tender touches is the caller's business.
    unsafe {
        asm!("out dx, eax", in("dx") HYPERCALL_PORT_BASE + number as u16, in("eax") address,
             options(nostack, preserves_flags));
    }
}

/// Wakes the tender's ring thread.
#[inline(always)]
fn kick() {
    // SAFETY: the port takes the ring's number and touches no memory of ours; what the thread then does is what the ring's
    // entries say, and was checked when they were written.
    unsafe {
        asm!("out dx, eax", in("dx") RING_KICK_PORT, in("eax") 0, options(nostack, preserves_flags));
    }
}
