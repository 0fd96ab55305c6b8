//! Keys and signatures as OpenSSH has them, on ring: what `remote::ssh` and `signature` are made of.
//!
//! P-521 and certificates are *unsupported*, since ring has the former not, and who may do what is said key by key here.

mod key;
mod verification;
pub(crate) mod wire;

pub use key::PrivateKey;
pub(crate) use key::{CannotSign, fingerprint};
pub(crate) use verification::{Unverified, verify};
