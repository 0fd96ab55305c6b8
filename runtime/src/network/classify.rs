//! Where a received frame goes, decided from its bytes alone.
//!
//! ```text
//!            ┌─ Datagram  UDP to us, whole, no options: the fast path may answer it in place
//! classify ──┼─ Segment   TCP to us: its flow is found by the four-tuple
//!            ├─ Base      ARP, ICMP, NDP, DHCP, fragments, options: smoltcp with the base sockets
//!            └─ Drop      malformed, or not for us; counted by reason
//! ```
//!
//! Pure: bytes and our addresses in, a verdict with offsets out. Nothing here may panic on any input; everything below this
//! file may rely on the lengths and the IPv4 and TCP checksums that were verified here.

use super::{checksum::Sum, datagram::Datagram, device::ETHERNET_HEADER};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// IANA protocol numbers.
const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_FRAGMENT: u8 = 44;

pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;
pub(super) const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// Bytes of ARP for Ethernet and IPv4.
const ARP_PACKET: usize = 28;

/// UDP port of a DHCPv4 client, whose server may write to an address that is not ours yet (RFC 2131 §4.1).
const DHCP_CLIENT_PORT: u16 = 68;

/// Our own addresses, as the classifier wants them.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Hardware address.
    pub mac: [u8; 6],
    /// IPv4 addresses, each with the broadcast address of its network.
    pub ipv4: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A whole UDP datagram to one of our addresses; its own checksum is not verified yet.
    Datagram(Datagram),
    /// A TCP segment to one of our addresses, all checksums good.
    Segment(Segment),
    /// Something for the base sockets.
    Base(Base),
    /// Nothing for us.
    Drop(Reason),
}

/// What kind of frame goes to the base sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// ARP, or IPv6 neighbour discovery: may resolve a neighbour.
    Neighbour,
    /// A question whether this address of ours is taken (RFC 5227 §2.1.1), from somebody who has none.
    Probe(Ipv4Addr),
    /// IPv6 router advertisement, solicitation or another ICMPv6 message whose type is the number.
    Icmpv6(u8),
    /// ICMP for IPv4.
    Icmp,
    /// A UDP datagram that the fast path does not take, to this port.
    Udp(u16),
    /// A fragment, not of a TCP segment.
    Fragment,
    /// Another protocol, which smoltcp answers with an ICMP error.
    Protocol,
}

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Shorter than its headers or lengths say, or a version or length that cannot be.
    Malformed,
    /// A checksum is wrong.
    Checksum,
    /// For another host, or an Ethernet type that is not ours.
    NotForUs,
    /// A source that cannot be answered: ourselves, multicast, broadcast, loopback, unspecified.
    Martian,
    /// A fragment of a TCP segment or of an IPv6 packet, or too large once put together.
    Fragment,
}

/// A TCP segment inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it.
    pub remote: SocketAddr,
    /// To which of our addresses.
    pub local: SocketAddr,
    /// SYN without ACK, RST or FIN: the start of a connection.
    pub opening: bool,
    /// RST: never to be answered.
    pub reset: bool,
    /// Neither data nor FIN nor SYN.
    pub bare: bool,
    /// The window, as it stands there.
    pub window: u16,
    /// The acknowledgement number, with ACK.
    pub acknowledged: Option<u32>,
}

/// Decides where `frame` goes. `verified`: the device vouches for the checksums of TCP and UDP.
#[inline]
pub fn classify(frame: &[u8], verified: bool, ours: &Addresses) -> Verdict {
    let Some((header, packet)) = frame.split_first_chunk::<ETHERNET_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let unicast = header[..6] == ours.mac;
    if !unicast && header[0] & 1 == 0 {
        return Verdict::Drop(Reason::NotForUs);
    }
    if header[6] & 1 != 0 {
        return Verdict::Drop(Reason::Martian);
    }
    match u16::from_be_bytes([header[12], header[13]]) {
        ETHERTYPE_IPV4 => ipv4(packet, unicast, verified, ours),
        ETHERTYPE_IPV6 => ipv6(packet, unicast, verified, ours),
        ETHERTYPE_ARP => arp(packet, ours),
        _ => Verdict::Drop(Reason::NotForUs),
    }
}

#[inline]
fn ipv4(packet: &[u8], unicast: bool, verified: bool, ours: &Addresses) -> Verdict {
    let Some(header) = packet.first_chunk::<IPV4_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let header_length = usize::from(header[0] & 15) * 4;
    let total = usize::from(word(header, 2));
    if header[0] >> 4 != 4 || header_length < IPV4_HEADER || total < header_length || total > packet.len() {
        return Verdict::Drop(Reason::Malformed);
    }
    if Sum::default().bytes(&packet[..header_length]).fold() != 0xffff {
        return Verdict::Drop(Reason::Checksum);
    }
    let (source, destination) = (ipv4_at(header, 12), ipv4_at(header, 16));
    if !answerable_ipv4(source, ours) {
        return Verdict::Drop(Reason::Martian);
    }
    let to_us = unicast && ours.ipv4.iter().any(|&(address, _)| address == destination);
    let payload = &packet[header_length..total];
    let fragmented = word(header, 6) & 0x3fff != 0;
    if fragmented {
        let end = usize::from(word(header, 6) & 0x1fff) * 8 + payload.len();
        let good = header[9] != TCP && end <= crate::limits::REASSEMBLED_BYTES && to_us;
        return if good { Verdict::Base(Base::Fragment) } else { Verdict::Drop(Reason::Fragment) };
    }
    let group = is_group_ipv4(destination, ours);
    match (header[9], to_us) {
        (UDP, true) if header_length == IPV4_HEADER => datagram(payload, false),
        (TCP, true) => segment(payload, verified, source.into(), destination.into()),
        (TCP, false) => Verdict::Drop(Reason::NotForUs), // RFC 1122 §4.2.3.10: never to a broadcast address
        (UDP, _) => match slow_datagram(payload, source.into(), destination.into()) {
            Verdict::Base(Base::Udp(port)) if !to_us && !group && port != DHCP_CLIENT_PORT => {
                Verdict::Drop(Reason::NotForUs)
            }
            verdict => verdict,
        },
        // RFC 1122 §3.2.2.6 lets a ping to everybody go unanswered: its sender may be the victim.
        (ICMP, true) => match Sum::default().bytes(payload).fold() {
            _ if payload.len() < 8 => Verdict::Drop(Reason::Malformed),
            0xffff => Verdict::Base(Base::Icmp),
            _ => Verdict::Drop(Reason::Checksum),
        },
        (_, true) => Verdict::Base(Base::Protocol),
        _ => Verdict::Drop(Reason::NotForUs),
    }
}

#[inline]
fn ipv6(packet: &[u8], unicast: bool, verified: bool, ours: &Addresses) -> Verdict {
    let Some(header) = packet.first_chunk::<IPV6_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let length = usize::from(word(header, 4));
    if header[0] >> 4 != 6 || IPV6_HEADER + length > packet.len() {
        return Verdict::Drop(Reason::Malformed);
    }
    let (source, destination) = (ipv6_at(header, 8), ipv6_at(header, 24));
    let group = destination.is_multicast();
    let to_us = unicast && ours.ipv6.contains(&destination);
    if !to_us && !group {
        return Verdict::Drop(Reason::NotForUs);
    }
    let (mut next, mut payload) = (header[6], &packet[IPV6_HEADER..IPV6_HEADER + length]);
    // The unspecified address asks whether an address is taken (RFC 4862 §5.4.2); nobody else may use it.
    let probe = source.is_unspecified() && next == ICMPV6;
    if !probe && !answerable_ipv6(source, ours) {
        return Verdict::Drop(Reason::Martian);
    }
    let plain = next != IPV6_HOP_BY_HOP;
    if !plain {
        let Some(behind) =
            payload.get(1).and_then(|&units| payload.split_at_checked(usize::from(units) * 8 + 8))
        else {
            return Verdict::Drop(Reason::Malformed);
        };
        (next, payload) = (payload[0], behind.1);
    }
    match next {
        UDP if to_us && plain => datagram(payload, true),
        UDP => slow_datagram(payload, source.into(), destination.into()),
        TCP if to_us => segment(payload, verified, source.into(), destination.into()),
        TCP => Verdict::Drop(Reason::NotForUs),
        ICMPV6 if payload.len() < 4 => Verdict::Drop(Reason::Malformed),
        ICMPV6 if pseudo(source.into(), destination.into(), ICMPV6, payload).fold() != 0xffff => {
            Verdict::Drop(Reason::Checksum)
        }
        ICMPV6 => match payload[0] {
            135 | 136 => Verdict::Base(Base::Neighbour),
            kind => Verdict::Base(Base::Icmpv6(kind)),
        },
        IPV6_FRAGMENT => Verdict::Drop(Reason::Fragment),
        _ if to_us => Verdict::Base(Base::Protocol),
        _ => Verdict::Drop(Reason::NotForUs),
    }
}

fn arp(packet: &[u8], ours: &Addresses) -> Verdict {
    let Some(packet) = packet.first_chunk::<ARP_PACKET>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let (sender, target) = (ipv4_at(packet, 14), ipv4_at(packet, 24));
    // RFC 826: Ethernet, IPv4, their address lengths; a request or a reply.
    if packet[..7] != [0, 1, 8, 0, 6, 4, 0] || !matches!(packet[7], 1 | 2) {
        Verdict::Drop(Reason::Malformed)
    } else if packet[8] & 1 != 0 || !(sender.is_unspecified() || answerable_ipv4(sender, ours)) {
        Verdict::Drop(Reason::Martian)
    } else if ours.ipv4.iter().all(|&(address, _)| address != target) {
        Verdict::Drop(Reason::NotForUs)
    } else if sender.is_unspecified() {
        Verdict::Base(Base::Probe(target))
    } else {
        Verdict::Base(Base::Neighbour)
    }
}

#[inline]
fn datagram(payload: &[u8], ipv6: bool) -> Verdict {
    let Some(header) = payload.first_chunk::<UDP_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let length = usize::from(word(header, 4));
    let answerable = word(header, 0) != 0 && word(header, 2) != 0;
    if length < UDP_HEADER || length > payload.len() || !answerable {
        return Verdict::Drop(Reason::Malformed);
    }
    Verdict::Datagram(Datagram { ipv6, port: word(header, 2), length: length - UDP_HEADER })
}

fn segment(payload: &[u8], verified: bool, source: IpAddr, destination: IpAddr) -> Verdict {
    let Some(header) = payload.first_chunk::<TCP_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < TCP_HEADER
        || header_length > payload.len()
        || word(header, 0) == 0
        || word(header, 2) == 0
    {
        return Verdict::Drop(Reason::Malformed);
    }
    if !verified && pseudo(source, destination, TCP, payload).fold() != 0xffff {
        return Verdict::Drop(Reason::Checksum);
    }
    const FIN_SYN_RST_ACK: u8 = 0b1_0111;
    const FIN_SYN: u8 = 0b0_0011;
    Verdict::Segment(Segment {
        remote: SocketAddr::new(source, word(header, 0)),
        local: SocketAddr::new(destination, word(header, 2)),
        opening: header[13] & FIN_SYN_RST_ACK == 0b0_0010,
        reset: header[13] & 0b0_0100 != 0,
        bare: header[13] & FIN_SYN == 0 && header_length == payload.len(),
        window: word(header, 14),
        acknowledged: (header[13] & 0b1_0000 != 0)
            .then(|| u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
    })
}

/// A datagram that the fast path does not take.
fn slow_datagram(payload: &[u8], source: IpAddr, destination: IpAddr) -> Verdict {
    let Verdict::Datagram(Datagram { ipv6, port, length }) = datagram(payload, source.is_ipv6()) else {
        return Verdict::Drop(Reason::Malformed);
    };
    let unsummed = payload[6..8] == [0, 0];
    let good = match unsummed {
        true => !ipv6,
        false => pseudo(source, destination, UDP, &payload[..UDP_HEADER + length]).fold() == 0xffff,
    };
    if good { Verdict::Base(Base::Udp(port)) } else { Verdict::Drop(Reason::Checksum) }
}

/// Sum of a pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) and what follows it, which fits 65535 bytes.
fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Sum {
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::default().bytes(&source.octets()).bytes(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::default().bytes(&source.octets()).bytes(&destination.octets())
        }
        _ => unreachable!("both addresses come from one header"),
    };
    addresses.word(protocol.into()).word(payload.len() as u16).bytes(payload)
}

fn answerable_ipv4(source: Ipv4Addr, ours: &Addresses) -> bool {
    let first = source.octets()[0];
    first != 0
        && first != 127
        && first < 224
        && ours.ipv4.iter().all(|&(address, broadcast)| source != address && source != broadcast)
}

fn answerable_ipv6(source: Ipv6Addr, ours: &Addresses) -> bool {
    !source.is_multicast()
        && !source.is_unspecified()
        && !source.is_loopback()
        && source.to_ipv4_mapped().is_none()
        && !ours.ipv6.contains(&source)
}

fn is_group_ipv4(destination: Ipv4Addr, ours: &Addresses) -> bool {
    destination.is_broadcast()
        || destination.is_multicast()
        || ours.ipv4.iter().any(|&(_, broadcast)| destination == broadcast)
}

#[inline]
fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn ipv4_at<const N: usize>(bytes: &[u8; N], at: usize) -> Ipv4Addr {
    Ipv4Addr::from([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn ipv6_at<const N: usize>(bytes: &[u8; N], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(octets)
}
