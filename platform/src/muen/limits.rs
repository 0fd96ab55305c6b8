//! Every limit of the bindings: its unit, where it comes from, and what happens there.

/// Resources that a subject information has room for; a count beyond is cut to it.
/// Source: Muen `musinfo.h`, `MAX_RESOURCE_COUNT`.
pub const RESOURCES_MAX: usize = 255;

/// Bytes of a name. One that says to be longer is cut. Source: `musinfo.h`, `MAX_NAME_LENGTH`.
pub const NAME_MAX: usize = 63;

/// Bytes of a frame, Ethernet header included; a longer one is not sent. Source: Solo5 `bindings/muen/muen-net.c`, `PACKET_SIZE`.
pub const FRAME_MAX: usize = 1514;

/// Text of one message on the console; a longer line is several. Source: Solo5 `bindings/muen/muen-console.c`.
pub const MESSAGE_TEXT: usize = 56;

/// Elements that are looked at until a frame is found: what comes before it is an overrun, a new epoch or a frame of
/// impossible length. A peer that offers nothing else is left alone until the next turn.
pub const LOOKS_PER_FRAME: usize = 8;
