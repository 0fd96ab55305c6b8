//! What an ssh server may make us read and keep: unit, why so much, and what happens beyond.

/// Bytes of a packet. RFC 4253 §6.1 asks for 35,000; longer ones are refused.
pub const PACKET_BYTES: usize = 35_000;

/// Bytes of data in one packet that we say we take: what OpenSSH itself says.
pub const DATA_BYTES: u32 = 32 * 1024;

/// Bytes that the server may have on their way to us. It is told of more when half of it has been read; a server that sends
/// more is refused. A MiB fills a line of 100 Mbit/s at 80 ms.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// Bytes that wait for the connection before no more are taken from us.
pub const UNSENT_BYTES: usize = 64 * 1024;

/// Bytes in front of the server's version. RFC 4253 §4.2 lets it greet us first; banners of some lines are seen.
pub const VERSION_BYTES: usize = 8 * 1024;

/// Packets before the program runs that say nothing new: banners, debug messages. More are refused.
pub const IDLE_PACKETS: usize = 64;

/// Messages without data that one read takes in before others get their turn: a server may send as many as it likes.
pub const MESSAGES_PER_READ: usize = 64;

/// Bytes in one direction after which we want new keys, as RFC 4253 §9 advises. The server may want them earlier.
pub const REKEY_BYTES: u64 = 1 << 30;
