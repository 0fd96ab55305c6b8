//! When each file was last changed: one walk over history for all of them, which ends where the version before began.
//!
//! ```text
//!     head: all paths ─► commit ─┬─ same in a parent ─► go there with it
//!                                └─ in no parent ─► this commit's time
//! ```
//! The answer for one path is that of `git log -1 -- PATH`. Paths wait in a set at the commit that they have come to, so a commit
//! costs what it changed, not how many files there are. Where a clone is shallow, its oldest commits count as the first.

use super::load::Listed;
use crate::limits::DATES_COMMITS;
use std::collections::{BinaryHeap, HashMap, HashSet};
use store::{Error, ObjectId, Repository};

/// A walk, and what it has found.
#[derive(Debug)]
pub struct Dates {
    /// Numbers of the paths that nothing is known of yet.
    index: HashMap<Box<[u8]>, usize>,
    /// Commits to look at, the latest first.
    queue: BinaryHeap<(i64, ObjectId)>,
    /// Paths that have come to a commit.
    waiting: HashMap<ObjectId, HashSet<usize>>,
    /// Where the version before began, with its times.
    known: Option<(ObjectId, Vec<Option<i64>>)>,
    found: Vec<i64>,
    commits: usize,
}

impl Dates {
    /// Of these files of the commit `head`. `known` is an earlier commit, with the time of each file that has the same content
    /// there.
    pub fn new(
        repository: &Repository,
        head: ObjectId,
        files: &[Listed],
        known: Option<(ObjectId, Vec<Option<i64>>)>,
    ) -> Result<Self, Error> {
        let index = files.iter().enumerate().map(|(number, file)| (file.path.clone(), number)).collect();
        let mut dates = Self {
            index,
            queue: BinaryHeap::new(),
            waiting: HashMap::new(),
            known,
            found: vec![0; files.len()],
            commits: 0,
        };
        dates.wait(repository, head, (0..files.len()).collect())?;
        Ok(dates)
    }

    /// Looks at up to so many commits; returns whether all is known.
    pub fn step(&mut self, repository: &Repository, commits: usize) -> Result<bool, Error> {
        for _ in 0..commits {
            let Some((_, id)) = self.queue.pop() else { return Ok(true) };
            if let Some(paths) = self.waiting.remove(&id) {
                self.look(repository, id, paths)?;
            }
        }
        Ok(self.queue.is_empty())
    }

    /// The times in the order of the files, in seconds since 1970.
    pub fn finish(self) -> Vec<i64> {
        self.found
    }

    fn look(
        &mut self,
        repository: &Repository,
        id: ObjectId,
        mut paths: HashSet<usize>,
    ) -> Result<(), Error> {
        if let Some((known, times)) = &self.known
            && *known == id
        {
            let found = &mut self.found;
            paths.retain(|&path| match times.get(path).copied().flatten() {
                Some(time) => {
                    found[path] = time;
                    false
                }
                None => true,
            });
            if paths.is_empty() {
                return Ok(());
            }
        }
        self.commits += 1;
        let commit = repository.read_commit(&id)?;
        let is_last = repository.shallow().contains(&id) || self.commits > DATES_COMMITS;
        let parents = if is_last { &[][..] } else { &commit.parents };
        for parent in parents {
            let mut changed = HashSet::new();
            for change in repository.diff(Some(parent), Some(&id))? {
                if let Some(path) = self.index.get(change.path.as_bytes()).filter(|path| paths.remove(path)) {
                    changed.insert(*path);
                }
            }
            let same = std::mem::replace(&mut paths, changed);
            self.wait(repository, *parent, same)?;
            if paths.is_empty() {
                break;
            }
        }
        for path in paths {
            self.found[path] = commit.committer.seconds();
        }
        Ok(())
    }

    /// Has paths wait at a commit. The smaller set is added to the larger.
    fn wait(
        &mut self,
        repository: &Repository,
        commit: ObjectId,
        paths: HashSet<usize>,
    ) -> Result<(), Error> {
        if paths.is_empty() {
            return Ok(());
        }
        match self.waiting.get_mut(&commit) {
            Some(there) => {
                let (more, fewer) = if there.len() < paths.len() {
                    (paths, std::mem::take(there))
                } else {
                    (std::mem::take(there), paths)
                };
                *there = more;
                there.extend(fewer);
            }
            None => {
                self.queue.push((repository.read_commit(&commit)?.committer.seconds(), commit));
                self.waiting.insert(commit, paths);
            }
        }
        Ok(())
    }
}
