//! Addresses that others give us, for as long as they say: DHCPv4 and router advertisements.

use crate::network::{
    Settings, Source,
    router::link_local,
    testing::{alone::*, frames::*, *},
};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
const NAMES: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
const LEASE: Duration = Duration::from_secs(1_000);

fn dhcp() -> Alone {
    Alone::with(Settings { ipv6: Source::Off, ..Settings::default() })
}

fn automatic6() -> Alone {
    Alone::with(Settings { ipv4: Source::Off, ..Settings::default() })
}

/// A message that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    kind: DhcpMessageType,
    transaction: u32,
    to: IpAddr,
    wants: Option<Ipv4Addr>,
}

fn asked(frames: &[Vec<u8>]) -> Vec<Asked> {
    let messages = frames.iter().filter_map(|frame| read_ip(frame));
    messages
        .filter(|(_, _, protocol, payload)| *protocol == UDP && payload[2..4] == [0, 67])
        .map(|(_, to, _, payload)| {
            let packet = DhcpPacket::new_checked(&payload[8..]).expect("a DHCP message");
            let message = DhcpRepr::parse(&packet).expect("a DHCP message");
            assert_eq!(message.client_hardware_address, EthernetAddress(SERVER_MAC));
            let wants = message.requested_ip;
            Asked { kind: message.message_type, transaction: message.transaction_id, to, wants }
        })
        .collect()
}

fn answer(to: Asked, kind: DhcpMessageType, address: Ipv4Addr) -> Vec<u8> {
    let refused = kind == DhcpMessageType::Nak;
    let message = DhcpRepr {
        message_type: kind,
        transaction_id: to.transaction,
        secs: 0,
        client_hardware_address: EthernetAddress(SERVER_MAC),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: address,
        server_ip: ROUTER,
        router: (!refused).then_some(ROUTER),
        subnet_mask: (!refused).then_some(Ipv4Addr::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(ROUTER),
        parameter_request_list: None,
        dns_servers: (!refused).then(|| [NAMES].into_iter().collect()),
        max_size: None,
        lease_duration: (!refused).then_some(LEASE.as_secs() as u32),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).expect("it fits");
    udp((ROUTER, 67).into(), (address, 68).into(), &bytes)
}

/// Gives the network a lease of `address`.
#[track_caller]
fn lease(alone: &Alone, address: Ipv4Addr) {
    let discover = *asked(&alone.pass(Duration::from_secs(12))).last().expect("a message");
    assert_eq!((discover.kind, discover.to), (DhcpMessageType::Discover, Ipv4Addr::BROADCAST.into()));
    let request = asked(&alone.give(answer(discover, DhcpMessageType::Offer, address)))[0];
    assert_eq!((request.kind, request.wants), (DhcpMessageType::Request, Some(address)));
    alone.give(answer(request, DhcpMessageType::Ack, address));
    assert_eq!(alone.network.addresses(), [IpAddr::from(address)]);
}

#[test]
fn a_lease_is_taken_and_renewed() {
    let alone = dhcp();
    assert!(now(alone.network.addressed()).is_none());
    lease(&alone, SERVER);
    assert!(now(alone.network.addressed()).is_some());
    assert_eq!(alone.network.name_servers(), [IpAddr::from(NAMES)]);
    assert!(asked(&alone.pass(LEASE / 2 - Duration::from_secs(1))).is_empty(), "not before half of it");
    for _ in 0..5 {
        let renewal = asked(&alone.pass(Duration::from_secs(2)))[0];
        assert_eq!((renewal.kind, renewal.to), (DhcpMessageType::Request, ROUTER.into()));
        alone.give(answer(renewal, DhcpMessageType::Ack, SERVER));
        assert!(asked(&alone.pass(LEASE / 2 - Duration::from_secs(1))).is_empty());
        assert_eq!(alone.network.addresses(), [IpAddr::from(SERVER)]);
    }
    assert_eq!(alone.give(arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets())).len(), 1);
}

#[test]
fn a_lease_that_is_refused_is_let_go_of() {
    let alone = dhcp();
    lease(&alone, SERVER);
    let renewal = asked(&alone.pass(LEASE / 2 + Duration::from_secs(1)))[0];
    alone.give(answer(renewal, DhcpMessageType::Nak, SERVER));
    assert_eq!((alone.network.addresses(), alone.network.name_servers()), (Vec::new(), Vec::new()));
    let other = Ipv4Addr::new(10, 0, 0, 99);
    lease(&alone, other);
    assert!(alone.give(arp(1, CLIENT_MAC, CLIENT.octets(), &[0; 6], &SERVER.octets())).is_empty());
}

#[test]
fn a_lease_ends() {
    let alone = dhcp();
    lease(&alone, SERVER);
    alone.pass(LEASE - Duration::from_secs(13));
    assert_eq!(alone.network.addresses(), [IpAddr::from(SERVER)]);
    alone.pass(Duration::from_secs(14));
    assert!(alone.network.addresses().is_empty());
    lease(&alone, SERVER);
}

#[test]
fn answers_to_somebody_else() {
    let alone = dhcp();
    let discover = asked(&alone.settle())[0];
    let other = Asked { transaction: discover.transaction ^ 1, ..discover };
    assert!(asked(&alone.give(answer(other, DhcpMessageType::Offer, SERVER))).is_empty());
    let mut cut = answer(discover, DhcpMessageType::Offer, SERVER);
    let length = cut.len();
    for at in 42..length {
        cut[at] ^= 0x80; // its checksum is wrong now
        alone.give(cut.clone());
        cut[at] ^= 0x80;
    }
    assert!(alone.network.addresses().is_empty());
}

#[test]
fn no_server_is_asked_too_often() {
    let sent = asked(&dhcp().pass(Duration::from_secs(3_600))).len();
    assert!((10..=400).contains(&sent), "{sent} an hour");
}

fn advertisement(router_seconds: u16, prefix_seconds: u32, names_seconds: u32) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0];
    message.extend(router_seconds.to_be_bytes());
    message.extend([0; 8]);
    message.extend([3, 4, 64, 0xc0]);
    message.extend(prefix_seconds.to_be_bytes());
    message.extend([0; 8]);
    message.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).octets());
    message.extend([25, 3, 0, 0]);
    message.extend(names_seconds.to_be_bytes());
    message.extend(ROUTER6.octets());
    let mut frame = icmp(ROUTER6.into(), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(), &message, 255);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame
}

#[test]
fn a_router_gives_an_address() {
    let alone = automatic6();
    let own = IpAddr::from(link_local(SERVER_MAC));
    let made = "2001:db8::ff:fe00:2".parse::<IpAddr>().expect("an address");
    let sent = alone.pass(Duration::from_secs(60));
    let solicitations = sent.iter().filter_map(|frame| read_ip(frame)).filter(|ip| ip.3[0] == 133).count();
    assert_eq!((solicitations, alone.network.deadline()), (3, None), "then it waits");
    assert_eq!(alone.network.addresses(), [own]);
    assert!(now(alone.network.addressed()).is_none(), "a link-local address serves nobody far away");
    alone.give(advertisement(100, 200, 300));
    assert_eq!(alone.network.addresses(), [made, own]);
    assert_eq!(alone.network.name_servers(), [IpAddr::from(ROUTER6)]);
    assert!(now(alone.network.addressed()).is_some());
    alone.pass(Duration::from_secs(201));
    assert_eq!(alone.network.addresses(), [own]);
    alone.pass(Duration::from_secs(100));
    assert!(alone.network.name_servers().is_empty());
}

#[test]
fn advertisements_that_are_no_neighbours() {
    let alone = automatic6();
    let own = IpAddr::from(link_local(SERVER_MAC));
    let mut far = advertisement(100, 200, 300);
    far[21] = 64;
    alone.give(far);
    for at in 54..advertisement(100, 200, 300).len() {
        let mut damaged = advertisement(100, 200, 300);
        damaged[at] ^= 0x10;
        alone.give(damaged);
    }
    assert_eq!(alone.network.addresses(), [own]);
}

#[test]
fn a_flood_of_advertisements_is_bounded() {
    let alone = automatic6();
    let flood = |from: u16, to: u16| {
        for number in from..to {
            let mut source = ROUTER6.segments();
            source[6] = number;
            let mut message = advertisement(100, 200, 300)[54..].to_vec();
            message[32..36].copy_from_slice(&[0x20, 1, (number >> 8) as u8, number as u8]);
            message[56..60].copy_from_slice(&[0x20, 1, (number >> 8) as u8, number as u8]);
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into();
            alone.give(icmp(Ipv6Addr::from(source).into(), group, &message, 255));
        }
    };
    flood(0, 100);
    let grown = allocation_counter::measure(|| flood(100, 3_000));
    assert!(grown.bytes_current < 4_096, "{grown:?}");
    assert_eq!((alone.network.addresses().len(), alone.network.name_servers().len()), (5, 4));
}
