//! Questions about history: logs, last changes, common ancestors. Each looks at a bounded number of commits.
//!
//! Where a clone is shallow, its oldest commits count as the first.

use super::{Existing, Repository};
use crate::{
    error::Error,
    id::ObjectId,
    limits::COMMITS_WALKED,
    object::Commit,
    room::{grow_map, grow_set},
};
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Reached from the first commit, from the second; before a common ancestor that was found; found.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const STALE: u8 = 4;
const RESULT: u8 = 8;

impl Repository {
    /// Commits from a head on, the latest first, at most `limit`.
    pub fn log(&self, head: &ObjectId, limit: usize) -> Result<Vec<(ObjectId, Commit)>, Error> {
        let mut queue = Queue::default();
        queue.push(self, head)?;
        let mut log = Vec::new();
        while log.len() < limit
            && let Some((id, commit)) = queue.pop()
        {
            for parent in self.parents(&id, &commit) {
                queue.push(self, &parent)?;
            }
            log.push((id, commit));
        }
        Ok(log)
    }

    /// The last commit up to `head` that changed what is at a path, be it by removing it; none if there never was anything.
    /// Merges are followed to where the content came from, as `git log` does.
    pub fn last_modified(
        &self,
        head: &ObjectId,
        path: impl AsRef<[u8]>,
    ) -> Result<Option<(ObjectId, Commit)>, Error> {
        let path = path.as_ref();
        let at = |id: &ObjectId| -> Result<Option<Existing>, Error> { self.tree(id)?.get(path) };
        let (mut id, mut here) = (*head, at(head)?);
        for _ in 0..COMMITS_WALKED {
            let commit = self.read_commit(&id)?;
            let parents = self.parents(&id, &commit);
            let mut same = None;
            for parent in &parents {
                if at(parent)? == here {
                    same = Some(*parent);
                    break;
                }
            }
            match same {
                Some(parent) => id = parent,
                None if parents.is_empty() && here.is_none() => return Ok(None),
                None => return Ok(Some((id, commit))),
            }
            here = at(&id)?;
        }
        Err(Error::TooMuchHistory)
    }

    /// Whether the history of `head` has `ancestor` in it; a commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: &ObjectId, head: &ObjectId) -> Result<bool, Error> {
        let mut queue = Queue::default();
        queue.push(self, head)?;
        while let Some((id, commit)) = queue.pop() {
            if id == *ancestor {
                return Ok(true);
            }
            for parent in self.parents(&id, &commit) {
                queue.push(self, &parent)?;
            }
        }
        Ok(false)
    }

    /// A commit that both histories have and that is before no other such commit; the latest, if there are several
    /// (git-merge-base). None if they have nothing in common here.
    pub fn merge_base(&self, one: &ObjectId, other: &ObjectId) -> Result<Option<ObjectId>, Error> {
        let mut flags: HashMap<ObjectId, u8> = HashMap::new();
        let mut heap = BinaryHeap::new();
        for (id, flag) in [(one, FIRST), (other, SECOND)] {
            *flags.entry(*id).or_default() |= flag;
            heap.push((self.read_commit(id)?.committer.seconds(), *id));
        }
        let mut results = Vec::new();
        let stale = |flags: &HashMap<ObjectId, u8>, id: &ObjectId| {
            flags.get(id).is_some_and(|flag| flag & STALE != 0)
        };
        // Each commit is looked at again when it gets another flag, of which there are three.
        let mut looks = 3 * COMMITS_WALKED;
        while heap.iter().any(|(_, id)| !stale(&flags, id)) {
            let Some((seconds, id)) = heap.pop() else { break };
            looks = looks.checked_sub(1).ok_or(Error::TooMuchHistory)?;
            let Some(flag) = flags.get_mut(&id) else { continue };
            let mut inherited = *flag & (FIRST | SECOND | STALE);
            if inherited == FIRST | SECOND {
                if *flag & RESULT == 0 {
                    *flag |= RESULT;
                    results.push((seconds, id));
                }
                inherited |= STALE;
            }
            let commit = self.read_commit(&id)?;
            for parent in self.parents(&id, &commit) {
                grow_map(&mut flags)?;
                let flag = flags.entry(parent).or_default();
                if *flag & inherited != inherited {
                    *flag |= inherited;
                    heap.push((self.read_commit(&parent)?.committer.seconds(), parent));
                }
            }
        }
        results.retain(|(_, id)| !stale(&flags, id));
        Ok(results.into_iter().max().map(|(_, id)| id))
    }
}

/// Commits to be looked at, the latest first, each once.
#[derive(Default)]
struct Queue {
    seen: HashSet<ObjectId>,
    heap: BinaryHeap<(i64, ObjectId)>,
    commits: HashMap<ObjectId, Commit>,
}

impl Queue {
    fn push(&mut self, repository: &Repository, id: &ObjectId) -> Result<(), Error> {
        grow_set(&mut self.seen)?;
        if !self.seen.insert(*id) {
            return Ok(());
        }
        if self.seen.len() > COMMITS_WALKED {
            return Err(Error::TooMuchHistory);
        }
        let commit = repository.read_commit(id)?;
        grow_map(&mut self.commits)?;
        self.heap.push((commit.committer.seconds(), *id));
        self.commits.insert(*id, commit);
        Ok(())
    }

    fn pop(&mut self) -> Option<(ObjectId, Commit)> {
        let (_, id) = self.heap.pop()?;
        Some((id, self.commits.remove(&id)?))
    }
}
