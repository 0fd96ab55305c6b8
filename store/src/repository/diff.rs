//! What differs between two trees, found without looking at what is the same in both.

use super::{Existing, Repository};
use crate::{
    error::Error,
    id::ObjectId,
    limits::TREE_DEPTH,
    object::{Entries, Entry, Kind, Malformed, Mode, Object, TreePath, tree_order},
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

impl Change {
    /// What is there now, if that is a file.
    pub fn file(&self) -> Option<ObjectId> {
        self.new.filter(|new| matches!(new.mode, Mode::File | Mode::Executable)).map(|new| new.id)
    }
}

/// A name that has something else in one directory than in another. A file and a directory of one name are two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference<'a> {
    pub(super) name: &'a [u8],
    pub(super) old: Option<Existing>,
    pub(super) new: Option<Existing>,
}

impl Repository {
    /// What is different in `new` against `old`, sorted by path; commits or trees, `None` is the empty tree.
    pub fn diff(&self, old: Option<&ObjectId>, new: Option<&ObjectId>) -> Result<Vec<Change>, Error> {
        let root = |id: Option<&ObjectId>| id.map(|id| self.tree(id).map(|tree| tree.id())).transpose();
        let mut changes: Vec<Change> = Vec::new();
        self.diff_trees(&[], root(old)?, root(new)?, 0, &mut |change| changes.push(change))?;
        changes.sort_unstable();
        Ok(changes)
    }

    /// Compares two directories, or what is below one with nothing.
    fn diff_trees(
        &self,
        parent: &[u8],
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        depth: usize,
        found: &mut dyn FnMut(Change),
    ) -> Result<(), Error> {
        if depth >= TREE_DEPTH {
            return Err(Error::TooDeep);
        }
        self.compare(old, new, &mut |Difference { name, old, new }| {
            let path = TreePath::join(parent, name);
            if old.or(new).is_some_and(|one| one.mode == Mode::Tree) {
                let (old, new) = (old.map(|old| old.id), new.map(|new| new.id));
                self.diff_trees(path.as_bytes(), old, new, depth + 1, found)
            } else {
                found(Change { path, old, new });
                Ok(())
            }
        })
    }

    /// Goes over two directories in git's order and tells what differs. Both are checked
    /// whole.
    pub(super) fn compare(
        &self,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        visit: &mut dyn FnMut(Difference<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if old == new {
            return Ok(());
        }
        let read = |id: Option<ObjectId>| id.map(|id| self.read_as(&id, Kind::Tree)).transpose();
        let (old_tree, new_tree) = (read(old)?, read(new)?);
        let bytes = |tree: &Option<Object>| tree.as_ref().map(|tree| tree.data.clone()).unwrap_or_default();
        let (old_data, new_data) = (bytes(&old_tree), bytes(&new_tree));
        let at = |id: Option<ObjectId>| {
            move |malformed: Malformed| Error::Malformed(id.expect("what has bytes has an id"), malformed)
        };
        let mut olds = Entries::new(self.format(), &old_data);
        let mut news = Entries::new(self.format(), &new_data);
        let (mut one, mut other) =
            (next_entry(&mut olds).map_err(at(old))?, next_entry(&mut news).map_err(at(new))?);
        loop {
            let order = match (&one, &other) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => tree_order((one.name, one.mode), (other.name, other.mode)),
            };
            let existing = |entry: Entry<'_>| Existing { mode: entry.mode, id: entry.id };
            let (mut name, mut before, mut after) = (&[][..], None, None);
            if order.is_le()
                && let Some(entry) = one
            {
                (name, before) = (entry.name, Some(existing(entry)));
                one = next_entry(&mut olds).map_err(at(old))?;
            }
            if order.is_ge()
                && let Some(entry) = other
            {
                (name, after) = (entry.name, Some(existing(entry)));
                other = next_entry(&mut news).map_err(at(new))?;
            }
            if before != after {
                visit(Difference { name, old: before, new: after })?;
            }
        }
    }
}

fn next_entry<'a>(entries: &mut Entries<'a>) -> Result<Option<Entry<'a>>, Malformed> {
    entries.next().transpose()
}
