//! Frames of any kind, in any order, with time passing and a service at work between them: the network neither panics nor
//! grows nor falls into a loop, and still answers afterwards.
//!
//! The input is a list of steps. Raw bytes hardly ever have a good checksum, so most steps are made to have one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::network::{
    Clock, Device, Endpoints, Fixed, Network, Received, Responder, Settings, Source, TcpListener, TcpOptions,
    TcpStream, UdpOptions, UdpSocket, checksum::Sum,
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OURS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const MTU: usize = 1_500;
/// Steps of one input, so that one run stays short.
const STEPS: usize = 400;
/// Turns in which a network must have done what one frame asks for.
const TURNS: usize = 200;

#[derive(Default)]
struct Wire {
    arriving: VecDeque<Vec<u8>>,
    /// The last sequence number that we sent, which a segment that is to be taken has to acknowledge.
    acknowledge: u32,
    /// What we last acknowledged.
    expected: u32,
    sent: usize,
}

struct Port(Rc<RefCell<Wire>>);

impl Device for Port {
    fn mac(&self) -> [u8; 6] {
        OUR_MAC
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        let arrived = self.0.borrow_mut().arriving.pop_front()?;
        let length = arrived.len().min(frame.len());
        frame[..length].copy_from_slice(&arrived[..length]);
        Some(length.into())
    }

    fn transmit(&mut self, frame: &[u8]) {
        assert!((14..=MTU + 14).contains(&frame.len()), "a frame of {} bytes", frame.len());
        let mut wire = self.0.borrow_mut();
        wire.sent += 1;
        if frame[12..14] == [8, 0] && frame[23] == 6 {
            let at = 14 + usize::from(frame[14] & 15) * 4;
            let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
            let length = frame.len() - at - usize::from(frame[at + 12] >> 4) * 4;
            wire.acknowledge =
                word(at + 4).wrapping_add(length as u32).wrapping_add((frame[at + 13] & 3).count_ones());
            wire.expected = word(at + 8);
        }
    }
}

struct Hand(Rc<Cell<u64>>);

impl Clock for Hand {
    fn monotonic(&self) -> u64 {
        self.0.get()
    }
}

struct Echo;

impl Responder for Echo {
    fn respond(&mut self, _: Endpoints, buffer: &mut [u8], length: usize) -> Option<usize> {
        assert!(length <= buffer.len());
        let more = usize::from(*buffer[..length].first()?);
        (length + more <= buffer.len()).then_some(length + more)
    }
}

/// Not random, so that an input leads to the same run.
fn predictable(bytes: &mut [u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (at as u8).wrapping_mul(37).wrapping_add(11);
    }
}

/// The input, read from its start.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn ethernet(kind: u16, packet: &[u8]) -> Vec<u8> {
    [&OUR_MAC[..], &PEER_MAC, &kind.to_be_bytes(), packet].concat()
}

fn pseudo(ipv6: bool, protocol: u8, payload: &[u8]) -> Sum {
    let sum = if ipv6 {
        Sum::default().bytes(&PEER6.octets()).bytes(&OURS6.octets())
    } else {
        Sum::default().bytes(&PEER.octets()).bytes(&OURS.octets())
    };
    sum.word(protocol.into()).word(payload.len() as u16).bytes(payload)
}

/// A packet whose checksums are right, with a few bytes of the header and of the payload from the input.
fn packet(
    input: &mut Input<'_>,
    ipv6: bool,
    protocol: u8,
    mut payload: Vec<u8>,
    checksum_at: Option<usize>,
) -> Vec<u8> {
    payload.truncate(1_400);
    if let Some(at) = checksum_at.filter(|at| at + 2 <= payload.len()) {
        payload[at..at + 2].fill(0);
        let sum =
            if protocol == 1 { Sum::default().bytes(&payload) } else { pseudo(ipv6, protocol, &payload) };
        payload[at..at + 2].copy_from_slice(&sum.checksum().to_be_bytes());
    }
    if ipv6 {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        let mut packet =
            vec![0x60, 0, 0, 0, high, low, protocol, if input.byte() & 1 == 0 { 255 } else { 64 }];
        packet.extend(PEER6.octets());
        packet.extend(OURS6.octets());
        packet.extend(payload);
        return ethernet(0x86dd, &packet);
    }
    let shape = input.byte();
    let options = usize::from(shape & 3) * usize::from(shape & 4 != 0) * 4;
    let total = (20 + options + payload.len()) as u16;
    let mut packet = vec![0x45 + (options / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, shape >> 6]);
    packet.extend(if shape & 8 != 0 { input.word() & 0x20ff } else { 0x4000 }.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(PEER.octets());
    packet.extend(OURS.octets());
    packet.extend(input.bytes(options).iter().chain(std::iter::repeat(&0)).take(options));
    let checksum = Sum::default().bytes(&packet).checksum().to_be_bytes();
    packet[10..12].copy_from_slice(&checksum);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A network with a service of every kind.
struct World {
    network: Network,
    wire: Rc<RefCell<Wire>>,
    now: Rc<Cell<u64>>,
    listener: TcpListener,
    socket: UdpSocket,
    streams: Vec<TcpStream>,
}

impl World {
    fn new(automatic: bool) -> Self {
        let wire = Rc::<RefCell<Wire>>::default();
        let now = Rc::new(Cell::new(3_600_000_000_000));
        let settings = if automatic {
            Settings::default()
        } else {
            Settings {
                ipv4: Source::Fixed(Fixed { address: OURS, prefix: 24, gateway: Some(PEER) }),
                ipv6: Source::Fixed(Fixed { address: OURS6, prefix: 64, gateway: None }),
                dns: vec![IpAddr::V4(PEER)],
            }
        };
        let network =
            Network::new(Box::new(Port(wire.clone())), Box::new(Hand(now.clone())), predictable, settings);
        network.respond(53, Box::new(Echo)).expect("a free port");
        let options = TcpOptions {
            receive_buffer: 512,
            send_buffer: 512,
            backlog: 4,
            connections: 16,
            idle_timeout: Some(Duration::from_secs(20)),
            keep_alive: Some(Duration::from_secs(5)),
            nagle: true,
        };
        let listener = TcpListener::bind(&network, 7, options).expect("a free port");
        let socket =
            UdpSocket::bind(&network, 9, UdpOptions { datagrams: 4, bytes: 2_048 }).expect("a free port");
        Self { network, wire, now, listener, socket, streams: Vec::new() }
    }

    fn settle(&self) {
        for _ in 0..TURNS {
            let turn = self.network.turn();
            if turn.frames == 0 && turn.quiet {
                return;
            }
        }
        panic!("the network does not come to rest");
    }

    fn pass(&self, time: Duration) {
        let end = self.now.get() + time.as_nanos() as u64;
        for _ in 0..TURNS {
            match self.network.deadline().filter(|&deadline| deadline <= end) {
                Some(deadline) => self.now.set(deadline.max(self.now.get() + 1_000)),
                None => break,
            }
            self.settle();
        }
        self.now.set(end.max(self.now.get()));
        self.settle();
    }

    fn give(&self, frame: Vec<u8>) {
        self.wire.borrow_mut().arriving.push_back(frame);
        self.settle();
    }

    /// A segment that mostly continues what is there.
    fn segment(&self, input: &mut Input<'_>, ipv6: bool) -> Vec<u8> {
        let (port, flags, shape) = (input.byte() & 3, input.byte(), input.byte());
        let wire = self.wire.borrow();
        let mut sequence = if flags & 2 != 0 { u32::from(port) << 16 } else { wire.expected };
        let mut acknowledge = wire.acknowledge;
        drop(wire);
        if shape & 1 != 0 {
            sequence = sequence.wrapping_add(input.word() as i16 as u32);
        }
        if shape & 2 != 0 {
            acknowledge = acknowledge.wrapping_add(input.word() as i16 as u32);
        }
        let options = usize::from(shape >> 2 & 7) * 4;
        let window = if shape & 0x20 != 0 { input.word() } else { 4_096 };
        let mut segment = [&(4_000 + u16::from(port)).to_be_bytes()[..], &[0, 7 + (shape >> 7)]].concat();
        segment.extend(sequence.to_be_bytes());
        segment.extend(acknowledge.to_be_bytes());
        segment.extend([(5 + options as u8 / 4) << 4, flags]);
        segment.extend(window.to_be_bytes());
        segment.extend([0, 0, 0, 0]);
        segment.extend(input.bytes(options).iter().chain(std::iter::repeat(&1)).take(options));
        let length = usize::from(input.byte()) * 4;
        segment.extend(std::iter::repeat_n(0x5a, length));
        packet(input, ipv6, 6, segment, Some(16))
    }

    fn datagram(&self, input: &mut Input<'_>, ipv6: bool) -> Vec<u8> {
        let ports = [53, 9, 7, 68];
        let (which, length) = (input.byte(), usize::from(input.byte()));
        let data = input.bytes(length);
        let source: u16 = if which & 4 != 0 { 67 } else { 4_000 };
        let mut datagram =
            [source.to_be_bytes(), (ports[usize::from(which & 3)] as u16).to_be_bytes()].concat();
        datagram.extend((8 + data.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(data);
        packet(input, ipv6, 17, datagram, (which & 8 == 0).then_some(6))
    }

    fn icmp(&self, input: &mut Input<'_>, ipv6: bool) -> Vec<u8> {
        let length = usize::from(input.byte());
        let mut message = input.bytes(length).to_vec();
        if ipv6 && let Some(first) = message.first_mut().filter(|first| **first & 0x40 != 0) {
            *first = 133 + (*first & 3);
        }
        packet(input, ipv6, if ipv6 { 58 } else { 1 }, message, Some(2))
    }

    fn arp(&self, input: &mut Input<'_>) -> Vec<u8> {
        let operation = 1 + input.byte() % 2;
        let mut arp =
            [&[0, 1, 8, 0, 6, 4, 0, operation][..], &PEER_MAC, &PEER.octets(), &[0; 6], &OURS.octets()]
                .concat();
        let at = usize::from(input.byte());
        if let Some(byte) = arp.get_mut(at) {
            *byte = input.byte();
        }
        ethernet(0x0806, &arp)
    }

    /// What a service does: accepts, reads, writes, closes, sends.
    fn serve(&mut self, input: &mut Input<'_>) {
        let mut context = Context::from_waker(Waker::noop());
        let (what, which) = (input.byte(), usize::from(input.byte()));
        let stream = (!self.streams.is_empty()).then(|| which % self.streams.len());
        match (what % 9, stream) {
            (0 | 1, _) => self.streams.extend(poll_once(self.listener.accept()).map(|(stream, _)| stream)),
            (2, Some(at)) => {
                let mut bytes = [0; 700];
                let _ =
                    Pin::new(&mut self.streams[at]).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
            }
            (3, Some(at)) => {
                let _ = Pin::new(&mut self.streams[at]).poll_write(&mut context, &[7; 600]);
            }
            (4, Some(at)) => {
                let _ = Pin::new(&mut self.streams[at]).poll_shutdown(&mut context);
            }
            (5, Some(at)) => drop(self.streams.swap_remove(at)),
            (6, Some(at)) => self.streams.swap_remove(at).abort(),
            (7, _) => {
                let _ = poll_once(self.socket.receive_from(&mut [0; 100]));
                let to = if which & 1 == 0 { (PEER, 9).into() } else { (PEER6, 9).into() };
                let _ = poll_once(self.socket.send_to(&[3; 2_000][..which * 7], to));
            }
            _ => {
                if self.streams.len() < 20 {
                    let peer = (PEER, 4_000 + (which & 3) as u16).into();
                    // Given up at once: what is left of it must go by itself.
                    let _ = poll_once(TcpStream::connect(&self.network, peer, TcpOptions::default()));
                }
            }
        }
        self.settle();
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let ipv6 = what & 0x80 != 0;
        match what & 15 {
            0 => {
                let length = usize::from(input.word()) % (MTU + 15);
                self.give(input.bytes(length).to_vec());
            }
            1 => {
                let kind = if ipv6 { 0x86dd } else { 0x0800 };
                let length = usize::from(input.byte());
                self.give(ethernet(kind, input.bytes(length)));
            }
            2..=6 => self.give(self.segment(input, ipv6)),
            7 | 8 => self.give(self.datagram(input, ipv6)),
            9 => self.give(self.icmp(input, ipv6)),
            10 => {
                let (protocol, length) = (input.byte(), usize::from(input.byte()));
                let payload = input.bytes(length).to_vec();
                self.give(packet(input, ipv6, protocol, payload, None));
            }
            11 => self.give(self.arp(input)),
            12 => self.pass(Duration::from_millis(u64::from(input.byte()) * if ipv6 { 300 } else { 1 })),
            _ => self.serve(input),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut world = World::new(input.byte() & 7 == 7);
    world.settle();
    for _ in 0..STEPS {
        if input.0.is_empty() {
            break;
        }
        world.step(&mut input);
        assert!(world.network.connections() <= 64 + 256, "connections without end");
    }
    // Everything that has no holder ends by itself.
    world.streams.clear();
    world.settle();
    for _ in 0..4 {
        world.pass(Duration::from_secs(100));
    }
    while poll_once(world.listener.accept()).is_some() {}
    world.pass(Duration::from_secs(100));
    assert_eq!(world.network.connections(), 0, "a connection that does not end");
});
