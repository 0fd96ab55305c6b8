//! Objects as git writes them: what a blob, a tree, a commit and a tag consist of (gitdatamodel, gitformat-pack).

mod commit;
mod path;
mod tag;
mod tree;

pub use commit::{Commit, Identity};
pub use path::{BadPath, TreePath, check_name};
pub use tag::Tag;
pub(crate) use tree::tree_order;
pub use tree::{Entries, Entry, Mode, encode_tree};

use std::{fmt, rc::Rc};

/// The four kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A state of everything, with who made it from what.
    Commit,
    /// A directory.
    Tree,
    /// A file's content.
    Blob,
    /// A note about another object.
    Tag,
}

impl Kind {
    /// As it stands in front of an object when that is hashed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Tree, Self::Blob, Self::Tag]
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An object, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What its content is to be read as.
    pub kind: Kind,
    /// Its content; shared with the repository's cache.
    pub data: Rc<[u8]>,
}

/// An object that is not as git writes it: its maker is at fault. Says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Takes the line `name value\n` off the front.
fn take_header<'a>(rest: &mut &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = rest.strip_prefix(name.as_bytes())?.strip_prefix(b" ")?;
    let end = value.iter().position(|&byte| byte == b'\n')?;
    *rest = &value[end + 1..];
    Some(&value[..end])
}
