//! Updates and notifications: checked here, carried out by whoever has the zones, answered when that is done.

use super::Server;
use super::replays::Seen;
use super::requests::{Later, Reply, finish, refusal};
use crate::client::unix_seconds;
use crate::keys::Right;
use crate::limits::UPDATE_SECONDS;
use crate::name::{Name, to_text};
use crate::opt::ExtendedError;
use crate::packet::Packet;
use crate::query::Rcode;
use crate::tsig::Session;
use crate::types::RecordType;
use crate::update;
use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// An update whose signature and right have been checked.
#[derive(Clone, Debug)]
pub struct VerifiedUpdate {
    /// The zone's name on the wire, lower case.
    pub zone: Vec<u8>,
    /// The name at or below which the key may change records.
    pub scope: Vec<u8>,
    /// The key's name, as text.
    pub key: String,
    /// Who sent it.
    pub peer: IpAddr,
    /// The message without its signature.
    pub message: Vec<u8>,
}

/// Who changes zones for good: what it says is answered only when it is so.
pub trait Backend {
    /// Carries an update out. Whatever changes is installed in the server by the time it returns NOERROR.
    fn update(&self, update: VerifiedUpdate) -> Pin<Box<dyn Future<Output = Rcode>>>;

    /// Somebody with a key says that there is something new where the zones come from.
    fn pull(&self);
}

/// What becomes of an update.
pub(super) fn handle_update(
    server: &Rc<RefCell<Server>>,
    peer: IpAddr,
    message: Vec<u8>,
    session: Option<Session>,
    time: u64,
) -> Reply {
    let refuse = |rcode, error| refusal(&mut server.borrow_mut(), &message, rcode, error);
    let zone = match update::zone_of(&message) {
        Ok(zone) => zone.to_ascii_lowercase(),
        Err(rcode) => return finish(refuse(rcode, None), session),
    };
    let (backend, is_ours) = {
        let server = server.borrow();
        let mut apex = Name::root(server.authority.zones().key());
        let read = apex.read(&zone, server.authority.zones().key()).is_ok();
        (server.backend.clone(), read && server.authority.zones().get(&apex).is_some())
    };
    if !is_ours {
        return finish(refuse(Rcode::NotAuth, Some(ExtendedError::NotAuthoritative)), session); // RFC 2136 §3.1.2
    }
    let is_secondary = server.borrow().secondaries.contains_key(&zone);
    // RFC 3007 §3: without a signature nobody changes anything. A secondary does not forward (RFC 2136 §6).
    let (session, backend) = match (session, backend.filter(|_| !is_secondary)) {
        (Some(session), Some(backend)) => (session, backend),
        (session, _) => return finish(refuse(Rcode::Refused, Some(ExtendedError::Prohibited)), session),
    };
    let Some(scope) = server.borrow().keys.update_scope(session.key(), &zone) else {
        return finish(refuse(Rcode::Refused, Some(ExtendedError::Prohibited)), Some(session)); // RFC 2136 §3.3
    };
    let mac = session.mac().to_vec();
    // Not within the match, which would keep the server borrowed while the refusal is written.
    let seen = server.borrow_mut().replays.note(&mac, time, unix_seconds());
    match seen {
        Seen::New => {}
        Seen::UnderWay => return Reply::Nothing,
        Seen::Answered(rcode) => return finish(refuse(rcode, None), Some(session)),
        Seen::TooOld => return finish(refuse(Rcode::Refused, None), Some(session)),
    }
    let (server, key) = (server.clone(), to_text(session.key().name()));
    let carry_out = async move {
        let verified = VerifiedUpdate { zone, scope, key, peer, message: message.clone() };
        let done = timeout(Duration::from_secs(UPDATE_SECONDS), backend.update(verified)).await;
        let rcode = done.unwrap_or(Rcode::ServFail);
        let mut server = server.borrow_mut();
        server.replays.answered(&mac, rcode);
        let answer = refusal(&mut server, &message, rcode, None);
        finish(answer, Some(session)).into_message()
    };
    Reply::Later(Box::pin(carry_out) as Later)
}

/// What becomes of a notification (RFC 1996 §4.7).
pub(super) fn handle_notify(
    server: &Rc<RefCell<Server>>,
    peer: IpAddr,
    message: &[u8],
    session: Option<Session>,
) -> Reply {
    let mut server = server.borrow_mut();
    let question = Packet::new(message).and_then(|mut packet| match packet.count(0) {
        1 => packet.question(),
        _ => Err(crate::packet::Malformed),
    });
    let Ok(question) = question else {
        return finish(refusal(&mut server, message, Rcode::FormErr, None), session);
    };
    let zone = question.name.to_ascii_lowercase();
    let may_notify =
        session.as_ref().is_some_and(|session| server.keys.allows(session.key(), Right::Notify, &zone));
    let secondary = server.secondaries.get(&zone).cloned();
    let rcode = match (secondary, server.backend.clone()) {
        _ if question.rtype != RecordType::SOA => Rcode::NotImp,
        // From a primary's address it needs no key: all it does is have us ask that primary.
        (Some(secondary), _) if may_notify || secondary.is_primary(peer) => {
            secondary.refresh();
            Rcode::NoError
        }
        (None, Some(backend)) if may_notify => {
            backend.pull();
            Rcode::NoError
        }
        _ => Rcode::Refused,
    };
    finish(refusal(&mut server, message, rcode, None), session)
}
