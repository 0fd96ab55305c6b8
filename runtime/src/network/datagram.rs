//! A UDP datagram in the frame it came in, and the answer written over it.
//!
//! Every offset was checked by classify.rs when the datagram was found; what is left here is arithmetic on a known layout.

use super::{
    checksum::Sum,
    classify::{IPV4_HEADER, IPV6_HEADER, UDP, UDP_HEADER},
    device::ETHERNET_HEADER,
    responder::Endpoints,
};
use std::net::{IpAddr, SocketAddr};

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

    /// Between whom it goes.
    #[inline]
    pub fn endpoints(&self, frame: &[u8]) -> Endpoints {
        let header = self.header();
        let port = u16::from_be_bytes([frame[header], frame[header + 1]]);
        let (theirs, ours) = if self.ipv6 {
            (ipv6_at(frame, header - 32), ipv6_at(frame, header - 16))
        } else {
            (ipv4_at(frame, header - 8), ipv4_at(frame, header - 4))
        };
        Endpoints { theirs: SocketAddr::new(theirs, port), ours }
    }

    /// Turns the received frame, whose payload is now an answer of `length` bytes, into the frame that carries it back.
    /// Returns the frame's length.
    #[inline]
    pub fn answer(&self, frame: &mut [u8], length: usize) -> usize {
        let (header, payload) = (self.header(), self.payload());
        let end = payload + length;
        let frame = &mut frame[..end];
        swap::<6>(frame, 0, 6);
        let udp_length = (UDP_HEADER + length) as u16;
        let addresses =
            if self.ipv6 { answer_ipv6(frame, udp_length) } else { answer_ipv4(frame, udp_length) };
        swap::<2>(frame, header, header + 2);
        // The ports add up to the same in either order, and the length counts twice: in the header and the pseudo-header.
        let (written, payload) = frame[header..].split_at_mut(UDP_HEADER);
        let ports = u32::from_ne_bytes([written[0], written[1], written[2], written[3]]);
        let sum =
            addresses.word64(ports.into()).word(UDP.into()).word(udp_length).word(udp_length).bytes(payload);
        let checksum = match sum.checksum() {
            0 => 0xffff, // RFC 768: zero would say that there is none
            checksum => checksum,
        };
        written[4..6].copy_from_slice(&udp_length.to_be_bytes());
        written[6..8].copy_from_slice(&checksum.to_be_bytes());
        end
    }
}

#[inline]
fn ipv4_at(frame: &[u8], at: usize) -> IpAddr {
    IpAddr::V4([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]].into())
}

#[inline]
fn ipv6_at(frame: &[u8], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&frame[at..at + 16]);
    IpAddr::V6(octets.into())
}

/// Turns an IPv4 header around; the sum of both addresses. All sums are of values at hand: what was just stored in small
/// pieces cannot be loaded in large ones without waiting.
#[inline]
fn answer_ipv4(frame: &mut [u8], udp_length: u16) -> Sum {
    let (_, packet) = frame.split_at_mut(ETHERNET_HEADER);
    let Some(packet) = packet.first_chunk_mut::<IPV4_HEADER>() else { return Sum::default() };
    let total = IPV4_HEADER as u16 + udp_length;
    let [t1, t0] = total.to_be_bytes();
    // Atomic (RFC 6864 §4.1): no identification, don't fragment.
    let start = [0x45, 0, t1, t0, 0, 0, 0x40, 0];
    let addresses = packet.last_chunk::<8>().map_or(0, |both| u64::from_ne_bytes(*both));
    let sum = Sum::default().word64(addresses);
    let [c1, c0] = sum
        .word64(u64::from_ne_bytes(start))
        .word(u16::from_be_bytes([HOP_LIMIT, UDP]))
        .checksum()
        .to_be_bytes();
    packet[..8].copy_from_slice(&start);
    packet[8..12].copy_from_slice(&[HOP_LIMIT, UDP, c1, c0]);
    packet[12..].copy_from_slice(&addresses.rotate_left(32).to_ne_bytes());
    sum
}

/// Turns an IPv6 header around; the sum of both addresses.
#[inline]
fn answer_ipv6(frame: &mut [u8], udp_length: u16) -> Sum {
    let (_, packet) = frame.split_at_mut(ETHERNET_HEADER);
    let sum = Sum::default().bytes(&packet[8..IPV6_HEADER]);
    let [l1, l0] = udp_length.to_be_bytes();
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, l1, l0, UDP, HOP_LIMIT]);
    swap::<16>(packet, 8, 24);
    sum
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
