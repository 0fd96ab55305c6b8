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

use super::checksum::Sum;
use super::device::ETHERNET_HEADER;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// IANA protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_FRAGMENT: u8 = 44;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

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

/// A UDP datagram inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whether it came over IPv6.
    pub ipv6: bool,
    /// Destination port.
    pub port: u16,
    /// Bytes of payload.
    pub length: usize,
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
    /// The acknowledgement number, with ACK.
    pub acknowledged: Option<u32>,
}

/// Decides where `frame` goes.
#[inline]
pub fn classify(frame: &[u8], ours: &Addresses) -> Verdict {
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
        ETHERTYPE_IPV4 => ipv4(packet, unicast, ours),
        ETHERTYPE_IPV6 => ipv6(packet, unicast, ours),
        ETHERTYPE_ARP => Verdict::Base(Base::Neighbour),
        _ => Verdict::Drop(Reason::NotForUs),
    }
}

#[inline]
fn ipv4(packet: &[u8], unicast: bool, ours: &Addresses) -> Verdict {
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
    match (header[9], to_us) {
        (UDP, true) if header_length == IPV4_HEADER => datagram(payload, false),
        (TCP, true) => segment(payload, source.into(), destination.into()),
        (TCP, false) => Verdict::Drop(Reason::NotForUs), // RFC 1122 §4.2.3.10: never to a broadcast address
        (UDP, _) => match udp_port(payload) {
            None => Verdict::Drop(Reason::Malformed),
            Some(port) if to_us || port == DHCP_CLIENT_PORT => Verdict::Base(Base::Udp(port)),
            Some(port) if is_group_ipv4(destination, ours) => Verdict::Base(Base::Udp(port)),
            Some(_) => Verdict::Drop(Reason::NotForUs),
        },
        (1, _) if to_us || is_group_ipv4(destination, ours) => Verdict::Base(Base::Icmp),
        (_, true) => Verdict::Base(Base::Protocol),
        _ => Verdict::Drop(Reason::NotForUs),
    }
}

#[inline]
fn ipv6(packet: &[u8], unicast: bool, ours: &Addresses) -> Verdict {
    let Some(header) = packet.first_chunk::<IPV6_HEADER>() else {
        return Verdict::Drop(Reason::Malformed);
    };
    let length = usize::from(word(header, 4));
    if header[0] >> 4 != 6 || IPV6_HEADER + length > packet.len() {
        return Verdict::Drop(Reason::Malformed);
    }
    let payload = &packet[IPV6_HEADER..IPV6_HEADER + length];
    let (source, destination) = (ipv6_at(header, 8), ipv6_at(header, 24));
    let group = destination.is_multicast();
    let to_us = unicast && ours.ipv6.contains(&destination);
    if !to_us && !group {
        return Verdict::Drop(Reason::NotForUs);
    }
    // The unspecified address asks whether an address is taken (RFC 4862 §5.4.2); nobody else may use it.
    let probe = source.is_unspecified() && header[6] == 58;
    if !probe && !answerable_ipv6(source, ours) {
        return Verdict::Drop(Reason::Martian);
    }
    match header[6] {
        UDP if to_us => datagram(payload, true),
        TCP if to_us => segment(payload, source.into(), destination.into()),
        TCP => Verdict::Drop(Reason::NotForUs),
        UDP => {
            udp_port(payload).map_or(Verdict::Drop(Reason::Malformed), |port| Verdict::Base(Base::Udp(port)))
        }
        58 => match payload {
            [_, _, _, _, ..]
                if Sum::default().bytes(&header[8..]).word(length as u16).word(58).bytes(payload).fold()
                    != 0xffff =>
            {
                Verdict::Drop(Reason::Checksum)
            }
            [135 | 136, _, _, _, ..] => Verdict::Base(Base::Neighbour),
            [kind, _, _, _, ..] => Verdict::Base(Base::Icmpv6(*kind)),
            _ => Verdict::Drop(Reason::Malformed),
        },
        IPV6_FRAGMENT => Verdict::Drop(Reason::Fragment),
        _ if to_us => Verdict::Base(Base::Protocol),
        _ => Verdict::Drop(Reason::NotForUs),
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

fn segment(payload: &[u8], source: IpAddr, destination: IpAddr) -> Verdict {
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
    // A packet holds at most 65535 bytes, so its length fits the pseudo-header's low word.
    let pseudo = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::default().bytes(&source.octets()).bytes(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::default().bytes(&source.octets()).bytes(&destination.octets())
        }
        _ => return Verdict::Drop(Reason::Malformed),
    };
    if pseudo.word(TCP.into()).word(payload.len() as u16).bytes(payload).fold() != 0xffff {
        return Verdict::Drop(Reason::Checksum);
    }
    const FIN_SYN_RST_ACK: u8 = 0b1_0111;
    Verdict::Segment(Segment {
        remote: SocketAddr::new(source, word(header, 0)),
        local: SocketAddr::new(destination, word(header, 2)),
        opening: header[13] & FIN_SYN_RST_ACK == 0b0_0010,
        reset: header[13] & 0b0_0100 != 0,
        acknowledged: (header[13] & 0b1_0000 != 0)
            .then(|| u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
    })
}

fn udp_port(payload: &[u8]) -> Option<u16> {
    payload.first_chunk::<UDP_HEADER>().map(|header| word(header, 2))
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

impl Datagram {
    /// Where the UDP header starts in the frame.
    #[inline]
    fn header(&self) -> usize {
        ETHERNET_HEADER + if self.ipv6 { IPV6_HEADER } else { IPV4_HEADER }
    }

    /// Where the payload starts in the frame.
    #[inline]
    pub fn payload(&self) -> usize {
        self.header() + UDP_HEADER
    }

    /// Whether the UDP checksum is right. Over IPv4 it may be left out (RFC 768), over IPv6 not (RFC 8200 §8.1).
    #[inline]
    pub fn verify(&self, frame: &[u8]) -> bool {
        let header = self.header();
        if frame[header + 6..header + 8] == [0, 0] {
            return !self.ipv6;
        }
        self.sum(&frame[..self.payload() + self.length]).fold() == 0xffff
    }

    /// Sum of pseudo-header, UDP header and payload of a frame that ends with the payload.
    #[inline]
    fn sum(&self, frame: &[u8]) -> Sum {
        let header = self.header();
        let addresses = if self.ipv6 { header - 32 } else { header - 8 };
        let length = (frame.len() - header) as u16;
        // Both addresses lie right before the UDP header, in both versions.
        Sum::default().bytes(&frame[addresses..]).word(UDP.into()).word(length)
    }

    /// Who sent it.
    #[inline]
    pub fn source(&self, frame: &[u8]) -> SocketAddr {
        let header = self.header();
        let port = u16::from_be_bytes([frame[header], frame[header + 1]]);
        let address = if self.ipv6 {
            let mut octets = [0; 16];
            octets.copy_from_slice(&frame[header - 32..header - 16]);
            IpAddr::V6(octets.into())
        } else {
            IpAddr::V4([frame[header - 8], frame[header - 7], frame[header - 6], frame[header - 5]].into())
        };
        SocketAddr::new(address, port)
    }

    /// Turns the received frame, whose payload is now an answer of `length` bytes, into the frame that carries it back.
    /// Returns the frame's length.
    #[inline]
    pub fn answer(&self, frame: &mut [u8], length: usize) -> usize {
        let (header, payload) = (self.header(), self.payload());
        let end = payload + length;
        let frame = &mut frame[..end];
        swap::<6>(frame, 0, 6);
        let udp_length = ((UDP_HEADER + length) as u16).to_be_bytes();
        if self.ipv6 {
            frame[14..18].copy_from_slice(&[0x60, 0, 0, 0]);
            frame[18..20].copy_from_slice(&udp_length);
            frame[21] = HOP_LIMIT;
            swap::<16>(frame, header - 32, header - 16);
        } else {
            let total = ((IPV4_HEADER + UDP_HEADER + length) as u16).to_be_bytes();
            frame[15] = 0;
            frame[16..18].copy_from_slice(&total);
            frame[18..22].copy_from_slice(&[0, 0, 0x40, 0]); // atomic (RFC 6864 §4.1): no identification, don't fragment
            frame[22] = HOP_LIMIT;
            frame[24..26].fill(0);
            swap::<4>(frame, header - 8, header - 4);
            let checksum = Sum::default().bytes(&frame[ETHERNET_HEADER..header]).checksum();
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        swap::<2>(frame, header, header + 2);
        frame[header + 4..header + 6].copy_from_slice(&udp_length);
        frame[header + 6..header + 8].fill(0);
        let checksum = match self.sum(frame).checksum() {
            0 => 0xffff, // RFC 768: zero would say that there is none
            checksum => checksum,
        };
        frame[header + 6..header + 8].copy_from_slice(&checksum.to_be_bytes());
        end
    }
}

/// Time to live of what we send, the same as smoltcp's.
const HOP_LIMIT: u8 = 64;

#[inline]
fn swap<const N: usize>(frame: &mut [u8], first: usize, second: usize) {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&frame[first..first + N]);
    frame.copy_within(second..second + N, first);
    frame[second..second + N].copy_from_slice(&bytes);
}
