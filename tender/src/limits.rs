//! Every limit of the tender in one place: its unit, where the number comes from, and what happens at the limit.

/// Guest memory if `--mem` is not given, MiB. Source: Solo5's tenders.
pub const DEFAULT_MEMORY_MIB: u64 = 512;

/// Most guest memory, MiB. spt: the tender itself is mapped far above 1 TiB. More is refused as a usage error; hvt has a
/// limit of its own, [`HVT_MEMORY_MAX`].
pub const MEMORY_MAX_MIB: u64 = 1 << 20;

/// Largest image file, bytes. Above it the image is refused: it is read into memory before it is checked.
pub const IMAGE_FILE_MAX: u64 = 4 << 30;

/// Most program headers of an image. Solo5's images have about ten; more than this is refused.
pub const PROGRAM_HEADERS_MAX: u16 = 128;

/// Unit in which a segment's protection is set, bytes. Source: the x86_64 page size.
pub const PAGE_SIZE: u64 = 4096;

/// Bytes of an interface's name with its terminator. Source: Linux `IFNAMSIZ`.
pub const INTERFACE_NAME_SIZE: usize = 16;

/// How long a TAP interface may be busy before it counts as another process's.
pub const TAP_BUSY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Smallest block of a block device, bytes. Source: Solo5's tenders; smaller is refused.
pub const BLOCK_SIZE_MIN: u16 = 512;

/// Bytes of one line of a report from inside the sandbox. The rest of the line is cut off.
pub const REPORT_LINE_SIZE: usize = 256;

/// Most stack frames that a fault report walks. The rest is left out.
pub const FAULT_FRAMES_MAX: usize = 64;

/// System calls an spt guest may have when its image names its thread pointer.
pub const SPT_SYSTEM_CALLS_MAX: usize = 8;

/// Entries of an spt guest's network ring: a batch of frames read and one written for each interface of a router with two.
/// A guest that queues more asks the kernel sooner.
pub const SPT_RING_ENTRIES: u32 = 256;

/// Largest page that hvt's page tables map, and so the unit of its memory, bytes. Source: Solo5 `hvt_cpu_x86_64.h`.
pub const HVT_PAGE_SIZE: u64 = 2 << 20;

/// Most memory of an hvt guest, bytes: four page directories of 2 MiB pages. Source: Solo5 `hvt_cpu_x86_64.h`.
pub const HVT_MEMORY_MAX: u64 = 2048 * HVT_PAGE_SIZE;

/// How often the network ring's thread looks for more before it sleeps: some microseconds. Less means more wake-ups.
pub const HVT_RING_LOOKS: u32 = 512;

/// Most published addresses. More is a usage error.
pub const PUBLISHED_MAX: usize = 64;

/// Connections that the user-mode network holds at once. At the limit new ones wait in the host's accept queue.
pub const USER_TCP_CONNECTIONS_MAX: usize = 256;

/// Bytes buffered per connection and direction in the user-mode network. Consequence: throughput over round-trip time.
pub const USER_TCP_BUFFER_SIZE: usize = 32 * 1024;

/// UDP clients that the user-mode network remembers at once; the longest unused one is forgotten for a new one.
pub const USER_UDP_FLOWS_MAX: usize = 1024;

/// Peers to which the guest of a user-mode network with `--outbound` sends datagrams at once; the longest unused one is
/// forgotten for a new one.
pub const USER_OUTBOUND_FLOWS_MAX: usize = 128;

/// Frames held while the guest's hardware address is unknown. More are dropped and counted.
pub const USER_HELD_FRAMES_MAX: usize = 256;

/// Frames or datagrams taken from one descriptor before the others get their turn.
pub const USER_BATCH: usize = 32;

/// Largest frame without its Ethernet header on the user-mode network, bytes.
pub const USER_MTU: usize = 1500;

/// First and longest pause between two ARP requests for the guest, milliseconds; it doubles in between.
pub const USER_ARP_PAUSE_MS: (u64, u64) = (5, 500);

/// Send and receive buffer asked for on the socket pair of the user-mode network, bytes. The kernel caps it at
/// `net.core.wmem_max`; a full queue drops frames, as a wire would.
pub const USER_SOCKET_BUFFER: usize = 4 << 20;

const _: () = assert!(USER_UDP_FLOWS_MAX.is_power_of_two());
const _: () = assert!(HVT_MEMORY_MAX <= u32::MAX as u64 + 1);
