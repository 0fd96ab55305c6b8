//! The table of TCP connections: four-tuple to flow in one hash lookup, whatever their number.
//!
//! smoltcp looks through every socket of a set for every packet. So each connection has a `SocketSet` of its own, and a
//! segment is matched to it here. Hashes are keyed at random (the standard library's SipHash): an attacker chooses the
//! addresses and ports, and must not be able to choose collisions.

use super::{
    listener::{ListenerId, TcpOptions},
    rest::{Peer, Rest},
    sequence::Sequence,
    timers::Micros,
};
use smoltcp::{
    iface::{SocketHandle, SocketSet, SocketStorage},
    socket::tcp,
};
use std::{
    collections::{HashMap, TryReserveError},
    hash::{Hash, Hasher},
    net::SocketAddr,
};

/// A connection's four-tuple, IPv4 addresses mapped into IPv6 ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourTuple([u8; 36]);

impl FourTuple {
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        let mut bytes = [0; 36];
        for (half, address) in bytes.chunks_exact_mut(18).zip([local, remote]) {
            let ip = match address.ip() {
                std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                std::net::IpAddr::V6(ip) => ip,
            };
            half[..16].copy_from_slice(&ip.octets());
            half[16..].copy_from_slice(&address.port().to_be_bytes());
        }
        Self(bytes)
    }

    /// The two ends: ours and the peer's.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let end = |half: &[u8]| {
            let ip = <[u8; 16]>::try_from(&half[..16]).expect("a half has 18 bytes");
            let port = u16::from_be_bytes([half[16], half[17]]);
            SocketAddr::new(std::net::Ipv6Addr::from(ip).to_canonical(), port)
        };
        (end(&self.0[..18]), end(&self.0[18..]))
    }
}

#[cfg(test)]
thread_local! {
    /// Hashes computed, for tests of how much work a packet makes.
    pub static HASHED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl Hash for FourTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        #[cfg(test)]
        HASHED.with(|hashed| hashed.set(hashed.get() + 1));
        state.write(&self.0);
    }
}

/// Names a flow, and no other flow that has its place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

impl FlowId {
    #[cfg(test)]
    pub const fn for_test(index: u32) -> Self {
        Self { index, generation: 0 }
    }
}

/// Who holds a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A listener, until it is accepted.
    Backlog,
    /// A `TcpStream`.
    Stream,
    /// Nobody: it finishes on its own.
    Nobody,
}

/// One TCP connection.
pub struct Flow {
    /// Its socket, or what is left of one where nothing is under way.
    pub connection: Connection,
    /// What its segments have said.
    pub sequence: Sequence,
    pub tuple: FourTuple,
    pub holder: Holder,
    /// The listener it came from; `None` if we connected.
    pub listener: Option<ListenerId>,
    /// What the peer said of itself; `None` if we connected, and the connection never rests.
    pub peer: Option<Peer>,
    /// Bounds and times, as the service wants them.
    pub options: TcpOptions,
    /// Bytes of its buffers now, or when it wakes: what was offered to the peer is not taken back.
    pub receive_bytes: usize,
    /// See `receive_bytes`.
    pub send_bytes: usize,
    /// On the wire, the number of the next byte that the service writes, and of the next that it reads.
    pub written: u32,
    pub read: u32,
    /// When the peer or the service last did something.
    pub active: Micros,
    /// Whether the service has had to wait for room to write since the send buffer grew, and has read more than the receive buffer takes.
    pub crowded: bool,
    pub flooded: bool,
    /// Whether it is in the list of flows to visit.
    pub dirty: bool,
    /// Whether it waits for a neighbour's hardware address.
    pub unresolved: bool,
    /// Times that its neighbour was asked for since something was sent.
    pub questions: u32,
    /// Whether it is in the queue of those in TIME-WAIT.
    pub time_wait: bool,
    /// When it wants its next visit, as of the last one.
    pub wanted: Option<Micros>,
    /// Its earliest entry in the timer heap.
    pub armed: Option<Micros>,
}

/// What a flow is made of.
pub enum Connection {
    /// Numbers: everything that came was read, everything sent was acknowledged.
    Resting(Rest),
    /// A socket, alone in its set.
    Awake(SocketSet<'static>, SocketHandle),
}

impl Connection {
    /// A connection around `socket`, if there is memory.
    pub fn awake(socket: tcp::Socket<'static>) -> Result<Self, TryReserveError> {
        let mut storage = Vec::new();
        storage.try_reserve_exact(1)?;
        storage.push(SocketStorage::EMPTY);
        let mut set = SocketSet::new(storage);
        let handle = set.add(socket);
        Ok(Self::Awake(set, handle))
    }
}

impl Flow {
    /// A flow in which nothing has happened yet.
    pub fn new(connection: Connection, tuple: FourTuple, holder: Holder, options: &TcpOptions) -> Self {
        Self {
            connection,
            sequence: Sequence::default(),
            tuple,
            holder,
            listener: None,
            peer: None,
            options: *options,
            receive_bytes: options.receive_buffer,
            send_bytes: options.send_buffer,
            written: 0,
            read: 0,
            active: 0,
            crowded: false,
            flooded: false,
            dirty: false,
            unresolved: false,
            questions: 0,
            time_wait: false,
            wanted: None,
            armed: None,
        }
    }

    /// Its socket, unless it rests.
    pub fn socket(&self) -> Option<&tcp::Socket<'static>> {
        match &self.connection {
            Connection::Resting(_) => None,
            Connection::Awake(set, handle) => Some(set.get(*handle)),
        }
    }

    /// The same, to be changed.
    pub fn socket_mut(&mut self) -> Option<&mut tcp::Socket<'static>> {
        match &mut self.connection {
            Connection::Resting(_) => None,
            Connection::Awake(set, handle) => Some(set.get_mut(*handle)),
        }
    }
}

/// Flows that are allocated at once. They never move, so that growing never needs room for all of them twice.
const CHUNK: usize = 64;

/// A place for a flow, and which of those that had it is there.
#[derive(Default)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

/// All flows.
#[derive(Default)]
pub struct Flows {
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
    len: usize,
    /// Those in which nothing is under way.
    pub resting: usize,
    by_tuple: HashMap<FourTuple, FlowId>,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn find(&self, tuple: &FourTuple) -> Option<FlowId> {
        self.by_tuple.get(tuple).copied()
    }

    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        let slot = self.chunks.get(id.index as usize / CHUNK)?.get(id.index as usize % CHUNK)?;
        slot.flow.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slot(id)?.flow.as_mut()
    }

    fn slot(&mut self, id: FlowId) -> Option<&mut Slot> {
        let slot = self.chunks.get_mut(id.index as usize / CHUNK)?.get_mut(id.index as usize % CHUNK)?;
        (slot.generation == id.generation).then_some(slot)
    }

    /// Adds a flow, whose four-tuple nobody else has.
    pub fn insert(&mut self, flow: Flow) -> Result<FlowId, TryReserveError> {
        self.by_tuple.try_reserve(1)?;
        if self.free.is_empty() {
            self.grow()?;
        }
        let index = self.free.pop().expect("grow() has made places");
        let slot = &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK];
        let id = FlowId { index, generation: slot.generation };
        self.by_tuple.insert(flow.tuple, id);
        self.resting += usize::from(flow.socket().is_none());
        slot.flow = Some(flow);
        self.len += 1;
        Ok(id)
    }

    fn grow(&mut self) -> Result<(), TryReserveError> {
        let first = self.chunks.len() * CHUNK;
        self.free.try_reserve(first + CHUNK)?; // so that remove() cannot fail
        self.chunks.try_reserve(1)?;
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(CHUNK)?;
        chunk.resize_with(CHUNK, Slot::default);
        self.chunks.push(chunk);
        self.free.extend((first..first + CHUNK).rev().map(|index| index as u32));
        Ok(())
    }

    /// Removes a flow, whose identifier is never valid again.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let slot = self.slot(id)?;
        let flow = slot.flow.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
        self.resting -= usize::from(flow.socket().is_none());
        self.forget_tuple(id, &flow.tuple);
        Some(flow)
    }

    /// Lets another flow have this one's four-tuple: its connection is over, only its data is still wanted.
    pub fn forget_tuple(&mut self, id: FlowId, tuple: &FourTuple) {
        if self.by_tuple.get(tuple) == Some(&id) {
            self.by_tuple.remove(tuple);
        }
    }
}
