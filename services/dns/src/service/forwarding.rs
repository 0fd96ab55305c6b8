//! Updates that a secondary hands on to its primary (RFC 2136 §6), if it is told to.
//!
//! They go as they came, over TCP, and so do the answers: the signature is the client's, and is the primary's to check. What has
//! none is refused, so that nobody gets rights from where an update seems to come from.

use super::requests::{Later, Reply, finish, refusal};
use super::{Server, secondary::Secondary};
use crate::limits::{FORWARDS, UPDATE_SECONDS};
use crate::opt::ExtendedError;
use crate::packet::Packet;
use crate::query::Rcode;
use crate::{client, tsig, update};
use log::debug;
use runtime::{Argument, connect::Connect};
use std::{cell::RefCell, future::Future, io::ErrorKind, net::IpAddr, pin::Pin, rc::Rc, time::Duration};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// `--forward-updates`
pub const FORWARD_UPDATES: Argument = Argument {
    name: "forward-updates",
    value: "",
    help: "hands signed updates of zones that come from others on to their primaries; otherwise they are refused",
};

/// Brings a message to a primary; the answer, or why there is none.
type Send =
    dyn Fn(IpAddr, u16, Vec<u8>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, client::ClientError>>>>;

/// How updates are handed on.
#[derive(Clone)]
pub(super) struct Forwarder {
    send: Rc<Send>,
    places: Rc<Semaphore>,
}

impl Server {
    /// Hands updates on to the primaries of their zones from now on.
    pub fn forward_updates(&mut self, connector: impl Connect + Clone + 'static) {
        let send = move |primary: IpAddr, port, message: Vec<u8>| {
            let connector = connector.clone();
            let exchange = async move {
                let mut stream = connector.connect(&primary.to_string(), port).await?;
                client::exchange(&mut stream, &message).await
            };
            Box::pin(exchange) as Pin<Box<dyn Future<Output = _>>>
        };
        self.forwarder = Some(Forwarder { send: Rc::new(send), places: Rc::new(Semaphore::new(FORWARDS)) });
    }
}

/// What becomes of an update, if it is one of a zone that comes from others and is to be handed on.
pub(super) fn forward(server: &Rc<RefCell<Server>>, message: &[u8]) -> Option<Reply> {
    let packet = Packet::new(message)
        .ok()
        .filter(|packet| packet.opcode() == update::OPCODE && !packet.is_answer())?;
    let forwarder = server.borrow().forwarder.clone()?;
    let zone = update::zone_of(message).ok()?.to_ascii_lowercase();
    let secondary = server.borrow().secondaries.get(&zone).cloned()?;
    if !tsig::is_signed(message) {
        let refused =
            refusal(&mut server.borrow_mut(), message, Rcode::Refused, Some(ExtendedError::Prohibited));
        return Some(finish(refused, None));
    }
    let (server, message, id) = (server.clone(), message.to_vec(), packet.id());
    let later = async move {
        // No place: the client tries again.
        let answer = match forwarder.places.try_acquire() {
            Ok(_place) => forwarder.ask(&server, &secondary, &message).await,
            Err(_) => None,
        };
        let is_answer = |answer: &Vec<u8>| {
            Packet::new(answer).is_ok_and(|packet| packet.is_answer() && packet.id() == id)
        };
        answer
            .filter(is_answer)
            .or_else(|| refusal(&mut server.borrow_mut(), &message, Rcode::ServFail, None))
    };
    Some(Reply::Later(Box::pin(later) as Later))
}

impl Forwarder {
    /// Asks the primaries until one can be reached. Not another one after that: the update may be under way.
    async fn ask(&self, server: &RefCell<Server>, secondary: &Secondary, message: &[u8]) -> Option<Vec<u8>> {
        let port = server.borrow().policy.port;
        for primary in secondary.addresses() {
            let asked =
                timeout(Duration::from_secs(UPDATE_SECONDS), (self.send)(primary, port, message.to_vec()))
                    .await;
            match asked {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(client::ClientError::Io(error))) if is_unreachable(&error) => {}
                Ok(Err(error)) => {
                    debug!("an update handed on to {primary}: {error}");
                    return None;
                }
                Err(_) => return None,
            }
        }
        None
    }
}

/// Whether nothing can have arrived.
fn is_unreachable(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
    )
}
