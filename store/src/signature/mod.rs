//! Signed commits: `git commit -S` with `gpg.format=ssh`, judged by a list of keys as `gpg.ssh.allowedSignersFile` has it.
//!
//! A signature is in a header of the commit and is over the commit without that header (git's gpg-interface, commit.c); how
//! it looks is OpenSSH's PROTOCOL.sshsig. Ed25519, RSA, ECDSA on P-256 and P-384, and Ed25519 on a security key; P-521 and
//! certificates are *unsupported*.

mod envelope;
mod signers;

pub(crate) use envelope::sign;
pub use signers::{AllowedSigners, BadSigners};

use crate::{
    error::Error,
    id::{Format, ObjectId},
    object::{Commit, Kind},
    openssh::Unverified,
    repository::Repository,
};
use envelope::{Envelope, NAMESPACE, decode_armour, split};
use std::fmt;

/// Why a commit does not count as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSignature {
    /// It has no signature.
    None,
    /// It has one of another format (OpenPGP, X.509), several, or a damaged one.
    Malformed(&'static str),
    /// It is by a key that nobody has allowed for this, or not at the commit's time.
    UnknownKey,
    /// It is by an algorithm that is not supported.
    Unsupported,
    /// It is not a signature of this commit.
    Wrong,
}

impl fmt::Display for BadSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "the commit is not signed",
            Self::Malformed(reason) => return write!(formatter, "the commit's signature: {reason}"),
            Self::UnknownKey => "the commit is signed by a key that is not allowed",
            Self::Unsupported => "the commit is signed by an algorithm that is not supported",
            Self::Wrong => "the commit's signature is not of this commit",
        })
    }
}

impl std::error::Error for BadSignature {}

impl From<Unverified> for BadSignature {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Damaged => Self::Malformed("damaged"),
            Unverified::Untouched => Self::Malformed("nobody touched the security key"),
            Unverified::Unsupported => Self::Unsupported,
            Unverified::Wrong => Self::Wrong,
        }
    }
}

impl AllowedSigners {
    /// Judges a commit by its bytes; returns whom the key belongs to. The committer's date counts as the time, as in git.
    pub fn verify(&self, format: Format, commit: &[u8]) -> Result<&str, BadSignature> {
        let (payload, armour) = split(format, commit)?;
        let envelope = decode_armour(&armour)?;
        let signature = Envelope::parse(&envelope).map_err(|_| BadSignature::Malformed("damaged"))?;
        if signature.namespace != NAMESPACE {
            return Err(BadSignature::Malformed("not made for git"));
        }
        let time =
            Commit::parse(format, commit).map_err(|bad| BadSignature::Malformed(bad.0))?.committer.seconds();
        let signer = self.find(signature.key, time).ok_or(BadSignature::UnknownKey)?;
        signature.verify(&payload)?;
        Ok(signer)
    }
}

impl Repository {
    /// Whether a commit is signed by one of these; returns by whom.
    pub fn verify_signature<'a>(
        &self,
        commit: &ObjectId,
        signers: &'a AllowedSigners,
    ) -> Result<Result<&'a str, BadSignature>, Error> {
        let object = self.read_as(commit, Kind::Commit)?;
        Ok(signers.verify(self.format(), &object.data))
    }
}
