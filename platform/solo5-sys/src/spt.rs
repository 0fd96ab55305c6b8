//! The spt target: boot information. Everything else is the host kernel's system calls.
//!
//! The tender maps memory at [`HOST_MEM_BASE`], loads the image into it and jumps to the entry with the address of
//! [`BootInfo`] in `rdi`. From then on the process may only call, each with its arguments checked:
//!
//! | system call | for |
//! |---|---|
//! | `write(1)` | console |
//! | `read`, `write` on an interface's descriptor | frames, unless there is a [ring](crate::skerry::NetworkRing) for them |
//! | `pread64`, `pwrite64` on a block device's descriptor | one block at an offset inside the device |
//! | `clock_gettime` | monotonic and real time |
//! | `timerfd_settime`, `epoll_pwait` on the two descriptors of [`BootInfo`] | sleeping |
//! | `arch_prctl(ARCH_SET_FS)` | thread pointer, unless the image names it in a [note](crate::skerry) |
//! | `exit_group` | the end |
//!
//! Source: Solo5 `include/spt_abi.h`, `tenders/spt`.

/// Lowest mapped address; below it nothing can be mapped on Linux.
pub const HOST_MEM_BASE: u64 = 0x1_0000;

/// Where the tender places [`BootInfo`]; guests use the address in `rdi` instead.
pub const BOOT_INFO_BASE: u64 = HOST_MEM_BASE + 0x1000;

/// Bytes for the guest's command line, terminator included.
pub const COMMAND_LINE_SIZE: usize = 8192;

/// The `data` of the timer's event in the epoll set; every other event's is a manifest index. (`~1U` in C: 32 bits.)
pub const INTERNAL_TIMER: u64 = 0xffff_fffe;

/// What the tender tells the guest at boot. Layout of `struct spt_boot_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// Memory of the guest: the first address behind it, in bytes.
    pub mem_size: u64,
    /// First address behind the loaded image, aligned to a page.
    pub kernel_end: u64,
    /// Address of the command line, a C string.
    pub command_line: u64,
    /// Address of the [manifest](crate::manifest).
    pub manifest: u64,
    /// The epoll set of all devices and the timer.
    pub epoll_fd: i32,
    /// The timer, on `CLOCK_MONOTONIC`.
    pub timer_fd: i32,
}

const _: () = assert!(size_of::<BootInfo>() == 40);
