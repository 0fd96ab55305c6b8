//! Packets of ssh over a connection (RFC 4253 §6): in the clear until keys are agreed upon, then AES-256 in GCM
//! (RFC 5647, with the names of OpenSSH's PROTOCOL, §1.6).
//!
//! AES-GCM alone, since ring has it and every server: it authenticates a packet's place in the stream by itself, so that the
//! prefix truncation of CVE-2023-48795 has nothing to work on.

use super::limits::{PACKET_BYTES, VERSION_BYTES};
use crate::{
    openssh::wire::{Reader, Writer},
    remote::{Problem, limits::READ_BYTES, printable},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes to which a packet is padded; AES has 16, and in the clear 8 would do.
const BLOCK: usize = 16;

/// Bytes of a packet's length.
const LENGTH: usize = 4;

/// One direction's key, and the number of its next packet (RFC 5647 §7.1).
pub(super) struct Protection {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Protection {
    /// From 32 bytes of key and 12 of initial vector.
    pub(super) fn new(key: &[u8], nonce: &[u8]) -> Result<Self, Problem> {
        let unusable = || Problem::Ssh("keys of no use were agreed upon".into());
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| unusable())?;
        let nonce = nonce.get(..12).and_then(|nonce| nonce.try_into().ok()).ok_or_else(unusable)?;
        Ok(Self { key: LessSafeKey::new(key), nonce })
    }

    /// The number for this packet; the next one is one more.
    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        for byte in self.nonce[4..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

/// A connection on which packets are read and written.
pub(super) struct Transport<S> {
    stream: S,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    pub(super) opening: Option<Protection>,
    pub(super) sealing: Option<Protection>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, incoming: Vec::new(), outgoing: Vec::new(), sent: 0, opening: None, sealing: None }
    }

    /// Sends our version and reads the server's (RFC 4253 §4.2), both without their line ends.
    pub(super) async fn exchange_versions(&mut self, ours: &str) -> Result<Vec<u8>, Problem> {
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

    /// Queues a packet.
    pub(super) fn send(&mut self, message: Writer) -> Result<(), Problem> {
        let payload = message.0;
        // In the clear the length counts too (RFC 4253 §6), with GCM it does not (RFC 5647 §7.2).
        let counted = if self.sealing.is_some() { 1 } else { 1 + LENGTH };
        let mut padding = BLOCK - (counted + payload.len()) % BLOCK;
        if padding < 4 {
            padding += BLOCK;
        }
        let mut packet =
            Writer::default().number(u32::try_from(1 + payload.len() + padding).unwrap_or_default()).0;
        packet.push(u8::try_from(padding).unwrap_or_default());
        packet.extend_from_slice(&payload);
        let random = packet.len();
        packet.resize(random + padding, 0);
        let failed = || Problem::Ssh("a packet cannot be sealed".into());
        SystemRandom::new().fill(&mut packet[random..]).map_err(|_| failed())?;
        if let Some(protection) = &mut self.sealing {
            let (length, body) = packet.split_at_mut(LENGTH);
            let nonce = protection.next();
            let tag = protection
                .key
                .seal_in_place_separate_tag(nonce, Aad::from(&*length), body)
                .map_err(|_| failed())?;
            packet.extend_from_slice(tag.as_ref());
        }
        self.outgoing.drain(..self.sent);
        self.sent = 0;
        self.outgoing.extend_from_slice(&packet);
        Ok(())
    }

    /// Bytes that wait for the connection to take them.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Sends what is queued, and reads the next packet; the connection's end is an error.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, Problem> {
        poll_fn(|context| self.poll_receive(context))
            .await?
            .ok_or(Problem::Closed { complaint: None, cause: None })
    }

    /// The next packet's message; none at the connection's end. Meanwhile what is queued is sent.
    pub(super) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, Problem>> {
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
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken())?;
        if !(5..=PACKET_BYTES).contains(&length) {
            return Err(broken());
        }
        let tag = if self.opening.is_some() { AES_256_GCM.tag_len() } else { 0 };
        let end = LENGTH + length + tag;
        if self.incoming.len() < end {
            return Ok(None);
        }
        let mut packet: Vec<u8> = self.incoming.drain(..end).collect();
        let (aad, body) = packet.split_at_mut(LENGTH);
        let body = match &mut self.opening {
            None => &*body,
            Some(protection) => {
                let nonce = protection.next();
                let opened = protection.key.open_in_place(nonce, Aad::from(&*aad), body);
                opened.map_err(|_| Problem::Ssh("a packet was changed on its way".into()))?
            }
        };
        let mut reader = Reader(body);
        let padding = usize::from(reader.byte()?);
        let message = reader.0.len().checked_sub(padding).map(|end| &reader.0[..end]);
        message.filter(|message| !message.is_empty()).map(|message| Some(message.to_vec())).ok_or_else(broken)
    }
}

fn closed(error: io::Error) -> Problem {
    Problem::Closed { complaint: None, cause: Some(error) }
}
