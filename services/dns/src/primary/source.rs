//! What the primary needs of a repository elsewhere.

use std::{fmt, future::Future};
use store::{ObjectId, Repository};

/// Makes commits on a branch's head, `None` where there is none yet, and returns the last of them, or that head.
pub type Make<'a> =
    dyn FnMut(&mut Repository, Option<ObjectId>) -> Result<Option<ObjectId>, store::Error> + 'a;

/// A branch of a remote repository, and a copy of it here.
pub trait Source {
    /// Why it failed, in words for the log.
    type Error: fmt::Display;

    /// The copy.
    fn repository(&self) -> &Repository;

    /// The branch's head in the copy; `None` as long as it has no commit.
    fn head(&self) -> Option<ObjectId>;

    /// Fetches what is new.
    fn pull(&mut self) -> impl Future<Output = Result<(), Self::Error>>;

    /// Has `make` make commits on the head and pushes them; `make` returns the new head, which may be the old one.
    /// Where somebody else was faster it is called again, on the head that is there now. `Ok` means that what it returned
    /// last is in the remote's branch.
    fn transact(&mut self, make: &mut Make<'_>) -> impl Future<Output = Result<(), Self::Error>>;
}
