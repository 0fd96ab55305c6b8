//! Why there is no certificate.

use std::fmt;

/// Why an authority did not issue a certificate.
#[derive(Debug)]
pub enum Error {
    /// The authority does not issue, or does not answer as it should.
    Authority(instant_acme::Error),
    /// What it says makes no sense: the authority's fault.
    Nonsense(&'static str),
    /// The proof cannot be shown, and why.
    Proof(String),
    /// It took longer than limits.rs allows.
    Silent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may contain what the authority says: that goes no further than one line.
            Self::Authority(error) => write!(f, "the authority: {}", error.to_string().escape_debug()),
            Self::Nonsense(what) => write!(f, "the authority: {what}"),
            Self::Proof(reason) => f.write_str(reason),
            Self::Silent => f.write_str("the authority takes too long"),
        }
    }
}

impl std::error::Error for Error {}

impl From<instant_acme::Error> for Error {
    fn from(error: instant_acme::Error) -> Self {
        Self::Authority(error)
    }
}
