//! Every limit of this crate: its unit, where it comes from, and what happens there.

/// Arguments on the command line, the program's name included. More are refused at boot.
#[cfg(not(skerry_target = "host"))]
pub const ARGUMENTS_MAX: usize = 256;

/// Thread-local keys std and its dependants may create; POSIX guarantees 128 (`_POSIX_THREAD_KEYS_MAX`).
#[cfg(not(skerry_target = "host"))]
pub const THREAD_KEYS_MAX: usize = 128;

/// Return addresses in a panic's report.
#[cfg(not(skerry_target = "host"))]
pub const REPORT_FRAMES_MAX: usize = 32;

/// Bytes drawn from the random generator before it takes a fresh seed from the CPU.
pub const RESEED_BYTES: usize = 1 << 20;

/// Attempts to get a number from RDSEED or RDRAND. Intel's guide (§5.2.1) gives up on RDRAND after 10; RDSEED may be
/// starved for longer by other cores.
pub const RANDOM_ATTEMPTS: usize = 1000;

/// Bytes of a virtual machine's command line, terminator excluded; as many as Solo5's tenders take.
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
pub const COMMAND_LINE_MAX: usize = 8191;

/// Entries of a loader's memory map that are looked at; the E820 interface of a BIOS has 128 at most. The rest is not used.
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
pub const MEMORY_MAP_ENTRIES_MAX: usize = 128;

/// Devices that a command line may name; QEMU's microvm has 24, Firecracker as many interrupts as that. More are reported.
#[cfg(any(test, skerry_target = "virtio", skerry_target = "xen"))]
pub const MMIO_DEVICES_MAX: usize = 32;

/// Tables in ACPI's root table that are looked at; QEMU has 4 to 8, servers up to 40. A machine with more may not switch off.
#[cfg(any(test, skerry_target = "virtio"))]
pub const ACPI_TABLES_MAX: usize = 64;

/// Bytes of an ACPI table that is read; QEMU's largest has 10 KiB, servers' up to 300 KiB. A larger one is not there.
#[cfg(any(test, skerry_target = "virtio"))]
pub const ACPI_TABLE_BYTES_MAX: u32 = 1 << 20;
