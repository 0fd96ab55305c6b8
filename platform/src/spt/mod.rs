//! Back end spt: a process that may do eight system calls.

mod block;
mod boot;
mod clock;
mod console;
mod net;
mod offload;
mod ring;
mod wait;

pub use block::Disk;
pub use boot::open;
pub use clock::{monotonic, wall};
pub use console::{console, exit};
pub use net::Interface;
pub use wait::wait;

use std::arch::asm;

/// What the ABI1 note says.
pub const TARGET: solo5_sys::elf::Target = solo5_sys::elf::Target::Spt;

/// Numbers of the system calls an image makes, and their errors (Linux, x86_64).
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const PREAD64: usize = 17;
    pub const PWRITE64: usize = 18;
    pub const ARCH_PRCTL: usize = 158;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const EPOLL_PWAIT: usize = 281;
    pub const TIMERFD_SETTIME: usize = 286;
    pub const IO_URING_ENTER: usize = 426;
}

/// One system call; the result as the kernel gives it, negative for an error.
///
/// # Safety
/// The arguments must be what the call takes: it may read and write memory through them.
#[inline(always)]
unsafe fn system_call(number: usize, arguments: [usize; 6]) -> isize {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let result: isize;
    // SAFETY: the kernel preserves all registers but rax, rcx and r11; the memory it touches is the caller's business.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first, in("rsi") second, in("rdx") third,
            in("r10") fourth, in("r8") fifth, in("r9") sixth,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}
