//! The hvt target: boot information, hypercalls, and the shared ring for network frames.
//!
//! A hypercall is a 32-bit `out` to port [`HYPERCALL_PORT_BASE`] + number; the value is the guest-physical address of the
//! call's argument structure, which therefore lies below 4 GiB. The tender starts the guest at the ELF entry in 64-bit mode
//! with memory mapped one to one, and the address of [`BootInfo`] in `rdi`.
//!
//! Source: Solo5 `include/hvt_abi.h`, `include/hvt_ring.h`.

/// Port of hypercall number 0 (which does not exist).
pub const HYPERCALL_PORT_BASE: u16 = 0x500;

/// Port that wakes the tender's ring thread, by ioeventfd; the value is the ring's number, 0.
pub const RING_KICK_PORT: u16 = 0x600;

/// Bytes for the guest's command line, terminator included.
pub const COMMAND_LINE_SIZE: usize = 8192;

/// Bit of [`BootInfo::host_features`]: the tender offers [`Ring`] at `net_ring`.
pub const FEATURE_RING_IO: u32 = 1 << 0;

/// Where the tender places [`BootInfo`]; guests use the address in `rdi` instead.
pub const BOOT_INFO_BASE: u64 = 0x1_0000;

/// What the tender tells the guest at boot. Layout of `struct hvt_boot_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// Memory of the guest, in bytes from address 0.
    pub mem_size: u64,
    /// First address behind the loaded image, aligned to a page.
    pub kernel_end: u64,
    /// Frequency of the time stamp counter, Hz.
    pub cpu_cycle_freq: u64,
    /// Address of the command line, a C string.
    pub command_line: u64,
    /// Address of the [manifest](crate::manifest).
    pub manifest: u64,
    /// [`FEATURE_RING_IO`] or 0. Zero from tenders older than 0.12.
    pub host_features: u32,
    /// Features the guest accepts, written by the guest.
    pub guest_features: u32,
    /// Address of the [`Ring`], 0 if there is none.
    pub net_ring: u64,
}

/// The hypercalls' numbers.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypercall {
    /// [`Walltime`]
    Walltime = 1,
    /// [`Puts`]
    Puts = 2,
    /// [`Poll`]
    Poll = 3,
    /// [`BlockIo`], guest to device
    BlockWrite = 4,
    /// [`BlockIo`], device to guest
    BlockRead = 5,
    /// [`NetIo`], guest to network
    NetWrite = 6,
    /// [`NetIo`], network to guest
    NetRead = 7,
    /// [`Halt`]
    Halt = 8,
}

/// Number of the first port behind the hypercalls', less [`HYPERCALL_PORT_BASE`].
pub const HYPERCALL_MAX: u16 = 9;

/// Results of hypercalls and of ring operations. Source: `solo5_result_t` in Solo5 `include/solo5.h`.
pub mod result {
    /// Done.
    pub const OK: i32 = 0;
    /// Nothing there now, try again.
    pub const AGAIN: i32 = 1;
    /// An argument is invalid.
    pub const EINVAL: i32 = 2;
    /// Failed for a reason that has no number.
    pub const EUNSPEC: i32 = 3;
}

/// Reads the wall clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Walltime {
    /// Out: nanoseconds since 1970-01-01 UTC.
    pub nsecs: u64,
}

/// Writes to the console.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Puts {
    /// In: address of the bytes.
    pub data: u64,
    /// In: how many.
    pub len: u64,
}

/// Sleeps until a device is ready or the time is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Poll {
    /// In: longest sleep in nanoseconds from now.
    pub timeout_nsecs: u64,
    /// Out: the handles that are ready, a bit each.
    pub ready_set: u64,
    /// Out: number of ready handles.
    pub ret: i32,
}

/// Reads or writes one block.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockIo {
    /// In: the device's index in the manifest.
    pub handle: u64,
    /// In: where on the device, in bytes.
    pub offset: u64,
    /// In: address of the buffer.
    pub data: u64,
    /// In and out: bytes.
    pub len: u64,
    /// Out: one of [`result`].
    pub ret: i32,
}

/// Takes or sends one Ethernet frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NetIo {
    /// In: the device's index in the manifest.
    pub handle: u64,
    /// In: address of the buffer.
    pub data: u64,
    /// In: bytes to send, or of room. Out, reading: bytes received.
    pub len: u64,
    /// Out: one of [`result`].
    pub ret: i32,
}

/// Ends the guest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Halt {
    /// In: address of up to [`HALT_COOKIE_MAX`] bytes for a core dumper, or 0.
    pub cookie: u64,
    /// In: the tender's exit status.
    pub exit_status: i32,
}

/// Bytes that [`Halt::cookie`] may point to.
pub const HALT_COOKIE_MAX: usize = 512;

/// Entries in each direction of a [`Ring`], a power of two.
pub const RING_SIZE: usize = 1024;

/// Bytes of buffer behind one entry: larger frames go by hypercall.
pub const RING_BUFFER_SIZE: usize = 2048;

/// What the guest may ask for in a [`RingEntry`].
pub mod ring_operation {
    /// Send a frame; there is no commit for it.
    pub const NET_WRITE: u32 = 1;
    /// Receive a frame; one commit follows.
    pub const NET_READ: u32 = 2;
}

/// Submission: written by the guest, consumed by the tender.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RingEntry {
    /// One of [`ring_operation`].
    pub operation: u32,
    /// The device's index in the manifest.
    pub handle: u32,
    /// Address of the buffer.
    pub data: u64,
    /// Bytes to send, or of room.
    pub len: u32,
    /// The guest's number for this entry, handed back in the commit.
    pub id: u32,
    /// Zero.
    pub reserved: u64,
}

/// Completion of a read: written by the tender, consumed by the guest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RingCommit {
    /// The entry's `id`.
    pub id: u32,
    /// One of [`result`].
    pub ret: i32,
    /// Bytes received.
    pub len: u32,
    /// Zero.
    pub reserved: u32,
}

/// The ring itself: free-running indices, each side's on a cache line of its own, then the entries.
///
/// Every field is shared with the other side while both run; read and write them through volatile or atomic accesses.
#[repr(C)]
pub struct Ring {
    /// Entries submitted; written by the guest.
    pub entry_tail: u32,
    /// Commits consumed; written by the guest.
    pub commit_head: u32,
    /// Rest of the guest's cache line.
    pub padding0: [u8; 56],
    /// Entries consumed; written by the tender.
    pub entry_head: u32,
    /// Commits produced; written by the tender.
    pub commit_tail: u32,
    /// 1 while the tender sleeps and wants a kick; written by the tender.
    pub needs_kick: u32,
    /// Rest of the tender's cache line.
    pub padding1: [u8; 52],
    /// The submissions.
    pub entries: [RingEntry; RING_SIZE],
    /// The completions.
    pub commits: [RingCommit; RING_SIZE],
}

const _: () = assert!(size_of::<BootInfo>() == 56);
const _: () = assert!(size_of::<Puts>() == 16);
const _: () = assert!(size_of::<Poll>() == 24);
const _: () = assert!(size_of::<BlockIo>() == 40);
const _: () = assert!(size_of::<NetIo>() == 32);
const _: () = assert!(size_of::<Halt>() == 16);
const _: () = assert!(size_of::<RingEntry>() == 32);
const _: () = assert!(size_of::<RingCommit>() == 16);
const _: () = assert!(core::mem::offset_of!(Ring, entry_head) == 64);
const _: () = assert!(core::mem::offset_of!(Ring, entries) == 128);
const _: () = assert!(RING_SIZE.is_power_of_two());
