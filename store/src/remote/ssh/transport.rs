//! Packets of ssh over a connection (RFC 4253 §6): in the clear until keys are agreed upon, then sealed (`protection`).
//!
//! New keys are agreed upon whenever either side wants them (RFC 4253 §9): what belongs to the channel waits for as long.

use super::{
    key_exchange::{Exchange, Step, Terms, unexpected},
    limits::{PACKET_BYTES, VERSION_BYTES},
    numbers::{DISCONNECT, KEX_ECDH_INIT, KEX_ECDH_REPLY, KEXINIT, NEWKEYS},
    protection::{LENGTH, Opening, Sealing, TAG},
};
use crate::{
    openssh::wire::{Reader, Writer},
    remote::{Problem, limits::READ_BYTES, printable},
};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes to which a packet is padded in the clear, where 8 would do.
const BLOCK: usize = 16;

/// What one direction counts.
#[derive(Default)]
struct Count {
    /// The number of the next packet; beyond 32 bits it begins again (RFC 4253 §6.4).
    packet: u32,
    /// Bytes since there are these keys.
    bytes: u64,
}

/// A connection on which packets are read and written.
pub(super) struct Transport<S> {
    stream: S,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    opening: Option<Opening>,
    sealing: Option<Sealing>,
    received_count: Count,
    sent_count: Count,
    terms: Terms,
    exchange: Option<Exchange>,
    /// What waits for new keys.
    held: Vec<Writer>,
    /// Bytes in either direction after which we want new keys.
    rekey_bytes: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    pub(super) fn new(stream: S, terms: Terms, rekey_bytes: u64) -> Self {
        Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            opening: None,
            sealing: None,
            received_count: Count::default(),
            sent_count: Count::default(),
            terms,
            exchange: None,
            held: Vec::new(),
            rekey_bytes,
        }
    }

    /// Introduces both sides and agrees upon the first keys; returns the session's id.
    pub(super) async fn open(&mut self) -> Result<Vec<u8>, Problem> {
        let ours = String::from_utf8_lossy(&self.terms.versions[0]).into_owned();
        self.terms.versions[1] = self.exchange_versions(&ours).await?;
        self.begin_exchange()?;
        while self.exchange.is_some() {
            let message = poll_fn(|context| self.poll_packet(context)).await?;
            self.take_key_message(&message.ok_or(Problem::Closed { complaint: None, cause: None })?)?;
        }
        Ok(self.terms.session.clone().unwrap_or_default())
    }

    /// Whether nothing of the channel can be sent now.
    pub(super) fn is_exchanging(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_holding)
    }

    fn begin_exchange(&mut self) -> Result<(), Problem> {
        let (exchange, message) = Exchange::begin(&self.terms)?;
        self.exchange = Some(exchange);
        self.send_now(message)
    }

    /// Takes in a message that has to do with keys.
    fn take_key_message(&mut self, message: &[u8]) -> Result<(), Problem> {
        if message[0] == DISCONNECT {
            return Err(super::disconnected(message));
        }
        if message[0] == KEXINIT && self.exchange.is_none() {
            self.begin_exchange()?;
        }
        let exchange = self.exchange.take().ok_or_else(unexpected)?;
        let (exchange, step) = exchange.handle(message, &mut self.terms)?;
        self.exchange = exchange;
        match step {
            Step::Send(message) => self.send_now(message)?,
            Step::Seal(message, sealing) => {
                self.send_now(message)?;
                self.sealing = Some(sealing);
                self.sent_count.renew(self.terms.strict);
                for message in std::mem::take(&mut self.held) {
                    self.send_now(message)?;
                }
            }
            Step::Open(opening) => {
                self.opening = Some(opening);
                self.received_count.renew(self.terms.strict);
            }
        }
        Ok(())
    }

    /// Sends our version and reads the server's (RFC 4253 §4.2), both without their line ends.
    async fn exchange_versions(&mut self, ours: &str) -> Result<Vec<u8>, Problem> {
        self.outgoing.extend_from_slice(format!("{ours}\r\n").as_bytes());
        let mut greeting = Vec::new();
        loop {
            while let Some(end) = self.incoming.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.incoming.drain(..=end).collect();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-") {
                    return Ok(line.to_vec());
                }
                if line.starts_with(b"SSH-") {
                    return Err(Problem::Ssh(format!("the server speaks {}, not SSH-2.0", printable(line))));
                }
                if greeting.is_empty() {
                    greeting = line.to_vec();
                }
            }
            if self.incoming.len() > VERSION_BYTES {
                return Err(Problem::NotGit { seen: printable(&self.incoming[..100]) });
            }
            if poll_fn(|context| self.poll_move(context)).await.map_err(closed)? == 0 {
                if greeting.is_empty() {
                    greeting = std::mem::take(&mut self.incoming);
                }
                return Err(match &greeting[..] {
                    [] => Problem::Closed { complaint: None, cause: None },
                    seen => Problem::NotGit { seen: printable(seen) },
                });
            }
        }
    }

    /// Queues a packet; while keys are exchanged it waits for them (RFC 4253 §7.1).
    pub(super) fn send(&mut self, message: Writer) -> Result<(), Problem> {
        if self.is_exchanging() {
            self.held.push(message);
            return Ok(());
        }
        self.send_now(message)
    }

    fn send_now(&mut self, message: Writer) -> Result<(), Problem> {
        let payload = message.0;
        // In the clear the length counts too (RFC 4253 §6), with these ciphers it does not (RFC 5647 §7.2).
        let (counted, block) =
            self.sealing.as_ref().map_or((1 + LENGTH, BLOCK), |sealing| (1, sealing.block()));
        let mut padding = block - (counted + payload.len()) % block;
        if padding < 4 {
            padding += block;
        }
        let mut packet =
            Writer::default().number(u32::try_from(1 + payload.len() + padding).unwrap_or_default()).0;
        packet.push(u8::try_from(padding).unwrap_or_default());
        packet.extend_from_slice(&payload);
        let random = packet.len();
        packet.resize(random + padding, 0);
        let failed = || Problem::Ssh("a packet cannot be sealed".into());
        SystemRandom::new().fill(&mut packet[random..]).map_err(|_| failed())?;
        if let Some(sealing) = &mut self.sealing {
            sealing.seal(self.sent_count.packet, &mut packet)?;
        }
        self.sent_count.add(packet.len());
        self.outgoing.drain(..self.sent);
        self.sent = 0;
        self.outgoing.extend_from_slice(&packet);
        Ok(())
    }

    /// Bytes that wait for the connection to take them.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent + self.held.iter().map(|message| message.0.len()).sum::<usize>()
    }

    /// Sends what is queued, and reads the next packet; the connection's end is an error.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, Problem> {
        poll_fn(|context| self.poll_receive(context))
            .await?
            .ok_or(Problem::Closed { complaint: None, cause: None })
    }

    /// The next message that has nothing to do with keys; none at the connection's end. Meanwhile what is queued is sent.
    pub(super) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, Problem>> {
        loop {
            if self.exchange.is_none()
                && self.received_count.bytes.max(self.sent_count.bytes) > self.rekey_bytes
            {
                self.begin_exchange()?;
            }
            let Some(message) = ready!(self.poll_packet(context))? else { return Poll::Ready(Ok(None)) };
            match message[0] {
                KEXINIT | NEWKEYS | KEX_ECDH_INIT | KEX_ECDH_REPLY => self.take_key_message(&message)?,
                // RFC 4253 §7.1: once it has begun, only what is of the transport itself.
                number
                    if number >= KEXINIT
                        && self.exchange.as_ref().is_some_and(|exchange| !exchange.lets_pass()) =>
                {
                    return Poll::Ready(Err(unexpected()));
                }
                _ => return Poll::Ready(Ok(Some(message))),
            }
        }
    }

    /// The next packet's message; none at the connection's end. Meanwhile what is queued is sent.
    fn poll_packet(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, Problem>> {
        loop {
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(Some(message)));
            }
            if ready!(self.poll_move(context)).map_err(closed)? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Sends what can be sent; ready once all of it has been, and flushed.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.outgoing[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.outgoing.clear();
        self.sent = 0;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Sends what can be sent and reads what is there; returns how much, 0 at the end.
    fn poll_move(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.poll_flush(context) {
            return Poll::Ready(Err(error));
        }
        let filled = self.incoming.len();
        self.incoming.resize(filled + READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut self.incoming[filled..]);
        let polled = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
        let count = buffer.filled().len();
        self.incoming.truncate(filled + count);
        polled.map_ok(|()| count)
    }

    /// Takes a packet off what has come; returns its message.
    fn take(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let broken = || Problem::Ssh("the server sends a packet that is none".into());
        let Some(length) = self.incoming.first_chunk() else { return Ok(None) };
        let number = self.received_count.packet;
        let length = match &self.opening {
            None => u32::from_be_bytes(*length),
            Some(opening) => opening.length(number, *length),
        };
        let length = usize::try_from(length).map_err(|_| broken())?;
        if !(5..=PACKET_BYTES).contains(&length) {
            return Err(broken());
        }
        let end = LENGTH + length + if self.opening.is_some() { TAG } else { 0 };
        if self.incoming.len() < end {
            return Ok(None);
        }
        let mut packet: Vec<u8> = self.incoming.drain(..end).collect();
        self.received_count.add(end);
        let body = match &mut self.opening {
            None => &packet[LENGTH..],
            Some(opening) => opening.open(number, &mut packet)?,
        };
        let mut reader = Reader(body);
        let padding = usize::from(reader.byte()?);
        let message = reader.0.len().checked_sub(padding).map(|end| &reader.0[..end]);
        message.filter(|message| !message.is_empty()).map(|message| Some(message.to_vec())).ok_or_else(broken)
    }
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.packet = self.packet.wrapping_add(1);
        self.bytes += bytes as u64;
    }

    /// There are new keys.
    fn renew(&mut self, strict: bool) {
        self.bytes = 0;
        if strict {
            self.packet = 0;
        }
    }
}

fn closed(error: io::Error) -> Problem {
    Problem::Closed { complaint: None, cause: Some(error) }
}
