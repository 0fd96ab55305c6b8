//! A TCP connection as `AsyncRead` and `AsyncWrite`.

use super::{
    Network, TcpOptions,
    flows::{Flow, FlowId, FourTuple, Holder},
    ingress::new_tcp_socket,
    stack::Stack,
};
use crate::limits::{CONNECT_SECONDS, FLOWS};
use smoltcp::{
    socket::tcp::{self, RecvError},
    time::Duration,
    wire::IpEndpoint,
};
use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Ports that we connect from (RFC 6335 §6).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Ports tried until one is free for a peer.
const PORT_ATTEMPTS: usize = 64;

/// A TCP connection. Dropping it closes it gracefully; if the peer's data was not read to the end, with a RST.
///
/// Reading gives 0 bytes once the peer has closed its half, an error of kind `ConnectionReset` if the connection broke.
/// `shutdown` closes our half and returns at once; the other half can still be read.
pub struct TcpStream {
    network: Network,
    id: FlowId,
    local: SocketAddr,
    peer: SocketAddr,
    written: u64,
}

impl TcpStream {
    pub(super) fn new(network: &Network, id: FlowId, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { network: network.clone(), id, local, peer, written: 0 }
    }

    /// Connects to `peer`. Of `options` the listener's are ignored.
    ///
    /// Errors: `AddrNotAvailable` if we have no address to reach it from, `OutOfMemory`, `ConnectionRefused` if it refused or
    /// did not answer in [`CONNECT_SECONDS`] seconds.
    pub async fn connect(network: &Network, peer: SocketAddr, options: TcpOptions) -> io::Result<Self> {
        let (id, local) = network.borrow_mut().connect(peer, &options)?;
        let stream = Self::new(network, id, local, peer);
        poll_fn(|context| stream.poll_connected(context, &options)).await?;
        Ok(stream)
    }

    fn poll_connected(&self, context: &mut Context<'_>, options: &TcpOptions) -> Poll<io::Result<()>> {
        let mut stack = self.network.borrow_mut();
        let socket = stack.stream_socket(self.id)?;
        match socket.state() {
            tcp::State::SynSent | tcp::State::SynReceived => {
                socket.register_send_waker(context.waker());
                Poll::Pending
            }
            tcp::State::Closed => Poll::Ready(Err(ErrorKind::ConnectionRefused.into())),
            _ => {
                socket.set_timeout(options.idle_timeout.map(Into::into));
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The address of ours that the peer speaks to.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The peer's address.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    /// Bytes that were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that were written and that the peer's host has acknowledged. They are with the peer's host, not yet with the
    /// peer. Zero once the connection is gone.
    pub fn acknowledged(&self) -> u64 {
        let stack = self.network.borrow();
        let socket = stack.flows.get(self.id).map(Flow::socket);
        let alive = socket.filter(|socket| socket.state() != tcp::State::Closed);
        alive.map_or(0, |socket| self.written - socket.send_queue() as u64)
    }

    /// Breaks the connection off with a RST.
    pub fn abort(self) {
        let mut stack = self.network.borrow_mut();
        if let Ok(socket) = stack.stream_socket(self.id) {
            socket.abort();
        }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.network.borrow_mut().let_go(self.id);
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stack = self.network.borrow_mut();
        let socket = stack.stream_socket(self.id)?;
        if !socket.can_recv() {
            if socket.may_recv() {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            }
            return Poll::Ready(ended(socket));
        }
        // Twice at most: what is received may be in two pieces around the end of the ring.
        while buffer.remaining() > 0 && socket.can_recv() {
            let taken = socket.recv(|data| {
                let length = data.len().min(buffer.remaining());
                buffer.put_slice(&data[..length]);
                (length, ())
            });
            if taken.is_err() {
                break;
            }
        }
        stack.mark_dirty(self.id); // the window may have opened
        Poll::Ready(Ok(()))
    }
}

/// Why nothing will ever be received again: the peer's FIN, or an error.
fn ended(socket: &mut tcp::Socket<'static>) -> io::Result<()> {
    match socket.recv(|_| (0, ())) {
        Err(RecvError::Finished) | Ok(()) => Ok(()),
        Err(RecvError::InvalidState) => Err(ErrorKind::ConnectionReset.into()),
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut stack = self.network.borrow_mut();
        let socket = stack.stream_socket(self.id)?;
        if !socket.may_send() {
            let reset = socket.state() == tcp::State::Closed;
            return Poll::Ready(Err(
                if reset { ErrorKind::ConnectionReset } else { ErrorKind::BrokenPipe }.into()
            ));
        }
        if !socket.can_send() && !bytes.is_empty() {
            socket.register_send_waker(context.waker());
            return Poll::Pending;
        }
        let written = socket.send_slice(bytes).unwrap_or(0);
        stack.mark_dirty(self.id);
        drop(stack);
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stack = self.network.borrow_mut();
        stack.stream_socket(self.id)?.close();
        stack.mark_dirty(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Stack {
    /// The socket of a flow that a stream holds.
    fn stream_socket(&mut self, id: FlowId) -> io::Result<&mut tcp::Socket<'static>> {
        self.flows.get_mut(id).map(Flow::socket_mut).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn connect(&mut self, peer: SocketAddr, options: &TcpOptions) -> io::Result<(FlowId, SocketAddr)> {
        self.read_clock();
        let address = self
            .interface
            .get_source_address(&peer.ip().into())
            .filter(|address| self.interface.has_ip_addr(*address))
            .ok_or(ErrorKind::AddrNotAvailable)?;
        if self.flows.len() >= FLOWS || !self.has_memory_for(options.memory()) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let local = (0..PORT_ATTEMPTS)
            .find_map(|_| {
                let local = SocketAddr::new(address.into(), self.random_port());
                self.flows.find(&FourTuple::new(local, peer)).is_none().then_some(local)
            })
            .ok_or(ErrorKind::AddrInUse)?;
        let mut socket = new_tcp_socket(options).map_err(|_| ErrorKind::OutOfMemory)?;
        socket.set_timeout(Some(Duration::from_secs(CONNECT_SECONDS)));
        socket
            .connect(self.interface.context(), IpEndpoint::from(peer), IpEndpoint::from(local))
            .map_err(|_| ErrorKind::AddrNotAvailable)?;
        let flow = Flow::new(socket, FourTuple::new(local, peer), Holder::Stream, None);
        let id = flow.and_then(|flow| self.flows.insert(flow)).map_err(|_| ErrorKind::OutOfMemory)?;
        self.counters.connections += 1;
        self.mark_dirty(id);
        Ok((id, local))
    }

    /// A port that nobody can guess (RFC 6056).
    pub(super) fn random_port(&mut self) -> u16 {
        let mut bytes = [0; 2];
        (self.random)(&mut bytes);
        EPHEMERAL.start() + u16::from_ne_bytes(bytes) % (EPHEMERAL.end() - EPHEMERAL.start() + 1)
    }
}
