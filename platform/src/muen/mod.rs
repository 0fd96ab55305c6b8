//! Muen: what a subject of that separation kernel is given, and how it speaks with others.
//!
//! ```text
//!   subject information ──► Subject: names of regions, events ──► Memory ──► Region
//!                                                                              │
//!   another subject ══ channel in shared memory ══ Reader, Writer ─────────────┤
//!                                                     │                        │
//!                                            net, console                   clock
//! ```
//!
//! These are bindings, not yet a back end: nothing boots on Muen by them, and what is missing for that is in
//! `docs/targets/muen.md`. They need no separation kernel; their tests lay out a subject's memory as Muen does.
//!
//! Who is trusted: the kernel and the one who integrates the system, for the subject information, so far that what it calls
//! memory is memory. The subject at the other end of a channel is not: whatever it writes into shared memory, and whenever, the
//! worst is a frame that is lost or garbled, and no byte outside of the channel is touched.

pub mod clock;
pub mod console;
pub mod limits;
pub mod net;
pub mod reader;
pub mod region;
pub mod subject;
pub mod writer;

/// The header of a channel in shared memory: eight words of 64 bits, then the elements.
///
/// Source: Muen `doc/shmstream/shmstream2.tex` and `components/libmuchannel/src/muchannel.ads`.
pub mod channel {
    /// "SHMStream20=", decoded from base64: what the first word must be.
    pub const MARKER: u64 = 0x4873_12b6_b79a_9b6d;
    /// The epoch of a channel that nobody writes to.
    pub const NULL_EPOCH: u64 = 0;
    /// Offset of [`MARKER`].
    pub const TRANSPORT: usize = 0;
    /// Offset of the number that changes each time the writer starts anew.
    pub const EPOCH: usize = 8;
    /// Offset of the number that says what the elements mean.
    pub const PROTOCOL: usize = 16;
    /// Offset of the bytes of an element.
    pub const SIZE: usize = 24;
    /// Offset of the number of elements that there is room for.
    pub const ELEMENTS: usize = 32;
    /// Offset of the count of elements that were begun.
    pub const WRITE_START_COUNT: usize = 48;
    /// Offset of the count of elements that are complete.
    pub const WRITE_COUNT: usize = 56;
    /// Bytes of the header.
    pub const HEADER: usize = 64;
}
