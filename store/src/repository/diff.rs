//! What differs between two trees, found without looking at what is the same in both.

use super::{Existing, Repository};
use crate::{
    error::Error,
    id::ObjectId,
    limits::TREE_DEPTH,
    object::{Mode, TreePath},
};
use std::cmp::Ordering;

/// A file, link or submodule that differs: added if it was not there, removed if it is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where.
    pub path: TreePath,
    /// What was there.
    pub old: Option<Existing>,
    /// What is there.
    pub new: Option<Existing>,
}

impl Repository {
    /// What is different in `new` against `old`, sorted by path; commits or trees, `None` is the empty tree.
    pub fn diff(&self, old: Option<&ObjectId>, new: Option<&ObjectId>) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let (old, new) = (self.root(old)?, self.root(new)?);
        self.diff_trees(&[], old, new, &mut |change| changes.push(change))?;
        changes.sort_unstable();
        Ok(changes)
    }

    /// The tree of a commit or a tree.
    pub(super) fn root(&self, id: Option<&ObjectId>) -> Result<Option<ObjectId>, Error> {
        id.map(|id| self.tree(id).map(|tree| tree.id())).transpose()
    }

    /// Compares two directories, or what is below one with nothing.
    fn diff_trees(
        &self,
        parent: &[u8],
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        found: &mut dyn FnMut(Change),
    ) -> Result<(), Error> {
        if old == new {
            return Ok(());
        }
        if parent.iter().filter(|&&byte| byte == b'/').count() + 1 >= TREE_DEPTH {
            return Err(Error::TooDeep);
        }
        for (name, old, new) in self.pairs(old, new)? {
            if old == new {
                continue;
            }
            let path = TreePath::join(parent, &name);
            let split = |existing: Option<Existing>| match existing {
                Some(Existing { mode: Mode::Tree, id }) => (Some(id), None),
                other => (None, other),
            };
            let ((old_tree, old), (new_tree, new)) = (split(old), split(new));
            self.diff_trees(path.as_bytes(), old_tree, new_tree, found)?;
            if old != new {
                found(Change { path, old, new });
            }
        }
        Ok(())
    }

    /// The entries of two directories by name, sorted.
    pub(super) fn pairs(&self, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<Vec<Pair>, Error> {
        let sorted = |id: Option<ObjectId>| {
            let mut entries = id.map(|id| self.entries(&id)).transpose()?.unwrap_or_default();
            entries.sort_unstable();
            Ok::<_, Error>(entries.into_iter().peekable())
        };
        let (mut old, mut new) = (sorted(old)?, sorted(new)?);
        let mut pairs = Vec::new();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(pairs),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.0.cmp(&other.0),
            };
            let one = if order.is_le() { old.next() } else { None };
            let other = if order.is_ge() { new.next() } else { None };
            let (name, one, other) = match (one, other) {
                (Some((name, one)), other) => (name, Some(one), other.map(|other| other.1)),
                (None, Some((name, other))) => (name, None, Some(other)),
                (None, None) => return Ok(pairs),
            };
            pairs.push((name, one, other));
        }
    }
}

/// A name, with what has it in either directory.
pub(super) type Pair = (Box<[u8]>, Option<Existing>, Option<Existing>);

impl Change {
    /// What is there now, if that is a file.
    pub fn file(&self) -> Option<ObjectId> {
        self.new.filter(|new| matches!(new.mode, Mode::File | Mode::Executable)).map(|new| new.id)
    }
}
