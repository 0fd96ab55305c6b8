//! Changes: made here, pushed, and acknowledged once the remote has them.
//!
//! ```text
//!     make commits on the head ─► push ─┬─ accepted ───────────────────────────────► acknowledged
//!           ▲                           ├─ refused ─ look: still the same head ─────► error
//!           │  others were faster       │              other head ─┐
//!           └───────────────────────────┼──────────────────────────┘
//!                                       └─ no verdict ─ look: there it is ──────────► acknowledged
//!                                              the head is another, without it ─► as if others were faster
//!                                              the old head ─► the same push again: it may still be under way there
//!                                              cannot be seen ──────────────────────► unknown
//! ```
//!
//! Why pushing the same commits again is safe: the remote moves the branch only from the head that they were made on, so at
//! most one of the two pushes does anything, and it does not matter which.

use super::{ChangeError, Store, backoff::pause, measured};
use crate::{
    Contested, Edits, Error, Identity, Merged, ObjectId, Repository, Resolution, Tree, TreePath,
    remote::{
        Problem, RemoteError,
        limits::{LOOKS, PUSH_ATTEMPTS, RACE_DOUBLINGS, UNKNOWN_PUSHES},
        push::{Command, Verdict},
        receive::Receive,
    },
};
use runtime::connect::Connect;
use std::fmt;

/// Makes commits on a branch's head, `None` where there is none yet, and returns the last of them, or that head.
pub type Make<'a, E> = dyn FnMut(&mut Repository, Option<ObjectId>) -> Result<Option<ObjectId>, E> + 'a;

/// What came of one push.
enum Pushed {
    /// The remote has it.
    Accepted,
    /// The branch is no longer where it was.
    Moved,
    /// The remote said no.
    Refused(Problem),
    /// Nothing was sent.
    NotSent(Problem),
    /// It was sent, and no verdict came.
    Unknown(Problem),
}

/// What the remote was seen with after a push without a verdict.
enum Seen {
    /// The commits are there.
    Arrived,
    /// The branch went on without them: now they never will be.
    Passed,
    /// The branch has not moved.
    Unmoved,
}

impl<C: Connect> Store<C> {
    /// Changes files in one commit, which is in the remote's repository when this returns its id; `None` if there was nothing
    /// to change.
    ///
    /// `edit` is called with the files as they are now, again each time that somebody else has pushed first.
    pub async fn change<E>(
        &mut self,
        author: &Identity,
        message: &str,
        edit: &mut dyn FnMut(Option<&Tree<'_>>) -> Result<Edits, E>,
    ) -> Result<Option<ObjectId>, ChangeError<E>> {
        let outcome = self
            .transact(&mut |repository, base| {
                let tree = base.map(|base| repository.tree(&base)).transpose().map_err(Stop::Broken)?;
                let edits = edit(tree.as_ref()).map_err(Stop::Caller)?;
                commit(repository, base, &edits, author, message).map_err(Stop::Broken)
            })
            .await;
        match outcome {
            Ok(head) => Ok(head),
            Err(ChangeError::Caller(Stop::Caller(error))) => Err(ChangeError::Caller(error)),
            Err(ChangeError::Caller(Stop::Broken(error))) => Err(self.remote.error(error.into()).into()),
            Err(ChangeError::Remote(error)) => Err(ChangeError::Remote(error)),
            Err(ChangeError::Unknown(commit, error)) => Err(ChangeError::Unknown(commit, error)),
        }
    }

    /// Applies `edits` in one commit to whatever is there: if somebody else has pushed first, both are merged path by path,
    /// and for files that both changed `merge` is asked. Paths that cannot be merged are the caller's error.
    pub async fn change_merging(
        &mut self,
        author: &Identity,
        message: &str,
        edits: &Edits,
        merge: &mut dyn FnMut(Contested<'_>) -> Resolution,
    ) -> Result<Option<ObjectId>, ChangeError<Conflict>> {
        let mut first: Option<(Option<ObjectId>, ObjectId)> = None;
        self.transact(&mut |repository, head| {
            let (base, ours) = match first {
                Some(first) => first,
                None => *first.insert((head, repository.edit(head.as_ref(), edits)?)),
            };
            let tree = match head {
                Some(theirs) if head != base => {
                    match repository.merge(base.as_ref(), &ours, &theirs, merge)? {
                        Merged::Tree(tree) => tree,
                        Merged::Conflict(paths) => return Err(Conflict::Paths(paths)),
                    }
                }
                _ => ours,
            };
            Ok(commit_tree(repository, head, tree, author, message)?)
        })
        .await
    }

    /// Makes commits and pushes them together. Returns the branch's new head, where everything is that `make` did.
    ///
    /// `make` is called again each time that somebody else has pushed first. Its own error ends it, and nothing is pushed.
    pub async fn transact<E>(&mut self, make: &mut Make<'_, E>) -> Result<Option<ObjectId>, ChangeError<E>> {
        let outcome = self.try_transact(make).await;
        self.tidy();
        measured::measure(&self.repository);
        outcome
    }

    async fn try_transact<E>(&mut self, make: &mut Make<'_, E>) -> Result<Option<ObjectId>, ChangeError<E>> {
        self.collision = None;
        for attempt in 0..PUSH_ATTEMPTS {
            // Whoever has just pushed does not pause, so long pauses would only mean to lose again.
            pause(attempt.min(RACE_DOUBLINGS)).await;
            let base = self.head();
            let new = make(&mut self.repository, base).map_err(ChangeError::Caller)?;
            let Some(new) = new.filter(|_| new != base) else { return Ok(base) };
            // Nobody would take it, ourselves after the next start included.
            let signed = self.options.check_signature(&self.repository, &new).map_err(Problem::from);
            let signed = signed.and_then(|signed| signed.map_err(Problem::OwnSignature));
            signed.map_err(|problem| self.remote.error(problem))?;
            if self.push_commits(base, new).await? {
                self.repository.set_branch(&self.branch, Some(new));
                return Ok(Some(new));
            }
        }
        // A lock that a push left behind when it was killed looks like somebody else's push, time after time.
        Err(self.remote.error(self.collision.take().unwrap_or(Problem::Raced(PUSH_ATTEMPTS))).into())
    }

    /// Pushes until it is clear what came of it. True: the remote has the commits. False: others were faster, and the branch
    /// here is where they went.
    async fn push_commits<E>(
        &mut self,
        base: Option<ObjectId>,
        new: ObjectId,
    ) -> Result<bool, ChangeError<E>> {
        let mut unknown: Option<Problem> = None;
        for attempt in 0..UNKNOWN_PUSHES {
            pause(attempt).await;
            let pushed = self.push(base, new).await;
            measured::pushed(match pushed {
                Pushed::Accepted => measured::Push::Accepted,
                Pushed::Unknown(_) => measured::Push::Unknown,
                Pushed::Moved | Pushed::NotSent(_) | Pushed::Refused(_) => measured::Push::Refused,
            });
            match (pushed, unknown.take()) {
                (Pushed::Accepted, _) => return Ok(true),
                (Pushed::Moved, None) => {
                    self.follow().await?;
                    return Ok(false);
                }
                (Pushed::NotSent(problem), None) => return Err(self.remote.error(problem).into()),
                (Pushed::Refused(problem), None) => return self.refused(base, problem).await,
                // Of what was refused before, something may have been carried out: a push that broke off earlier.
                (Pushed::Moved, Some(problem)) | (Pushed::Refused(_) | Pushed::NotSent(_), Some(problem)) => {
                    unknown = Some(problem);
                }
                (Pushed::Unknown(problem), _) => unknown = Some(problem),
            }
            match self.look(base, new).await {
                Ok(Seen::Arrived) => return Ok(true),
                Ok(Seen::Passed) => return Ok(false),
                Ok(Seen::Unmoved) => {}
                Err(error) => return Err(ChangeError::Unknown(new, error)),
            }
        }
        Err(ChangeError::Unknown(new, self.remote.error(unknown.unwrap_or(Problem::NotSeen))))
    }

    /// What to make of a refusal: others may have been faster, which servers say in many ways.
    async fn refused<E>(&mut self, base: Option<ObjectId>, problem: Problem) -> Result<bool, ChangeError<E>> {
        self.follow().await?;
        let collided = matches!(&problem, Problem::PushRefused { reason, .. } if is_collision(reason));
        let moved = self.head() != base;
        if !moved && !collided {
            return Err(self.remote.error(problem).into());
        }
        self.collision = (!moved).then_some(problem);
        Ok(false)
    }

    async fn push(&self, base: Option<ObjectId>, new: ObjectId) -> Pushed {
        let null = ObjectId::null(self.repository.format());
        let opened = async {
            let receive = Receive::open(&self.remote, &self.branch).await?;
            let head = receive.head()?.id;
            let pack = self.repository.pack_for_push(&[new], base.as_slice())?;
            if receive.format() == self.repository.format() {
                Ok((receive, head, pack))
            } else {
                Err(Problem::OtherFormat)
            }
        };
        let (receive, head, pack) = match opened.await {
            Ok(opened) => opened,
            Err(problem) => return Pushed::NotSent(problem),
        };
        if head != base {
            receive.close().await;
            return if head == Some(new) { Pushed::Accepted } else { Pushed::Moved };
        }
        let command = Command { old: base.unwrap_or(null), new, branch: self.branch.clone() };
        match receive.push(&command, &pack).await {
            Ok(Verdict::Accepted) => Pushed::Accepted,
            Ok(Verdict::Refused { reason, messages }) => {
                Pushed::Refused(Problem::PushRefused { reason, messages })
            }
            Err(unsure) if unsure.sent => Pushed::Unknown(unsure.problem),
            Err(sure) => Pushed::NotSent(sure.problem),
        }
    }

    /// Looks at the remote for what came of a push.
    async fn look(&mut self, base: Option<ObjectId>, new: ObjectId) -> Result<Seen, RemoteError> {
        let mut attempt = 1;
        loop {
            pause(attempt).await;
            match self.follow().await {
                Ok(()) => break,
                Err(error) if error.is_temporary() && attempt < LOOKS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
        let Some(head) = self.head().filter(|_| self.head() != base) else { return Ok(Seen::Unmoved) };
        let within = |id: &ObjectId| self.repository.is_ancestor(id, &head);
        let seen = match (within(&new), base.map_or(Ok(true), |base| within(&base))) {
            (Ok(true), _) => Ok(Seen::Arrived),
            (Ok(false), Ok(true)) => Ok(Seen::Passed),
            (Ok(false), Ok(false)) => Err(Problem::Rewritten),
            (Err(error), _) | (_, Err(error)) => Err(error.into()),
        };
        seen.map_err(|problem| self.remote.error(problem))
    }
}

/// Whether a refusal says that another push was under way: git moves a branch under a lock, in which the old head is
/// compared, and says either.
fn is_collision(reason: &str) -> bool {
    [
        "failed to update ref",
        "cannot lock",
        "unable to lock",
        "failed to lock",
        "fetch first",
        "non-fast-forward",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

/// A commit of edited files, or the head itself if nothing changes.
fn commit(
    repository: &mut Repository,
    head: Option<ObjectId>,
    edits: &Edits,
    author: &Identity,
    message: &str,
) -> Result<Option<ObjectId>, Error> {
    let tree = repository.edit(head.as_ref(), edits)?;
    commit_tree(repository, head, tree, author, message)
}

fn commit_tree(
    repository: &mut Repository,
    head: Option<ObjectId>,
    tree: ObjectId,
    author: &Identity,
    message: &str,
) -> Result<Option<ObjectId>, Error> {
    if let Some(head) = head
        && repository.read_commit(&head)?.tree == tree
    {
        return Ok(Some(head));
    }
    repository.commit(tree, head.as_slice(), author, message).map(Some)
}

/// Why `change` stops.
enum Stop<E> {
    Caller(E),
    Broken(Error),
}

/// Why edits could not be merged with what others did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// These paths stand against it.
    Paths(Vec<TreePath>),
    /// The files cannot be changed so.
    Edit(Error),
}

impl From<Error> for Conflict {
    fn from(error: Error) -> Self {
        Self::Edit(error)
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paths(paths) => {
                let paths: Vec<String> = paths.iter().map(TreePath::to_string).collect();
                write!(formatter, "others have changed the same: {}", paths.join(", "))
            }
            Self::Edit(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Conflict {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collisions_are_told_from_refusals() {
        for (reason, expected) in [
            ("failed to update ref", true),
            ("cannot lock ref 'refs/heads/main': is at 1f but expected 2e", true),
            ("pre-receive hook declined", false),
            ("branch is currently checked out", false),
        ] {
            assert_eq!(is_collision(reason), expected, "{reason}");
        }
    }
}
