//! Frames that must not be: dropped, each counted under its reason, and never answered.

use crate::network::{
    Endpoints, Responder,
    testing::{alone::*, frames::*, *},
};
use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const PORT: u16 = 53;

struct Echo;

impl Responder for Echo {
    fn respond(&mut self, _: Endpoints, _: &mut [u8], length: usize) -> Option<usize> {
        Some(length)
    }
}

fn serving() -> Alone {
    let alone = Alone::new();
    alone.network.respond(PORT, Box::new(Echo)).expect("a free port");
    alone
}

fn query() -> Vec<u8> {
    udp((CLIENT, 4_000).into(), (SERVER, PORT).into(), b"question")
}

fn query6() -> Vec<u8> {
    udp((CLIENT6, 4_000).into(), (SERVER6, PORT).into(), b"question")
}

fn segment() -> Vec<u8> {
    let alone = Alone::new();
    HandMade::new(&alone, 4_000, 7).segment(SYN, b"").frame()
}

fn ping() -> Vec<u8> {
    echo_request(CLIENT.into(), SERVER.into(), b"ping")
}

fn ping6() -> Vec<u8> {
    echo_request(CLIENT6.into(), SERVER6.into(), b"ping")
}

fn who_has() -> Vec<u8> {
    arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets())
}

/// Changes bytes of a frame, and makes the IPv4 header's checksum right again.
fn with(mut frame: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for &(at, byte) in changes {
        frame[at] = byte;
    }
    if frame[12..14] == [8, 0] && (5..=6).contains(&(frame[14] & 15)) {
        mend_ipv4(&mut frame[14..]);
    }
    frame
}

/// Cuts the frame off, but not what its headers say.
fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length);
    frame
}

fn from(source: impl Into<IpAddr>) -> Vec<u8> {
    match source.into() {
        IpAddr::V4(source) => udp((source, 4_000).into(), (SERVER, PORT).into(), b"question"),
        IpAddr::V6(source) => udp((source, 4_000).into(), (SERVER6, PORT).into(), b"question"),
    }
}

fn to(destination: impl Into<IpAddr>) -> Vec<u8> {
    match destination.into() {
        IpAddr::V4(destination) => udp((CLIENT, 4_000).into(), (destination, PORT).into(), b"question"),
        IpAddr::V6(destination) => udp((CLIENT6, 4_000).into(), (destination, PORT).into(), b"question"),
    }
}

/// The frame is not answered, one drop is counted under `counter`, and the next good query is answered.
#[track_caller]
fn check(counter: &str, frame: Vec<u8>) {
    let alone = serving();
    let before = alone.network.counters();
    assert!(alone.give(frame).is_empty(), "it was answered");
    let after = alone.network.counters();
    let counted: Vec<_> = after
        .named()
        .zip(before.named())
        .filter(|((name, after), (_, before))| *name != "frames_in" && after != before)
        .map(|((name, after), (_, before))| (name, after - before))
        .collect();
    assert_eq!(counted, [(counter, 1)]);
    assert_eq!(alone.give(query()).len(), 1, "the next query is not answered");
}

#[test]
fn the_frames_that_are_damaged_below_are_good() {
    for frame in [query(), query6(), segment(), ping(), ping6(), who_has()] {
        let alone = serving();
        alone.introduce();
        assert_eq!(alone.give(frame.clone()).len(), 1, "{frame:02x?}");
    }
}

#[test]
fn ethernet() {
    for length in 0..14 {
        check("malformed", cut(query(), length));
    }
    check("not_for_us", with(query(), &[(5, 9)]));
    check("not_for_us", with(query(), &[(12, 0x81), (13, 0)]));
    check("not_for_us", with(query(), &[(12, 0x05), (13, 0xdc)]));
    check("martian", with(query(), &[(6, 0xff)]));
}

#[test]
fn ipv4_lengths_and_versions() {
    for length in 14..query().len() {
        check("malformed", cut(query(), length));
    }
    check("malformed", with(query(), &[(14, 0x55)]));
    check("malformed", with(query(), &[(14, 0x44)]));
    check("malformed", with(query(), &[(14, 0x4f)]));
    check("malformed", with(query(), &[(16, 0), (17, 19)]));
    check("malformed", with(query(), &[(16, 0xff), (17, 0xff)]));
    let mut unsummed = query();
    unsummed[24] ^= 1;
    check("bad_checksum", unsummed);
}

#[test]
fn ipv6_lengths_and_versions() {
    for length in 14..query6().len() {
        check("malformed", cut(query6(), length));
    }
    check("malformed", with(query6(), &[(14, 0x50)]));
    check("malformed", with(query6(), &[(18, 0xff)]));
    // a hop-by-hop header that is longer than the packet
    check("malformed", with(query6(), &[(20, 0), (55, 200)]));
}

#[test]
fn udp_lengths_ports_and_checksums() {
    for (frame, header) in [(query(), 34), (query6(), 54)] {
        check("malformed", with(frame.clone(), &[(header + 4, 0), (header + 5, 7)]));
        check("malformed", with(frame.clone(), &[(header + 5, 17)]));
        check("malformed", with(frame.clone(), &[(header, 0), (header + 1, 0)]));
        check("malformed", with(frame.clone(), &[(header + 2, 0), (header + 3, 0)]));
        check("bad_checksum", with(frame.clone(), &[(header + 9, 0)]));
    }
    check("bad_checksum", with(query6(), &[(60, 0), (61, 0)]));
    // the same on the slow path: a header with options
    let datagram = udp_payload((CLIENT, 4_000).into(), (SERVER, PORT).into(), b"question");
    let mut packet = ip(CLIENT.into(), SERVER.into(), UDP, &[&[1, 1, 1, 0][..], &datagram].concat());
    packet[0] = 0x46;
    mend_ipv4(&mut packet);
    assert_eq!(serving().give(frame(&packet)).len(), 1);
    check("bad_checksum", with(frame(&packet), &[(48, 0)]));
    check("malformed", with(frame(&packet), &[(43, 7)]));
}

#[test]
fn tcp_lengths_ports_and_checksums() {
    check("malformed", with(segment(), &[(46, 0x40)]));
    check("malformed", with(segment(), &[(46, 0x60)]));
    check("malformed", with(segment(), &[(34, 0), (35, 0)]));
    check("malformed", with(segment(), &[(36, 0), (37, 0)]));
    check("bad_checksum", with(segment(), &[(38, 1)]));
    check("malformed", frame(&ip(CLIENT.into(), SERVER.into(), TCP, &[0x55; 19])));
    check("not_for_us", with(segment(), &[(33, 255)])); // to the broadcast address
}

#[test]
fn icmp_lengths_and_checksums() {
    check("bad_checksum", with(ping(), &[(45, 1)]));
    check("bad_checksum", with(ping6(), &[(65, 1)]));
    check("malformed", frame(&ip(CLIENT.into(), SERVER.into(), ICMP, &[8; 7])));
    check("malformed", frame(&ip(CLIENT6.into(), SERVER6.into(), ICMPV6, &[128; 3])));
}

#[test]
fn arp_for_others_and_nonsense() {
    for length in 14..42 {
        check("malformed", cut(who_has(), length));
    }
    check("malformed", with(who_has(), &[(15, 6)]));
    check("malformed", with(who_has(), &[(16, 9)]));
    check("malformed", with(who_has(), &[(18, 8)]));
    check("malformed", with(who_has(), &[(21, 3)]));
    check("not_for_us", with(who_has(), &[(41, 99)]));
    check("martian", with(who_has(), &[(22, 1)]));
    check("martian", arp(2, CLIENT_MAC, SERVER.octets(), &SERVER_MAC, &SERVER.octets()));
    check("martian", arp(2, CLIENT_MAC, [255; 4], &SERVER_MAC, &SERVER.octets()));
}

#[test]
fn sources_that_cannot_be_answered() {
    for source in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(0, 1, 2, 3),
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(240, 0, 0, 1),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 255),
        SERVER,
    ] {
        check("martian", from(source));
    }
    for source in [
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST,
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped(),
        SERVER6,
    ] {
        check("martian", from(source));
    }
}

#[test]
fn destinations_of_others() {
    check("not_for_us", to(Ipv4Addr::new(10, 0, 0, 3)));
    check("not_for_us", to(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3)));
    check("not_for_us", frame(&ip(CLIENT.into(), Ipv4Addr::new(10, 0, 0, 3).into(), 99, b"")));
}

#[test]
fn fragments() {
    let fragment = |protocol: u8, flags: u8, offset: u8, length: usize| {
        let mut packet = ip(CLIENT.into(), SERVER.into(), protocol, &vec![7; length]);
        packet[6..8].copy_from_slice(&[flags, offset]);
        mend_ipv4(&mut packet);
        frame(&packet)
    };
    check("fragment", fragment(TCP, 0x20, 0, 64)); // the first of a segment
    check("fragment", fragment(UDP, 0x1f, 0xff, 64)); // the ping of death: ends beyond 65535
    check("fragment", fragment(UDP, 0x08, 0, 64)); // beyond what is put together
    let broadcast = with(fragment(UDP, 0x20, 0, 64), &[(33, 255)]);
    check("fragment", broadcast);
    let mut header = vec![UDP, 0, 0, 0, 0, 0, 0, 1];
    header.extend([7; 32]);
    check("fragment", frame(&ip(CLIENT6.into(), SERVER6.into(), 44, &header)));
}

#[test]
fn fragments_without_end_take_no_memory() {
    let alone = serving();
    let rounds = |from: u16, to: u16| {
        for number in from..to {
            let mut packet = ip(CLIENT.into(), SERVER.into(), UDP, &[7; 1_024]);
            let [high, low] = number.to_be_bytes();
            packet[4..8].copy_from_slice(&[high, low, 0x20 | (number % 7) as u8, 0]);
            mend_ipv4(&mut packet);
            assert!(alone.give(frame(&packet)).is_empty());
        }
    };
    rounds(0, 100);
    let grown = allocation_counter::measure(|| rounds(100, 5_000));
    assert!(grown.bytes_current < 4_096, "{grown:?}");
    assert_eq!(alone.give(query()).len(), 1);
    // What never became whole does not keep others from it for ever.
    alone.pass(std::time::Duration::from_secs(crate::limits::REASSEMBLY_SECONDS + 1));
    let datagram = udp_payload((CLIENT, 4_000).into(), (SERVER, PORT).into(), b"question");
    let half = |range: std::ops::Range<usize>, word: [u8; 2]| {
        let mut packet = ip(CLIENT.into(), SERVER.into(), UDP, &datagram[range]);
        packet[4..6].copy_from_slice(&[0xaa, 0xaa]);
        packet[6..8].copy_from_slice(&word);
        mend_ipv4(&mut packet);
        frame(&packet)
    };
    assert!(alone.give(half(0..8, [0x20, 0])).is_empty());
    assert_eq!(alone.give(half(8..16, [0, 1])).len(), 1);
}

/// Keeps what is logged by the thread that asks for it.
struct Overheard;

thread_local! {
    static OVERHEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl log::Log for Overheard {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        OVERHEARD.with_borrow_mut(|lines| lines.push(record.args().to_string()));
    }

    fn flush(&self) {}
}

#[test]
fn nobody_can_fill_the_log() {
    log::set_logger(&Overheard).expect("no other test sets one");
    log::set_max_level(log::LevelFilter::Trace);
    log::info!("heard");
    let alone = serving();
    for good in [query(), query6(), segment(), ping(), ping6(), who_has()] {
        for at in 0..good.len() {
            let mut frame = good.clone();
            frame[at] ^= 0xff;
            alone.give(frame);
            alone.give(cut(good.clone(), at));
        }
    }
    OVERHEARD.with_borrow(|lines| assert_eq!(*lines, ["heard"]));
}
