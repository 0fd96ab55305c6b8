//! The service around the core: a repository that is followed, connections that are answered.
//!
//! ```text
//!     remote ─► Store ─► follower: load, swap, compress ─► Server ◄─ one task a connection: HTTP/1.1 or 2, in the clear or over TLS
//!                ▲                                           │
//!                └── poll, webhook ◄─────────────────────────┘
//! ```
//! Reading order: [`Server`], [`connections`], `calls`, `follower`, [`options`].

mod calls;
pub mod connections;
mod follower;
pub mod options;
mod server;

pub use follower::{Follower, Pulled, Room, follow};
pub use options::arguments;
pub use server::{Server, Setup};

use connections::Front;
use options::Options;
use runtime::{
    Environment, Stop,
    connect::NetworkConnector,
    http,
    network::{TcpListener, TcpOptions},
};
use std::rc::Rc;

/// Serves until the image ends.
pub async fn serve(mut environment: Environment) -> Result<(), Stop> {
    let options: Options = environment.configuration()?;
    let network = environment.network.clone();
    let options = options.check()?;
    let connector = NetworkConnector::new(&network, TcpOptions::default());
    let remote = options.remote.remote(connector.clone()).map_err(Stop::Usage)?;
    let Some(remote) = remote else {
        return Err(Stop::Failed("there is nothing to serve: give the repository's --remote".into()));
    };
    let certificates = options.setup.certificates.clone();
    let server = Rc::new(Server::new(options.setup));
    let counted = server.clone();
    environment.also_count(move || counted.counters());
    if let Some(keeper) = options.acme.keeper(&certificates, connector, None)? {
        runtime::spawn(keeper.run());
    }
    let tcp = options::tcp();
    if options.is_tls {
        let listener = TcpListener::bind(&network, options.https_port, tcp)?;
        let front = Front::Tls(certificates.acceptor(http::PROTOCOLS));
        runtime::spawn(connections::accept(listener, server.clone(), front));
    }
    let listener = TcpListener::bind(&network, options.port, tcp)?;
    runtime::spawn(connections::accept(listener, server.clone(), Front::Clear));
    follow(remote, options.follow, server).await
}
