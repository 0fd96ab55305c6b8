//! UDP sockets, for protocols that keep state or answer later. What can be answered at once is a `Responder`.

use super::{Network, Refused, responder::Endpoints, stack::Stack, timers::Micros};
use crate::limits::{UDP_SOCKETS, UNRESOLVED_MS};
use smoltcp::{
    iface::SocketHandle,
    socket::udp::{self, PacketBuffer, PacketMetadata, SendError},
    wire::IpEndpoint,
};
use std::{
    collections::TryReserveError,
    future::poll_fn,
    io::{self, ErrorKind},
    net::SocketAddr,
    task::Poll,
};

/// How much a UDP socket holds, in each direction. What does not fit is dropped, as UDP allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Datagrams.
    pub datagrams: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { datagrams: 64, bytes: 64 * 1024 }
    }
}

/// A UDP socket in the base set, and since when it has had something to send that does not leave.
pub(super) struct Bound {
    pub port: u16,
    pub handle: SocketHandle,
}

/// Watches a socket's queue for datagrams that do not leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    handle: SocketHandle,
    queued: usize,
    since: Micros,
}

/// A UDP socket on all addresses.
pub struct UdpSocket {
    network: Network,
    handle: SocketHandle,
    port: u16,
}

impl UdpSocket {
    /// Binds `port`, or one that nobody can guess if it is 0.
    pub fn bind(network: &Network, port: u16, options: UdpOptions) -> Result<Self, Refused> {
        let mut stack = network.borrow_mut();
        if stack.udp_sockets.len() + stack.responders.len() >= UDP_SOCKETS {
            return Err(Refused::TooManySockets);
        }
        if !stack.has_memory_for(2 * options.bytes) {
            return Err(Refused::NoMemory);
        }
        let port = if port == 0 { stack.free_udp_port() } else { port };
        let mut socket = new_socket(options.datagrams, options.bytes).map_err(|_| Refused::NoMemory)?;
        if stack.udp_port_taken(port) || socket.bind(port).is_err() {
            return Err(Refused::PortTaken(port));
        }
        let handle = stack.base.add(socket);
        stack.udp_sockets.push(Bound { port, handle });
        Ok(Self { network: network.clone(), handle, port })
    }

    /// The port it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes a datagram into `buffer`; its length and who sent it. What does not fit is cut off.
    pub async fn receive_from(&self, buffer: &mut [u8]) -> (usize, SocketAddr) {
        let (length, ends) = self.receive_between(buffer).await;
        (length, ends.theirs)
    }

    /// The same, and which of our addresses it was sent to.
    pub async fn receive_between(&self, buffer: &mut [u8]) -> (usize, Endpoints) {
        poll_fn(|context| {
            let mut stack = self.network.borrow_mut();
            let socket = stack.base.get_mut::<udp::Socket>(self.handle);
            let Ok((payload, metadata)) = socket.recv() else {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            };
            let length = payload.len().min(buffer.len());
            buffer[..length].copy_from_slice(&payload[..length]);
            Poll::Ready((length, Endpoints::from(metadata)))
        })
        .await
    }

    /// Sends `payload` to `destination`, waiting until there is room in the queue.
    ///
    /// Errors: `InvalidInput` if it is larger than the socket's queue, `AddrNotAvailable` if `destination` cannot be reached.
    pub async fn send_to(&self, payload: &[u8], destination: SocketAddr) -> io::Result<()> {
        self.send(payload, IpEndpoint::from(destination).into()).await
    }

    /// The same from a certain address of ours, as answers have to go.
    pub async fn send_between(&self, payload: &[u8], ends: Endpoints) -> io::Result<()> {
        self.send(payload, ends.into()).await
    }

    async fn send(&self, payload: &[u8], metadata: udp::UdpMetadata) -> io::Result<()> {
        poll_fn(|context| {
            let mut stack = self.network.borrow_mut();
            let socket = stack.base.get_mut::<udp::Socket>(self.handle);
            if payload.len() > socket.payload_send_capacity() {
                return Poll::Ready(Err(ErrorKind::InvalidInput.into()));
            }
            match socket.send_slice(payload, metadata) {
                Ok(()) => {
                    stack.base_dirty = true;
                    Poll::Ready(Ok(()))
                }
                Err(SendError::BufferFull) => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                Err(SendError::Unaddressable) => Poll::Ready(Err(ErrorKind::AddrNotAvailable.into())),
            }
        })
        .await
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut stack = self.network.borrow_mut();
        stack.base.remove(self.handle);
        stack.udp_sockets.retain(|bound| bound.handle != self.handle);
        stack.stuck.retain(|stuck| stuck.handle != self.handle);
    }
}

impl Stack {
    pub(super) fn udp_port_taken(&self, port: u16) -> bool {
        self.udp_sockets.iter().any(|bound| bound.port == port)
            || self.responder_sockets().any(|(other, _)| other == port)
    }

    fn free_udp_port(&mut self) -> u16 {
        loop {
            let port = self.random_port(); // there are more ports than sockets may be
            if !self.udp_port_taken(port) {
                return port;
            }
        }
    }

    /// smoltcp keeps a datagram until its neighbour answers, and all later ones behind it: one address that does not exist
    /// would silence the socket. So what does not leave in [`UNRESOLVED_MS`] is dropped with what is behind it.
    pub(super) fn drop_unresolved_datagrams(&mut self) {
        let bound = self.udp_sockets.iter().map(|bound| (bound.port, bound.handle));
        let sockets: Vec<_> = bound.chain(self.responder_sockets()).collect();
        for (port, handle) in sockets {
            let socket = self.base.get_mut::<udp::Socket>(handle);
            let queued = socket.send_queue();
            let known = self.stuck.iter().position(|stuck| stuck.handle == handle);
            match (queued, known) {
                (0, Some(at)) => drop(self.stuck.swap_remove(at)),
                (0, None) => {}
                (_, None) => self.stuck.push(Stuck { handle, queued, since: self.now }),
                (_, Some(at)) if queued < self.stuck[at].queued => {
                    self.stuck[at] = Stuck { handle, queued, since: self.now }
                }
                (_, Some(at)) if self.now - self.stuck[at].since < UNRESOLVED_MS as Micros * 1_000 => {
                    self.stuck[at].queued = queued;
                }
                (_, Some(at)) => {
                    socket.close();
                    let _ = socket.bind(port); // it was bound to this port a moment ago
                    self.stuck.swap_remove(at);
                    self.counters.unresolved += 1;
                }
            }
        }
    }
}

/// A UDP socket that is not bound yet, if there is memory for its queues.
pub(super) fn new_socket(datagrams: usize, bytes: usize) -> Result<udp::Socket<'static>, TryReserveError> {
    Ok(udp::Socket::new(queue(datagrams, bytes)?, queue(datagrams, bytes)?))
}

fn queue(datagrams: usize, bytes: usize) -> Result<PacketBuffer<'static>, TryReserveError> {
    let (mut metadata, mut payload) = (Vec::new(), Vec::new());
    metadata.try_reserve_exact(datagrams)?;
    metadata.resize(datagrams, PacketMetadata::EMPTY);
    payload.try_reserve_exact(bytes)?;
    payload.resize(bytes, 0);
    Ok(PacketBuffer::new(metadata, payload))
}
