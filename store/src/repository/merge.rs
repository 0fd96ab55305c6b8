//! Three-way merge, path by path: what only one side changed is taken, what both changed differently is the caller's.

use super::{Change, Edits, Existing, Repository};
use crate::{
    error::Error,
    id::ObjectId,
    object::{Kind, Mode, TreePath},
};
use std::collections::BTreeMap;

/// A path that both sides changed, each to something else; `None` where there is no file.
#[derive(Clone, Copy, Debug)]
pub struct Contested<'a> {
    /// Where.
    pub path: &'a TreePath,
    /// What both sides started from.
    pub base: Option<&'a [u8]>,
    /// What we made of it.
    pub ours: Option<&'a [u8]>,
    /// What they made of it.
    pub theirs: Option<&'a [u8]>,
}

/// What a merge function makes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This content.
    Write(Vec<u8>),
    /// No file.
    Remove,
    /// It cannot be merged.
    Conflict,
}

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The tree with the changes of both sides.
    Tree(ObjectId),
    /// The paths that stand against it; nothing was merged.
    Conflict(Vec<TreePath>),
}

impl Repository {
    /// Merges two trees, or commits, that both were made from `base`. For every file that both changed differently `merge` is
    /// asked; links, submodules, and a file where the other side has a directory, are conflicts.
    pub fn merge(
        &mut self,
        base: Option<&ObjectId>,
        ours: &ObjectId,
        theirs: &ObjectId,
        merge: &mut dyn FnMut(Contested<'_>) -> Resolution,
    ) -> Result<Merged, Error> {
        let our_changes = self.diff(base, Some(ours))?;
        let their_changes: BTreeMap<TreePath, Change> =
            self.diff(base, Some(theirs))?.into_iter().map(|change| (change.path.clone(), change)).collect();
        let mut edits = Edits::default();
        let mut conflicts = Vec::new();
        for our in &our_changes {
            match their_changes.get(&our.path) {
                Some(their) if their.new == our.new => {}
                Some(their) => match self.contest(our, their, merge)? {
                    Resolution::Write(content) => edits.write(our.path.as_bytes(), content)?,
                    Resolution::Remove => edits.remove(our.path.as_bytes())?,
                    Resolution::Conflict => conflicts.push(our.path.clone()),
                },
                None => match our.new {
                    Some(new) => edits.set(our.path.clone(), new),
                    None => edits.remove(our.path.as_bytes())?,
                },
            }
        }
        self.find_buried(theirs, &our_changes, &mut conflicts)?;
        if !conflicts.is_empty() {
            return Ok(Merged::Conflict(conflicts));
        }
        match self.edit(Some(theirs), &edits) {
            Ok(tree) => Ok(Merged::Tree(tree)),
            Err(Error::NoDirectory(path)) => Ok(Merged::Conflict(vec![path])),
            Err(error) => Err(error),
        }
    }

    /// Asks the caller about a path.
    fn contest(
        &self,
        our: &Change,
        their: &Change,
        merge: &mut dyn FnMut(Contested<'_>) -> Resolution,
    ) -> Result<Resolution, Error> {
        let states = [our.old, our.new, their.new];
        if states.iter().flatten().any(|state| !matches!(state.mode, Mode::File | Mode::Executable)) {
            return Ok(Resolution::Conflict);
        }
        let read = |state: Option<Existing>| {
            state.map(|state| self.read_as(&state.id, Kind::Blob).map(|object| object.data)).transpose()
        };
        let [base, ours, theirs] = [read(states[0])?, read(states[1])?, read(states[2])?];
        Ok(merge(Contested {
            path: &our.path,
            base: base.as_deref(),
            ours: ours.as_deref(),
            theirs: theirs.as_deref(),
        }))
    }

    /// Where we have put a file over a directory of theirs, with something in it that we did not remove.
    fn find_buried(
        &self,
        theirs: &ObjectId,
        our_changes: &[Change],
        conflicts: &mut Vec<TreePath>,
    ) -> Result<(), Error> {
        let tree = self.tree(theirs)?;
        for our in our_changes.iter().filter(|change| change.new.is_some()) {
            let Some(Existing { mode: Mode::Tree, id }) = tree.get(our.path.as_bytes())? else { continue };
            self.tree(&id)?.walk(&mut |below, existing| {
                let path = TreePath::join(our.path.as_bytes(), below.as_bytes());
                let removed =
                    our_changes.binary_search_by(|change| change.path.cmp(&path)).is_ok_and(|number| {
                        our_changes[number].old == Some(existing) && our_changes[number].new.is_none()
                    });
                if !removed && conflicts.last() != Some(&our.path) {
                    conflicts.push(our.path.clone());
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
