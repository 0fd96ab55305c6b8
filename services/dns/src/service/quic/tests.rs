//! The driver against quinn-proto's client, datagram by datagram, at times that the test says.

use super::connection::Content;
use super::driver::{Driver, Query};
use crate::limits::{QUIC_HANDSHAKE_SECONDS, QUIC_UNVALIDATED, TCP_IDLE_SECONDS};
use bytes::BytesMut;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::rustls::{self, RootCertStore, crypto::ring::default_provider, pki_types::CertificateDer};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, StreamId,
};
use ring::hmac;
use runtime::network::Endpoints;
use runtime::tls::{Identity, TlsAcceptor};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const QUESTION: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 853))
}

/// A server, and the certificate that its clients trust.
fn serving() -> (Driver, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["ns.example.org".to_string()]).unwrap();
    let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_pem(pem.as_bytes(), pem.as_bytes()).unwrap();
    let mut driver = Driver::new();
    driver.set_tls(TlsAcceptor::new(identity, super::DOQ).config().clone());
    (driver, made.cert.der().clone())
}

struct Client {
    address: SocketAddr,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    is_lost: bool,
}

impl Client {
    fn new(number: u16, trusted: &CertificateDer<'static>, protocol: &[u8], now: Instant) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![protocol.to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"client");
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new(Arc::new(key))), None, false, None);
        let (handle, connection) = endpoint.connect(now, config, server(), "ns.example.org").unwrap();
        let address = SocketAddr::from(([192, 0, 2, 9], 1000 + number));
        Client { address, endpoint, handle, connection, is_lost: false }
    }

    /// Sends what it has.
    fn send(&mut self, driver: &mut Driver, now: Instant) -> bool {
        let (mut datagram, mut sent) = (Vec::new(), false);
        while self.connection.poll_transmit(now, 1, &mut datagram).is_some() {
            let ends = Endpoints { theirs: self.address, ours: server().ip() };
            driver.handle_datagram(now, ends, &datagram, || true);
            (sent, datagram) = (true, Vec::new());
        }
        sent
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) {
        let event =
            self.endpoint.handle(now, server(), None, None, BytesMut::from(datagram), &mut Vec::new());
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
            self.connection.handle_event(event);
        }
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(event);
            }
        }
        while let Some(event) = self.connection.poll() {
            self.is_lost |= matches!(event, Event::ConnectionLost { .. });
        }
    }

    /// Asks on a stream of its own.
    fn ask(&mut self, octets: &[u8]) -> StreamId {
        let id = self.connection.streams().open(Dir::Bi).unwrap();
        let mut stream = self.connection.send_stream(id);
        assert_eq!(stream.write(octets).unwrap(), octets.len());
        stream.finish().unwrap();
        id
    }

    /// What has come on a stream that is at its end.
    fn answer(&mut self, id: StreamId) -> Vec<u8> {
        let (mut stream, mut octets) = (self.connection.recv_stream(id), Vec::new());
        let mut chunks = stream.read(true).unwrap();
        while let Some(chunk) = chunks.next(usize::MAX).expect("it is there as a whole") {
            octets.extend_from_slice(&chunk.bytes);
        }
        let _ = chunks.finalize();
        octets
    }
}

/// Carries datagrams to and fro until there are none.
fn settle(driver: &mut Driver, client: &mut Client, now: Instant) {
    loop {
        let mut moved = client.send(driver, now);
        while let Some((ends, datagram)) = driver.poll_transmit(now) {
            moved = true;
            if ends.theirs == client.address {
                client.receive(datagram, now);
            }
        }
        if !moved {
            return;
        }
    }
}

fn prefixed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// The message that has come.
#[track_caller]
fn query(driver: &mut Driver) -> Query {
    driver.poll_query().expect("a message")
}

#[test]
fn messages_are_answered_each_on_its_stream_and_idle_connections_end() {
    let ((mut driver, trusted), now) = (serving(), Instant::now());
    let mut client = Client::new(1, &trusted, b"doq", now);
    settle(&mut driver, &mut client, now);
    let (first, second) = (client.ask(&prefixed(QUESTION)), client.ask(&prefixed(QUESTION)));
    settle(&mut driver, &mut client, now);
    let (one, other) = (query(&mut driver), query(&mut driver));
    assert_eq!((&one.message[..], one.peer), (QUESTION, client.address.ip()));
    // The second is answered first, and in many messages of which not all have room at once.
    let mut left = 20;
    let many = move || {
        left -= 1;
        (left >= 0).then(|| prefixed(&[7; 20_000]))
    };
    driver.answer(now, other.key, Content::Many(Box::new(many)));
    driver.answer(now, one.key, Content::One(prefixed(b"an answer")));
    let mut octets = Vec::new();
    for _ in 0..100 {
        settle(&mut driver, &mut client, now);
        let mut stream = client.connection.recv_stream(second);
        let Ok(mut chunks) = stream.read(true) else { break };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            octets.extend_from_slice(&chunk.bytes);
        }
        let _ = chunks.finalize();
    }
    assert_eq!(octets.len(), 20 * 20_002);
    assert_eq!(client.answer(first), prefixed(b"an answer"));
    // Nothing is due but the end, and then nothing at all.
    let mut last = now;
    while let Some(deadline) = driver.deadline() {
        last = deadline.max(last);
        driver.handle_deadlines(last);
        while driver.poll_transmit(last).is_some() {}
        assert!(last < now + Duration::from_secs(3 * TCP_IDLE_SECONDS));
    }
    assert!(last >= now + Duration::from_secs(TCP_IDLE_SECONDS) && driver.is_empty());
}

#[track_caller]
fn check_ends(octets: &[u8]) {
    let ((mut driver, trusted), now) = (serving(), Instant::now());
    let mut client = Client::new(1, &trusted, b"doq", now);
    settle(&mut driver, &mut client, now);
    client.ask(octets);
    settle(&mut driver, &mut client, now);
    assert!(driver.poll_query().is_none() && client.is_lost, "{octets:?}");
}

#[test]
fn what_is_no_message_ends_the_connection() {
    check_ends(&prefixed(&QUESTION[..5])[..6]);
    check_ends(&[prefixed(QUESTION), prefixed(QUESTION)].concat());
    check_ends(&prefixed(&[&[0, 1], &QUESTION[2..]].concat()));
    check_ends(b"\0");
    check_ends(b"");
}

#[test]
fn another_protocol_is_turned_away() {
    let ((mut driver, trusted), now) = (serving(), Instant::now());
    for protocol in [&b"h3"[..], b"acme-tls/1"] {
        let mut client = Client::new(1, &trusted, protocol, now);
        settle(&mut driver, &mut client, now);
        assert!(client.is_lost);
    }
}

#[test]
fn with_many_handshakes_under_way_an_address_is_proved_first() {
    let ((mut driver, trusted), now) = (serving(), Instant::now());
    for number in 0..QUIC_UNVALIDATED {
        // Begun, and never heard of again.
        Client::new(number as u16, &trusted, b"doq", now).send(&mut driver, now);
        while driver.poll_transmit(now).is_some() {}
    }
    let mut client = Client::new(999, &trusted, b"doq", now);
    client.send(&mut driver, now);
    let (_, retry) = driver.poll_transmit(now).expect("an answer");
    assert_eq!((retry[0] & 0xF0, retry.len() < 200), (0xF0, true), "a Retry packet (RFC 9000 §17.2.5)");
    client.receive(retry, now);
    settle(&mut driver, &mut client, now);
    let id = client.ask(&prefixed(QUESTION));
    settle(&mut driver, &mut client, now);
    let query = query(&mut driver);
    driver.answer(now, query.key, Content::One(prefixed(b"an answer")));
    settle(&mut driver, &mut client, now);
    assert_eq!(client.answer(id), prefixed(b"an answer"));
    // The others are given up, and who comes then need not prove anything.
    let later = now + Duration::from_secs(QUIC_HANDSHAKE_SECONDS);
    driver.handle_deadlines(later);
    while driver.poll_transmit(later).is_some() {}
    Client::new(1000, &trusted, b"doq", later).send(&mut driver, later);
    let (_, answer) = driver.poll_transmit(later).expect("an answer");
    // Without the fixed bit, which may be greased (RFC 9287 §3).
    assert_eq!(answer[0] & 0xB0, 0x80, "an Initial packet (RFC 9000 §17.2.2)");
}
