//! The files of one commit, by path.

use super::Repository;
use crate::{
    error::Error,
    id::ObjectId,
    limits::{LIST_BYTES_PER_BYTE, TREE_DEPTH},
    object::{Entries, Kind, Mode, Object, TreePath},
    room::room,
};

/// A tree of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    repository: &'a Repository,
    root: ObjectId,
}

/// What is in a directory, in git's order.
pub type Listing = Vec<(Box<[u8]>, Existing)>;

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Existing {
    /// File, directory, link …
    pub mode: Mode,
    /// Its content.
    pub id: ObjectId,
}

impl<'a> Tree<'a> {
    pub(super) fn new(repository: &'a Repository, root: ObjectId) -> Self {
        Self { repository, root }
    }

    /// The tree object itself.
    pub fn id(&self) -> ObjectId {
        self.root
    }

    /// The repository it is in.
    pub fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// What there is at a path; nothing too where the path leads through a file.
    pub fn get(&self, path: impl AsRef<[u8]>) -> Result<Option<Existing>, Error> {
        let path = TreePath::new(path)?;
        let mut here = Existing { mode: Mode::Tree, id: self.root };
        for name in path.names() {
            if here.mode != Mode::Tree {
                return Ok(None);
            }
            let tree = self.repository.read_as(&here.id, Kind::Tree)?;
            let entry = Entries::new(self.repository.format(), &tree.data)
                .find(name)
                .map_err(|malformed| Error::Malformed(here.id, malformed))?;
            let Some(entry) = entry else { return Ok(None) };
            here = Existing { mode: entry.mode, id: entry.id };
        }
        Ok(Some(here))
    }

    /// The content of the file, or the target of the link, at a path.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        match self.get(path)? {
            Some(existing) if existing.mode.is_blob() => {
                let object = self.repository.read_as(&existing.id, Kind::Blob)?;
                room(object.data.len())?;
                Ok(Some(object.data.to_vec()))
            }
            _ => Ok(None),
        }
    }

    /// The entries of a directory with their names, in git's order; the empty path is the root. Nothing where there is none.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Listing, Error> {
        let id = match path.as_ref() {
            [] => self.root,
            path => match self.get(path)? {
                Some(Existing { mode: Mode::Tree, id }) => id,
                _ => return Ok(Vec::new()),
            },
        };
        self.repository.entries(&id)
    }

    /// Calls `visit` for every file, link and submodule, in git's order.
    pub fn walk(&self, visit: &mut dyn FnMut(TreePath, Existing) -> Result<(), Error>) -> Result<(), Error> {
        // Directories being read, with where the next entry begins.
        let read = |id: &ObjectId| self.repository.read_as(id, Kind::Tree);
        let mut stack: Vec<(Vec<u8>, ObjectId, Object, usize)> =
            vec![(Vec::new(), self.root, read(&self.root)?, 0)];
        while let Some((parent, id, tree, start)) = stack.last_mut() {
            let mut entries = Entries::new(self.repository.format(), &tree.data[*start..]);
            let Some(entry) = entries.next() else {
                stack.pop();
                continue;
            };
            let entry = entry.map_err(|malformed| Error::Malformed(*id, malformed))?;
            let path = TreePath::join(parent, entry.name);
            let existing = Existing { mode: entry.mode, id: entry.id };
            *start = tree.data.len() - entries.rest().len();
            if existing.mode != Mode::Tree {
                visit(path, existing)?;
            } else if stack.len() >= TREE_DEPTH {
                return Err(Error::TooDeep);
            } else {
                stack.push((path.as_bytes().into(), existing.id, read(&existing.id)?, 0));
            }
        }
        Ok(())
    }
}

impl Repository {
    /// The entries of a tree object, which are checked.
    pub(crate) fn entries(&self, id: &ObjectId) -> Result<Listing, Error> {
        let tree = self.read_as(id, Kind::Tree)?;
        room(tree.data.len() * LIST_BYTES_PER_BYTE)?;
        Entries::new(self.format(), &tree.data)
            .map(|entry| entry.map(|entry| (entry.name.into(), Existing { mode: entry.mode, id: entry.id })))
            .collect::<Result<_, _>>()
            .map_err(|malformed| Error::Malformed(*id, malformed))
    }
}
