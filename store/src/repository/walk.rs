//! What can be reached from some commits and not from others: what a push has to send, what a pull has brought and is to be
//! judged, what compaction keeps.
//!
//! A commit's tree is compared with its first parent's, so that a long history of small changes costs what has changed.
//! Objects are noted by their place, four bytes each.

use super::{Repository, diff::Difference};
use crate::{
    error::Error,
    id::ObjectId,
    limits::{COMMITS_WALKED, TREE_DEPTH},
    object::{Kind, Mode, Tag},
    room::{grow, grow_set},
};
use std::collections::HashSet;

/// A walk, and what it has found.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    repository: &'a Repository,
    seen: HashSet<u32>,
    commits: usize,
    /// Places of the objects, each once.
    pub(super) found: Vec<u32>,
}

impl<'a> Walk<'a> {
    /// That leaves out these commits and all before them. What they have is taken to be known; some of it may be found
    /// nevertheless: what came back from an earlier time, or moved.
    pub(super) fn new(repository: &'a Repository, known: &[ObjectId]) -> Result<Self, Error> {
        let mut walk = Self { repository, seen: HashSet::new(), commits: 0, found: Vec::new() };
        let mut queue = known.to_vec();
        while let Some(id) = queue.pop() {
            let Some(place) = repository.index.find(&id) else { continue };
            grow_set(&mut walk.seen)?;
            if walk.seen.insert(place) && repository.kind(&id)? == Kind::Commit {
                walk.count_commit()?;
                queue.extend(repository.parents(&id, &repository.read_commit(&id)?));
            }
        }
        Ok(walk)
    }

    /// Finds everything that can be reached from these objects. Every tree and commit on the way is checked, and that each
    /// object is here and of the kind that it is referred to as.
    pub(super) fn run(&mut self, heads: &[ObjectId]) -> Result<(), Error> {
        let mut queue: Vec<(ObjectId, Option<Kind>)> = heads.iter().map(|&head| (head, None)).collect();
        while let Some((id, expected)) = queue.pop() {
            let found = self.repository.kind(&id)?;
            if let Some(expected) = expected.filter(|&expected| expected != found) {
                return Err(Error::WrongKind { id, expected, found });
            }
            match found {
                // Noted once its content has been.
                Kind::Tree => {
                    self.tree(None, id, 0)?;
                    continue;
                }
                _ if !self.note(&id)? => continue,
                Kind::Blob => {}
                Kind::Tag => {
                    let tag = self.repository.read(&id)?;
                    let tag = Tag::parse(self.repository.format(), &tag.data)
                        .map_err(|bad| Error::Malformed(id, bad))?;
                    queue.push((tag.target, Some(tag.kind)));
                }
                Kind::Commit => {
                    self.count_commit()?;
                    let commit = self.repository.read_commit(&id)?;
                    let parents = self.repository.parents(&id, &commit);
                    let base =
                        parents.first().map(|parent| self.repository.read_commit(parent)).transpose()?;
                    self.tree(base.map(|base| base.tree), commit.tree, 0)?;
                    queue.extend(parents.into_iter().map(|parent| (parent, Some(Kind::Commit))));
                }
            }
        }
        Ok(())
    }

    /// Everything in a tree that is not in another.
    fn tree(&mut self, base: Option<ObjectId>, tree: ObjectId, depth: usize) -> Result<(), Error> {
        if depth >= TREE_DEPTH {
            return Err(Error::TooDeep);
        }
        if base == Some(tree) || !self.note(&tree)? {
            return Ok(());
        }
        let repository = self.repository;
        repository.compare(base, Some(tree), &mut |Difference { old, new, .. }| {
            let Some(new) = new else { return Ok(()) };
            if old.is_some_and(|old| old.id == new.id) {
                return Ok(());
            }
            match new.mode {
                Mode::Submodule => Ok(()),
                Mode::Tree => self.tree(old.map(|old| old.id), new.id, depth + 1),
                _ if !self.note(&new.id)? => Ok(()),
                _ => match repository.kind(&new.id)? {
                    Kind::Blob => Ok(()),
                    found => Err(Error::WrongKind { id: new.id, expected: Kind::Blob, found }),
                },
            }
        })
    }

    /// Notes an object; returns whether it is new.
    fn note(&mut self, id: &ObjectId) -> Result<bool, Error> {
        let place = self.repository.index.find(id).ok_or(Error::Missing(*id))?;
        grow_set(&mut self.seen)?;
        let new = self.seen.insert(place);
        if new {
            grow(&mut self.found)?;
            self.found.push(place);
        }
        Ok(new)
    }

    fn count_commit(&mut self) -> Result<(), Error> {
        self.commits += 1;
        if self.commits > COMMITS_WALKED { Err(Error::TooMuchHistory) } else { Ok(()) }
    }
}

impl Repository {
    /// Whether everything that `heads` need is here and as git writes it, except what `known` need, commits of which that has
    /// been said before. To be asked of what a remote sent before a branch is moved there.
    pub fn verify(&self, heads: &[ObjectId], known: &[ObjectId]) -> Result<(), Error> {
        Walk::new(self, known)?.run(heads)
    }
}
