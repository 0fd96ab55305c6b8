//! The child's event loop: whatever can wake it is in one epoll set, every batch is bounded, and without traffic it sleeps.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV4;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::wire::EthernetAddress;

use super::bind::{Forward, Socket};
use super::dhcp;
use super::frame::{
    self, DATAGRAM_MAX, ETHERNET_HEADER, FromGuest, GATEWAY, GUEST, UDP_HEADERS, UdpAddresses, arp_request,
    write_udp,
};
use super::guest::Guest;
use super::outbound::{Datagrams, Flow, Outbound};
use super::tcp::{Connections, Opened};
use super::udp::{Client, Flows};
use super::wire::{Address, Batch, send};
use crate::limits::{USER_BATCH, USER_MTU};

/// The event of the guest's wire; a forward's is its index, the others have their number above these.
const WIRE: u64 = u64::MAX;
/// Events from here on belong to connections.
const FIRST_CONNECTION: u64 = 1 << 32;
/// Events from here on belong to sockets of the guest's own datagrams.
const FIRST_DATAGRAMS: u64 = 1 << 48;

/// What was dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Frames that the guest's queue had no room for.
    pub queue_full: u64,
    /// Frames that came while the guest was not up, more than are held.
    pub not_held: u64,
    /// Datagrams that fit no frame.
    pub too_large: u64,
    /// Frames from the guest that are malformed or fragments.
    pub malformed: u64,
    /// Frames from the guest for nobody here: unknown protocols, addresses, or clients forgotten since.
    pub unwanted: u64,
    /// Answers and datagrams outwards that the host refused to send.
    pub refused: u64,
}

/// The gateway of one guest.
pub struct Gateway {
    set: OwnedFd,
    wire: Wire,
    forwards: Vec<Forward>,
    /// Listeners on which somebody may be waiting.
    waiting: Vec<bool>,
    flows: Flows,
    guest: Guest,
    connections: Connections,
    /// What the guest may reach, if anything.
    outbound: Option<Outbound>,
    datagrams: Datagrams,
    batch: Batch,
}

/// The gateway's end of the wire, and smoltcp's view of it.
pub struct Wire {
    socket: OwnedFd,
    frames: VecDeque<Vec<u8>>,
    dropped: Dropped,
}

impl Gateway {
    /// A gateway that forwards between `forwards` and the guest at the other end of `wire`, a non-blocking packet socket.
    pub fn new(wire: OwnedFd, forwards: Vec<Forward>) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&set, &wire, EventData::new_u64(WIRE), EventFlags::IN)?;
        for (index, forward) in forwards.iter().enumerate() {
            let flags = match forward.socket {
                Socket::Udp(_) => EventFlags::IN,
                // While there is no room for a connection, those that wait must not wake anybody.
                Socket::Tcp(_) => EventFlags::IN | EventFlags::ET,
            };
            epoll::add(&set, forward, EventData::new_u64(index as u64), flags)?;
        }
        let mut wire = Wire { socket: wire, frames: VecDeque::new(), dropped: Dropped::default() };
        let connections = Connections::new(&mut wire);
        let waiting = vec![false; forwards.len()];
        let (flows, guest, batch) = (Flows::default(), Guest::default(), Batch::default());
        let datagrams = Datagrams::default();
        Ok(Self { set, wire, forwards, waiting, flows, guest, connections, outbound: None, datagrams, batch })
    }

    /// Lets the guest's own connections and datagrams out.
    pub fn allow(&mut self, outbound: Outbound) {
        self.outbound = Some(outbound);
        self.connections.accept_any_destination();
    }

    /// The epoll set's descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.wire.dropped
    }

    /// Forwards until the guest's end of the wire is closed.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(USER_BATCH);
        while self.wait(&mut events)? {
            for event in events.drain(..) {
                self.handle_event(event)?;
            }
            self.poll()?;
        }
        Ok(())
    }

    /// Sleeps until there is something to do; false once the guest is gone.
    fn wait(&mut self, events: &mut Vec<Event>) -> io::Result<bool> {
        let arp = self.guest.poll_at(Instant::now());
        let arp = arp.map(|at| at.saturating_duration_since(Instant::now()));
        // Places that became free after the last look at those who wait for one: nobody else would wake us for them.
        let accept = self.can_accept().then_some(Duration::ZERO);
        let timeout = [accept, arp, self.connections.poll_delay()].into_iter().flatten().min().map(timespec);
        match epoll::wait(&self.set, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => events.clear(),
            Err(error) => return Err(error.into()),
        }
        let gone = |event: &Event| event.data.u64() == WIRE && { event.flags }.contains(EventFlags::HUP);
        Ok(!events.iter().any(gone))
    }

    fn handle_event(&mut self, event: Event) -> io::Result<()> {
        match event.data.u64() {
            WIRE => self.handle_frames(),
            index if index < FIRST_CONNECTION => {
                let index = index as usize;
                match self.forwards[index].socket {
                    Socket::Udp(_) => self.handle_datagrams(index)?,
                    Socket::Tcp(_) => self.waiting[index] = true,
                }
                Ok(())
            }
            number if number < FIRST_DATAGRAMS => {
                let failed = { event.flags }.contains(EventFlags::ERR);
                self.connections.handle_event((number - FIRST_CONNECTION) as usize, failed, &mut self.wire);
                Ok(())
            }
            number => {
                self.handle_answers((number - FIRST_DATAGRAMS) as usize);
                Ok(())
            }
        }
    }

    /// Work that waits for the guest or for time.
    fn poll(&mut self) -> io::Result<()> {
        if self.guest.mac().is_some() {
            self.accept()?;
        } else if self.waiting.contains(&true) {
            self.guest.want();
        }
        if self.guest.poll_request(Instant::now()) {
            self.wire.send(&arp_request());
        }
        self.connections.poll(&mut self.wire);
        Ok(())
    }

    /// Whether a connection may wait that there is room for.
    fn can_accept(&self) -> bool {
        self.guest.mac().is_some() && self.waiting.contains(&true) && self.connections.has_room()
    }

    fn accept(&mut self) -> io::Result<()> {
        for (index, forward) in self.forwards.iter().enumerate() {
            while self.waiting[index] && self.connections.has_room() {
                match self.connections.accept(forward.as_fd(), forward.guest_port) {
                    Ok(Some(number)) => watch(&self.set, &self.connections, number)?,
                    // The client has gone, or the host is short of something: the next one wakes us again.
                    Ok(None) | Err(_) => self.waiting[index] = false,
                }
            }
        }
        Ok(())
    }

    /// Datagrams of the host for the guest.
    fn handle_datagrams(&mut self, index: usize) -> io::Result<()> {
        let forward = &self.forwards[index];
        let count = match self.batch.receive(forward.as_fd(), UDP_HEADERS) {
            Ok(count) => count,
            // An earlier answer came back, or the client is unreachable: nothing that concerns the others.
            Err(_) => return Ok(()),
        };
        let mac = self.guest.mac();
        let mut lengths = [0; USER_BATCH];
        for (packet, frame_length) in lengths.iter_mut().enumerate().take(count) {
            let client = Client { forward: index, address: *self.batch.source(packet) };
            let (buffer, length) = self.batch.buffer(packet);
            if length > DATAGRAM_MAX {
                self.wire.dropped.too_large += 1;
                continue;
            }
            let addresses = UdpAddresses {
                source: GATEWAY,
                destination_mac: mac.unwrap_or(EthernetAddress::BROADCAST),
                destination: GUEST,
                source_port: self.flows.port_of(client),
                destination_port: forward.guest_port,
            };
            *frame_length = write_udp(buffer, length, addresses);
            if mac.is_none() && !self.guest.hold(buffer[..*frame_length].to_vec()) {
                self.wire.dropped.not_held += 1;
            }
        }
        if mac.is_some() {
            let frames = (0..count).filter(|&packet| lengths[packet] > 0);
            let frames: Vec<_> =
                frames.map(|packet| (&self.batch.whole(packet)[..lengths[packet]], None)).collect();
            self.wire.send_all(&frames);
        }
        Ok(())
    }

    /// Frames of the guest.
    fn handle_frames(&mut self) -> io::Result<()> {
        let count = self.batch.receive(self.wire.socket.as_fd(), 0)?;
        let mut answers = Vec::with_capacity(count);
        for packet in 0..count {
            let frame = self.batch.packet(packet);
            let Some((sender, is_guest, content)) = frame::parse(frame) else {
                self.wire.dropped.malformed += 1;
                continue;
            };
            if is_guest && self.guest.mac() != Some(sender) {
                for held in self.guest.handle_sign_of_life(sender) {
                    self.wire.send(&held);
                }
            }
            match content {
                FromGuest::Other => self.wire.frames.push_back(frame.to_vec()),
                FromGuest::Udp { payload, destination_port: dhcp::SERVER_PORT, .. } => {
                    let name_server = self.outbound.is_some_and(|outbound| outbound.name_server.is_some());
                    if let Some(answer) = dhcp::handle_request(&frame[payload], sender, name_server) {
                        self.wire.send(&answer);
                    }
                }
                FromGuest::Syn { source_port, destination } => {
                    let frame = frame.to_vec();
                    self.open(source_port, destination, frame)?;
                }
                FromGuest::Udp { source: GUEST, source_port, destination, destination_port, payload } => {
                    match self.flows.client_of(destination_port) {
                        Some(client)
                            if destination == GATEWAY
                                && self.forwards[client.forward].guest_port == source_port =>
                        {
                            answers.push(Answer { packet, payload, client });
                        }
                        _ => {
                            let peer = SocketAddrV4::new(destination, destination_port);
                            self.send_outbound(packet, payload, Flow { guest_port: source_port, peer })?;
                        }
                    }
                }
                FromGuest::Udp { .. } | FromGuest::Ignored => self.wire.dropped.unwanted += 1,
            }
        }
        self.send_answers(&answers);
        Ok(())
    }

    /// The guest opens a connection with `frame`: to somebody it may reach, or it is refused.
    fn open(&mut self, guest_port: u16, destination: SocketAddrV4, frame: Vec<u8>) -> io::Result<()> {
        let peer = self.outbound.and_then(|outbound| outbound.reach(destination));
        match self.connections.open(guest_port, destination, peer, frame, &mut self.wire) {
            Opened::Dialling(number) => watch(&self.set, &self.connections, number),
            Opened::Known | Opened::Refused => Ok(()),
        }
    }

    /// Sends a datagram of the guest outwards.
    fn send_outbound(&mut self, packet: usize, payload: Range<usize>, flow: Flow) -> io::Result<()> {
        let Some(peer) = self.outbound.and_then(|outbound| outbound.reach(flow.peer)) else {
            self.wire.dropped.unwanted += 1;
            return Ok(());
        };
        match self.datagrams.send(flow, peer, &self.batch.packet(packet)[payload]) {
            Ok(None) => {}
            Ok(Some(number)) => {
                let Some((_, socket)) = self.datagrams.get(number) else { return Ok(()) };
                let data = EventData::new_u64(FIRST_DATAGRAMS + number as u64);
                epoll::add(&self.set, socket, data, EventFlags::IN)?;
            }
            Err(_) => self.wire.dropped.refused += 1,
        }
        Ok(())
    }

    /// Datagrams of a peer for the guest.
    fn handle_answers(&mut self, number: usize) {
        let Some((flow, socket)) = self.datagrams.get(number) else { return };
        // An error is an earlier datagram that came back: the guest finds out by the silence.
        let count = self.batch.receive(socket, UDP_HEADERS).unwrap_or(0);
        let Some(destination_mac) = self.guest.mac() else { return };
        for packet in 0..count {
            let (buffer, length) = self.batch.buffer(packet);
            if length > DATAGRAM_MAX {
                self.wire.dropped.too_large += 1;
                continue;
            }
            let addresses = UdpAddresses {
                source: *flow.peer.ip(),
                destination_mac,
                destination: GUEST,
                source_port: flow.peer.port(),
                destination_port: flow.guest_port,
            };
            let length = write_udp(buffer, length, addresses);
            self.wire.send(&buffer[..length]);
        }
    }

    /// Hands the guest's answers to the host, those from one forward with one call.
    fn send_answers(&mut self, answers: &[Answer]) {
        for same in answers.chunk_by(|one, next| one.client.forward == next.client.forward) {
            let socket = self.forwards[same[0].client.forward].as_fd();
            let mut packets: Vec<(&[u8], Option<&Address>)> = same
                .iter()
                .map(|answer| {
                    (&self.batch.packet(answer.packet)[answer.payload.clone()], Some(&answer.client.address))
                })
                .collect();
            while !packets.is_empty() {
                let sent = send(socket, &packets).unwrap_or(0);
                // The first that was not sent is the one that the host refused.
                self.wire.dropped.refused += u64::from(sent < packets.len());
                packets.drain(..packets.len().min(sent + 1));
            }
        }
    }
}

/// Watches the host's socket of connection `number`.
fn watch(set: &OwnedFd, connections: &Connections, number: usize) -> io::Result<()> {
    let stream = connections.stream(number).expect("made just now");
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(set, stream, EventData::new_u64(FIRST_CONNECTION + number as u64), flags)?;
    Ok(())
}

/// An answer of the guest, on its way to a client.
struct Answer {
    packet: usize,
    payload: Range<usize>,
    client: Client,
}

impl Wire {
    /// Hands a frame of the guest to smoltcp, when it is polled next.
    pub fn take(&mut self, frame: Vec<u8>) {
        self.frames.push_back(frame);
    }

    /// Sends a frame to the guest, or drops it where the guest's queue is full.
    fn send(&mut self, frame: &[u8]) {
        self.send_all(&[(frame, None)]);
    }

    fn send_all(&mut self, frames: &[(&[u8], Option<&Address>)]) {
        // An error means that the guest is gone, which the event loop is told as well.
        let sent = send(self.socket.as_fd(), frames).unwrap_or(0);
        self.dropped.queue_full += (frames.len() - sent) as u64;
    }
}

/// A frame that smoltcp takes.
pub struct Received(Vec<u8>);

/// Room for a frame that smoltcp sends.
pub struct Transmit<'a>(&'a mut Wire);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.frames.pop_front()?;
        Some((Received(frame), Transmit(self)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Transmit<'_>> {
        Some(Transmit(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = USER_MTU + ETHERNET_HEADER;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = [0; USER_MTU + ETHERNET_HEADER];
        let result = fill(&mut frame[..length]);
        self.0.send(&frame[..length]);
        result
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
