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
mod arguments;
pub mod fetch;
mod http;
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

pub use arguments::{ARGUMENTS, Arguments};
pub use location::{BadLocation, Location, Scheme};
pub use problem::{Problem, RemoteError, printable};
pub use secret::Secret;

use crate::openssh::PrivateKey;
use runtime::{connect::Connect, http::Client, tls::Trust};
use std::rc::Rc;

/// A repository elsewhere, and how to get there.
#[derive(Clone)]
pub struct Remote<C: Connect> {
    /// Where it is.
    pub location: Location,
    connector: C,
    http: Rc<Client<C>>,
    /// Who we are by ssh, and which key the server must have.
    identity: Option<Rc<PrivateKey>>,
    host_key: Option<ssh::HostKey>,
}

impl<C: Connect + Clone> Remote<C> {
    /// The repository at `location`, over connections of `connector`; by https if its server is to be trusted.
    pub fn new(location: Location, connector: C, trust: &Trust) -> Self {
        let http = Rc::new(Client::new(connector.clone(), trust));
        Self { location, connector, http, identity: None, host_key: None }
    }

    /// By ssh as whoever has this key, from a server that has that key.
    pub fn with_ssh(mut self, identity: Option<PrivateKey>, host_key: Option<ssh::HostKey>) -> Self {
        self.identity = identity.map(Rc::new);
        self.host_key = host_key;
        self
    }
}

impl<C: Connect> Remote<C> {
    /// An error that names this remote.
    pub fn error(&self, problem: Problem) -> RemoteError {
        RemoteError::new(&self.location, problem)
    }
}
