//! Every limit of the drivers: its unit, where it comes from, and what happens there.

/// Descriptors of a network card's queue, each with a buffer, if the device takes so many. QEMU has 256; a burst of as many
/// frames is a millisecond of what an image answers. What does not fit into the host's end is dropped there.
pub const QUEUE_SIZE: u16 = 256;

/// The fewest, where memory is short: room for the longest frame twice. Half as many until both queues' buffers take
/// a quarter of the memory that is free, since an image that serves with small queues is better than one that does not start.
pub const QUEUE_SIZE_SMALL: u16 = 64;

/// Descriptors of a disk's queue: one request has three.
pub const BLOCK_QUEUE_SIZE: u16 = 4;

/// Descriptors of a console's queue: one piece of text at a time, of a buffer's bytes.
pub const CONSOLE_QUEUE_SIZE: u16 = 4;

/// Looks at a console's ring, some tens of milliseconds in all, until it counts as broken and gets no more text.
pub const CONSOLE_ATTEMPTS: u32 = 1 << 22;

/// Descriptors of a queue whose size the device dictates (legacy PCI); bhyve has 1024. A device with more is refused: its
/// rings would take memory that nobody counted on.
pub const QUEUE_SIZE_MAX: u16 = 4096;

/// Descriptors of the smallest queue that is of any use: a disk's request has three.
pub const QUEUE_SIZE_MIN: u16 = 4;

/// Bytes of a buffer for frames: one of the usual MTU with its headers. A longer frame takes several.
pub const BUFFER: usize = 2048;

/// Bytes of a frame that the device is given to cut into segments: what an IP packet's length can say.
pub const SEGMENTED_MAX: usize = 65_535;

/// Buffers that one received frame may take. More cannot be.
pub const MERGED_MAX: usize = 33;

/// Bytes of the smallest MTU that is taken from a device (RFC 791: what every host must accept). One with less is refused.
pub const MTU_MIN: u16 = 576;

/// Frames sent after which the device's bell is rung, even if nobody has said that these were all for now.
pub const FRAMES_PER_BELL: u16 = 64;

/// Looks at a full queue, some 100 microseconds in all, until a frame is dropped that the device has no room for.
pub const TRANSMIT_ATTEMPTS: u32 = 20_000;

/// Looks at the status of a device that was reset, until it is given up.
pub const RESET_ATTEMPTS: u32 = 1_000;

/// Attempts to read a device's configuration all of one state, until it is given up.
pub const CONFIGURATION_ATTEMPTS: u32 = 16;

/// Buses behind bridges that are looked through for devices.
pub const PCI_BUSES_MAX: usize = 16;

/// Capabilities of a PCI device that are looked at: its configuration has room for 48.
pub const PCI_CAPABILITIES_MAX: u32 = 48;

/// Bytes of a sector, in which virtio counts. Source: VIRTIO 1.2 §5.2.
pub const SECTOR: usize = 512;

/// Seconds without an answer until a disk counts as silent. A host's own disk may take some to come to speed.
pub const BLOCK_SECONDS: u64 = 30;

/// Bytes of a device's registers that are made accessible. No register that is used lies behind them.
pub const REGISTERS_MAX: u64 = 1 << 20;

/// Bytes of the largest block of a disk. One with larger blocks is refused.
pub const BLOCK_MAX: usize = 4096;

const _: () = assert!(
    QUEUE_SIZE.is_power_of_two()
        && BLOCK_QUEUE_SIZE.is_power_of_two()
        && CONSOLE_QUEUE_SIZE.is_power_of_two()
);
const _: () = assert!(SEGMENTED_MAX < (MERGED_MAX - 1) * BUFFER && MERGED_MAX < QUEUE_SIZE_SMALL as usize);
const _: () = assert!(QUEUE_SIZE_SMALL.is_power_of_two() && QUEUE_SIZE_SMALL <= QUEUE_SIZE);
