//! Frames made and read by hand, so that tests do not ask smoltcp what smoltcp should have said.

use super::{CLIENT_MAC, SERVER_MAC};
use crate::network::{ETHERNET_HEADER, checksum::Sum};
use std::net::{IpAddr, SocketAddr};

pub const UDP: u8 = 17;
pub const TCP: u8 = 6;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// A frame from the client to the server that carries an IP packet.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    let kind: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    ethernet(SERVER_MAC, CLIENT_MAC, kind, packet)
}

pub fn ethernet(destination: [u8; 6], source: [u8; 6], kind: u16, packet: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), packet].concat()
}

/// An IP packet without options or extension headers.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + length).to_be_bytes();
            let mut packet = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet.extend(payload);
            mend_ipv4(&mut packet);
            packet
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = length.to_be_bytes();
            let mut packet = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet.extend(payload);
            packet
        }
        _ => panic!("two versions of IP"),
    }
}

/// Makes the header checksum of an IPv4 packet right.
pub fn mend_ipv4(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let checksum = Sum::default().bytes(&packet[..header]).checksum();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// What a checksum of `protocol` covers: pseudo-header and payload.
fn checksum(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let pseudo = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => [source.octets(), destination.octets()].concat(),
        _ => panic!("two versions of IP"),
    };
    Sum::default().bytes(&pseudo).word(protocol.into()).word(payload.len() as u16).bytes(payload).checksum()
}

/// A UDP datagram without its IP header.
pub fn udp_payload(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut payload = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    payload.extend((8 + data.len() as u16).to_be_bytes());
    payload.extend([0, 0]);
    payload.extend(data);
    let sum = checksum(source.ip(), destination.ip(), UDP, &payload).to_be_bytes();
    payload[6..8].copy_from_slice(&sum);
    payload
}

/// A frame with a UDP datagram.
pub fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Vec<u8> {
    let payload = udp_payload(source, destination, data);
    frame(&ip(source.ip(), destination.ip(), UDP, &payload))
}

/// A frame with an ICMP echo request of either version.
pub fn echo_request(source: IpAddr, destination: IpAddr, data: &[u8]) -> Vec<u8> {
    let kind = if source.is_ipv4() { 8 } else { 128 };
    icmp(source, destination, &[&[kind, 0, 0, 0, 0x12, 0x34, 0, 1], data].concat(), 64)
}

/// A frame with an ICMP message of either version, whose checksum is made right.
pub fn icmp(source: IpAddr, destination: IpAddr, message: &[u8], hop_limit: u8) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let (protocol, sum) = match source {
        IpAddr::V4(_) => (ICMP, Sum::default().bytes(&message).checksum()),
        IpAddr::V6(_) => (ICMPV6, checksum(source, destination, ICMPV6, &message)),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = ip(source, destination, protocol, &message);
    if source.is_ipv6() {
        packet[7] = hop_limit;
    }
    frame(&packet)
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
    pub data: Vec<u8>,
}

impl Segment {
    pub fn frame(&self) -> Vec<u8> {
        let mut payload = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        payload.extend(self.sequence.to_be_bytes());
        payload.extend(self.acknowledgement.to_be_bytes());
        payload.extend([0x50, self.flags]);
        payload.extend(self.window.to_be_bytes());
        payload.extend([0; 4]);
        payload.extend(&self.data);
        let sum = checksum(self.source.ip(), self.destination.ip(), TCP, &payload).to_be_bytes();
        payload[16..18].copy_from_slice(&sum);
        frame(&ip(self.source.ip(), self.destination.ip(), TCP, &payload))
    }

    /// The segment in a frame, if it has one. Panics where the checksum is wrong.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (source, destination, protocol, payload) = read_ip(frame)?;
        if protocol != TCP {
            return None;
        }
        assert_eq!(checksum(source, destination, TCP, payload), 0, "a wrong TCP checksum");
        let header = usize::from(payload[12] >> 4) * 4;
        Some(Self {
            source: SocketAddr::new(source, word(payload, 0)),
            destination: SocketAddr::new(destination, word(payload, 2)),
            flags: payload[13],
            sequence: u32::from(word(payload, 4)) << 16 | u32::from(word(payload, 6)),
            acknowledgement: u32::from(word(payload, 8)) << 16 | u32::from(word(payload, 10)),
            window: word(payload, 14),
            data: payload[header..].to_vec(),
        })
    }

    /// Sequence numbers it takes.
    pub fn length(&self) -> u32 {
        self.data.len() as u32 + (self.flags & (SYN | FIN)).count_ones()
    }
}

/// Source, destination, protocol and payload of the IP packet in a frame, without extension headers.
pub fn read_ip(frame: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    let packet = &frame[ETHERNET_HEADER..];
    match word(frame, 12) {
        0x0800 => {
            let header = usize::from(packet[0] & 15) * 4;
            assert_eq!(Sum::default().bytes(&packet[..header]).checksum(), 0, "a wrong IPv4 checksum");
            let at = |start: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[start..start + 4]).expect("4"));
            Some((at(12), at(16), packet[9], &packet[header..usize::from(word(packet, 2))]))
        }
        0x86dd => {
            let at =
                |start: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[start..start + 16]).expect("16"));
            Some((at(8), at(24), packet[6], &packet[40..40 + usize::from(word(packet, 4))]))
        }
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
