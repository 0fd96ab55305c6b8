//! Datagrams: answered below the sockets, and those that need longer by a task.

use super::Server;
use super::clients::client;
use super::requests::{Reply, respond};
use crate::limits::{LATE_DATAGRAMS, LATE_PAUSE, LATE_SENDS, LATE_TASKS};
use crate::{Handled, Transport};
use runtime::network::{Endpoints, Network, Responder};
use std::{cell::RefCell, io::ErrorKind, net::SocketAddr, rc::Rc, sync::Arc};
use tokio::sync::Semaphore;

/// Answers what comes over UDP.
pub(super) struct Datagrams {
    server: Rc<RefCell<Server>>,
    kept: bool,
}

impl Datagrams {
    /// Answers from this server.
    pub fn new(server: Rc<RefCell<Server>>) -> Datagrams {
        Datagrams { server, kept: false }
    }

    /// What the authority does not answer. Queries at once; the rest may wake a task, and is left to one.
    #[cold]
    fn respond_elsewhere(&mut self, ends: Endpoints, buffer: &mut [u8], length: usize) -> Option<usize> {
        let message = &buffer[..length];
        let is_query = message.get(2).is_some_and(|flags| flags & 0x78 == 0);
        if is_query {
            let reply = respond(&self.server, Transport::Udp, ends.theirs.ip(), message).into_message()?;
            buffer.get_mut(..reply.len())?.copy_from_slice(&reply);
            return Some(reply.len());
        }
        let mut server = self.server.borrow_mut();
        if server.late.len() < LATE_DATAGRAMS {
            server.late.push_back((ends, message.to_vec()));
            server.to_answer.notify_one();
            self.kept = true;
        }
        None
    }
}

impl Responder for Datagrams {
    #[inline]
    fn respond(&mut self, ends: Endpoints, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.kept = false;
        let handled = self.server.borrow_mut().authority.handle(
            client(ends.theirs.ip()),
            Transport::Udp,
            buffer,
            length,
        );
        match handled {
            Handled::Answered(length) => Some(length),
            Handled::Dropped => None,
            Handled::Elsewhere => self.respond_elsewhere(ends, buffer, length),
        }
    }

    fn kept(&mut self) -> bool {
        self.kept
    }
}

/// Answers the datagrams that were kept, for ever; several at a time, since an update may wait for others.
pub(super) async fn answer_late(server: Rc<RefCell<Server>>, network: Network, port: u16) {
    let (to_answer, places) = (server.borrow().to_answer.clone(), Arc::new(Semaphore::new(LATE_TASKS)));
    loop {
        let Some((ends, message)) = server.borrow_mut().late.pop_front() else {
            to_answer.notified().await;
            continue;
        };
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (server, network) = (server.clone(), network.clone());
        let _task = runtime::spawn(async move {
            if let Some(answer) = answer(&server, ends.theirs, &message).await {
                send(&network, port, &answer, ends).await;
            }
            drop(place);
        });
    }
}

/// Sends an answer. Updates that were pushed together are answered together, more than the queue has room for. In the end it
/// is lost, as datagrams are, and the client asks again.
async fn send(network: &Network, port: u16, answer: &[u8], ends: Endpoints) {
    for _ in 0..LATE_SENDS {
        match network.send_from(port, answer, ends) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(LATE_PAUSE).await,
            _ => return,
        }
    }
}

/// The answer to a datagram, whatever it is, when there is one: for servers that have sockets of their own, as tests do.
pub async fn answer_datagram(
    server: &Rc<RefCell<Server>>,
    peer: SocketAddr,
    buffer: &mut [u8],
    length: usize,
) -> Option<Vec<u8>> {
    let handled = server.borrow_mut().authority.handle(client(peer.ip()), Transport::Udp, buffer, length);
    match handled {
        Handled::Answered(length) => Some(buffer[..length].to_vec()),
        Handled::Dropped => None,
        Handled::Elsewhere => answer(server, peer, &buffer[..length]).await,
    }
}

/// The answer to an update or a notification, when there is one.
async fn answer(server: &Rc<RefCell<Server>>, peer: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    match respond(server, Transport::Udp, peer.ip(), message) {
        Reply::Message(answer) => Some(answer),
        Reply::Later(answer) => answer.await,
        Reply::Nothing | Reply::Transfer(..) => None,
    }
}
