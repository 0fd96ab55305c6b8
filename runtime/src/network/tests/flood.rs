//! More of everything than a server can take: what it costs is bounded, and others are served all the while.

use crate::{
    limits::{CONNECTION_BYTES, ERROR_BURST, ERRORS_PER_SECOND, MEMORY_RESERVE},
    network::{
        Refused, TcpListener, TcpOptions, TcpStream, UdpOptions, UdpSocket,
        testing::{alone::*, frames::*, *},
    },
};
use platform::Memory;
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::io::AsyncReadExt;

const OPTIONS: TcpOptions = TcpOptions {
    receive_buffer: 1_024,
    send_buffer: 2_048,
    backlog: 8,
    connections: 20,
    idle_timeout: Some(Duration::from_secs(20)),
    keep_alive: None,
    nagle: false,
};

fn listening() -> (Alone, TcpListener) {
    let alone = Alone::new();
    alone.introduce();
    let listener = TcpListener::bind(&alone.network, 7, OPTIONS).expect("a free port");
    (alone, listener)
}

/// SYNs from hosts that do not exist, or exist and know nothing.
fn flood(alone: &Alone, dice: &mut Dice, count: usize) {
    for _ in 0..count {
        let number = dice.next();
        let mut syn = HandMade::new(alone, number as u16 | 1, 7).segment(SYN, b"");
        let host = [1, 10 + (number >> 16) as u8 % 200][(number >> 24) as usize & 1];
        syn.source.set_ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)));
        syn.sequence = (number >> 32) as u32;
        alone.give(syn.frame());
    }
}

#[test]
fn a_flood_of_syns_takes_no_memory_and_displaces_nobody() {
    let (alone, listener) = listening();
    let mut dice = Dice(3);
    flood(&alone, &mut dice, 100);
    let flooded = allocation_counter::measure(|| flood(&alone, &mut dice, 20_000));
    assert!(flooded.bytes_current < 4_096, "{flooded:?}");
    assert_eq!((alone.network.connections(), alone.network.counters().openings), (0, 20_100));
    // Somebody who means it, between thousands of others at every step.
    let mut client = HandMade::new(&alone, 4_000, 7);
    let answer = client.send(SYN, b"");
    assert_eq!(answer.first().map(|segment| segment.flags), Some(SYN | ACK));
    flood(&alone, &mut dice, 5_000);
    client.send(ACK, b"");
    flood(&alone, &mut dice, 5_000);
    let (mut stream, _) = now(listener.accept()).expect("a connection");
    client.send(ACK, b"hello");
    assert_eq!(now(stream.read(&mut [0; 8])).expect("arrived").expect("read"), 5);
    // It passes, and leaves nothing.
    drop(stream);
    alone.pass(Duration::from_secs(120));
    assert_eq!((alone.network.connections(), alone.network.deadline()), (0, None));
}

#[test]
fn a_flood_of_guesses_opens_nothing() {
    let (alone, listener) = listening();
    let mut dice = Dice(4);
    for _ in 0..20_000 {
        let mut client = HandMade::new(&alone, dice.next() as u16 | 1, 7);
        client.expected = dice.next() as u32;
        client.send(ACK, b"hello");
    }
    assert_eq!((alone.network.connections(), alone.network.counters().connections), (0, 0));
    assert!(now(listener.accept()).is_none());
}

#[test]
fn connections_that_nobody_accepts() {
    let (alone, listener) = listening();
    let opened = (0..100).filter(|number| HandMade::new(&alone, 4_000 + number, 7).open()).count();
    assert_eq!(opened, OPTIONS.backlog);
    assert_eq!(alone.network.counters().backlog_full, 100 - OPTIONS.backlog as u64);
    assert!(now(listener.accept()).is_some());
    assert!(HandMade::new(&alone, 5_000, 7).open(), "there is room again");
}

#[test]
fn as_many_connections_as_the_service_wants() {
    let (alone, listener) = listening();
    let mut streams = Vec::new();
    for number in 0..50 {
        HandMade::new(&alone, 4_000 + number, 7).open();
        streams.extend(now(listener.accept()));
    }
    assert_eq!((streams.len(), alone.network.counters().connection_limit), (OPTIONS.connections, 30));
    streams.pop();
    alone.settle();
    alone.pass(Duration::from_secs(60)); // all were silent for too long
    drop(streams);
    alone.settle();
    assert!(HandMade::new(&alone, 5_000, 7).open(), "there is room again");
}

#[test]
fn without_memory_there_are_no_connections_but_those_that_are() {
    let (alone, listener) = listening();
    let mut client = HandMade::new(&alone, 4_000, 7);
    assert!(client.open());
    let (mut stream, _) = now(listener.accept()).expect("a connection");
    alone.network.borrow_mut().memory =
        || Memory { total: 1 << 23, used: (1 << 23) - MEMORY_RESERVE - 1_000 };
    assert!(!HandMade::new(&alone, 4_001, 7).open());
    assert_eq!(alone.network.counters().no_memory, 1);
    let error = now(TcpStream::connect(&alone.network, client.client, OPTIONS)).expect("at once").err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::OutOfMemory));
    let refused = UdpSocket::bind(&alone.network, 0, UdpOptions::default()).err();
    assert_eq!(refused, Some(Refused::NoMemory));
    client.send(ACK, b"hello");
    assert_eq!(now(stream.read(&mut [0; 8])).expect("arrived").expect("read"), 5);
    alone.network.borrow_mut().memory =
        || Memory { total: 1 << 23, used: (1 << 23) - MEMORY_RESERVE - CONNECTION_BYTES };
    assert!(HandMade::new(&alone, 4_001, 7).open());
}

/// What nobody asked for is answered at a rate that makes nobody a target.
#[track_caller]
fn check_rate(frame: impl Fn(u16) -> Vec<u8>) {
    let alone = Alone::new();
    alone.introduce();
    let answers: usize = (0..2_000).map(|number| alone.give(frame(1_000 + number)).len()).sum();
    assert_eq!(answers as u64, ERROR_BURST);
    assert_eq!(alone.network.counters().errors_suppressed, 2_000 - ERROR_BURST);
    alone.pass(Duration::from_secs(1));
    let answers: usize = (0..2_000).map(|number| alone.give(frame(1_000 + number)).len()).sum();
    assert_eq!(answers as u64, ERROR_BURST.min(ERRORS_PER_SECOND));
}

#[test]
fn errors_have_a_rate() {
    let alone = Alone::new();
    check_rate(|port| udp((CLIENT, port).into(), (SERVER, 9).into(), b"nobody"));
    check_rate(|port| udp((CLIENT6, port).into(), (SERVER6, 9).into(), b"nobody"));
    check_rate(|port| HandMade::new(&alone, port, 9).segment(SYN, b"").frame());
    check_rate(|port| HandMade::new(&alone, port, 9).segment(ACK, b"late").frame());
    check_rate(|_| frame(&ip(CLIENT.into(), SERVER.into(), 99, b"protocol")));
}

#[test]
fn many_neighbours_take_no_memory() {
    let (alone, _listener) = listening();
    let meet = |from: u64, to: u64| {
        let mut dice = Dice(from);
        for number in from..to {
            let [.., a, b] = number.to_be_bytes();
            let host = 3 + dice.next() as u8 % 250;
            alone.give(arp(1, [2, 9, 9, 9, a, b], [10, 0, 0, host], &[0; 6], &SERVER.octets()));
        }
    };
    meet(0, 1_000);
    let grown = allocation_counter::measure(|| meet(1_000, 20_000));
    assert!(grown.bytes_current < 4_096, "{grown:?}");
}
