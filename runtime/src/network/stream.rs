//! A TCP connection as `AsyncRead` and `AsyncWrite`.

use super::{
    Network, TcpOptions,
    flows::{Connection, Flow, FlowId, FourTuple, Holder},
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
        match stack.flows.get(self.id).map(Flow::socket) {
            Some(Some(socket)) if socket.state() == tcp::State::Closed => 0,
            Some(Some(socket)) => self.written - socket.send_queue() as u64,
            Some(None) => self.written, // it rests
            None => 0,
        }
    }

    /// Breaks the connection off with a RST.
    pub fn abort(self) {
        self.network.borrow_mut().break_off(self.id);
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
        let flow = stack.flows.get_mut(self.id).ok_or(ErrorKind::NotConnected)?;
        let socket = match &mut flow.connection {
            Connection::Awake(set, handle) => set.get_mut::<tcp::Socket>(*handle),
            Connection::Resting(rest) => {
                rest.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
        };
        if !socket.can_recv() {
            if socket.may_recv() {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            }
            return Poll::Ready(ended(socket));
        }
        let before = buffer.filled().len();
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
        let taken = buffer.filled().len() - before;
        flow.read = flow.read.wrapping_add(taken as u32);
        flow.flooded |= 2 * taken > flow.receive_bytes;
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
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.network.borrow_mut().write(self.id, context, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            self.written += *written as u64;
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true // so that whoever has a head and a body need not put them together
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stack = self.network.borrow_mut();
        if !stack.awaken(self.id) && !stack.awaken_to_end(self.id) {
            return Poll::Ready(Err(ErrorKind::OutOfMemory.into()));
        }
        stack.stream_socket(self.id)?.close();
        stack.mark_dirty(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Stack {
    /// The socket of a flow that a stream holds, and that does not rest.
    fn stream_socket(&mut self, id: FlowId) -> io::Result<&mut tcp::Socket<'static>> {
        self.flows.get_mut(id).and_then(Flow::socket_mut).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn write(
        &mut self,
        id: FlowId,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = pieces.iter().map(|piece| piece.len()).sum();
        let waits = self.make_room(id, wanted);
        if self.flows.get(id).is_some() && !self.awaken(id) {
            return Poll::Ready(Err(ErrorKind::OutOfMemory.into()));
        }
        let flow = self.flows.get_mut(id).ok_or(ErrorKind::NotConnected)?;
        let Some(socket) = flow.socket_mut() else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if !socket.may_send() {
            let reset = socket.state() == tcp::State::Closed;
            return Poll::Ready(Err(
                if reset { ErrorKind::ConnectionReset } else { ErrorKind::BrokenPipe }.into()
            ));
        }
        if (waits || !socket.can_send()) && wanted > 0 {
            socket.register_send_waker(context.waker());
            flow.crowded = true;
            return Poll::Pending;
        }
        let mut written = 0;
        for piece in pieces {
            let taken = socket.send_slice(piece).unwrap_or(0);
            written += taken;
            if taken < piece.len() {
                break;
            }
        }
        flow.written = flow.written.wrapping_add(written as u32);
        flow.active = self.now;
        self.mark_dirty(id);
        Poll::Ready(Ok(written))
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
        let mut socket = new_tcp_socket(options, options.receive_buffer, options.send_buffer)
            .map_err(|_| ErrorKind::OutOfMemory)?;
        socket.set_timeout(Some(Duration::from_secs(CONNECT_SECONDS)));
        socket
            .connect(self.interface.context(), IpEndpoint::from(peer), IpEndpoint::from(local))
            .map_err(|_| ErrorKind::AddrNotAvailable)?;
        let tuple = FourTuple::new(local, peer);
        let id = Connection::awake(socket)
            .and_then(|connection| self.flows.insert(Flow::new(connection, tuple, Holder::Stream, options)))
            .map_err(|_| ErrorKind::OutOfMemory)?;
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
