//! What neighbours and strangers ask any host: ARP, neighbour discovery, ICMP echo.

use crate::network::{
    Settings, Source,
    router::link_local,
    testing::{alone::*, frames::*, *},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn known() -> Alone {
    let alone = Alone::new();
    alone.introduce();
    alone
}

fn solicitation(source: Ipv6Addr, target: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if !source.is_unspecified() {
        message.extend([1, 1]);
        message.extend(CLIENT_MAC);
    }
    let [.., high, middle, low] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, high, middle, low]);
    let mut frame = icmp(source.into(), group.into(), &message, hop_limit);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, high, middle, low]);
    frame
}

#[test]
fn addresses_are_announced() {
    let frames = Alone::with(fixed(SERVER, SERVER6)).settle();
    let arp: Vec<_> = frames.iter().filter(|frame| frame[12..14] == [8, 6]).collect();
    assert_eq!(arp.len(), 1);
    assert_eq!(
        (&arp[0][..6], &arp[0][28..32], &arp[0][38..42]),
        (&[0xff; 6][..], &SERVER.octets()[..], &SERVER.octets()[..])
    );
    let announced: Vec<_> = frames
        .iter()
        .filter_map(|frame| read_ip(frame))
        .filter(|(.., message)| message[0] == 136)
        .map(|(source, ..)| source)
        .collect();
    assert_eq!(announced, [IpAddr::from(SERVER6), link_local(SERVER_MAC).into()]);
}

#[test]
fn arp_is_answered() {
    let answers = Alone::new().give(arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets()));
    let expect = [&CLIENT_MAC[..], &SERVER_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
    let expect = [&expect[..], &SERVER_MAC, &SERVER.octets(), &CLIENT_MAC, &CLIENT.octets()].concat();
    assert_eq!(answers, [expect]);
}

#[test]
fn a_probe_for_our_ipv4_address_is_answered() {
    // RFC 5227 §2.1.1: a host that wants our address asks with no address of its own.
    let answers = Alone::new().give(arp(1, CLIENT_MAC, [0; 4], &[0; 6], &SERVER.octets()));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][28..32], SERVER.octets());
}

#[track_caller]
fn check_solicitation(source: Ipv6Addr, target: Ipv6Addr, hop_limit: u8, expect: Option<IpAddr>) {
    let answers = Alone::new().give(solicitation(source, target, hop_limit));
    let to: Vec<_> = answers.iter().filter_map(|frame| read_ip(frame)).collect();
    assert_eq!(to.first().map(|(_, destination, ..)| *destination), expect);
    if let Some((_, _, protocol, message)) = to.first() {
        assert_eq!((*protocol, message[0], &message[8..24]), (ICMPV6, 136, &target.octets()[..]));
        assert_eq!(message[24..32], [2, 1, 2, 0, 0, 0, 0, 2], "our hardware address");
    }
}

#[test]
fn neighbour_solicitations() {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    check_solicitation(CLIENT6, SERVER6, 255, Some(CLIENT6.into()));
    check_solicitation(CLIENT6, link_local(SERVER_MAC), 255, Some(CLIENT6.into()));
    check_solicitation(Ipv6Addr::UNSPECIFIED, SERVER6, 255, Some(all_nodes.into()));
    check_solicitation(CLIENT6, CLIENT6, 255, None);
    check_solicitation(Ipv6Addr::UNSPECIFIED, CLIENT6, 255, None);
    // RFC 4861 §7.1.1: a smaller hop limit has come through a router, from somebody who is no neighbour.
    check_solicitation(CLIENT6, SERVER6, 254, None);
    check_solicitation(Ipv6Addr::UNSPECIFIED, SERVER6, 254, None);
}

#[track_caller]
fn check_echo(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, data: &[u8]) {
    let (source, destination) = (source.into(), destination.into());
    let request = echo_request(source, destination, data);
    let answers = known().give(request.clone());
    let kind = if source.is_ipv4() { 0 } else { 129 };
    let asked = read_ip(&request).expect("IP").3;
    let (from, to, _, message) = read_ip(&answers[0]).expect("IP");
    assert_eq!((from, to), (destination, source));
    assert_eq!((message[0], &message[4..]), (kind, &asked[4..]));
}

#[test]
fn echo_requests() {
    for length in [0, 1, 56, 1_000, 1_452] {
        let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
        check_echo(CLIENT, SERVER, &data);
        check_echo(CLIENT6, SERVER6, &data);
    }
}

#[test]
fn nobody_is_flooded_through_us() {
    let alone = known();
    // A ping to everybody whose sender is the victim, and answers to what was never asked.
    for destination in [Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::BROADCAST] {
        let mut frame = echo_request(CLIENT.into(), destination.into(), b"smurf");
        frame[..6].fill(0xff);
        assert!(alone.give(frame).is_empty(), "{destination}");
    }
    let unreachable = |source: IpAddr, destination: IpAddr| {
        let (kind, code) = if source.is_ipv4() { (3, 3) } else { (1, 4) };
        let inner = ip(destination, source, UDP, &[0; 8]);
        icmp(source, destination, &[&[kind, code, 0, 0, 0, 0, 0, 0][..], &inner].concat(), 64)
    };
    assert!(alone.give(unreachable(CLIENT.into(), SERVER.into())).is_empty());
    assert!(alone.give(unreachable(CLIENT6.into(), SERVER6.into())).is_empty());
    let mut broadcast = udp((CLIENT, 4_000).into(), (Ipv4Addr::BROADCAST, 9).into(), b"anybody?");
    broadcast[..6].fill(0xff);
    assert!(alone.give(broadcast).is_empty(), "an error about a broadcast");
}

#[test]
fn a_closed_port_is_told() {
    let alone = known();
    for (source, destination) in [
        (SocketAddr::from((CLIENT, 4_000)), SocketAddr::from((SERVER, 9))),
        ((CLIENT6, 4_000).into(), (SERVER6, 9).into()),
    ] {
        let query = udp(source, destination, b"question");
        let answers = alone.give(query.clone());
        let (_, to, _, message) = read_ip(&answers[0]).expect("IP");
        let expect = if source.is_ipv4() { [3, 3] } else { [1, 4] };
        assert_eq!((to, &message[..2]), (source.ip(), &expect[..]));
        assert_eq!(message[8..36], query[14..42], "it quotes the packet");
    }
    let answer = HandMade::new(&alone, 4_000, 9).send(SYN, b"");
    assert_eq!(answer.first().map(|segment| segment.flags), Some(RST | ACK));
}

#[test]
fn without_addresses_nothing_is_said() {
    let alone = Alone::with(Settings { ipv4: Source::Off, ipv6: Source::Off, dns: Vec::new() });
    assert!(alone.settle().is_empty());
    for frame in [
        arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets()),
        solicitation(CLIENT6, link_local(SERVER_MAC), 255),
        echo_request(CLIENT.into(), SERVER.into(), b""),
    ] {
        assert!(alone.give(frame).is_empty());
    }
    assert_eq!(alone.network.deadline(), None);
}
