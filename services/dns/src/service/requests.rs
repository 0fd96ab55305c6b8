//! Whatever is no plain query: its signature is checked, then it is a signed query, a transfer, a notification or an update.

use super::Server;
use super::clients::client;
use super::forwarding::forward;
use super::updates::{handle_notify, handle_update};
use crate::client::unix_seconds;
use crate::dnssec::SignedZone;
use crate::limits::{TRANSFERS, UDP_OCTETS, UDP_OCTETS_WITHOUT_EDNS};
use crate::name::Name;
use crate::opt::ExtendedError;
use crate::packet::{Packet, bare_answer, set_count};
use crate::query::Rcode;
use crate::transfer::{Outgoing, Request};
use crate::tsig::{self, Failure, Session, Signed};
use crate::types::RecordType;
use crate::zone::Zone;
use crate::{Transport, notify, update};
use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;

/// An answer that takes time.
pub(super) type Later = Pin<Box<dyn Future<Output = Option<Vec<u8>>>>>;

/// What is sent back.
pub(super) enum Reply {
    /// Nothing.
    Nothing,
    /// A message.
    Message(Vec<u8>),
    /// Many, over TCP.
    Transfer(Box<Outgoing>, Option<Session>),
    /// A message, once something has been done.
    Later(Later),
}

impl Reply {
    /// The message, where it is one.
    pub fn into_message(self) -> Option<Vec<u8>> {
        if let Reply::Message(message) = self { Some(message) } else { None }
    }
}

/// Handles a message that [`Authority::handle`](crate::Authority::handle) has handed out.
pub(super) fn respond(
    server: &Rc<RefCell<Server>>,
    transport: Transport,
    peer: IpAddr,
    message: &[u8],
) -> Reply {
    if let Some(reply) = forward(server, message) {
        return reply;
    }
    let find = |name: &[u8]| server.borrow().keys.find(name).map(|entry| entry.key.clone());
    let (message, session, time) = match tsig::verify(message, find, unix_seconds()) {
        Ok(None) => (message.to_vec(), None, 0),
        Ok(Some(Signed { message, session, time })) => (message, Some(session), time),
        Err(Failure::Malformed) => {
            let answer =
                refusal(&mut server.borrow_mut(), &message[..message.len().min(12)], Rcode::FormErr, None);
            return finish(answer, None);
        }
        Err(Failure::Rejected(rejected)) => {
            server.borrow_mut().authority.count(Rcode::NotAuth);
            return Reply::Message(rejected.answer());
        }
    };
    let Ok(packet) = Packet::new(&message) else { return Reply::Nothing };
    match packet.opcode() {
        _ if packet.is_answer() => Reply::Nothing,
        update::OPCODE => handle_update(server, peer, message, session, time),
        notify::OPCODE => handle_notify(server, peer, &message, session),
        _ => handle_query(&mut server.borrow_mut(), transport, peer, &message, session),
    }
}

fn handle_query(
    server: &mut Server,
    transport: Transport,
    peer: IpAddr,
    message: &[u8],
    session: Option<Session>,
) -> Reply {
    let question = Packet::new(message).and_then(|mut packet| packet.question()).ok();
    let zone = question.as_ref().and_then(|question| zone_called(server, &question.name));
    let key = session.as_ref().map(Session::key).cloned();
    let mut may = false;
    if let (Some(question), Some(zone)) = (question, zone) {
        may = key.as_ref().is_some_and(|key| server.may_transfer(key, zone.apex()));
        match question.rtype {
            RecordType::SOA if may => key.iter().for_each(|key| server.remember(zone.apex(), peer, key)),
            // RFC 5936 §4.2: not over UDP.
            RecordType::AXFR if transport == Transport::Udp => {}
            RecordType::AXFR | RecordType::IXFR if may || server.policy.open_transfers => {
                return handle_transfer(server, transport, message, zone, session);
            }
            _ => {}
        }
    }
    // All others are answered as without a signature; so are those that may not have what they ask for.
    let Server { authority, scratch, .. } = server;
    scratch[..message.len()].copy_from_slice(message);
    let reserved = session.as_ref().map_or(0, Session::octets);
    let length = authority.answer_signed(client(peer), transport, scratch, message.len(), (reserved, may));
    finish(length.map(|length| scratch[..length].to_vec()), session)
}

fn handle_transfer(
    server: &mut Server,
    transport: Transport,
    message: &[u8],
    zone: Rc<Zone>,
    session: Option<Session>,
) -> Reply {
    let Ok(request) = Request::parse(message) else {
        return finish(refusal(server, message, Rcode::FormErr, None), session);
    };
    if let Some(signed) = server.authority.zones().signed(&zone).cloned() {
        return handle_signed_transfer(server, transport, (message, request), (zone, signed), session);
    }
    let history = server.history_of(&zone);
    let differences =
        request.serial.and_then(|serial| history.and_then(|history| history.since(serial, zone.serial())));
    if transport == Transport::Udp {
        server.authority.count(Rcode::NoError);
        return finish(answer_small(&request, zone, differences, session.as_ref()), session);
    }
    if server.transfers >= TRANSFERS {
        return finish(refusal(server, message, Rcode::ServFail, None), session);
    }
    server.authority.count(Rcode::NoError);
    Reply::Transfer(Box::new(Outgoing::new(&request, zone, differences)), session)
}

/// A zone that we sign is transferred signed, and as a whole: what changed since an older version is not kept of signatures.
fn handle_signed_transfer(
    server: &mut Server,
    transport: Transport,
    (message, request): (&[u8], Request),
    (zone, signed): (Rc<Zone>, Rc<SignedZone>),
    session: Option<Session>,
) -> Reply {
    if transport == Transport::Udp {
        server.authority.count(Rcode::NoError);
        let reserved = session.as_ref().map_or(0, Session::octets);
        return finish(Outgoing::soa_only(&request, signed.soa(&zone)).next_message(reserved), session);
    }
    let edition = (server.transfers < TRANSFERS).then(|| server.edition_of(&zone, &signed)).flatten();
    let Some(edition) = edition else {
        return finish(refusal(server, message, Rcode::ServFail, None), session);
    };
    server.authority.count(Rcode::NoError);
    Reply::Transfer(Box::new(Outgoing::signed(&request, edition)), session)
}

/// IXFR over UDP: all that changed, or the SOA record alone, which sends the client to TCP (RFC 1995 §2).
fn answer_small(
    request: &Request,
    zone: Rc<Zone>,
    differences: Option<Vec<Rc<crate::Difference>>>,
    session: Option<&Session>,
) -> Option<Vec<u8>> {
    let reserved = session.map_or(0, Session::octets);
    if differences.is_some() {
        let mut outgoing = Outgoing::new(request, zone.clone(), differences);
        let message = outgoing.next_message(reserved)?;
        if message.len() + reserved <= UDP_OCTETS_WITHOUT_EDNS && outgoing.next_message(reserved).is_none() {
            return Some(message);
        }
    }
    Outgoing::soa_only(request, zone.soa()).next_message(reserved)
}

/// The zone that is called exactly so.
fn zone_called(server: &Server, name: &[u8]) -> Option<Rc<Zone>> {
    let mut apex = Name::root(server.authority.zones().key());
    apex.read(name, server.authority.zones().key()).ok()?;
    server.authority.zones().get(&apex)
}

/// A message with a response code and no records; where the request has an OPT record, with one, and why (RFC 8914).
pub(super) fn refusal(
    server: &mut Server,
    request: &[u8],
    rcode: Rcode,
    error: Option<ExtendedError>,
) -> Option<Vec<u8>> {
    server.authority.count(rcode);
    let mut answer = bare_answer(request, rcode as u8)?;
    if has_opt(request) {
        let [s1, s0] = (UDP_OCTETS as u16).to_be_bytes();
        answer.extend_from_slice(&[0, 0, 41, s1, s0, 0, 0, 0, 0, 0, if error.is_some() { 6 } else { 0 }]);
        if let Some(error) = error {
            answer.extend_from_slice(&[0, 15, 0, 2, 0, error as u8]);
        }
        set_count(&mut answer, 3, 1);
    }
    Some(answer)
}

fn has_opt(request: &[u8]) -> bool {
    let Ok(mut packet) = Packet::new(request) else { return false };
    for _ in 0..packet.count(0) {
        if packet.question().is_err() {
            return false;
        }
    }
    let records = packet.count(1) + packet.count(2) + packet.count(3);
    (0..records).any(|_| packet.skip_record() == Ok(RecordType::OPT))
}

/// Signs the answer, if the request was signed.
pub(super) fn finish(answer: Option<Vec<u8>>, session: Option<Session>) -> Reply {
    let Some(mut answer) = answer else { return Reply::Nothing };
    if let Some(mut session) = session {
        session.sign(&mut answer, unix_seconds());
    }
    Reply::Message(answer)
}
