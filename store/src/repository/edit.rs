//! Changing trees by path: a set of edits makes a new tree of an old one.

use super::{Existing, Repository};
use crate::{
    error::Error,
    id::ObjectId,
    limits::TREE_DEPTH,
    object::{BadPath, Entry, Kind, Mode, TreePath, encode_tree},
};
use std::collections::BTreeMap;

/// What is to become of some paths. The last word on a path counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(BTreeMap<TreePath, Edit>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Edit {
    /// A file of this content. Its mode is kept if it exists, else it is an ordinary file.
    Content(Vec<u8>),
    /// An object that is here already.
    Set(Existing),
    Remove,
}

impl Edits {
    /// Writes a file. If it exists and can be executed, it stays so; a link or a directory is replaced.
    pub fn write(&mut self, path: impl AsRef<[u8]>, content: impl Into<Vec<u8>>) -> Result<(), BadPath> {
        self.0.insert(TreePath::new(path)?, Edit::Content(content.into()));
        Ok(())
    }

    /// Puts an object that is in the repository at a path.
    pub fn set(&mut self, path: TreePath, existing: Existing) {
        self.0.insert(path, Edit::Set(existing));
    }

    /// Removes what is at a path, with all below it. It is no error if there is nothing.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<(), BadPath> {
        self.0.insert(TreePath::new(path)?, Edit::Remove);
        Ok(())
    }

    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths to be changed, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.0.keys()
    }

    /// The content that a path is given, if it is given one.
    pub fn content(&self, path: &TreePath) -> Option<&[u8]> {
        match self.0.get(path) {
            Some(Edit::Content(content)) => Some(content),
            _ => None,
        }
    }
}

impl Repository {
    /// The tree that edits make of another, or of an empty one; its id is the old one if nothing changes. Directories appear
    /// and vanish with what is in them. A path that leads through a file is an error, unless the file is removed too.
    pub fn edit(&mut self, tree: Option<&ObjectId>, edits: &Edits) -> Result<ObjectId, Error> {
        let mut edits: Vec<(Vec<&[u8]>, &TreePath, &Edit)> =
            edits.0.iter().map(|(path, edit)| (path.names().collect(), path, edit)).collect();
        // Sorted by names, so that what is in one directory lies together: `a`, `a/b`, `a.b`.
        edits.sort_by(|one, other| one.0.cmp(&other.0));
        let root = match tree {
            Some(id) if self.kind(id)? == Kind::Commit => Some(self.read_commit(id)?.tree),
            tree => tree.copied(),
        };
        match self.edit_directory(root, &edits, 0)? {
            Some(id) => Ok(id),
            None => self.write(Kind::Tree, &[]),
        }
    }

    /// The same for one directory, whose edits all have `depth` names in common; `None` if nothing is left in it.
    fn edit_directory(
        &mut self,
        tree: Option<ObjectId>,
        edits: &[(Vec<&[u8]>, &TreePath, &Edit)],
        depth: usize,
    ) -> Result<Option<ObjectId>, Error> {
        if depth >= TREE_DEPTH {
            return Err(Error::TooDeep);
        }
        let entries = tree.map(|id| self.entries(&id)).transpose()?.unwrap_or_default();
        let mut entries: BTreeMap<Box<[u8]>, Existing> = entries.into_iter().collect();
        for group in edits.chunk_by(|one, other| one.0[depth] == other.0[depth]) {
            let name = group[0].0[depth];
            let mut here = entries.remove(name);
            // An edit of the name itself sorts before those below it.
            let mut below = group;
            if group[0].0.len() == depth + 1 {
                here = self.edit_entry(here, group[0].2)?;
                below = &group[1..];
            }
            let no_directory = here.is_some_and(|here| here.mode != Mode::Tree);
            if no_directory
                && let Some((_, path, _)) = below.iter().find(|(_, _, edit)| **edit != Edit::Remove)
            {
                return Err(Error::NoDirectory((*path).clone()));
            }
            if !below.is_empty() && !no_directory {
                let id = self.edit_directory(here.map(|here| here.id), below, depth + 1)?;
                here = id.map(|id| Existing { mode: Mode::Tree, id });
            }
            if let Some(here) = here {
                entries.insert(name.into(), here);
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let entries =
            entries.iter().map(|(name, here)| Entry { mode: here.mode, name, id: here.id }).collect();
        self.write(Kind::Tree, &encode_tree(entries)).map(Some)
    }

    /// What an edit makes of an entry.
    fn edit_entry(&mut self, here: Option<Existing>, edit: &Edit) -> Result<Option<Existing>, Error> {
        match edit {
            Edit::Remove => Ok(None),
            Edit::Set(existing) => {
                if existing.mode != Mode::Submodule {
                    let expected = if existing.mode == Mode::Tree { Kind::Tree } else { Kind::Blob };
                    let found = self.kind(&existing.id)?;
                    if found != expected {
                        return Err(Error::WrongKind { id: existing.id, expected, found });
                    }
                } else if existing.id.format() != self.format() {
                    return Err(Error::WrongFormat);
                }
                Ok(Some(*existing))
            }
            Edit::Content(content) => {
                let executable = here.is_some_and(|here| here.mode == Mode::Executable);
                let mode = if executable { Mode::Executable } else { Mode::File };
                Ok(Some(Existing { mode, id: self.write(Kind::Blob, content)? }))
            }
        }
    }
}
