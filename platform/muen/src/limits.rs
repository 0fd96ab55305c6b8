//! Limits of Muen's layouts: given by others, not chosen here.

/// Bytes of the subject information's page range, of which the resources fill what the header leaves.
pub const SINFO_BYTES: usize = 0x8000;

/// Resources at most, each 128 bytes; more than that are a damaged page.
pub const RESOURCES_MAX: usize = 255;

/// Bytes of a name at most.
pub const NAME_BYTES_MAX: usize = 63;

/// Bytes of a frame on a network channel, Ethernet header included; longer ones are refused.
pub const FRAME_BYTES_MAX: usize = 1514;

/// Bytes of a line on the log channel; longer ones are cut into several messages.
pub const LOG_BYTES: usize = 56;

const _: () = assert!(80 + RESOURCES_MAX * 128 <= SINFO_BYTES);
