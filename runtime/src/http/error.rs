//! Why an exchange failed: whose fault it is, and whether the peer may have acted on it.

use std::{fmt, io};

/// Why there is no response, or no more of it.
#[derive(Debug)]
pub enum Error {
    /// The request cannot be sent anywhere: the caller's fault. The reason.
    BadRequest(&'static str),
    /// No connection came about, so the peer has seen nothing of the request.
    NotConnected(io::Error),
    /// For so many seconds nothing came. The peer may have acted on the request.
    Silent(u64),
    /// The connection ended, or the peer did not keep to the protocol. It may have acted on the request.
    Broken(String),
    /// The body has more octets than the caller accepts.
    TooLarge(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(reason) => f.write_str(reason),
            Self::NotConnected(error) => error.fmt(f),
            Self::Silent(seconds) => write!(f, "the peer sent nothing for {seconds} s"),
            Self::Broken(reason) => write!(f, "the exchange broke off: {reason}"),
            Self::TooLarge(limit) => write!(f, "the peer sent more than {limit} bytes"),
        }
    }
}

impl std::error::Error for Error {}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        let mut reason = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            reason = format!("{reason}: {cause}");
        }
        Self::Broken(reason)
    }
}
