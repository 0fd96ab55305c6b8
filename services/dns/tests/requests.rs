//! Messages that are no plain queries, handed to the service without a network: who may do what, and what happens twice.

use dns::keys::Keys;
use dns::packet::Packet;
use dns::service::{Backend, Policy, Server, VerifiedUpdate, answer_datagram};
use dns::tsig::{Algorithm, Key, sign_request};
use dns::update::Request;
use dns::{Authority, HashKey, Rcode, Record, RecordType, Zones, client::unix_seconds, transfer};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

const ZONE: &[u8] = b"\x07example\x03org\0";
const TEXT: &str = "$TTL 60\n@ SOA ns h 5 1 2 3 4\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";

/// Counts what it is handed.
#[derive(Default)]
struct Counts {
    updates: Cell<u32>,
    pulls: Cell<u32>,
}

impl Backend for Counts {
    fn update(&self, update: VerifiedUpdate) -> Pin<Box<dyn Future<Output = Rcode>>> {
        self.updates.set(self.updates.get() + 1);
        // The message says what to answer, so that a test can have any.
        let is_large = update.message.len() > 200;
        Box::pin(async move { if is_large { Rcode::ServFail } else { Rcode::NoError } })
    }

    fn pull(&self) {
        self.pulls.set(self.pulls.get() + 1);
    }
}

struct Service {
    server: Rc<RefCell<Server>>,
    counts: Rc<Counts>,
}

const KEYS: [&str; 6] = [
    "u._update.example.org",
    "s._update.sub.example.org",
    "t._transfer.example.org",
    "n._notify.example.org",
    "u._update.example.com",
    "plain.example.org",
];

fn name(text: &str) -> Vec<u8> {
    dns::zone_name(text, &HashKey::new([0; 24])).expect("a name").wire().to_vec()
}

fn key(name_text: &str) -> Rc<Key> {
    Rc::new(Key::new(&name(name_text), Algorithm::Sha256, b"secret"))
}

impl Service {
    fn new() -> Service {
        let service = Service::without_backend();
        service.server.borrow_mut().set_backend(service.counts.clone());
        service
    }

    fn without_backend() -> Service {
        let (mut zones, mut keys) = (Zones::new(HashKey::new([1; 24])), Keys::default());
        zones.load("example.org", &mut TEXT.as_bytes()).expect("the zone is good");
        for key in KEYS {
            keys.add(&format!("{key}:SHA256:c2VjcmV0")).expect("the key is good");
        }
        let policy = Policy { open_transfers: false, port: 53 };
        let server = Rc::new(RefCell::new(Server::new(Authority::new(zones), keys, policy)));
        let counts = Rc::new(Counts::default());
        Service { server, counts }
    }

    /// The answer to a datagram.
    fn ask(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        buffer[..message.len()].copy_from_slice(message);
        let peer = SocketAddr::from(([192, 0, 2, 99], 5353));
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an executor");
        executor.block_on(answer_datagram(&self.server, peer, &mut buffer, message.len()))
    }

    /// The response code of the answer, which must be signed with `key` if there is one.
    #[track_caller]
    fn rcode(&self, mut message: Vec<u8>, signer: Option<&str>) -> u8 {
        let answers = signer.map(|name| sign_request(&mut message, &key(name), unix_seconds()));
        let mut answer = self.ask(&message).expect("there is an answer");
        if let Some(mut answers) = answers {
            assert_eq!(answers.check(&mut answer, unix_seconds()), Ok(()));
        }
        Packet::new(&answer).expect("it is a message").rcode()
    }
}

fn address(owner: &str) -> Record {
    Record { owner: name(owner), rtype: RecordType::A, ttl: 60, data: vec![192, 0, 2, 9] }
}

fn update(owner: &str) -> Vec<u8> {
    Request::new(ZONE).add(address(owner)).message(7)
}

fn notify() -> Vec<u8> {
    let mut message = transfer::question(ZONE, RecordType::SOA, 7);
    message[2] = 4 << 3;
    message
}

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;
const NOTAUTH: u8 = 9;

#[track_caller]
fn check_update(signer: Option<&str>, expect: u8, handed_on: u32) {
    let service = Service::new();
    assert_eq!(service.rcode(update("n.example.org"), signer), expect);
    assert_eq!(service.counts.updates.get(), handed_on);
}

#[test]
fn updates_are_handed_on_if_their_key_may_change_the_zone() {
    check_update(Some("u._update.example.org"), NOERROR, 1);
    check_update(Some("s._update.sub.example.org"), NOERROR, 1); // which names it may change, the backend sees to
    check_update(Some("t._transfer.example.org"), REFUSED, 0);
    check_update(Some("n._notify.example.org"), REFUSED, 0);
    check_update(Some("u._update.example.com"), REFUSED, 0);
    check_update(Some("plain.example.org"), REFUSED, 0);
    check_update(None, REFUSED, 0);
    let elsewhere = Request::new(&name("example.net")).add(address("n.example.net")).message(7);
    assert_eq!(Service::new().rcode(elsewhere.clone(), None), NOTAUTH);
    assert_eq!(Service::new().rcode(elsewhere, Some("u._update.example.org")), NOTAUTH);
}

#[test]
fn without_anybody_to_hand_it_on_to_an_update_is_refused_with_a_signature() {
    let service = Service::without_backend();
    assert_eq!(service.rcode(update("n.example.org"), Some("u._update.example.org")), REFUSED);
    assert_eq!(service.rcode(notify(), Some("u._update.example.org")), REFUSED);
}

#[test]
fn an_update_that_comes_twice_is_carried_out_once_and_answered_twice() {
    let service = Service::new();
    let mut message = update("n.example.org");
    sign_request(&mut message, &key("u._update.example.org"), unix_seconds());
    let answers: Vec<_> = (0..3).map(|_| service.ask(&message).map(|answer| answer[3] & 15)).collect();
    assert_eq!((answers, service.counts.updates.get()), (vec![Some(NOERROR); 3], 1));
    // What failed may go better the next time, and is not taken for done.
    let mut large = Request::new(ZONE);
    for number in 0..20 {
        large.add(address(&format!("n{number}.example.org")));
    }
    let mut message = large.message(8);
    sign_request(&mut message, &key("u._update.example.org"), unix_seconds());
    let answers: Vec<_> = (0..2).map(|_| service.ask(&message).map(|answer| answer[3] & 15)).collect();
    assert_eq!((answers, service.counts.updates.get()), (vec![Some(SERVFAIL); 2], 3));
}

#[test]
fn an_update_signed_long_ago_is_not_carried_out() {
    let service = Service::new();
    for time in [unix_seconds() - 400, unix_seconds() + 400, 0] {
        let mut message = update("n.example.org");
        sign_request(&mut message, &key("u._update.example.org"), time);
        assert_eq!(service.ask(&message).map(|answer| answer[3] & 15), Some(NOTAUTH));
    }
    assert_eq!(service.counts.updates.get(), 0);
}

#[track_caller]
fn check_notify(signer: Option<&str>, expect: u8, pulls: u32) {
    let service = Service::new();
    assert_eq!(service.rcode(notify(), signer), expect);
    assert_eq!(service.counts.pulls.get(), pulls);
}

#[test]
fn only_a_signed_notification_makes_a_primary_pull() {
    check_notify(None, REFUSED, 0);
    check_notify(Some("n._notify.example.org"), NOERROR, 1);
    check_notify(Some("t._transfer.example.org"), NOERROR, 1);
    check_notify(Some("u._update.example.org"), NOERROR, 1);
    check_notify(Some("u._update.example.com"), REFUSED, 0);
}

#[test]
fn signed_queries_get_signed_answers() {
    let service = Service::new();
    for signer in KEYS {
        assert_eq!(service.rcode(transfer::question(ZONE, RecordType::SOA, 7), Some(signer)), NOERROR);
    }
    assert_eq!(
        service.rcode(transfer::question(&name("example.net"), RecordType::SOA, 7), Some(KEYS[0])),
        REFUSED
    );
}

#[test]
fn whole_zones_do_not_go_over_udp() {
    let service = Service::new();
    assert_eq!(service.rcode(transfer::Request::message(ZONE, None, 7), Some(KEYS[2])), 4);
    let soa = service
        .server
        .borrow()
        .authority()
        .zones()
        .iter()
        .next()
        .and_then(|zone| zone.soa())
        .expect("it has one");
    // The client has this version: the SOA record, and no more.
    let mut message = transfer::Request::message(ZONE, Some(&soa), 7);
    assert_eq!(service.rcode(message.clone(), None), REFUSED);
    sign_request(&mut message, &key(KEYS[2]), unix_seconds());
    let answer = service.ask(&message).expect("there is an answer");
    assert_eq!(Packet::new(&answer).map(|packet| packet.count(1)), Ok(1));
}

/// Every octet of a signed update changed, and every length: none is carried out, and nothing panics.
#[test]
fn nothing_that_was_changed_on_the_way_is_carried_out() {
    let service = Service::new();
    let mut message = update("n.example.org");
    sign_request(&mut message, &key("u._update.example.org"), unix_seconds());
    for at in 2..message.len() {
        for change in [1, 0x20, 0x80, 0xFF] {
            let mut changed = message.clone();
            changed[at] ^= change;
            service.ask(&changed);
        }
    }
    for length in 0..message.len() {
        service.ask(&message[..length]);
    }
    // The case of letters in the names of key and algorithm is not signed (RFC 8945 §4.3.3): those are the same message.
    assert!(service.counts.updates.get() <= 1, "{}", service.counts.updates.get());
    assert_eq!(service.ask(&message).map(|answer| answer[3] & 15), Some(NOERROR));
}
