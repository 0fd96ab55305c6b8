//! A repository that follows one branch of a remote: cloned, pulled, changed by pushing.
//!
//! ```text
//!     Store::clone ─► branch here ◄─ pull ── remote
//!                        │                     ▲
//!                     change ─► commits ─ push ┘   acknowledged only once the remote has them
//! ```
//!
//! The branch here only ever is where the remote's was seen to be. So what `change` returns is in the remote's repository,
//! and what a service reads never has to be taken back.

mod backoff;
mod change;
mod error;
mod measured;

pub use change::{Conflict, Make};
pub use error::ChangeError;

use crate::{
    Change, Error, Limits, ObjectId, PackReceiver, Repository, Tree,
    openssh::PrivateKey,
    remote::{
        Problem, Remote, RemoteError,
        fetch::Request,
        limits::{GROWTH_BYTES, HAVES, RESOLVE_BYTES},
        references::Head,
        upload::Upload,
    },
    signature::{AllowedSigners, BadSignature},
};
use runtime::connect::Connect;
use std::{collections::BTreeSet, rc::Rc};

/// How a remote is followed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Commits of history that are kept; all if `None`.
    pub depth: Option<u32>,
    /// What is taken from the remote at most.
    pub limits: Limits,
    /// Whether a repository without any branch will do, in which the first change makes the branch.
    pub create: bool,
    /// Whose signatures count: a head without one is not taken, whoever made it, and nothing is pushed that would not be.
    pub signers: Option<Rc<AllowedSigners>>,
    /// Signs the commits that are made here.
    pub signing_key: Option<Rc<PrivateKey>>,
}

impl Default for Options {
    /// The last commit only, of a branch that exists.
    fn default() -> Self {
        let limits = Limits::default();
        Self { depth: Some(1), limits, create: false, signers: None, signing_key: None }
    }
}

impl Options {
    /// Whether a commit is signed as it has to be.
    fn check_signature(
        &self,
        repository: &Repository,
        commit: &ObjectId,
    ) -> Result<Result<(), BadSignature>, Error> {
        let Some(signers) = &self.signers else { return Ok(Ok(())) };
        Ok(repository.verify_signature(commit, signers)?.map(drop))
    }
}

/// A branch of a remote, kept in memory.
pub struct Store<C: Connect> {
    remote: Remote<C>,
    repository: Repository,
    branch: String,
    options: Options,
    /// Bytes of all objects when what nobody needs was last dropped.
    tidy_bytes: u32,
    /// Why the last push was refused, if the branch has not moved since and it may be that others were pushing.
    collision: Option<Problem>,
    /// The remote's head that was not taken for want of a signature, so that it is not fetched time after time.
    refused: Option<(ObjectId, BadSignature)>,
}

impl<C: Connect> Store<C> {
    /// Fetches the branch that the remote's location names, or else the one that its HEAD does.
    pub async fn clone(remote: Remote<C>, options: Options) -> Result<Self, RemoteError> {
        match Self::try_clone(&remote, &options).await {
            Ok((repository, branch)) => {
                measured::start();
                measured::measure(&repository);
                let tidy_bytes = repository.packed_bytes();
                Ok(Self { remote, repository, branch, options, tidy_bytes, collision: None, refused: None })
            }
            Err(problem) => Err(remote.error(problem)),
        }
    }

    async fn try_clone(remote: &Remote<C>, options: &Options) -> Result<(Repository, String), Problem> {
        let mut upload = Upload::open(remote, remote.location.branch.as_deref()).await?;
        let Head { branch, id } = upload.head().await?;
        let mut repository = Repository::new(upload.format(), options.limits);
        repository.sign_with(options.signing_key.clone());
        match id {
            Some(id) => {
                fetch(
                    upload,
                    &mut repository,
                    &Request { want: vec![id], depth: options.depth, ..Request::default() },
                )
                .await?;
                let signed = options.check_signature(&repository, &id)?;
                signed.map_err(|reason| Problem::Signature { head: id, reason })?;
                repository.verify(&[id], &[])?;
            }
            None if options.create => upload.close().await,
            None => return Err(Problem::NoBranch { branch, known: Vec::new(), count: 0 }),
        }
        repository.set_branch(&branch, id);
        Ok((repository, branch))
    }

    /// Where the remote is, and which branch is followed.
    pub fn remote(&self) -> &Remote<C> {
        &self.remote
    }

    /// The branch's name.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The repository here.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The repository here, to make objects in it or to watch the branch. What is not on the branch is dropped some time.
    pub fn repository_mut(&mut self) -> &mut Repository {
        &mut self.repository
    }

    /// The last commit of the branch; none in a repository that is still empty.
    pub fn head(&self) -> Option<ObjectId> {
        self.repository.branch(&self.branch)
    }

    /// The files of the last commit.
    pub fn tree(&self) -> Result<Option<Tree<'_>>, Error> {
        self.head().map(|head| self.repository.tree(&head)).transpose()
    }

    /// Goes to where the remote is; returns the paths that are different there, sorted.
    ///
    /// After an error the branch is where it was.
    pub async fn pull(&mut self) -> Result<Vec<Change>, RemoteError> {
        let old = self.head();
        let followed = self.follow().await;
        measured::pulled(followed.is_ok(), &self.repository);
        followed?;
        let changes = self.repository.diff(old.as_ref(), self.head().as_ref());
        self.tidy();
        changes.map_err(|error| self.remote.error(error.into()))
    }

    /// Moves the branch to where the remote's is, with nothing dropped.
    async fn follow(&mut self) -> Result<(), RemoteError> {
        let old = self.head();
        let mut outcome = self.follow_from(old, None).await;
        // There may have been no room for it beside what nobody needs.
        if matches!(outcome, Err(Problem::Content(_))) && self.drop_unneeded() > 0 {
            outcome = self.follow_from(old, None).await;
        }
        // Or the history was rewritten, and is too much or lacks what was relied on: as if for the first time.
        if matches!(outcome, Err(Problem::Content(_))) && old.is_some() {
            outcome = self.follow_from(None, self.options.depth).await;
        }
        if outcome.is_err() {
            self.tidy();
        }
        outcome.map_err(|problem| self.remote.error(problem))
    }

    /// Moves the branch to where the remote's is. `old` is what is had of it; `depth` how much is wanted if that is nothing.
    async fn follow_from(&mut self, old: Option<ObjectId>, depth: Option<u32>) -> Result<(), Problem> {
        let mut upload = Upload::open(&self.remote, Some(&self.branch)).await?;
        let theirs = upload.head().await?;
        if upload.format() != self.repository.format() {
            return Err(Problem::OtherFormat);
        }
        let ours = self.head();
        let id = match theirs.id {
            Some(id) if ours != Some(id) => id,
            None if ours.is_some() => {
                return Err(Problem::NoBranch { branch: theirs.branch, known: Vec::new(), count: 0 });
            }
            _ => {
                upload.close().await;
                return Ok(());
            }
        };
        if let Some((head, reason)) = self.refused.filter(|(head, _)| *head == id) {
            upload.close().await;
            return Err(Problem::Signature { head, reason });
        }
        let have = old.map_or(Ok(Vec::new()), |old| self.repository.log(&old, HAVES))?;
        // Without a limit of depth where something is had: all that lies between tells whether a push arrived.
        let request = Request {
            want: vec![id],
            have: have.into_iter().map(|(id, _)| id).collect(),
            shallow: if old.is_some() {
                self.repository.shallow().iter().copied().collect()
            } else {
                Vec::new()
            },
            depth,
        };
        fetch(upload, &mut self.repository, &request).await?;
        if let Err(reason) = self.options.check_signature(&self.repository, &id)? {
            self.refused = Some((id, reason));
            return Err(Problem::Signature { head: id, reason });
        }
        let known: Vec<ObjectId> = old.into_iter().collect();
        self.repository.verify(&[id], &known)?;
        self.repository.set_branch(&self.branch, Some(id));
        Ok(())
    }

    /// Drops what nobody needs, if that has become much.
    fn tidy(&mut self) {
        let grown = self.repository.packed_bytes().saturating_sub(self.tidy_bytes);
        let most = self.tidy_bytes.max(GROWTH_BYTES).min(self.options.limits.pack_bytes / 4);
        if grown >= most {
            self.drop_unneeded();
        }
    }

    /// Drops what is not on the branch, or further back than is wanted; returns how many bytes that freed.
    fn drop_unneeded(&mut self) -> u32 {
        let freed = self.cut_off().and_then(|()| self.repository.compact(&[]));
        self.tidy_bytes = self.repository.packed_bytes();
        freed.unwrap_or_else(|error| {
            log::warn!("{}: old objects stay in memory: {error}", self.remote.location);
            0
        })
    }

    /// Ends history where the depth that was asked for ends.
    fn cut_off(&mut self) -> Result<(), Error> {
        let (Some(depth), Some(head)) = (self.options.depth, self.head()) else { return Ok(()) };
        let mut row = BTreeSet::from([head]);
        for _ in 1..depth {
            let mut parents = BTreeSet::new();
            for id in row.iter().filter(|id| !self.repository.shallow().contains(id)) {
                parents.extend(self.repository.read_commit(id)?.parents);
            }
            row = parents;
        }
        row.into_iter().for_each(|id| self.repository.set_shallow(id));
        Ok(())
    }
}

/// Fetches into a repository.
async fn fetch<C: Connect>(
    upload: Upload<'_, C>,
    repository: &mut Repository,
    request: &Request,
) -> Result<(), Problem> {
    let mut receiver = PackReceiver::new(repository);
    let boundaries = upload.fetch(request, |data| Ok(receiver.push(data)?)).await?;
    let mut resolver = receiver.end()?;
    while !resolver.step(repository, RESOLVE_BYTES)? {
        tokio::task::yield_now().await;
    }
    resolver.finish(repository)?;
    for id in boundaries.shallow {
        if repository.contains(&id) {
            repository.set_shallow(id);
        }
    }
    boundaries.unshallow.iter().for_each(|id| repository.unshallow(id));
    Ok(())
}
