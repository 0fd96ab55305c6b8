//! All connections over QUIC, without a socket and without a clock: datagrams and the time in; datagrams, messages and the next
//! deadline out.

use super::connection::{Content, Doq};
use crate::limits::{QUIC_CONNECTIONS, QUIC_RESPONSES, QUIC_UNVALIDATED, TCP_IDLE_SECONDS};
use crate::limits::{QUIC_STREAM_OCTETS, QUIC_STREAMS, QUIC_WINDOW_OCTETS};
use bytes::BytesMut;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Incoming, ServerConfig, StreamId, Transmit,
    TransportConfig, VarInt,
};
use ring::{hkdf, hmac};
use runtime::network::Endpoints;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A stream of a connection, as long as there is neither.
#[derive(Clone, Copy, Debug)]
pub struct StreamKey {
    handle: ConnectionHandle,
    /// Handles are used again, numbers are not.
    number: u64,
    stream: StreamId,
}

/// A message that somebody sent.
#[derive(Debug)]
pub struct Query {
    /// Where the answer goes.
    pub key: StreamKey,
    /// Who asks.
    pub peer: IpAddr,
    /// Without its length.
    pub message: Vec<u8>,
}

/// See the module.
pub struct Driver {
    endpoint: Endpoint,
    is_ready: bool,
    connections: HashMap<ConnectionHandle, Doq>,
    /// The next deadline of each connection.
    deadlines: BTreeSet<(Instant, ConnectionHandle)>,
    /// Connections that may have something to send.
    to_send: VecDeque<ConnectionHandle>,
    /// What the endpoint says without a connection.
    responses: VecDeque<(Endpoints, Vec<u8>)>,
    queries: VecDeque<Query>,
    /// Connections whose handshake is not over.
    handshakes: usize,
    numbers: u64,
    datagram: Vec<u8>,
}

impl Driver {
    /// Nobody is answered before [`set_tls`](Driver::set_tls).
    pub fn new() -> Driver {
        let config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &random::<32>())));
        Driver {
            endpoint: Endpoint::new(Arc::new(config), None, false, Some(random())),
            is_ready: false,
            connections: HashMap::new(),
            deadlines: BTreeSet::new(),
            to_send: VecDeque::new(),
            responses: VecDeque::new(),
            queries: VecDeque::new(),
            handshakes: 0,
            numbers: 0,
            datagram: Vec::new(),
        }
    }

    /// Whether there is no connection.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Whether there is a certificate.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Shows the certificate that is in there at the moment of a handshake.
    pub fn set_tls(&mut self, tls: Arc<quinn_proto::rustls::ServerConfig>) {
        // It has the suite that QUIC begins with; if not, nobody is answered.
        let Ok(crypto) = QuicServerConfig::try_from(tls) else { return };
        let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&random::<64>());
        let mut config = ServerConfig::new(Arc::new(crypto), Arc::new(token_key));
        config.transport_config(Arc::new(transport()));
        // A connection stays where it began: the address is what rights and rates go by.
        config.migration(false);
        self.endpoint.set_server_config(Some(Arc::new(config)));
        self.is_ready = true;
    }

    /// Takes a datagram. `has_room`: whether there is memory for one more connection.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        ends: Endpoints,
        datagram: &[u8],
        has_room: impl FnOnce() -> bool,
    ) {
        let (mut response, ours) = (Vec::new(), Some(ends.ours).filter(|ours| !ours.is_unspecified()));
        let event =
            self.endpoint.handle(now, ends.theirs, ours, None, BytesMut::from(datagram), &mut response);
        match event {
            None => {}
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(doq) = self.connections.get_mut(&handle) {
                    doq.connection.handle_event(event);
                    self.drive(now, handle);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.accept(now, ends, incoming, has_room),
            Some(DatagramEvent::Response(transmit)) => self.push_response(ends, &transmit, response),
        }
    }

    fn accept(&mut self, now: Instant, ends: Endpoints, incoming: Incoming, has_room: impl FnOnce() -> bool) {
        let mut response = Vec::new();
        if self.connections.len() >= QUIC_CONNECTIONS || !has_room() {
            let transmit = self.endpoint.refuse(incoming, &mut response);
            return self.push_response(ends, &transmit, response);
        }
        // RFC 9000 §8.1.2: with many handshakes under way, first who can be reached at the address.
        if self.handshakes >= QUIC_UNVALIDATED && !incoming.remote_address_validated() {
            match self.endpoint.retry(incoming, &mut response) {
                Ok(transmit) => self.push_response(ends, &transmit, response),
                Err(error) => self.endpoint.ignore(error.into_incoming()),
            }
            return;
        }
        match self.endpoint.accept(incoming, now, &mut response, None) {
            Ok((handle, connection)) => {
                self.numbers += 1;
                self.handshakes += 1;
                self.connections.insert(handle, Doq::new(connection, ends, self.numbers, now));
                self.drive(now, handle);
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.push_response(ends, &transmit, response);
                }
            }
        }
    }

    /// What is more than fits is lost, and asked for again.
    fn push_response(&mut self, ends: Endpoints, transmit: &Transmit, mut response: Vec<u8>) {
        if self.responses.len() < QUIC_RESPONSES {
            response.truncate(transmit.size);
            self.responses.push_back((ends, response));
        }
    }

    /// The next message that somebody sent.
    pub fn poll_query(&mut self) -> Option<Query> {
        self.queries.pop_front()
    }

    /// Sends the answer to a message, if who asked is still there.
    pub fn answer(&mut self, now: Instant, key: StreamKey, content: Content) {
        self.with(now, key, |doq| doq.answer(key.stream, content));
    }

    /// There is no answer, and the connection ends with it (RFC 9250 §4.3.3).
    pub fn give_up(&mut self, now: Instant, key: StreamKey) {
        self.with(now, key, |doq| doq.close(now, super::connection::PROTOCOL_ERROR));
    }

    fn with(&mut self, now: Instant, key: StreamKey, act: impl FnOnce(&mut Doq)) {
        if let Some(doq) = self.connections.get_mut(&key.handle).filter(|doq| doq.number == key.number) {
            act(doq);
            self.drive(now, key.handle);
        }
    }

    /// When there is something to do without a datagram.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Does what is due.
    pub fn handle_deadlines(&mut self, now: Instant) {
        while let Some((_, handle)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.pop_first();
            let Some(doq) = self.connections.get_mut(&handle) else { continue };
            doq.deadline = None;
            doq.handle_deadline(now);
            self.drive(now, handle);
        }
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(Endpoints, &[u8])> {
        if let Some((ends, response)) = self.responses.pop_front() {
            self.datagram = response;
            return Some((ends, &self.datagram));
        }
        while let Some(handle) = self.to_send.front().copied() {
            self.datagram.clear();
            let Some(doq) = self.connections.get_mut(&handle) else {
                self.to_send.pop_front();
                continue;
            };
            if let Some(transmit) = doq.connection.poll_transmit(now, 1, &mut self.datagram) {
                let ends = Endpoints { theirs: transmit.destination, ..doq.ends };
                // One each, in turn.
                self.to_send.rotate_left(1);
                return Some((ends, &self.datagram[..transmit.size]));
            }
            doq.is_to_send = false;
            self.to_send.pop_front();
            self.set_deadline(handle);
        }
        None
    }

    /// Does what follows from an event of a connection.
    fn drive(&mut self, now: Instant, handle: ConnectionHandle) {
        let Some(doq) = self.connections.get_mut(&handle) else { return };
        let mut messages = Vec::new();
        doq.poll(now, &mut messages);
        while let Some(event) = doq.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(handle, event) {
                doq.connection.handle_event(event);
            }
        }
        let (number, peer) = (doq.number, doq.ends.theirs.ip());
        let queries = messages.into_iter().map(|(stream, message)| {
            let key = StreamKey { handle, number, stream };
            Query { key, peer, message }
        });
        self.queries.extend(queries);
        let is_drained = doq.connection.is_drained();
        if doq.is_counted && (is_drained || !doq.is_handshaking()) {
            doq.is_counted = false;
            self.handshakes -= 1;
        }
        if is_drained {
            if let Some(deadline) = doq.deadline {
                self.deadlines.remove(&(deadline, handle));
            }
            self.connections.remove(&handle);
            return;
        }
        if !std::mem::replace(&mut doq.is_to_send, true) {
            self.to_send.push_back(handle);
        }
        self.set_deadline(handle);
    }

    fn set_deadline(&mut self, handle: ConnectionHandle) {
        let Some(doq) = self.connections.get_mut(&handle) else { return };
        let next = doq.next_deadline();
        if doq.deadline != next {
            if let Some(before) = std::mem::replace(&mut doq.deadline, next) {
                self.deadlines.remove(&(before, handle));
            }
            self.deadlines.extend(next.map(|next| (next, handle)));
        }
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = Duration::from_secs(TCP_IDLE_SECONDS).try_into().ok();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS))
        // RFC 9250 §4.2: a stream has both directions.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(QUIC_STREAM_OCTETS))
        .receive_window(VarInt::from_u32(QUIC_STREAM_OCTETS))
        .send_window(QUIC_WINDOW_OCTETS)
        .max_idle_timeout(idle)
        .mtu_discovery_config(None)
        .datagram_receive_buffer_size(None);
    transport
}

fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    platform::entropy::fill(&mut octets);
    octets
}
