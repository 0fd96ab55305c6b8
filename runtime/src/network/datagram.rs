//! A UDP datagram in the frame it came in, and the answer written over it.
//!
//! Every offset was checked by classify.rs when the datagram was found; what is left here is arithmetic on a known layout.

use super::{
    checksum::Sum,
    classify::{IPV4_HEADER, IPV6_HEADER, UDP, UDP_HEADER},
    device::ETHERNET_HEADER,
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
