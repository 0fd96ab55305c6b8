//! Outgoing connections to a host by name: what clients are generic over, so that one code runs in an image and on the desk.
//!
//! A client of a protocol (git, HTTP, TLS) takes a [`Connect`]. In an image that is a [`NetworkConnector`]; tests hand it
//! the host's own sockets.

use crate::{
    limits::{CONNECT_ADDRESSES, CONNECT_SECONDS, LEASE_LOOK_MS, LEASE_MS},
    network::{Network, TcpOptions, TcpStream},
    resolver::Resolver,
};
use std::{
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, timeout_at},
};

/// Something that opens streams to hosts.
pub trait Connect {
    /// An open connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Connects to a host, given by its name or an address in writing (IPv6 without brackets).
    ///
    /// The time is limited. An error names host and port and says what to do.
    fn connect(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// Connects over a [`Network`], with the names that its name servers know. Clones share the resolver's cache.
#[derive(Clone)]
pub struct NetworkConnector {
    network: Network,
    resolver: Resolver,
    options: TcpOptions,
}

impl NetworkConnector {
    /// Connects over `network`; `options` are those of each connection, of which a listener's are ignored.
    pub fn new(network: &Network, options: TcpOptions) -> Self {
        Self { network: network.clone(), resolver: Resolver::new(network), options }
    }
}

impl NetworkConnector {
    /// An image that has just booted may not know its own address yet, nor a name server's.
    async fn wait_for_lease(&self) {
        for _ in 0..LEASE_MS / LEASE_LOOK_MS {
            if !self.network.awaits_lease() {
                return;
            }
            sleep(Duration::from_millis(LEASE_LOOK_MS)).await;
        }
    }
}

impl Connect for NetworkConnector {
    type Stream = TcpStream;

    /// Tries the host's addresses one after the other, IPv6 first, until one answers.
    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let until = Instant::now() + Duration::from_secs(CONNECT_SECONDS);
        self.wait_for_lease().await;
        let addresses = timeout_at(until, self.resolver.addresses(host)).await;
        let addresses = match addresses {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(failed(host, port, ErrorKind::NotFound, &error.to_string())),
            Err(_) => return Err(failed(host, port, ErrorKind::TimedOut, "its name servers do not answer")),
        };
        let mut last = ErrorKind::TimedOut;
        for (left, address) in (0..addresses.len().min(CONNECT_ADDRESSES)).rev().zip(addresses) {
            // A silent address leaves the ones after it their share of the time.
            let share = until.saturating_duration_since(Instant::now()) / (left as u32 + 1);
            let peer = SocketAddr::new(address, port);
            let attempt = TcpStream::connect(&self.network, peer, self.options);
            last = match timeout_at(Instant::now() + share, attempt).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.kind(),
                Err(_) => ErrorKind::TimedOut,
            };
        }
        let reason = match last {
            ErrorKind::AddrNotAvailable => "there is no route to it: give --ipv4-gateway or --ipv6-gateway",
            ErrorKind::OutOfMemory => "no memory for a connection: start the image with more (--mem)",
            _ => "it refuses, or does not answer",
        };
        Err(failed(host, port, last, reason))
    }
}

fn failed(host: &str, port: u16, kind: ErrorKind, reason: &str) -> io::Error {
    io::Error::new(kind, format!("cannot connect to {host} port {port}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{
        TcpListener,
        testing::{Faults, SERVER, run},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What comes of connecting to `host`, where port 80 of the server listens and greets.
    #[track_caller]
    fn check(host: &str, port: u16, expected: Result<&str, (ErrorKind, &str)>) {
        run(1, Faults::default(), async |pair| {
            let listener = TcpListener::bind(&pair.server, 80, TcpOptions::default()).unwrap();
            crate::spawn(async move {
                let (mut stream, _) = listener.accept().await;
                stream.write_all(b"hello").await.unwrap();
            });
            let connector = NetworkConnector::new(&pair.client, TcpOptions::default());
            let outcome = match connector.connect(host, port).await {
                Ok(mut stream) => {
                    let mut greeting = String::new();
                    stream.read_to_string(&mut greeting).await.unwrap();
                    Ok(greeting)
                }
                Err(error) => Err((error.kind(), error.to_string())),
            };
            assert_eq!(outcome, expected.map(str::to_owned).map_err(|(kind, text)| (kind, text.to_owned())));
        });
    }

    #[test]
    fn an_address_that_listens_is_connected_to() {
        check(&SERVER.to_string(), 80, Ok("hello"));
    }

    #[test]
    fn a_port_that_refuses_is_named() {
        let message = "cannot connect to 10.0.0.2 port 81: it refuses, or does not answer";
        check("10.0.0.2", 81, Err((ErrorKind::ConnectionRefused, message)));
    }

    #[test]
    fn a_name_whose_servers_are_silent_is_named() {
        let message = "cannot connect to git.example port 80: no name server has an answer; try again later";
        check("git.example", 80, Err((ErrorKind::NotFound, message)));
    }

    #[test]
    fn what_is_no_name_is_said() {
        let message = "cannot connect to a..b port 80: it is not a host name";
        check("a..b", 80, Err((ErrorKind::NotFound, message)));
    }

    #[test]
    fn an_address_without_a_host_fails() {
        let message = "cannot connect to 10.0.0.9 port 80: it refuses, or does not answer";
        check("10.0.0.9", 80, Err((ErrorKind::ConnectionRefused, message)));
    }
}
