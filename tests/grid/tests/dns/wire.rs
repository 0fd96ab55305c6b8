//! Frames by hand: ARP, ICMP echo and UDP over IPv4, one at a time, on our end of a packet socket.

use rustix::{
    io::{read, write},
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(30);

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xFE];
const OUR_ADDRESS: [u8; 4] = [10, 0, 0, 1];
const THEIR_ADDRESS: [u8; 4] = [10, 0, 0, 2];
const ARP: [u8; 2] = [8, 6];
const IPV4: [u8; 2] = [8, 0];
const ICMP: u8 = 1;
const UDP: u8 = 17;

/// Our end, and the guest's until it is started.
pub struct Wire {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Wire {
    /// A new wire.
    pub fn new() -> Wire {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)
                .expect("sockets exist");
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC).expect("it is open");
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE)).expect("it is a socket");
        Wire { ours, theirs }
    }

    /// The guest's end.
    pub fn end(&self) -> i32 {
        self.theirs.as_raw_fd()
    }

    /// Asks who has the guest's address.
    #[track_caller]
    pub fn resolve(&self) -> [u8; 6] {
        let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
        request.extend(OUR_MAC);
        request.extend(OUR_ADDRESS);
        request.extend([0; 6]);
        request.extend(THEIR_ADDRESS);
        self.send([0xFF; 6], ARP, &request);
        let reply = self.receive(ARP, |packet| packet[7] == 2 && packet[14..18] == THEIR_ADDRESS);
        reply[8..14].try_into().expect("it is six octets")
    }

    /// Sends an echo request and returns what comes back.
    #[track_caller]
    pub fn ping(&self, mac: [u8; 6], data: &[u8]) -> Vec<u8> {
        let mut request = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
        request.extend(data);
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum);
        self.send(mac, IPV4, &ipv4(ICMP, &request));
        let reply = self.receive(IPV4, |packet| packet[9] == ICMP && packet[20] == 0);
        assert_eq!(checksum(&reply[20..]), [0, 0], "checksum of the echo reply");
        reply[28..].to_vec()
    }

    /// Sends a datagram to a port and returns the one that comes back from it.
    #[track_caller]
    pub fn ask(&self, mac: [u8; 6], port: u16, data: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0xC0, 0x01];
        datagram.extend(port.to_be_bytes());
        datagram.extend((8 + data.len() as u16).to_be_bytes());
        datagram.extend([0, 0]); // no checksum (RFC 768)
        datagram.extend(data);
        self.send(mac, IPV4, &ipv4(UDP, &datagram));
        let from = port.to_be_bytes();
        let reply = self.receive(IPV4, |packet| packet[9] == UDP && packet[20..22] == from);
        assert_eq!(reply[12..20], [THEIR_ADDRESS, OUR_ADDRESS].concat(), "addresses");
        assert_eq!(reply[22..24], [0xC0, 0x01], "port");
        let mut pseudo = [&reply[12..20], &[0, UDP], &reply[24..26]].concat();
        pseudo.extend(&reply[20..]);
        assert_eq!(checksum(&pseudo), [0, 0], "checksum of the datagram");
        reply[28..].to_vec()
    }

    fn send(&self, to: [u8; 6], ethernet_type: [u8; 2], packet: &[u8]) {
        let frame = [&to[..], &OUR_MAC, &ethernet_type, packet].concat();
        write(&self.ours, &frame).expect("the wire takes a frame");
    }

    /// The next packet that `is_it` says yes to; all others are let go.
    #[track_caller]
    fn receive(&self, ethernet_type: [u8; 2], is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut frame = [0; 2048];
            let length = read(&self.ours, &mut frame).expect("a frame comes");
            let (header, packet) = frame[..length].split_at(14);
            if header[..6] == OUR_MAC && header[12..] == ethernet_type && packet.len() >= 28 && is_it(packet)
            {
                let whole = match ethernet_type {
                    IPV4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
                    _ => packet.len(),
                };
                return packet[..whole].to_vec();
            }
        }
        panic!("no such frame in {PATIENCE:?}");
    }
}

fn ipv4(protocol: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + data.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(OUR_ADDRESS);
    packet.extend(THEIR_ADDRESS);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(data);
    packet
}

/// RFC 1071.
fn checksum(octets: &[u8]) -> [u8; 2] {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}
