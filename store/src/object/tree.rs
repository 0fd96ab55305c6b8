//! Trees: a mode, a name and an id for each entry, sorted as git sorts them.
//!
//! Bytes of a tree are hostile until [`Entries`] has gone over them: it refuses what `git fsck` calls an error.

use super::{Malformed, check_name};
use crate::id::{Format, ObjectId};
use std::cmp::Ordering;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A file.
    File,
    /// A file that can be executed.
    Executable,
    /// A symbolic link; its target is the blob's content.
    Link,
    /// A directory.
    Tree,
    /// A commit of another repository (a submodule), which is not in this one.
    Submodule,
}

impl Mode {
    /// In octal, as a tree has it: without leading zeros.
    pub const fn digits(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
            Self::Tree => "40000",
            Self::Submodule => "160000",
        }
    }

    /// The mode with these digits. Early versions of git wrote 100664 for files that the group may write; `git fsck` passes
    /// that, and it is a file.
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        const ALL: [Mode; 5] = [Mode::File, Mode::Executable, Mode::Link, Mode::Tree, Mode::Submodule];
        if digits == b"100664" {
            return Some(Self::File);
        }
        ALL.into_iter().find(|mode| mode.digits().as_bytes() == digits)
    }

    /// Whether the entry's object is a blob: a file, or where a link points to.
    pub const fn is_blob(self) -> bool {
        matches!(self, Self::File | Self::Executable | Self::Link)
    }
}

/// One entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it is.
    pub mode: Mode,
    /// What it is called.
    pub name: &'a [u8],
    /// Its content.
    pub id: ObjectId,
}

/// The order of entries in a tree: as bytes, a directory as if its name ended with a slash.
pub(crate) fn tree_order(one: (&[u8], Mode), other: (&[u8], Mode)) -> Ordering {
    let end = |mode| if mode == Mode::Tree { b'/' } else { 0 };
    let common = one.0.len().min(other.0.len());
    one.0[..common].cmp(&other.0[..common]).then_with(|| {
        let at = |(name, mode): (&[u8], Mode)| name.get(common).copied().unwrap_or(end(mode));
        at(one).cmp(&at(other)).then(one.0.len().cmp(&other.0.len()))
    })
}

/// The entries of a tree, in its order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    format: Format,
    rest: &'a [u8],
    previous: Option<(&'a [u8], Mode)>,
    /// Names of files with which everything since begins, shortest first: where `a` is one, a directory `a` can still come.
    files: Vec<&'a [u8]>,
}

impl<'a> Entries<'a> {
    /// Of the bytes of a tree.
    pub fn new(format: Format, tree: &'a [u8]) -> Self {
        Self { format, rest: tree, previous: None, files: Vec::new() }
    }

    /// The entry with this name.
    pub fn find(self, name: &[u8]) -> Result<Option<Entry<'a>>, Malformed> {
        for entry in self {
            let entry = entry?;
            if entry.name == name {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The bytes behind the entry that came last.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes an entry off the front.
    fn take(&mut self) -> Result<Entry<'a>, Malformed> {
        let space = self
            .rest
            .iter()
            .take(8)
            .position(|&byte| byte == b' ')
            .ok_or(Malformed("a tree's entry has no mode"))?;
        let mode = Mode::from_digits(&self.rest[..space])
            .ok_or(Malformed("a tree's entry has a mode that git does not know"))?;
        let rest = &self.rest[space + 1..];
        let end = rest.iter().position(|&byte| byte == 0).ok_or(Malformed("a tree ends within a name"))?;
        let name = &rest[..end];
        check_name(name).map_err(|bad| Malformed(bad.0))?;
        let id =
            rest.get(end + 1..end + 1 + self.format.bytes()).ok_or(Malformed("a tree ends within an id"))?;
        let id = ObjectId::from_bytes(id).expect("as long as the format says");
        if id.is_null() {
            return Err(Malformed("a tree's entry has no object"));
        }
        self.rest = &rest[end + 1 + self.format.bytes()..];
        self.check_order(name, mode)?;
        Ok(Entry { mode, name, id })
    }

    /// Sorted, and no name twice, not even as a file and as a directory (git's fsck.c, `verify_ordered`).
    fn check_order(&mut self, name: &'a [u8], mode: Mode) -> Result<(), Malformed> {
        const BAD: Malformed = Malformed("a tree's entries are not sorted, or one is there twice");
        if self.previous.is_some_and(|previous| tree_order(previous, (name, mode)) != Ordering::Less) {
            return Err(BAD);
        }
        while self.files.last().is_some_and(|file| !name.starts_with(file)) {
            self.files.pop();
        }
        if self.files.last() == Some(&name) {
            return Err(BAD);
        }
        if mode != Mode::Tree {
            self.files.push(name);
        }
        self.previous = Some((name, mode));
        Ok(())
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.take();
        if entry.is_err() {
            self.rest = &[];
        }
        Some(entry)
    }
}

/// The bytes of a tree of these entries, which are put into git's order. Names must be valid, and different.
pub fn encode_tree(mut entries: Vec<Entry<'_>>) -> Vec<u8> {
    entries.sort_unstable_by(|one, other| tree_order((one.name, one.mode), (other.name, other.mode)));
    let mut tree = Vec::new();
    for entry in entries {
        tree.extend_from_slice(entry.mode.digits().as_bytes());
        tree.push(b' ');
        tree.extend_from_slice(entry.name);
        tree.push(0);
        tree.extend_from_slice(entry.id.as_bytes());
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut tree = Vec::new();
        for (mode, name) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(&[7; 20]);
        }
        tree
    }

    #[track_caller]
    fn check(tree: &[u8], expect: Result<usize, &str>) {
        let entries: Result<Vec<_>, _> = Entries::new(Format::Sha1, tree).collect();
        assert_eq!(entries.map(|entries| entries.len()).map_err(|error| error.0), expect);
    }

    #[test]
    fn directories_are_sorted_as_if_they_ended_with_a_slash() {
        check(&tree(&[("100644", "a.b"), ("40000", "a"), ("100644", "a0")]), Ok(3));
        check(
            &tree(&[("40000", "a"), ("100644", "a.b")]),
            Err("a tree's entries are not sorted, or one is there twice"),
        );
        let id = ObjectId::from_bytes(&[7; 20]).unwrap();
        let entry = |mode, name| Entry { mode, name, id };
        let encoded =
            encode_tree(vec![entry(Mode::File, b"a0"), entry(Mode::Tree, b"a"), entry(Mode::File, b"a.b")]);
        assert_eq!(encoded, tree(&[("100644", "a.b"), ("40000", "a"), ("100644", "a0")]));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        check(b"", Ok(0));
        check(b"100644", Err("a tree's entry has no mode"));
        check(b"100644 a", Err("a tree ends within a name"));
        check(b"100644 a\0short", Err("a tree ends within an id"));
        check(&tree(&[("100600", "a")]), Err("a tree's entry has a mode that git does not know"));
        check(&tree(&[("0100644", "a")]), Err("a tree's entry has a mode that git does not know"));
        check(
            &tree(&[("100644", "a"), ("100644", "a")]),
            Err("a tree's entries are not sorted, or one is there twice"),
        );
        check(
            &tree(&[("100644", "a"), ("100644", "a.b"), ("40000", "a")]),
            Err("a tree's entries are not sorted, or one is there twice"),
        );
        check(&tree(&[("100644", ".git")]), Err("a name that some file system takes for .git"));
        check(&tree(&[("100644", "..")]), Err("a name that is . or .."));
        check(&tree(&[("100644", "")]), Err("an empty name"));
        check(&tree(&[("100644", "a/b")]), Err("a slash in a name"));
        check(&[&b"100644 a\0"[..], &[0; 20]].concat(), Err("a tree's entry has no object"));
    }
}
