//! Datagrams answered below the sockets: for protocols that keep no state between a question and its answer.
//!
//! The answer is written over the question, in the very buffer the frame was received in, and leaves in that frame. What
//! the classifier does not take (IPv4 options, fragments, broadcasts) reaches the same [`Responder`] through a UDP socket.

use super::{Network, Refused, classify::Reason, datagram::Datagram, stack::Stack, udp::new_socket};
use crate::limits::UDP_SOCKETS;
use smoltcp::{
    iface::SocketHandle,
    socket::udp::{self, SendError},
    wire::IpEndpoint,
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Bytes queued on a responder's slow path, in each direction.
const SLOW_QUEUE_BYTES: usize = 16 * 1024;
/// Datagrams queued on a responder's slow path, in each direction.
const SLOW_QUEUE: usize = 32;

/// Answers datagrams, one at a time, without waiting for anything.
///
/// It is called while the network is at work: it must not use the network, and there is no task to await in.
pub trait Responder {
    /// `buffer[..length]` is the payload that `ends.theirs` sent; the rest of `buffer` is room for a longer answer, as much as a
    /// frame takes. Writes the answer over it and returns its length, or `None` to send nothing.
    fn respond(&mut self, ends: Endpoints, buffer: &mut [u8], length: usize) -> Option<usize>;

    /// Whether the datagram that was not answered just now was kept for a task, which has been woken and will answer by
    /// [`Network::send_from`].
    fn kept(&mut self) -> bool {
        false
    }
}

/// Between whom a datagram goes; an answer goes between the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Who sent it.
    pub theirs: SocketAddr,
    /// The address of ours that it was sent to: an answer from another is none to whoever asked.
    pub ours: IpAddr,
}

impl From<udp::UdpMetadata> for Endpoints {
    fn from(metadata: udp::UdpMetadata) -> Endpoints {
        let source = metadata.endpoint;
        let theirs = SocketAddr::new(source.addr.into(), source.port);
        // smoltcp says which it was, of all that it has received.
        let none = if theirs.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Endpoints { theirs, ours: metadata.local_address.map_or(none, IpAddr::from) }
    }
}

impl From<Endpoints> for udp::UdpMetadata {
    fn from(Endpoints { theirs, ours }: Endpoints) -> udp::UdpMetadata {
        let local_address = (!ours.is_unspecified()).then(|| ours.into());
        udp::UdpMetadata { local_address, ..IpEndpoint::from(theirs).into() }
    }
}

/// What became of a datagram on the fast path.
pub(super) enum Outcome {
    /// No responder has its port.
    NotOurs,
    /// It was answered or dropped; no task was woken.
    Quiet,
    /// A task was woken.
    Woke,
}

pub(super) struct Responding {
    port: u16,
    handle: SocketHandle,
    responder: Box<dyn Responder>,
}

impl Network {
    /// Answers datagrams to `port` with `responder`, from now on.
    pub fn respond(&self, port: u16, responder: Box<dyn Responder>) -> Result<(), Refused> {
        let mut stack = self.borrow_mut();
        if stack.udp_port_taken(port) {
            return Err(Refused::PortTaken(port));
        }
        if stack.udp_sockets.len() + stack.responders.len() >= UDP_SOCKETS {
            return Err(Refused::TooManySockets);
        }
        let mut socket = new_socket(SLOW_QUEUE, SLOW_QUEUE_BYTES).map_err(|_| Refused::NoMemory)?;
        socket.bind(port).map_err(|_| Refused::PortTaken(port))?;
        let handle = stack.base.add(socket);
        stack.responders.push(Responding { port, handle, responder });
        Ok(())
    }

    /// Sends a datagram from the port of a responder: an answer that took longer. It does not wait.
    ///
    /// Errors: `NotFound` if `port` has no responder, `WouldBlock` if its queue is full (the datagram is dropped, as UDP
    /// allows), `AddrNotAvailable` if `ends.theirs` cannot be reached.
    pub fn send_from(&self, port: u16, payload: &[u8], ends: Endpoints) -> io::Result<()> {
        let mut stack = self.borrow_mut();
        let responder = stack.responders.iter().find(|entry| entry.port == port);
        let handle = responder.ok_or(ErrorKind::NotFound)?.handle;
        let socket = stack.base.get_mut::<udp::Socket>(handle);
        socket.send_slice(payload, udp::UdpMetadata::from(ends)).map_err(|error| match error {
            SendError::BufferFull => ErrorKind::WouldBlock,
            SendError::Unaddressable => ErrorKind::AddrNotAvailable,
        })?;
        stack.base_dirty = true;
        Ok(())
    }
}

impl Stack {
    /// The fast path. `verified`: the device vouches for the checksum.
    #[inline]
    pub(super) fn answer(&mut self, datagram: Datagram, length: usize, verified: bool) -> Outcome {
        let Some(entry) = self.responders.iter_mut().find(|entry| entry.port == datagram.port) else {
            return Outcome::NotOurs;
        };
        if !verified && !datagram.verify(&self.frame[..length]) {
            self.counters.dropped(Reason::Checksum);
            return Outcome::Quiet;
        }
        let ends = datagram.endpoints(&self.frame);
        let buffer = &mut self.frame[datagram.payload()..];
        let room = buffer.len();
        match entry.responder.respond(ends, buffer, datagram.length).filter(|&answer| answer <= room) {
            Some(answer) => {
                let end = datagram.answer(&mut self.frame, answer);
                self.device.transmit(&self.frame[..end]);
                self.counters.fast_answers += 1;
                self.counters.frames_out += 1;
            }
            None if entry.responder.kept() => return Outcome::Woke,
            None => self.counters.unanswered += 1,
        }
        Outcome::Quiet
    }

    /// Answers what came through the responders' sockets.
    pub(super) fn answer_slowly(&mut self) {
        for entry in &mut self.responders {
            let socket = self.base.get_mut::<udp::Socket>(entry.handle);
            while socket.can_recv() && socket.can_send() {
                let Ok((payload, metadata)) = socket.recv() else { break };
                let length = payload.len().min(self.frame.len());
                self.frame[..length].copy_from_slice(&payload[..length]);
                let ends = Endpoints::from(metadata);
                let room = self.frame.len() - datagram_overhead(ends.theirs);
                let answer = entry.responder.respond(ends, &mut self.frame[..room], length.min(room));
                match answer.filter(|&answer| answer <= room) {
                    Some(answer) if socket.send_slice(&self.frame[..answer], metadata).is_ok() => {}
                    None if entry.responder.kept() => {}
                    _ => self.counters.unanswered += 1,
                }
            }
        }
    }

    /// The sockets of the responders, for the watch over neighbours that do not answer.
    pub(super) fn responder_sockets(&self) -> impl Iterator<Item = (u16, SocketHandle)> {
        self.responders.iter().map(|entry| (entry.port, entry.handle))
    }
}

/// Bytes of a frame before a datagram's payload.
fn datagram_overhead(source: SocketAddr) -> usize {
    Datagram { ipv6: source.is_ipv6(), port: 0, length: 0 }.payload()
}
