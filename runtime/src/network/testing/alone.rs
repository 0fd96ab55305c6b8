//! One network whose peers are the test itself: frames in, frames out, and a clock that the test moves.

use super::{
    CLIENT, CLIENT_MAC, CLIENT6, MTU, ROUTER, SERVER, SERVER_MAC, SERVER6, fixed, frames::*, predictable,
};
use crate::network::{Clock, Device, Network, Received, Settings};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Turns until a network must have come to rest.
const TURNS: usize = 10_000;

#[derive(Default)]
struct Wire {
    arriving: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Port(Rc<RefCell<Wire>>);

impl Device for Port {
    fn mac(&self) -> [u8; 6] {
        SERVER_MAC
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        let arrived = self.0.borrow_mut().arriving.pop_front()?;
        frame[..arrived.len()].copy_from_slice(&arrived);
        Some(arrived.len().into())
    }

    fn transmit(&mut self, frame: &[u8]) {
        self.0.borrow_mut().sent.push(frame.to_vec());
    }
}

struct Hand(Rc<Cell<u64>>);

impl Clock for Hand {
    fn monotonic(&self) -> u64 {
        self.0.get()
    }
}

/// A network at [`SERVER`], with nobody but the test at the other end.
pub struct Alone {
    pub network: Network,
    wire: Rc<RefCell<Wire>>,
    now: Rc<Cell<u64>>,
}

impl Alone {
    /// With fixed addresses; its announcements are over.
    pub fn new() -> Self {
        let alone = Self::with(fixed(SERVER, SERVER6));
        alone.settle();
        alone
    }

    pub fn with(settings: Settings) -> Self {
        let wire = Rc::<RefCell<Wire>>::default();
        let now = Rc::new(Cell::new(3_600_000_000_000));
        let network =
            Network::new(Box::new(Port(wire.clone())), Box::new(Hand(now.clone())), predictable, settings);
        Self { network, wire, now }
    }

    /// Hands the network a frame; what it sends until it rests.
    pub fn give(&self, frame: impl Into<Vec<u8>>) -> Vec<Vec<u8>> {
        self.wire.borrow_mut().arriving.push_back(frame.into());
        self.settle()
    }

    /// Makes the client's hardware address known, as a client does that asks for ours first: what answers a packet at once
    /// (a RST, an echo) is not kept until a neighbour is found.
    pub fn introduce(&self) {
        assert_eq!(self.give(arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets())).len(), 1);
        let [.., a, b, c] = SERVER6.octets();
        let group = [0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from(b) << 8 | u16::from(c)];
        let mut question = vec![135, 0, 0, 0, 0, 0, 0, 0];
        question.extend(SERVER6.octets());
        question.extend([1, 1]);
        question.extend(CLIENT_MAC);
        let mut frame = icmp(CLIENT6.into(), IpAddr::from(group), &question, 255);
        frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, a, b, c]);
        assert_eq!(self.give(frame).len(), 1);
    }

    /// Turns until nothing moves any more; what was sent. Questions for the client's hardware address are answered.
    #[track_caller]
    pub fn settle(&self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for _ in 0..TURNS {
            let turn = self.network.turn();
            let mut wire = self.wire.borrow_mut();
            for frame in wire.sent.split_off(0) {
                match neighbour(&frame) {
                    Some(answer) => wire.arriving.push_back(answer),
                    None => sent.push(frame),
                }
            }
            if turn.frames == 0 && turn.quiet && wire.arriving.is_empty() {
                return sent;
            }
        }
        panic!("the network does not come to rest");
    }

    /// Lets time pass, stopping at each deadline; what was sent.
    #[track_caller]
    pub fn pass(&self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now.get() + time.as_nanos() as u64;
        let mut sent = self.settle();
        while let Some(deadline) = self.network.deadline().filter(|&deadline| deadline <= end) {
            self.now.set(deadline.max(self.now.get() + 1_000));
            sent.extend(self.settle());
        }
        self.now.set(end.max(self.now.get()));
        sent.extend(self.settle());
        sent
    }
}

/// Polls a future once.
pub fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The answer to a question for the client's or the router's hardware address.
fn neighbour(frame: &[u8]) -> Option<Vec<u8>> {
    let kind = u16::from_be_bytes([frame[12], frame[13]]);
    let there = [CLIENT, ROUTER].into_iter().find(|address| frame[38..42] == address.octets());
    if let (0x0806, [0, 1], Some(there)) = (kind, &frame[20..22], there) {
        return Some(arp(2, CLIENT_MAC, there.octets(), &frame[22..28], &frame[28..32]));
    }
    let (_, source) = (kind == 0x86dd).then(|| read_ip(frame)).flatten().map(|ip| (ip.3, ip.0))?;
    let message = read_ip(frame)?.3;
    let asked = message.first() == Some(&135) && message[8..24] == CLIENT6.octets();
    asked.then(|| {
        let mut answer = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
        answer.extend(CLIENT6.octets());
        answer.extend([2, 1]);
        answer.extend(CLIENT_MAC);
        icmp(CLIENT6.into(), source, &answer, 255)
    })
}

/// An ARP frame to the server.
pub fn arp(operation: u8, mac: [u8; 6], sender: [u8; 4], target_mac: &[u8], target: &[u8]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    let packet = [&head[..], &mac, &sender, target_mac, target].concat();
    ethernet(SERVER_MAC, mac, 0x0806, &packet)
}

/// A TCP connection whose client end is the test.
pub struct HandMade<'a> {
    pub alone: &'a Alone,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Our next sequence number.
    pub next: u32,
    /// What we expect of the server.
    pub expected: u32,
    pub window: u16,
}

impl<'a> HandMade<'a> {
    pub fn new(alone: &'a Alone, client_port: u16, server_port: u16) -> Self {
        Self {
            alone,
            client: (IpAddr::from(CLIENT), client_port).into(),
            server: (IpAddr::from(SERVER), server_port).into(),
            next: 1_000 * u32::from(client_port),
            expected: 0,
            window: 8_192,
        }
    }

    /// A segment at the next number.
    pub fn segment(&self, flags: u8, data: &[u8]) -> Segment {
        Segment {
            source: self.client,
            destination: self.server,
            flags,
            sequence: self.next,
            acknowledgement: if flags & ACK != 0 { self.expected } else { 0 },
            window: self.window,
            data: data.to_vec(),
        }
    }

    /// Sends a segment; the server's segments on this connection.
    pub fn send(&mut self, flags: u8, data: &[u8]) -> Vec<Segment> {
        let segment = self.segment(flags, data);
        self.next = self.next.wrapping_add(segment.length());
        let frames = self.alone.give(segment.frame());
        self.take(&frames)
    }

    /// Reads what the server sent on this connection.
    pub fn take(&mut self, frames: &[Vec<u8>]) -> Vec<Segment> {
        let segments: Vec<Segment> = frames
            .iter()
            .filter_map(|frame| Segment::read(frame))
            .filter(|segment| (segment.source, segment.destination) == (self.server, self.client))
            .collect();
        for segment in &segments {
            if segment.flags & SYN != 0 || segment.sequence == self.expected {
                self.expected = segment.sequence.wrapping_add(segment.length());
            }
        }
        segments
    }

    /// The handshake. Whether the server took part.
    pub fn open(&mut self) -> bool {
        let answered = self.send(SYN, b"").iter().any(|segment| segment.flags == SYN | ACK);
        if answered {
            self.send(ACK, b"");
        }
        answered
    }
}
