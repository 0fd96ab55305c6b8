//! Every limit of the drivers: its unit, where it comes from, and what happens there.

/// Bytes of a page, which is what is granted.
pub const PAGE: usize = 4096;

/// Bytes of a ring before its entries. Source: Xen `public/io/ring.h`, `DEFINE_RING_TYPES`.
pub const RING_HEADER: usize = 64;

/// Pages of an interface for frames that come in. A burst of as many frames is half a millisecond of what an image answers;
/// what does not fit waits in the back end.
pub const RECEIVE_PAGES: u16 = 128;

/// Pages of an interface for frames that go out: seven of the largest.
pub const TRANSMIT_PAGES: u16 = 128;

/// Bytes of the largest frame that the back end is given, also to cut into segments: its length is 16 bits wide.
/// Source: Xen `public/io/netif.h`, `XEN_NETIF_MAX_TX_SIZE`.
pub const FRAME_MAX: usize = 65_535;

/// Pages that one frame may take in either direction. Back ends drop, or close, beyond it.
/// Source: `public/io/netif.h`, `XEN_NETIF_NR_SLOTS_MIN`.
pub const FRAME_PAGES_MAX: usize = 18;

/// Frames sent after which the back end is notified, even if nobody has said that these were all for now.
pub const FRAMES_PER_BELL: u16 = 64;

/// Looks at a full ring, some 100 microseconds in all, until a frame is dropped that the back end has no room for.
pub const TRANSMIT_ATTEMPTS: u32 = 20_000;

/// Bytes of a sector, in which blkfront counts. Source: Xen `public/io/blkif.h`.
pub const SECTOR: usize = 512;

/// Bytes of the largest block of a disk. One with larger blocks is refused.
pub const BLOCK_MAX: usize = PAGE;

const _: () = assert!(FRAME_MAX.div_ceil(PAGE) <= FRAME_PAGES_MAX);
const _: () = assert!(FRAME_PAGES_MAX < TRANSMIT_PAGES as usize && FRAME_PAGES_MAX < RECEIVE_PAGES as usize);
const _: () = assert!(BLOCK_MAX.is_multiple_of(SECTOR) && BLOCK_MAX <= PAGE);
