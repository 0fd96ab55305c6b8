//! DNS over QUIC (RFC 9250): a message a stream, whole zones too.
//!
//! ```text
//! datagrams ─► Driver (connections by handle, deadlines in one tree) ─► messages ─► core, or a task
//!     ▲                                                                               │
//!     └────────── one datagram at a time, as the congestion window allows ◄── answers ┘
//! ```
//!
//! quinn-proto has no socket and no clock; [`run`] is the task that gives it both. A connection costs work when a datagram or a
//! deadline of its own comes, and not before. 0-RTT is off, since it would let anybody repeat an update. It shows the same
//! certificate as TLS does. docs/decisions/quic.md.

mod connection;
mod driver;

use super::Server;
use super::connections::{Counted, answer, prefixed};
use super::requests::{Reply, respond};
use crate::Transport;
use crate::client::unix_seconds;
use crate::limits::{LATE_TASKS, QUIC_CONNECTION_OCTETS, QUIC_QUEUE, QUIC_QUEUE_OCTETS};
use crate::transfer::Outgoing;
use crate::tsig::Session;
use connection::Content;
use driver::{Driver, Query, StreamKey};
use runtime::network::{Endpoints, Network, UdpOptions, UdpSocket};
use runtime::{Argument, Stop};
use std::{cell::RefCell, io, rc::Rc, time::Duration};
use tokio::{sync::mpsc, time};

/// `--quic`
pub const QUIC: Argument = Argument {
    name: "quic",
    value: "",
    help: "answers also over QUIC (port 853), with certificate and key from `_tls.pem`",
};

/// The port of DNS over QUIC (RFC 9250 §4.1.1).
const PORT: u16 = 853;

/// What both ends call it (RFC 9250 §4.1).
pub const DOQ: &[&[u8]] = &[b"doq"];

/// How long a datagram may wait for room in the queue.
const SEND: Duration = Duration::from_secs(1);

/// Octets of a datagram that is received: as many as a frame has.
const DATAGRAM_OCTETS: usize = 1_500;

/// What a task has for a stream.
type Late = (StreamKey, Option<Content>);

/// What carries datagrams: a socket of an image's network, or the host's in tests.
#[expect(async_fn_in_trait, reason = "it is for one thread")]
pub trait Socket {
    /// Takes a datagram; its length, and between whom it goes.
    async fn receive(&self, buffer: &mut [u8]) -> (usize, Endpoints);

    /// Sends a datagram between these.
    async fn send(&self, datagram: &[u8], ends: Endpoints) -> io::Result<()>;
}

impl Socket for UdpSocket {
    async fn receive(&self, buffer: &mut [u8]) -> (usize, Endpoints) {
        self.receive_between(buffer).await
    }

    async fn send(&self, datagram: &[u8], ends: Endpoints) -> io::Result<()> {
        self.send_between(datagram, ends).await
    }
}

/// Listens.
pub fn start(server: &Rc<RefCell<Server>>, network: &Network) -> Result<(), Stop> {
    let options = UdpOptions { datagrams: QUIC_QUEUE, bytes: QUIC_QUEUE_OCTETS };
    runtime::spawn(run(server.clone(), UdpSocket::bind(network, PORT, options)?));
    Ok(())
}

/// Serves whoever connects to this socket; for ever.
pub async fn run(server: Rc<RefCell<Server>>, socket: impl Socket) {
    let (late, mut answers) = mpsc::channel::<Late>(LATE_TASKS);
    let (mut driver, mut buffer) = (Driver::new(), vec![0; DATAGRAM_OCTETS]);
    loop {
        while let Some(query) = driver.poll_query() {
            take(&server, &mut driver, query, &late);
        }
        let mut sent = 0;
        while sent < QUIC_QUEUE
            && let Some((ends, datagram)) = driver.poll_transmit(now())
        {
            // What is lost is sent again when its time has come.
            let _ = time::timeout(SEND, socket.send(datagram, ends)).await;
            sent += 1;
        }
        // With more to send, after a look at what has come.
        let deadline = if sent < QUIC_QUEUE { driver.deadline() } else { Some(now()) };
        let deadline = deadline.map(time::Instant::from_std);
        let until = async {
            match deadline {
                Some(deadline) => time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (length, ends) = socket.receive(&mut buffer) => {
                if !driver.is_ready() && let Some(acceptor) = server.borrow_mut().encrypted.over_quic() {
                    driver.set_tls(acceptor.config().clone());
                }
                let has_room = || server.borrow_mut().room(QUIC_CONNECTION_OCTETS).is_ok();
                driver.handle_datagram(now(), ends, &buffer[..length], has_room);
            }
            Some((key, answer)) = answers.recv() => match answer {
                Some(content) => driver.answer(now(), key, content),
                None => driver.give_up(now(), key),
            },
            () = until => driver.handle_deadlines(now()),
        }
    }
}

/// The clock of quinn-proto and of timers: std's, which is tokio's.
fn now() -> std::time::Instant {
    time::Instant::now().into_std()
}

/// Answers a message, or has a task answer it.
fn take(server: &Rc<RefCell<Server>>, driver: &mut Driver, query: Query, late: &mpsc::Sender<Late>) {
    let Query { key, peer, message } = query;
    let at_once = answer(&mut server.borrow_mut(), peer, &message);
    let reply = match at_once {
        Ok(Some(answer)) => return driver.answer(now(), key, Content::One(answer)),
        Ok(None) => respond(server, Transport::Tcp, peer, &message),
        // RFC 9250 §4.3.3: what deserves no answer ends the connection.
        Err(_) => return driver.give_up(now(), key),
    };
    // Without a place for the task there is no answer, and the client asks again.
    let place = late.clone().try_reserve_owned();
    match (reply, place) {
        (Reply::Message(message), _) => driver.answer(now(), key, Content::One(prefixed(&message))),
        (Reply::Later(later), Ok(place)) => {
            let _task = runtime::spawn(async move {
                let content = later.await.map(|message| Content::One(prefixed(&message)));
                place.send((key, content));
            });
        }
        (Reply::Transfer(outgoing, session), Ok(place)) => {
            let counted = Counted::new(server);
            let _task = runtime::spawn(async move {
                while !outgoing.prepare() {
                    tokio::task::yield_now().await;
                }
                place.send((key, Some(messages(*outgoing, session, counted))));
            });
        }
        _ => driver.give_up(now(), key),
    }
}

/// The messages of a transfer, which counts as one as long as they are not all sent.
fn messages(mut outgoing: Outgoing, mut session: Option<Session>, counted: Counted) -> Content {
    let reserved = session.as_ref().map_or(0, Session::octets);
    Content::Many(Box::new(move || {
        let _counted = &counted;
        let mut message = outgoing.next_message(reserved)?;
        if let Some(session) = &mut session {
            session.sign(&mut message, unix_seconds());
        }
        Some(prefixed(&message))
    }))
}

#[cfg(test)]
mod tests;
