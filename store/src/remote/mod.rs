//! Repositories elsewhere: git's protocols over git://, ssh and HTTP.
//!
//! ```text
//!     Remote ─► Session: connection, greeting ─┬─ Upload ── references, fetch ─► packs
//!                  │                           └─ Receive ─ push ─► verdict
//!                  ▼
//!     Packets: pkt-line over a connection      (advertisement, references, fetch, push: packets in, events out)
//! ```
//!
//! Everything that a remote sends is bounded in size, in number and in time ([`limits`]); nothing that it sends is kept but
//! packs, which bound themselves. Passwords and keys are in no message.
//!
//! Not there: dumb HTTP, bundles, push certificates, more than one branch at a time.
//!
//! Reading order: [`location`], [`pkt_line`], `packets`, [`advertisement`], [`references`], [`fetch`], [`push`], `session`.

pub mod advertisement;
pub mod fetch;
pub mod limits;
pub mod location;
mod packets;
pub mod pkt_line;
mod problem;
pub mod push;
pub mod receive;
pub mod references;
pub mod secret;
mod session;
pub mod ssh;
pub mod upload;

pub use location::{BadLocation, Location, Scheme};
pub use problem::{Problem, RemoteError, printable};
pub use secret::Secret;

/// A repository elsewhere, and how to get there.
#[derive(Clone)]
pub struct Remote<C> {
    /// Where it is.
    pub location: Location,
    connector: C,
}

impl<C> Remote<C> {
    /// The repository at `location`, over connections of `connector`.
    pub fn new(location: Location, connector: C) -> Self {
        Self { location, connector }
    }

    /// An error that names this remote.
    pub fn error(&self, problem: Problem) -> RemoteError {
        RemoteError::new(&self.location, problem)
    }
}
