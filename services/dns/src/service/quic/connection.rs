//! One connection over QUIC: messages out of its streams, answers into them (RFC 9250 §4.2).

use crate::limits::{QUIC_HANDSHAKE_SECONDS, QUIC_READING_OCTETS};
use bytes::Bytes;
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{Connection, Dir, Event, ReadError, StreamEvent, StreamId, VarInt, WriteError};
use runtime::network::Endpoints;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// DOQ_PROTOCOL_ERROR (RFC 9250 §4.3).
pub const PROTOCOL_ERROR: u32 = 2;

/// DOQ_EXCESSIVE_LOAD (RFC 9250 §4.3).
const EXCESSIVE_LOAD: u32 = 4;

/// Octets read from a stream at a time.
const CHUNK_OCTETS: usize = 4096;

/// What is sent on a stream.
pub enum Content {
    /// A message behind its length.
    One(Vec<u8>),
    /// Messages behind their lengths, made when there is room for them.
    Many(Box<dyn FnMut() -> Option<Vec<u8>>>),
}

enum Stream {
    /// The message is not here yet, or not all of it.
    Reading(Vec<u8>),
    /// Somebody is at work on the answer.
    Awaited,
    /// So many octets of the message are sent; and there may be more messages.
    Writing(Vec<u8>, usize, Content),
}

/// See the module.
pub struct Doq {
    /// What quinn-proto has of it.
    pub connection: Connection,
    /// Between whom it is.
    pub ends: Endpoints,
    /// No other connection has it.
    pub number: u64,
    /// When it is to be looked at, as the driver has noted it.
    pub deadline: Option<Instant>,
    /// The driver counts its handshake among those that are under way.
    pub is_counted: bool,
    /// The driver is going to send what it has.
    pub is_to_send: bool,
    streams: HashMap<StreamId, Stream>,
    /// Octets of messages that are not here yet as a whole.
    reading: usize,
    handshake_until: Option<Instant>,
}

impl Doq {
    /// A connection whose handshake begins.
    pub fn new(connection: Connection, ends: Endpoints, number: u64, now: Instant) -> Doq {
        Doq {
            connection,
            ends,
            number,
            deadline: None,
            is_counted: true,
            is_to_send: false,
            streams: HashMap::new(),
            reading: 0,
            handshake_until: Some(now + Duration::from_secs(QUIC_HANDSHAKE_SECONDS)),
        }
    }

    /// Whether its handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.handshake_until.is_some()
    }

    /// When there is something to do without a datagram.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.connection.poll_timeout().into_iter().chain(self.handshake_until).min()
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Instant) {
        if self.handshake_until.is_some_and(|until| until <= now) {
            self.close(now, EXCESSIVE_LOAD);
        }
        self.connection.handle_timeout(now);
    }

    /// Ends the connection.
    pub fn close(&mut self, now: Instant, code: u32) {
        self.connection.close(now, VarInt::from_u32(code), Bytes::new());
        self.forget();
    }

    fn forget(&mut self) {
        self.handshake_until = None;
        self.streams.clear();
        self.reading = 0;
    }

    /// Takes in what has happened; whole messages, with their streams.
    pub fn poll(&mut self, now: Instant, messages: &mut Vec<(StreamId, Vec<u8>)>) {
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => {
                    self.handshake_until = None;
                    if !self.speaks_doq() {
                        self.close(now, PROTOCOL_ERROR);
                    }
                }
                Event::ConnectionLost { .. } => self.forget(),
                Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                    while let Some(id) = self.connection.streams().accept(Dir::Bi) {
                        self.streams.insert(id, Stream::Reading(Vec::new()));
                        self.read(now, id, messages);
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => self.read(now, id, messages),
                Event::Stream(StreamEvent::Writable { id }) => self.write(id),
                // RFC 9250 §4.3.1: the client does not want the answer any more.
                Event::Stream(StreamEvent::Stopped { id, .. }) => self.end(id),
                _ => {}
            }
        }
    }

    /// Not so with whoever validates a certificate (RFC 8737).
    fn speaks_doq(&self) -> bool {
        let data = self.connection.crypto_session().handshake_data();
        let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
        data.is_some_and(|data| data.protocol.as_deref() == Some(super::DOQ[0]))
    }

    fn read(&mut self, now: Instant, id: StreamId, messages: &mut Vec<(StreamId, Vec<u8>)>) {
        let Some(Stream::Reading(message)) = self.streams.get_mut(&id) else { return };
        let mut stream = self.connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else { return };
        let end = loop {
            match chunks.next(CHUNK_OCTETS) {
                Ok(Some(chunk)) => {
                    message.extend_from_slice(&chunk.bytes);
                    self.reading += chunk.bytes.len();
                    if self.reading > QUIC_READING_OCTETS {
                        break End::TooMuch;
                    }
                }
                Ok(None) => break End::Whole,
                Err(ReadError::Blocked) => break End::NotYet,
                Err(ReadError::Reset(_)) => break End::Reset,
            }
        };
        // What it makes us send, the driver asks for anyway.
        let _ = chunks.finalize();
        match end {
            End::NotYet => {}
            End::Reset => self.end(id),
            End::TooMuch => self.close(now, EXCESSIVE_LOAD),
            End::Whole => {
                self.reading -= message.len();
                let message = std::mem::take(message);
                match message_of(message) {
                    Some(message) => {
                        self.streams.insert(id, Stream::Awaited);
                        messages.push((id, message));
                    }
                    None => self.close(now, PROTOCOL_ERROR),
                }
            }
        }
    }

    /// Sends what was asked for on this stream, unless it has ended in the meantime.
    pub fn answer(&mut self, id: StreamId, content: Content) {
        if let Some(stream @ Stream::Awaited) = self.streams.get_mut(&id) {
            *stream = match content {
                Content::One(message) => Stream::Writing(message, 0, Content::Many(Box::new(|| None))),
                many @ Content::Many(_) => Stream::Writing(Vec::new(), 0, many),
            };
            self.write(id);
        }
    }

    /// Writes as much as there is room for.
    fn write(&mut self, id: StreamId) {
        let Some(Stream::Writing(message, sent, more)) = self.streams.get_mut(&id) else { return };
        let mut stream = self.connection.send_stream(id);
        loop {
            while *sent < message.len() {
                match stream.write(&message[*sent..]) {
                    Ok(octets) => *sent += octets,
                    Err(WriteError::Blocked) => return,
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                        self.streams.remove(&id);
                        return;
                    }
                }
            }
            let next = if let Content::Many(more) = more { more() } else { None };
            match next {
                Some(next) => (*message, *sent) = (next, 0),
                None => {
                    let _ = stream.finish(); // if it was stopped, there is nothing to finish
                    self.streams.remove(&id);
                    return;
                }
            }
        }
    }

    /// Ends a stream that its client has given up.
    fn end(&mut self, id: StreamId) {
        if let Some(Stream::Reading(message)) = self.streams.remove(&id) {
            self.reading -= message.len();
        }
        let _ = self.connection.send_stream(id).reset(VarInt::from_u32(0));
    }
}

/// How far a stream has been read.
enum End {
    NotYet,
    Whole,
    Reset,
    TooMuch,
}

/// The message of a stream that is at its end: one, behind its length, whose identifier is zero (RFC 9250 §4.2, §4.2.1), and that does
/// not speak of keeping connections (§5.5.2).
fn message_of(mut octets: Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*octets.first_chunk()?));
    let message = octets.split_off(2);
    let is_one = message.len() == length && message.starts_with(&[0, 0]);
    (is_one && !crate::opt::has_keepalive(&message)).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(length: u16, message: &[u8], is_one: bool) {
        let octets = [&length.to_be_bytes(), message].concat();
        assert_eq!(message_of(octets).as_deref(), is_one.then_some(message));
    }

    #[test]
    fn a_stream_has_one_message_without_an_identifier() {
        let question = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        let (short, long) = (question.len() as u16 - 1, question.len() as u16 + 1);
        check(question.len() as u16, question, true);
        check(short, question, false);
        check(long, question, false);
        check(2, b"\0\x01", false);
        check(0, b"", false);
        assert_eq!(message_of(vec![0]), None);
        let opt = |option: &[u8]| {
            let mut message =
                [question, &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8][..], option].concat();
            message[11] = 1;
            message
        };
        for (option, is_one) in
            [(&[][..], true), (&[0, 11, 0, 0], false), (&[0, 10, 0, 1, 7, 0, 11, 0, 0], false)]
        {
            let message = opt(option);
            check(message.len() as u16, &message, is_one);
        }
    }
}
