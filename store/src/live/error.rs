//! Why a change is not in the remote's repository, or may not be.

use crate::{ObjectId, remote::RemoteError};
use std::fmt;

/// A change that was not acknowledged. `E` is what the caller's own part can fail with.
#[derive(Debug)]
pub enum ChangeError<E> {
    /// The caller's own: it could not make its change on what is there now.
    Caller(E),
    /// The change is not there, and will not be.
    Remote(RemoteError),
    /// The connection broke when the change had been sent, and the remote has not been seen with it since. It may be there,
    /// or may yet appear.
    Unknown(ObjectId, RemoteError),
}

impl<E> ChangeError<E> {
    /// Whether the same may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Caller(_) => false,
            Self::Remote(error) | Self::Unknown(_, error) => error.is_temporary(),
        }
    }
}

impl<E> From<RemoteError> for ChangeError<E> {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl<E: fmt::Display> fmt::Display for ChangeError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(error) => error.fmt(formatter),
            Self::Remote(error) => error.fmt(formatter),
            Self::Unknown(commit, error) => {
                write!(formatter, "{error}; whether commit {commit} arrived is not known")
            }
        }
    }
}

impl<E: std::error::Error> std::error::Error for ChangeError<E> {}
