//! Hypercalls: what Xen does for a domain that asks.
//!
//! Xen takes them from ring 0 alone, so each goes through the trap handler (boot.s). Once [`seal`] was called only
//! [`block_until`], [`shut_down`], [`notify`] and [`allocate_port`] are left: nothing that could put another page
//! in place of one of ring 0's.
//!
//! Source: Xen 4.17 `public/{sched,event_channel,memory,hvm/hvm_op,hvm/params}.h`; numbers of `public/xen.h`.

use std::arch::asm;

/// Requests to ring 0, besides those of machine/ring0.rs.
pub const REQUEST_HYPERCALL: u32 = 0x534b_5210;
pub const REQUEST_SEAL: u32 = REQUEST_HYPERCALL + 1;

const MEMORY_OP: u32 = 12;
pub const SCHED_OP: u32 = 29;
pub const EVENT_CHANNEL_OP: u32 = 32;
const HVM_OP: u32 = 34;

/// A domain as it names itself.
const SELF: u16 = 0x7ff0;

/// Bytes of a page of Xen's.
pub const PAGE: usize = 4096;

/// A page of ours that is Xen's to write.
#[repr(C, align(4096))]
pub struct Page(pub [u8; PAGE]);

/// A structure for Xen to read or write behind `argument`: the hypercall's number decides which.
///
/// # Safety
/// `argument` must be what the hypercall takes, and what it does must not take memory away that anything refers to.
unsafe fn call(number: u32, command: u64, argument: *mut u8) -> i64 {
    let result;
    // SAFETY: ring 0 makes the hypercall and keeps all registers but those of its arguments; the rest is the caller's promise.
    unsafe {
        asm!("hlt", inlateout("rax") u64::from(REQUEST_HYPERCALL) => result, inlateout("r9") u64::from(number) => _,
             inlateout("rdi") command => _, inlateout("rsi") argument => _, lateout("rdx") _, lateout("rcx") _,
             lateout("r8") _, lateout("r10") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Closes the door to all hypercalls that could move memory.
pub fn seal() {
    // SAFETY: the request touches no memory.
    unsafe { asm!("hlt", in("eax") REQUEST_SEAL, options(nostack)) };
}

/// For the boot grid: tries what nobody may once the door is closed, and says what came of it. To replace a page (this very
/// one), to learn a parameter, to bind an event channel; and to have Xen read a structure out of ring 0's memory.
pub fn try_forbidden() -> [i64; 4] {
    const BIND_INTERDOMAIN: u64 = 0;
    unsafe extern "C" {
        static __image_end: u8;
    }
    let mut argument = [0_u64; 8];
    let structure = argument.as_mut_ptr().cast::<u8>();
    let supervisor = (&raw const __image_end).cast_mut().wrapping_sub(PAGE);
    // SAFETY: not at all; each must be refused, and change nothing.
    unsafe {
        [
            call(MEMORY_OP, ADD_TO_PHYSMAP, structure),
            call(HVM_OP, GET_PARAMETER, structure),
            call(EVENT_CHANNEL_OP, BIND_INTERDOMAIN, structure),
            call(EVENT_CHANNEL_OP, SEND, supervisor),
        ]
    }
}

/// Why a domain ends. Source: `public/sched.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// It has done its work, or was asked to.
    PowerOff = 0,
    /// It wants to be started again.
    Reboot = 1,
    /// It has failed.
    Crash = 3,
}

/// Command of [`SCHED_OP`]: ends the domain.
pub const SHUTDOWN: u64 = 2;
const POLL: u64 = 3;

/// Ends the domain.
pub fn shut_down(reason: Reason) -> ! {
    let mut argument = reason as u32;
    // SAFETY: the argument is the structure that the command takes.
    unsafe { call(SCHED_OP, SHUTDOWN, (&raw mut argument).cast()) };
    // Not under Xen, or not yet gone.
    crate::machine::ring0::reset()
}

/// Blocks until an event is pending on one of `ports`, or Xen's clock says `deadline` (nanoseconds; 0 is never).
pub fn block_until(ports: &[u32], deadline: u64) {
    #[repr(C)]
    struct Poll {
        ports: *const u32,
        count: u32,
        timeout: u64,
    }
    let mut argument = Poll { ports: ports.as_ptr(), count: ports.len() as u32, timeout: deadline };
    // SAFETY: the argument is the structure that the command takes, with as many ports as it says.
    unsafe { call(SCHED_OP, POLL, (&raw mut argument).cast()) };
}

/// Commands of [`EVENT_CHANNEL_OP`]: a new channel, and an event.
pub const ALLOCATE_UNBOUND: u64 = 6;
pub const SEND: u64 = 4;

/// A new event channel whose other end is `remote`'s to bind.
pub fn allocate_port(remote: u16) -> Option<u32> {
    #[repr(C)]
    struct AllocateUnbound {
        own: u16,
        remote: u16,
        port: u32,
    }
    let mut argument = AllocateUnbound { own: SELF, remote, port: 0 };
    // SAFETY: the argument is the structure that the command takes.
    let result = unsafe { call(EVENT_CHANNEL_OP, ALLOCATE_UNBOUND, (&raw mut argument).cast()) };
    (result == 0).then_some(argument.port)
}

/// Raises an event at the other end.
pub fn notify(port: u32) {
    let mut argument = port;
    // SAFETY: the argument is the structure that the command takes.
    unsafe { call(EVENT_CHANNEL_OP, SEND, (&raw mut argument).cast()) };
}

/// What a page of Xen's is mapped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Space {
    /// The one page with clocks and events.
    SharedInfo = 0,
    /// A page of the grant table.
    GrantTable = 1,
}

const ADD_TO_PHYSMAP: u64 = 7;
const MEMORY_MAP: u64 = 9;

/// Puts page `index` of `space` in the place of `page`. False where Xen refuses.
///
/// # Safety
/// Nothing may rely on what `page` holds; from now on Xen writes to it.
pub unsafe fn replace_page(page: *mut Page, space: Space, index: u64) -> bool {
    #[repr(C)]
    struct AddToPhysmap {
        domain: u16,
        size: u16,
        space: u32,
        index: u64,
        frame: u64,
    }
    let frame = (page.addr() / PAGE) as u64;
    let mut argument = AddToPhysmap { domain: SELF, size: 0, space: space as u32, index, frame };
    // SAFETY: the argument is the structure that the command takes; the page is the caller's to give away.
    unsafe { call(MEMORY_OP, ADD_TO_PHYSMAP, (&raw mut argument).cast()) == 0 }
}

/// Fills `entries` with Xen's memory map, as E820 has it, and returns how many there are.
pub fn memory_map(entries: &mut [[u8; 20]]) -> Option<usize> {
    #[repr(C)]
    struct MemoryMap {
        count: u32,
        entries: *mut [u8; 20],
    }
    let room = entries.len();
    let mut argument = MemoryMap { count: room as u32, entries: entries.as_mut_ptr() };
    // SAFETY: the argument is the structure that the command takes, with as much room as it says.
    let result = unsafe { call(MEMORY_OP, MEMORY_MAP, (&raw mut argument).cast()) };
    (result == 0).then_some((argument.count as usize).min(room))
}

/// What Xen's tool stack has prepared for the domain. Source: `public/hvm/params.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Parameter {
    /// Frame of xenstore's ring.
    StoreFrame = 1,
    /// Event channel of xenstore.
    StorePort = 2,
    /// Frame of the console's ring.
    ConsoleFrame = 17,
    /// Event channel of the console.
    ConsolePort = 18,
}

const GET_PARAMETER: u64 = 1;

/// A parameter; `None` where it is not set.
pub fn parameter(parameter: Parameter) -> Option<u64> {
    #[repr(C)]
    struct GetParameter {
        domain: u16,
        index: u32,
        value: u64,
    }
    let mut argument = GetParameter { domain: SELF, index: parameter as u32, value: 0 };
    // SAFETY: the argument is the structure that the command takes.
    let result = unsafe { call(HVM_OP, GET_PARAMETER, (&raw mut argument).cast()) };
    (result == 0 && argument.value != 0).then_some(argument.value)
}
