//! Everything that is bounded: unit, why so much, and what happens beyond.
//!
//! What a remote may send is bounded by [`Limits`], which a service can lower to what its image has; the rest is constant.

/// What is taken from a remote at most. Whatever is larger is refused with an error that names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of everything packed, as it lies in memory; below 4 GiB, since places are 32 bits.
    pub pack_bytes: u32,
    /// Objects of one pack.
    pub objects: u32,
    /// Bytes of one object, unpacked.
    pub object_bytes: u32,
    /// Bytes that unpacking one pack may produce, repetitions for want of memory included: a bound on time, at some 300 MB a
    /// second. What delta bombs and zlib bombs run into.
    pub unpacked_bytes: u64,
    /// Deltas upon one another. git makes chains of 50, and of 4,095 at most.
    pub delta_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack_bytes: 256 << 20,
            objects: 2_000_000,
            object_bytes: 32 << 20,
            unpacked_bytes: 16 << 30,
            delta_depth: 4_095,
        }
    }
}

/// Bytes of a piece of the arena. Large enough that the list of pieces is short, small enough that the last one, half empty,
/// does not matter.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Bytes of inflated objects that are kept for the next reader, and for deltas upon them. Beyond it the oldest go.
pub const CACHE_BYTES: usize = 4 << 20;

/// Of an image's memory one part in so many is left to what does not ask before it allocates: commits, names, connections.
/// What would go beyond is refused as if there were no memory at all.
pub const SPARE_FRACTION: usize = 8;

/// Bytes of memory that the list of a directory takes, for each byte of its tree object. Short names are the worst case.
pub const LIST_BYTES_PER_BYTE: usize = 8;

/// Bytes of one object that is worth keeping in that cache; larger ones would push out everything else.
pub const CACHED_OBJECT_BYTES: usize = CACHE_BYTES / 4;

/// Objects that the index keeps beside its sorted table before it merges them into it.
pub const RECENT_OBJECTS: usize = 1_024;

/// Directories within one another. Linux has 12, and git itself stops at 2,048. Deeper trees are refused.
pub const TREE_DEPTH: usize = 128;

/// Bytes of a path, as Linux has them.
pub const PATH_BYTES: usize = 4_096;

/// Bytes of one component of a path, as nearly all file systems have them.
pub const NAME_BYTES: usize = 255;

/// Commits that one question about history may look at: merge bases, logs, last changes. Beyond it the question fails.
pub const COMMITS_WALKED: usize = 1_000_000;

/// Parents of one commit. git writes octopus merges of a few; the record in Linux is 66.
pub const PARENTS: usize = 1_024;

/// Bytes of a signature in a commit. An RSA key of 16,384 bits makes about 6 KiB with its armour.
pub const SIGNATURE_BYTES: usize = 16 * 1024;

const _: () = assert!(CACHED_OBJECT_BYTES <= CACHE_BYTES / 2, "an object fits into half of the cache");
const _: () = assert!(NAME_BYTES <= PATH_BYTES, "a name is a path");
