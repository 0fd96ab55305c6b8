//! Packs: how objects travel and how they lie in memory (gitformat-pack).
//!
//! ```text
//!     bytes of a remote ─► Receiver ─ entries, inflated as they come and hashed ─► Resolver ─ deltas ─► Repository
//!                              └─► Arena: the only copy, still deflated; an Index says where each object lies in it
//! ```
//!
//! What a remote sends is never kept unpacked and never kept twice: an entry is inflated once to find its end and its
//! hash, and again when somebody reads it.

mod arena;
mod delta;
mod entry;
mod index;
mod inflate;
mod receiver;
mod resolver;

pub(crate) use arena::Arena;
pub use delta::{BadDelta, apply_delta};
pub(crate) use entry::{Base, Header, encode_entry, encode_header};
pub(crate) use index::Index;
pub(crate) use inflate::Inflater;
pub use receiver::PackReceiver;
pub use resolver::{Received, Resolver};

use crate::{id::ObjectId, room::NoRoom};
use std::fmt;

#[cfg(test)]
mod tests;

/// Why a pack was refused. Whoever sent it is at fault, or the limits are too low for it; nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackError {
    /// It does not begin as a pack of version 2.
    NoPack,
    /// It says that it has more objects than [`crate::Limits::objects`].
    TooManyObjects(u32),
    /// It has more bytes than [`crate::Limits::pack_bytes`] leaves, with what is there already.
    TooLarge,
    /// An object has more bytes than [`crate::Limits::object_bytes`].
    ObjectTooLarge(u64),
    /// All of it unpacked has more bytes than [`crate::Limits::unpacked_bytes`].
    TooMuchUnpacked,
    /// Deltas upon deltas, more than [`crate::Limits::delta_depth`].
    DeltasTooDeep,
    /// An entry has a type that there is not, or a size of more than 64 bits.
    BadEntry,
    /// The base of a delta lies where no object begins.
    BadBaseOffset,
    /// An entry's content is not as zlib (RFC 1950) writes it.
    BadZlib,
    /// An object is longer or shorter than it says.
    WrongSize,
    /// A delta makes no sense.
    BadDelta(BadDelta),
    /// Deltas whose base is neither in the pack nor here, or that are each other's base.
    MissingBase(u32),
    /// An object is in the pack twice.
    Duplicate(ObjectId),
    /// The pack ends too early.
    Truncated,
    /// Bytes follow the pack's end.
    TrailingBytes,
    /// The hash at its end is not that of its bytes.
    WrongChecksum,
    /// An object was made to collide with another under SHA-1.
    Collision,
    /// There is no memory for an object.
    OutOfMemory,
    /// A base of a thin pack cannot be read here.
    UnreadableBase(ObjectId),
}

impl fmt::Display for PackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoPack => "not a pack of version 2",
            Self::TooManyObjects(count) => {
                return write!(
                    formatter,
                    "a pack of {count} objects, more than the limit: fetch less history"
                );
            }
            Self::TooLarge => {
                "a pack larger than the limit: fetch less history, or give the image more memory"
            }
            Self::ObjectTooLarge(bytes) => {
                return write!(formatter, "an object of {bytes} bytes in a pack, more than the limit");
            }
            Self::TooMuchUnpacked => "a pack that unpacks to more than the limit",
            Self::DeltasTooDeep => "a pack with deltas upon deltas beyond the limit",
            Self::BadEntry => "a pack with an entry of no known type or size",
            Self::BadBaseOffset => "a pack with a delta whose base is no object",
            Self::BadZlib => "a pack with damaged compression",
            Self::WrongSize => "a pack with an object of another size than it says",
            Self::BadDelta(bad) => return write!(formatter, "a pack with a damaged delta: {bad}"),
            Self::MissingBase(count) => {
                return write!(formatter, "a pack with {count} deltas upon objects that are not there");
            }
            Self::Duplicate(id) => return write!(formatter, "a pack with the object {id} in it twice"),
            Self::Truncated => "a pack that ends too early",
            Self::TrailingBytes => "a pack with bytes behind its end",
            Self::WrongChecksum => "a pack damaged on its way: its checksum is wrong",
            Self::Collision => return fmt::Display::fmt(&crate::id::Collision, formatter),
            Self::OutOfMemory => "more than there is memory for: give the image more (--mem), or fetch less",
            Self::UnreadableBase(id) => {
                return write!(formatter, "a pack upon the object {id}, which cannot be read");
            }
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for PackError {}

impl From<crate::id::Collision> for PackError {
    fn from(_: crate::id::Collision) -> Self {
        Self::Collision
    }
}

impl From<NoRoom> for PackError {
    fn from(_: NoRoom) -> Self {
        Self::OutOfMemory
    }
}

impl From<BadDelta> for PackError {
    fn from(bad: BadDelta) -> Self {
        Self::BadDelta(bad)
    }
}
