//! What can go wrong with what is in a repository.

use crate::{
    id::{Collision, ObjectId},
    object::{BadPath, Kind, Malformed, TreePath},
    openssh::CannotSign,
    pack::PackError,
    room::NoRoom,
};
use std::fmt;

/// Why a question to a repository, or a change of it, failed. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The object is not here: the remote sent less than it should, or the clone is too shallow.
    Missing(ObjectId),
    /// The object is of another kind than what refers to it says: whoever made that is at fault.
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it was referred to as.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// The object is not as git writes it: whoever made it is at fault.
    Malformed(ObjectId, Malformed),
    /// The object lies here in a damaged state: memory is at fault, or we are.
    Damaged(ObjectId, PackError),
    /// A path that no tree may have: the caller is at fault.
    BadPath(BadPath),
    /// A path leads through a file, or would have to be file and directory at once: the caller is at fault.
    NoDirectory(TreePath),
    /// Trees within trees, more than [`crate::limits::TREE_DEPTH`].
    TooDeep,
    /// More commits to look at than [`crate::limits::COMMITS_WALKED`].
    TooMuchHistory,
    /// An object, or all of them, would be larger than [`crate::Limits`] allow.
    TooLarge,
    /// There is no memory for it.
    OutOfMemory,
    /// What was to be written was made to collide with something under SHA-1.
    Collision,
    /// The key that commits are signed with does not sign.
    CannotSign,
    /// An id of the other format than the repository's: the caller is at fault.
    WrongFormat,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id) => write!(formatter, "the object {id} is not here"),
            Self::WrongKind { id, expected, found } => {
                write!(formatter, "the object {id} is a {found}, where a {expected} should be")
            }
            Self::Malformed(id, malformed) => {
                write!(formatter, "the object {id} is not as git writes it: {malformed}")
            }
            Self::Damaged(id, error) => write!(formatter, "the object {id} is damaged in memory: {error}"),
            Self::BadPath(bad) => bad.fmt(formatter),
            Self::NoDirectory(path) => write!(formatter, "{path}: not a directory"),
            Self::TooDeep => formatter.write_str("directories within one another beyond the limit"),
            Self::TooMuchHistory => formatter.write_str("more history than may be looked at"),
            Self::TooLarge => formatter.write_str("larger than the repository's limits"),
            Self::OutOfMemory => formatter.write_str("no memory for an object: give the image more"),
            Self::Collision => Collision.fmt(formatter),
            Self::CannotSign => {
                formatter.write_str("a commit cannot be signed: the key of --signing-key is no good")
            }
            Self::WrongFormat => formatter.write_str("an object's name of the wrong hash"),
        }
    }
}

impl std::error::Error for Error {}

impl From<BadPath> for Error {
    fn from(bad: BadPath) -> Self {
        Self::BadPath(bad)
    }
}

impl From<CannotSign> for Error {
    fn from(_: CannotSign) -> Self {
        Self::CannotSign
    }
}

impl From<NoRoom> for Error {
    fn from(_: NoRoom) -> Self {
        Self::OutOfMemory
    }
}

impl From<Collision> for Error {
    fn from(_: Collision) -> Self {
        Self::Collision
    }
}
