//! Our service behind the host's sockets, for quick work without an image.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use dns::cookies::Secrets;
use dns::keys::Keys;
use dns::service::{Policy, Server, answer_datagram, session};
use dns::{Authority, HashKey, Zones};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{LocalSet, spawn_local};

use crate::generate::ZoneFile;

/// Serves the zones on a port of the loopback interface until the process ends; returns the address.
pub fn start(zones: &[ZoneFile]) -> Result<SocketAddr, String> {
    let (zones, (started, address)) = (zones.to_vec(), channel());
    thread::spawn(move || {
        let result = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match result {
            Ok(executor) => {
                let serving = serve(&zones, &started);
                let outcome = LocalSet::new().block_on(&executor, serving);
                let _ = outcome.map_err(|error| started.send(Err(error)));
            }
            Err(error) => drop(started.send(Err(error.to_string()))),
        }
    });
    address.recv().map_err(|_| "our own server has ended".to_string())?
}

async fn serve(zones: &[ZoneFile], started: &Sender<Result<SocketAddr, String>>) -> Result<(), String> {
    let mut served = Zones::new(HashKey::new(*b"not secret, a test only."));
    for zone in zones {
        served.load(&zone.name, &mut zone.text.as_bytes()).map_err(|error| error.to_string())?;
    }
    let policy = Policy { open_transfers: false, port: 53 };
    let mut authority = Authority::new(served);
    authority.set_cookie_secrets(Secrets::new(vec![*b"not secret, also"])?);
    let server = Rc::new(RefCell::new(Server::new(authority, Keys::default(), policy)));
    let failed = |error: std::io::Error| format!("cannot open a port for our own server: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    let _ = started.send(Ok(address));
    spawn_local(serve_udp(server.clone(), socket));
    loop {
        let (stream, peer) = listener.accept().await.map_err(failed)?;
        let server = server.clone();
        spawn_local(async move { session(stream, peer.ip(), &server).await });
    }
}

async fn serve_udp(server: Rc<RefCell<Server>>, socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = answer_datagram(&server, client, &mut buffer, length).await {
            // A client that has gone is no concern of ours.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}
