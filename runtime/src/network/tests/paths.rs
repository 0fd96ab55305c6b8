//! Fast path and slow path: the same answers, byte for byte, whichever way a query came.

use crate::network::{
    Endpoints, Responder,
    testing::{alone::*, frames::*, *},
};
use std::{
    cell::Cell,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    rc::Rc,
};

const PORT: u16 = 53;

/// Answers with the question backwards and as many bytes more as its first byte says; not at all if that is 255.
struct Backwards;

impl Responder for Backwards {
    fn respond(&mut self, ends: Endpoints, buffer: &mut [u8], length: usize) -> Option<usize> {
        let more = usize::from(*buffer[..length].first()?);
        buffer[..length].reverse();
        buffer.get_mut(length..length + more)?.fill(ends.theirs.port() as u8);
        (more != 255).then_some(length + more)
    }
}

fn responding() -> Alone {
    let alone = Alone::new();
    alone.network.respond(PORT, Box::new(Backwards)).expect("a free port");
    alone
}

/// Ways on which a datagram does not take the fast path.
fn detours(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let payload = udp_payload(source, destination, data);
    let packet = ip(source.ip(), destination.ip(), UDP, &payload);
    if source.is_ipv6() {
        let mut behind_header = [&[UDP, 0, 1, 4, 0, 0, 0, 0][..], &payload].concat();
        behind_header = ip(source.ip(), destination.ip(), 0, &behind_header);
        return vec![vec![frame(&behind_header)]];
    }
    let mut options = [&packet[..20], &[1, 1, 1, 0], &payload].concat();
    options[0] = 0x46;
    let total = (options.len() as u16).to_be_bytes();
    options[2..4].copy_from_slice(&total);
    mend_ipv4(&mut options);
    let mut ways = vec![vec![frame(&options)]];
    if payload.len() > 8 {
        let fragment = |offset: usize, end: usize, more: bool| {
            let mut packet = ip(source.ip(), destination.ip(), UDP, &payload[offset..end]);
            packet[4..6].copy_from_slice(&[0x77, data.len() as u8]);
            let word = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
            packet[6..8].copy_from_slice(&word.to_be_bytes());
            mend_ipv4(&mut packet);
            frame(&packet)
        };
        let middle = payload.len() / 16 * 8;
        let middle = middle.max(8);
        ways.push(vec![fragment(0, middle, true), fragment(middle, payload.len(), false)]);
        ways.push(vec![fragment(middle, payload.len(), false), fragment(0, middle, true)]);
    }
    ways
}

#[track_caller]
fn check(source: SocketAddr, destination: SocketAddr, data: &[u8]) {
    let alone = responding();
    let fast = alone.give(udp(source, destination, data));
    let counters = alone.network.counters();
    assert_eq!(counters.fast_answers + counters.unanswered, 1, "the fast path was not taken");
    let expect = usize::from(data.first().is_some_and(|&more| more != 255));
    assert_eq!(fast.len(), expect, "answers");
    for way in detours(source, destination, data) {
        let mut slow = Vec::new();
        for frame in way {
            slow.extend(alone.give(frame));
        }
        assert!(slow == fast, "{} bytes: fast {fast:02x?}\nslow {slow:02x?}", data.len());
    }
    let after = alone.network.counters();
    assert_eq!(after.fast_answers, counters.fast_answers, "a detour took the fast path");
}

#[test]
fn both_paths_answer_alike() {
    for (source, destination) in
        [((CLIENT, 40_000).into(), (SERVER, PORT).into()), ((CLIENT6, 40_000).into(), (SERVER6, PORT).into())]
    {
        for length in [0, 1, 2, 12, 13, 100, 511, 512, 1_200] {
            for more in [0, 1, 17, 200, 255] {
                let mut data = vec![0xa5; length];
                data.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
                if let Some(first) = data.first_mut() {
                    *first = more;
                }
                check(source, destination, &data);
            }
        }
    }
}

#[test]
fn an_answer_without_room_is_none() {
    let alone = responding();
    let data = [&[200][..], &[0; 1_470]].concat();
    assert!(alone.give(udp((CLIENT, 9).into(), (SERVER, PORT).into(), &data)).is_empty());
    assert_eq!(alone.network.counters().unanswered, 1);
}

#[test]
fn a_datagram_without_checksum_is_answered_over_ipv4_alone() {
    for (source, destination, expect) in [
        (SocketAddr::from((CLIENT, 9)), SocketAddr::from((SERVER, PORT)), 1),
        ((CLIENT6, 9).into(), (SERVER6, PORT).into(), 0),
    ] {
        let mut payload = udp_payload(source, destination, &[1, 2, 3]);
        payload[6..8].fill(0);
        let packet = ip(source.ip(), destination.ip(), UDP, &payload);
        assert_eq!(responding().give(frame(&packet)).len(), expect, "{source}");
    }
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    // Some two bytes among these make the sum of the answer come out as zero (RFC 768).
    let alone = responding();
    let mut ones = 0;
    for number in 0..=u16::MAX {
        let data = [0, (number >> 8) as u8, number as u8];
        let answers = alone.give(udp((CLIENT, 9).into(), (SERVER, PORT).into(), &data));
        let payload = read_ip(&answers[0]).expect("an IP packet").3;
        assert_ne!(payload[6..8], [0, 0], "no checksum");
        ones += usize::from(payload[6..8] == [0xff, 0xff]);
    }
    assert_eq!(ones, 1);
}

#[test]
fn padding_behind_the_packet_is_not_part_of_it() {
    let alone = responding();
    let mut padded = udp((CLIENT, 9).into(), (SERVER, PORT).into(), &[2]);
    let expect = alone.give(padded.clone());
    padded.resize(60, 0xee);
    assert_eq!(alone.give(padded), expect);
}

/// Keeps every datagram.
struct Keeps;

impl Responder for Keeps {
    fn respond(&mut self, _: Endpoints, _: &mut [u8], _: usize) -> Option<usize> {
        None
    }

    fn kept(&mut self) -> bool {
        true
    }
}

#[test]
fn what_was_kept_is_answered_later_as_if_it_had_been_at_once() {
    let alone = Alone::new();
    alone.network.respond(PORT, Box::new(Keeps)).expect("a free port");
    let (client, server) = (SocketAddr::from((CLIENT, 40_000)), SocketAddr::from((SERVER, PORT)));
    assert!(alone.give(udp(client, server, &[0, 1, 2])).is_empty());
    assert_eq!(alone.network.counters().unanswered, 0);
    alone.introduce();
    let ends = Endpoints { theirs: client, ours: server.ip() };
    alone.network.send_from(PORT, &[2, 1, 0], ends).expect("there is room");
    assert_eq!(alone.settle(), responding().give(udp(client, server, &[0, 1, 2])));
    let error = alone.network.send_from(PORT + 1, &[], ends).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

/// Keeps between whom the last datagram went.
struct Remembers(Rc<Cell<Option<Endpoints>>>);

impl Responder for Remembers {
    fn respond(&mut self, ends: Endpoints, _: &mut [u8], _: usize) -> Option<usize> {
        self.0.set(Some(ends));
        None
    }

    fn kept(&mut self) -> bool {
        true
    }
}

#[test]
fn what_was_kept_is_answered_from_the_address_that_was_asked() {
    // What the stack makes of SERVER_MAC.
    const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);
    let (alone, last) = (Alone::new(), Rc::new(Cell::new(None)));
    alone.network.respond(PORT, Box::new(Remembers(last.clone()))).expect("a free port");
    // By itself the stack would answer from its address in the client's prefix.
    let (client, server) = (SocketAddr::from((CLIENT6, 40_000)), SocketAddr::from((OTHER, PORT)));
    for way in [vec![udp(client, server, &[1])], detours(client, server, &[1]).remove(0)] {
        last.set(None);
        way.into_iter()
            .for_each(|frame| assert!(alone.give(frame).iter().all(|frame| udp_of(frame).is_none())));
        let ends = last.get().expect("it was kept");
        assert_eq!(ends, Endpoints { theirs: client, ours: OTHER.into() });
        alone.network.send_from(PORT, &[9], ends).expect("there is room");
        let sent: Vec<_> = alone.settle().iter().filter_map(|frame| udp_of(frame)).collect();
        assert_eq!(sent, [(IpAddr::from(OTHER), IpAddr::from(CLIENT6))]);
    }
}

/// The addresses of a frame with a UDP datagram.
fn udp_of(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (source, destination, protocol, _) = read_ip(frame)?;
    (protocol == UDP).then_some((source, destination))
}
