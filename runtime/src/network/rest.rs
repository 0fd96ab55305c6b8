//! Connections in which nothing is under way: a few numbers instead of a socket with its buffers.
//!
//! ```text
//!  SYN cookie acknowledged ─► Rest ◄── quiet for REST_SECONDS, all read, all acknowledged ──┐
//!                              └── a segment, or the service writes or closes ─► socket ────┘
//! ```
//! smoltcp's sockets have buffers of one size for life, and no way to be made in the middle of a connection. But a handshake
//! says everything that one needs to know of a connection in which nothing is under way. So a new socket is told of one that never
//! was on the wire, with the peer's options and numbers: in a workshop, an interface that nothing leaves. What it says of its own number
//! gives the offset between its numbers and those on the wire (`sequence.rs`). This is also how the buffers of a socket grow.
//!
//! What a new socket does not know is round-trip times and the congestion window: it starts slowly, as whoever was idle
//! should (RFC 5681 §4.1).

use super::{
    flows::{Connection, Flow},
    timers::Micros,
};
use crate::limits::{FIRST_RECEIVE_BYTES, RECEIVE_BYTES_MAX};
use smoltcp::{
    iface::{Config, Interface, SocketSet},
    phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium},
    socket::tcp,
    time::Instant,
    wire::{
        HardwareAddress, IpAddress, IpCidr, IpListenEndpoint, IpProtocol, IpRepr, TcpControl, TcpPacket,
        TcpRepr, TcpSeqNumber,
    },
};
use std::{collections::TryReserveError, net::SocketAddr, task::Waker};

/// Bytes of the longest segment of such a handshake: IPv6, TCP with all options, a byte.
const SEGMENT_MAX: usize = 40 + 60 + 1;
/// Microseconds that such a handshake seems to take: a third of the first timeout for a retransmission (RFC 6298 §2), so
/// that what the socket makes of it is that timeout again.
const ROUND_TRIP: Micros = 333_000;

/// What a peer has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Bytes of data in a segment that it takes at most.
    pub segment: u16,
    /// By what its windows are to be shifted (RFC 7323 §2); `None` if it does not know of that.
    pub scale: Option<u8>,
    /// Whether it wants selective acknowledgements (RFC 2018).
    pub selective: bool,
    /// Its window, as in its last segment.
    pub window: u16,
}

/// Who waits for a resting connection.
#[derive(Debug, Default)]
pub struct Rest {
    /// The task that reads.
    pub reader: Option<Waker>,
}

/// Where sockets are told of connections.
pub struct Workshop(Interface);

impl Workshop {
    pub fn new(mtu: usize, seed: u64, now: Micros) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut bench = Bench { mtu, segment: None, said: None };
        Self(Interface::new(config, &mut bench, Instant::from_micros(now)))
    }

    /// Gives `flow` a new socket with buffers as large as it says, for the connection as it is: nothing that was sent is
    /// unacknowledged, everything received was read.
    pub fn awaken(&mut self, flow: &mut Flow, mtu: usize, now: Micros) -> Result<(), TryReserveError> {
        let Some(peer) = flow.peer else { return Ok(()) };
        let mut socket = super::ingress::new_tcp_socket(&flow.options, flow.receive_bytes, flow.send_bytes)?;
        socket.set_timeout(flow.options.idle_timeout.map(Into::into));
        let (local, remote) = flow.tuple.addresses();
        // A port is never 0 here and the socket is new, which are the only reasons for listen() to fail.
        let _ = socket.listen(IpListenEndpoint { addr: Some(local.ip().into()), port: local.port() });
        let Connection::Awake(mut set, handle) = Connection::awake(socket)? else { return Ok(()) };
        // The byte before the last stands for what was received and is still to be acknowledged.
        let owed = u32::from(flow.sequence.acknowledged() != flow.read);
        let first = flow.read.wrapping_sub(1 + owed);
        self.0.update_ip_addrs(|addresses| {
            let address = IpAddress::from(local.ip());
            let prefix = if local.is_ipv4() { 32 } else { 128 };
            addresses.clear();
            let _ = addresses.push(IpCidr::new(address, prefix)); // there is room for more than one
        });
        let syn = segment(remote, local, first, None, &peer, &[]);
        let said = self.tell(&syn, &mut set, mtu, now - ROUND_TRIP).unwrap_or_default();
        let own = said.wrapping_add(1);
        let acknowledgement =
            segment(remote, local, first.wrapping_add(1), Some(own), &peer, &[0][..owed as usize]);
        self.tell(&acknowledgement, &mut set, mtu, now);
        let socket = set.get_mut::<tcp::Socket>(handle);
        let _ = socket.recv(|_| (owed as usize, ()));
        if let Connection::Resting(Rest { reader: Some(reader) }) = &flow.connection {
            socket.register_recv_waker(reader);
        }
        flow.sequence.set_offset(own.wrapping_sub(flow.written));
        // Whoever waits for the socket of before has to look at this one.
        if let Some(before) = flow.socket_mut() {
            before.abort();
        }
        flow.connection = Connection::Awake(set, handle);
        Ok(())
    }

    /// Tells a socket of a segment; the number of the one that it answers with.
    fn tell(
        &mut self,
        segment: &Bytes,
        set: &mut SocketSet<'static>,
        mtu: usize,
        now: Micros,
    ) -> Option<u32> {
        let mut bench = Bench { mtu, segment: Some(segment.as_slice()), said: None };
        let now = Instant::from_micros(now);
        self.0.poll_ingress_single(now, &mut bench, set);
        if segment.opening {
            self.0.poll_egress(now, &mut bench, set);
        }
        bench.said
    }
}

/// Whether nothing of a connection is under way.
pub fn is_settled(socket: &tcp::Socket<'_>) -> bool {
    socket.state() == tcp::State::Established && socket.send_queue() == 0 && socket.recv_queue() == 0
}

/// Bytes of the receive buffer that a connection starts with: what its first window offers.
pub fn first_receive_bytes(bound: usize) -> usize {
    bound.min(FIRST_RECEIVE_BYTES)
}

/// Bytes of a receive buffer at most, whatever a service asks for.
pub fn receive_bound(bound: usize) -> usize {
    bound.min(RECEIVE_BYTES_MAX)
}

/// A packet of the workshop.
struct Bytes {
    bytes: [u8; SEGMENT_MAX],
    length: usize,
    opening: bool,
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A segment of the peer's: a SYN, or what acknowledges `acknowledged`.
fn segment(
    from: SocketAddr,
    to: SocketAddr,
    number: u32,
    acknowledged: Option<u32>,
    peer: &Peer,
    payload: &[u8],
) -> Bytes {
    let opening = acknowledged.is_none();
    let tcp = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control: if opening { TcpControl::Syn } else { TcpControl::None },
        seq_number: TcpSeqNumber(number as i32),
        ack_number: acknowledged.map(|number| TcpSeqNumber(number as i32)),
        window_len: peer.window,
        window_scale: peer.scale.filter(|_| opening),
        max_seg_size: opening.then_some(peer.segment),
        sack_permitted: opening && peer.selective,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let ip = IpRepr::new(from.ip().into(), to.ip().into(), IpProtocol::Tcp, tcp.buffer_len(), 64);
    let mut segment = Bytes { bytes: [0; SEGMENT_MAX], length: ip.buffer_len(), opening };
    let checksums = ChecksumCapabilities::ignored();
    ip.emit(&mut segment.bytes, &checksums);
    let payload = &mut segment.bytes[ip.header_len()..segment.length];
    tcp.emit(&mut TcpPacket::new_unchecked(payload), &ip.src_addr(), &ip.dst_addr(), &checksums);
    segment
}

/// What the workshop's interface stands on.
struct Bench<'a> {
    mtu: usize,
    segment: Option<&'a [u8]>,
    said: Option<u32>,
}

impl phy::Device for Bench<'_> {
    type RxToken<'t>
        = super::device::ReceiveToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Saying<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Saying<'_>)> {
        let segment = self.segment.take()?;
        Some((super::device::ReceiveToken::new(segment), Saying(&mut self.said)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Saying<'_>> {
        Some(Saying(&mut self.said))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum.ipv4 = Checksum::None;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

/// Keeps the number of the segment that is sent, and nothing else.
struct Saying<'a>(&'a mut Option<u32>);

impl phy::TxToken for Saying<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, send: F) -> R {
        let mut packet = [0; SEGMENT_MAX];
        let packet = &mut packet[..length.min(SEGMENT_MAX)];
        let result = send(packet);
        let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
        *self.0 =
            packet[header..].get(4..8).and_then(|number| number.try_into().ok()).map(u32::from_be_bytes);
        result
    }
}
