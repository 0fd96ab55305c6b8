//! What a packet costs, counted and not timed: allocations, hashes, flows visited, clock readings. None of it may depend on
//! how many connections are open.

use crate::{
    limits::{BATCH, TURNS_PER_CLOCK},
    network::{
        Clock, Device, Endpoints, Network, Received, Responder, TcpListener, TcpOptions, TcpStream,
        flows::HASHED,
        testing::{alone::*, frames::*, *},
    },
};
use allocation_counter::measure;
use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Frames that arrive by the thousand, of which nothing is kept that is sent.
struct Endless {
    frame: Vec<u8>,
    left: Rc<Cell<u64>>,
    sent: Rc<Cell<u64>>,
}

impl Device for Endless {
    fn mac(&self) -> [u8; 6] {
        SERVER_MAC
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.left.set(self.left.get().checked_sub(1)?);
        frame[..self.frame.len()].copy_from_slice(&self.frame);
        Some(self.frame.len().into())
    }

    fn transmit(&mut self, _: &[u8]) {
        self.sent.set(self.sent.get() + 1);
    }
}

/// A clock that counts who looks at it.
struct Watched(Rc<Cell<u64>>);

impl Clock for Watched {
    fn monotonic(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        3_600_000_000_000
    }
}

struct Echo;

impl Responder for Echo {
    fn respond(&mut self, _: Endpoints, _: &mut [u8], length: usize) -> Option<usize> {
        Some(length)
    }
}

#[test]
fn a_fast_answer_allocates_nothing_and_reads_no_clock() {
    const FRAMES: u64 = 100_000;
    let (left, sent, looks) =
        (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::<Cell<u64>>::new(Cell::new(0)));
    for (source, destination) in [
        (SocketAddr::from((CLIENT, 4_000)), SocketAddr::from((SERVER, 53))),
        ((CLIENT6, 4_000).into(), (SERVER6, 53).into()),
    ] {
        let frame = udp(source, destination, &[9; 40]);
        let device = Endless { frame, left: left.clone(), sent: sent.clone() };
        let settings = fixed(SERVER, SERVER6);
        let network = Network::new(Box::new(device), Box::new(Watched(looks.clone())), predictable, settings);
        network.respond(53, Box::new(Echo)).expect("a free port");
        network.turn();
        left.set(FRAMES);
        sent.set(0);
        looks.set(0);
        let allocated = measure(|| while network.turn().frames > 0 {});
        assert_eq!((allocated.count_total, sent.get()), (0, FRAMES));
        assert!(looks.get() <= FRAMES / (BATCH as u64 * u64::from(TURNS_PER_CLOCK)) + 2, "{looks:?}");
    }
}

/// What some packets made the network do.
#[derive(Debug, PartialEq, Eq)]
struct Work {
    allocations: u64,
    bytes: u64,
    hashes: u64,
    flow_visits: u64,
    base_visits: u64,
}

const OPTIONS: TcpOptions = TcpOptions {
    receive_buffer: 256,
    send_buffer: 256,
    backlog: 16,
    connections: 20_000,
    idle_timeout: None,
    keep_alive: None,
    nagle: false,
};

/// A question and an answer over one of the connections.
fn exchange(client: &mut HandMade<'_>, stream: &mut TcpStream) {
    client.send(ACK, b"question");
    let mut buffer = [0; 32];
    assert_eq!(now(stream.read(&mut buffer)).expect("it has arrived").expect("read"), 8);
    now(stream.write_all(b"answer")).expect("there is room").expect("written");
    let frames = client.alone.settle();
    let answer = client.take(&frames);
    assert_eq!((answer.len(), answer[0].data.as_slice()), (1, &b"answer"[..]));
    client.send(ACK, b"");
}

/// The work of a hundred exchanges over ten connections, and of what follows from them, among so many.
fn work(connections: u16) -> Work {
    let alone = Alone::new();
    alone.introduce();
    let listener = TcpListener::bind(&alone.network, 7, OPTIONS).expect("a free port");
    let mut open: Vec<_> = (0..connections)
        .map(|number| {
            let mut client = HandMade::new(&alone, 2_000 + number, 7);
            assert!(client.open(), "connection {number}");
            (client, now(listener.accept()).expect("a connection").0)
        })
        .collect();
    alone.pass(Duration::from_secs(2));
    assert_eq!(alone.network.resting(), usize::from(connections));
    let mut dice = Dice(5);
    let mut exchanges = |count: usize| {
        for _ in 0..count {
            let (client, stream) = &mut open[dice.next() as usize % 10];
            exchange(client, stream);
        }
    };
    exchanges(1_000);
    let (visits, hashes) = (alone.network.borrow().visits, HASHED.get());
    // A second later the timers of retransmissions that were not needed have come up, for nothing.
    let allocated = measure(|| {
        exchanges(100);
        alone.pass(Duration::from_secs(2));
    });
    let after = alone.network.borrow().visits;
    Work {
        allocations: allocated.count_total,
        bytes: allocated.bytes_total,
        hashes: HASHED.get() - hashes,
        flow_visits: after.0 - visits.0,
        base_visits: after.1 - visits.1,
    }
}

#[test]
fn ten_thousand_connections_cost_a_packet_what_ten_do() {
    let few = work(10);
    let many = work(10_000);
    assert_eq!(few, many);
    // Two segments in and one written a time: a hash for each segment, a visit for each thing that happened.
    assert_eq!(few.hashes, 200);
    assert!(few.flow_visits <= 500 && few.base_visits <= 500, "{few:?}");
}

#[test]
fn time_passing_costs_nothing_where_nothing_is_due() {
    for connections in [10, 2_000] {
        let alone = Alone::new();
        alone.introduce();
        let listener = TcpListener::bind(&alone.network, 7, OPTIONS).expect("a free port");
        let _open: Vec<_> = (0..connections)
            .map(|number| {
                assert!(HandMade::new(&alone, 2_000 + number, 7).open());
                now(listener.accept()).expect("a connection").0
            })
            .collect();
        alone.pass(Duration::from_secs(60));
        assert_eq!(alone.network.deadline(), None, "a timer without a reason");
    }
}
