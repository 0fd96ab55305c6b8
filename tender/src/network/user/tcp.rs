//! Connections: accepted on the host, opened again towards the guest from 10.0.2.2, bytes pumped both ways; and with
//! `--outbound` those that the guest opens, the same way round.
//!
//! ```text
//!  client ◄─ host socket ─► pump ◄─ smoltcp socket ─► guest
//!     end of stream ───────────────► FIN
//!     FIN ◄──────────────── end of stream
//!     RST ◄───────────────────────── RST
//! ```
//!
//! Nothing is buffered in between: what the guest has not room for stays in the host's socket, and the other way round.
//! Host sockets are watched edge-triggered, so a connection that waits costs nothing.
//!
//! The guest's first segment is held until the peer has answered: then smoltcp takes it, and accepts as if it were the peer,
//! or refuses for want of a socket where the peer cannot be reached.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{SocketFlags, SocketType, accept_with, sockopt};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, RecvError, SendError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::frame::{GATEWAY, GATEWAY_MAC, GUEST, PREFIX_LENGTH};
use super::gateway::Wire;
use super::outbound::dial;
use crate::limits::{USER_TCP_BUFFER_SIZE, USER_TCP_CONNECTIONS_MAX};

/// The lowest port of the gateway for connections to the guest.
const FIRST_PORT: u16 = 49152;

/// How long the guest may leave data or a connection attempt unanswered.
const TIMEOUT: Duration = Duration::from_secs(30);

/// All connections, and the network interface that carries them.
pub struct Connections {
    interface: Interface,
    sockets: SocketSet<'static>,
    open: Vec<Option<Connection>>,
    next_port: u16,
}

struct Connection {
    stream: TcpStream,
    handle: SocketHandle,
    ends: Ends,
    /// The guest's first segment, while the peer of a connection outwards has not answered.
    held: Option<Vec<u8>>,
    /// The host's socket may have something to read, or its end.
    readable: bool,
    /// The host's socket may take something.
    writable: bool,
    /// The client has sent its last byte.
    client_done: bool,
    /// The guest has sent its last byte, and the client was told.
    guest_done: bool,
}

/// What tells a connection from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// From this port of the gateway to the guest.
    Inwards(u16),
    /// From this port of the guest to a peer, as the guest calls it.
    Outwards(u16, SocketAddrV4),
}

/// What became of a segment with which the guest wants to open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The connection has this number; its host socket is to be watched.
    Dialling(usize),
    /// It belongs to a connection there is.
    Known,
    /// There will be no connection.
    Refused,
}

/// What became of a connection after it was looked at.
#[derive(PartialEq, Eq)]
enum Outcome {
    Open,
    Finished,
    Reset,
}

impl Connections {
    /// No connections yet.
    pub fn new(wire: &mut Wire) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(GATEWAY_MAC));
        config.random_seed = u64::from_le_bytes(random_bytes());
        let mut interface = Interface::new(config, wire, Instant::now());
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(GATEWAY), PREFIX_LENGTH))
                .expect("an interface has room for its first address");
        });
        let spread = u16::from_le_bytes(random_bytes()) % (u16::MAX - FIRST_PORT);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            open: Vec::new(),
            next_port: FIRST_PORT + spread,
        }
    }

    /// Whether another connection can be accepted.
    pub fn has_room(&self) -> bool {
        self.open.len() < USER_TCP_CONNECTIONS_MAX || self.open.iter().any(Option::is_none)
    }

    /// Accepts a connection from `listener` and opens one to `guest_port`. Returns its number, under which the caller
    /// watches the host's socket; `None` if nobody is waiting.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, guest_port: u16) -> io::Result<Option<usize>> {
        let stream = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(stream) => TcpStream::from(stream),
            Err(error) => {
                return match io::Error::from(error) {
                    error if error.kind() == ErrorKind::WouldBlock => Ok(None),
                    error => Err(error),
                };
            }
        };
        stream.set_nodelay(true)?;
        let port = self.free_port();
        let socket = self.connect(guest_port, port)?;
        Ok(Some(self.add(stream, socket, Ends::Inwards(port), None)))
    }

    /// From now on the guest may open connections to any address: each is taken for one of the gateway's.
    pub fn accept_any_destination(&mut self) {
        self.interface.set_any_ip(true);
        let routed = self.interface.routes_mut().add_default_ipv4_route(GATEWAY);
        routed.expect("a new interface has room for its first route");
    }

    /// The guest opens a connection from `guest_port` to `destination` with the segment in `frame`; the host goes to `peer`.
    pub fn open(
        &mut self,
        guest_port: u16,
        destination: SocketAddrV4,
        peer: Option<SocketAddrV4>,
        frame: Vec<u8>,
        wire: &mut Wire,
    ) -> Opened {
        let ends = Ends::Outwards(guest_port, destination);
        if let Some(known) = self.open.iter().flatten().find(|connection| connection.ends == ends) {
            // A repetition: while the peer has not answered there is nothing to say to it.
            if known.held.is_none() {
                wire.take(frame);
            }
            return Opened::Known;
        }
        let stream = peer.filter(|_| self.has_room()).map(|peer| dial(SocketType::STREAM, peer));
        let Some(Ok(stream)) = stream else {
            wire.take(frame);
            return Opened::Refused;
        };
        let stream = TcpStream::from(stream);
        // Best effort: it is about delay alone.
        let _ = stream.set_nodelay(true);
        Opened::Dialling(self.add(stream, new_socket(), ends, Some(frame)))
    }

    /// Keeps a connection under a number of its own.
    fn add(
        &mut self,
        stream: TcpStream,
        socket: Socket<'static>,
        ends: Ends,
        held: Option<Vec<u8>>,
    ) -> usize {
        let handle = self.sockets.add(socket);
        let connection = Connection {
            stream,
            handle,
            ends,
            held,
            readable: true,
            writable: true,
            client_done: false,
            guest_done: false,
        };
        let free = self.open.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[number] = Some(connection);
        number
    }

    /// The host's socket of connection `number`.
    pub fn stream(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.open.get(number)?.as_ref().map(|connection| connection.stream.as_fd())
    }

    /// The host's socket of connection `number` has changed: `failed`, or has something to read or room to write.
    pub fn handle_event(&mut self, number: usize, failed: bool, wire: &mut Wire) {
        let Some(place) = self.open.get_mut(number) else { return };
        let Some(connection) = place else { return };
        connection.readable = true;
        connection.writable = true;
        if let (Some(frame), Ends::Outwards(_, peer)) = (connection.held.take(), connection.ends) {
            wire.take(frame);
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if failed || socket.listen((IpAddress::Ipv4(*peer.ip()), peer.port())).is_err() {
                self.sockets.remove(connection.handle);
                *place = None;
            }
        } else if failed {
            self.sockets.get_mut::<Socket<'_>>(connection.handle).abort();
        }
    }

    /// Takes the frames that wait in `wire`, moves bytes both ways, sends what there is to send.
    pub fn poll(&mut self, wire: &mut Wire) {
        let now = Instant::now();
        self.interface.poll(now, wire, &mut self.sockets);
        let mut moved = false;
        for place in &mut self.open {
            let Some(connection) = place.as_mut().filter(|connection| connection.held.is_none()) else {
                continue;
            };
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            let before = (socket.send_queue(), socket.recv_queue(), socket.state());
            let outcome = connection.pump(socket);
            moved |= before != (socket.send_queue(), socket.recv_queue(), socket.state());
            if outcome != Outcome::Open {
                if outcome == Outcome::Reset {
                    // Not lingering makes closing a reset. Best effort: the client sees an end in any case.
                    let _ = sockopt::set_socket_linger(&connection.stream, Some(std::time::Duration::ZERO));
                }
                self.sockets.remove(connection.handle);
                *place = None;
            }
        }
        if moved {
            self.interface.poll(now, wire, &mut self.sockets);
        }
    }

    /// When [`poll`](Self::poll) has something to do next, from now.
    pub fn poll_delay(&mut self) -> Option<std::time::Duration> {
        if self.open.iter().all(Option::is_none) {
            return None;
        }
        self.interface.poll_delay(Instant::now(), &self.sockets).map(Into::into)
    }

    fn connect(&mut self, guest_port: u16, port: u16) -> io::Result<Socket<'static>> {
        let mut socket = new_socket();
        let guest = (IpAddress::Ipv4(GUEST), guest_port);
        socket.connect(self.interface.context(), guest, port).map_err(io::Error::other)?;
        Ok(socket)
    }

    fn free_port(&mut self) -> u16 {
        // There are far more ports than connections, so this ends.
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            let taken = self.open.iter().flatten().any(|connection| connection.ends == Ends::Inwards(port));
            if !taken {
                return port;
            }
        }
    }
}

impl Connection {
    /// Moves what can be moved.
    fn pump(&mut self, socket: &mut Socket<'_>) -> Outcome {
        if self.feed_guest(socket).is_err() || self.feed_client(socket).is_err() {
            socket.abort();
            return Outcome::Reset;
        }
        match socket.state() {
            State::Closed if self.client_done && self.guest_done => Outcome::Finished,
            // A listener that did not take the segment it was made for has no other to wait for.
            State::Closed | State::Listen => Outcome::Reset,
            // Both directions have ended and the guest knows: smoltcp's waiting for stray segments is not worth a place.
            State::TimeWait if self.guest_done => Outcome::Finished,
            _ => Outcome::Open,
        }
    }

    fn feed_guest(&mut self, socket: &mut Socket<'_>) -> io::Result<()> {
        while self.readable && !self.client_done && socket.can_send() {
            let mut result = Ok(0);
            let sent = socket.send(|room| {
                result = self.stream.read(room);
                (result.as_ref().map_or(0, |&length| length), ())
            });
            match (sent, result) {
                (Err(SendError::InvalidState), _) => break,
                (Ok(()), Ok(0)) => {
                    self.client_done = true;
                    socket.close();
                }
                (Ok(()), Ok(_)) => {}
                (Ok(()), Err(error)) => self.readable = !would_block(error)?,
            }
        }
        Ok(())
    }

    fn feed_client(&mut self, socket: &mut Socket<'_>) -> io::Result<()> {
        while self.writable && socket.can_recv() {
            let mut result = Ok(0);
            let received = socket.recv(|bytes| {
                result = self.stream.write(bytes);
                (result.as_ref().map_or(0, |&length| length), ())
            });
            match (received, result) {
                (Err(RecvError::InvalidState | RecvError::Finished), _) => break,
                (Ok(()), Ok(_)) => {}
                (Ok(()), Err(error)) => self.writable = !would_block(error)?,
            }
        }
        let guest_ended =
            matches!(socket.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if guest_ended && !socket.can_recv() && !self.guest_done {
            self.guest_done = true;
            // The client may be gone already, which reading finds out.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

/// A socket towards the guest.
fn new_socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; USER_TCP_BUFFER_SIZE]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(CongestionControl::Reno);
    socket.set_timeout(Some(TIMEOUT));
    // A connection that is merely silent stays: the guest answers a sign of life, and only one that is gone does not.
    socket.set_keep_alive(Some(TIMEOUT / 3));
    socket.set_ack_delay(None);
    socket
}

/// Whether it is only that; other errors are handed on.
fn would_block(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(true),
        ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the pointer and length are those of `bytes`. So few bytes are never returned in part.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    assert_eq!(got, N as isize, "getrandom: {}", io::Error::last_os_error());
    bytes
}
