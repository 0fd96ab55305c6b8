//! Addresses of the user-mode network, and frames that are written by hand because they are many: UDP and ARP.

use std::net::SocketAddrV4;
use std::ops::Range;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket,
};

/// The guest.
pub const GUEST: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// The gateway, from which every client of the host seems to come.
pub const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// The name server that the guest is told of where it may reach one.
pub const NAME_SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 3);
/// Bits of the network's prefix.
pub const PREFIX_LENGTH: u8 = 24;
/// The gateway's hardware address, locally administered.
pub const GATEWAY_MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 10, 0, 2, 2]);

/// Bytes in front of an Ethernet frame's payload.
pub const ETHERNET_HEADER: usize = 14;
/// Bytes of Ethernet, IPv4 and UDP headers in front of a datagram.
pub const UDP_HEADERS: usize = ETHERNET_HEADER + 20 + 8;
/// Bytes of the largest datagram that fits one frame.
pub const DATAGRAM_MAX: usize = crate::limits::USER_MTU + ETHERNET_HEADER - UDP_HEADERS;

/// Addresses of a datagram to the guest.
#[derive(Clone, Copy, Debug)]
pub struct UdpAddresses {
    /// Address of the sender.
    pub source: Ipv4Address,
    /// Hardware address of the receiver.
    pub destination_mac: EthernetAddress,
    /// Address of the receiver.
    pub destination: Ipv4Address,
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}

/// Writes all headers in front of the `length` bytes of datagram at [`UDP_HEADERS`]; returns the frame's length.
pub fn write_udp(frame: &mut [u8], length: usize, addresses: UdpAddresses) -> usize {
    EthernetRepr {
        src_addr: GATEWAY_MAC,
        dst_addr: addresses.destination_mac,
        ethertype: EthernetProtocol::Ipv4,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut *frame));
    let end = UDP_HEADERS + length;
    let ip = Ipv4Repr {
        src_addr: addresses.source,
        dst_addr: addresses.destination,
        next_header: IpProtocol::Udp,
        payload_len: length + 8,
        hop_limit: 64,
    };
    ip.emit(
        &mut Ipv4Packet::new_unchecked(&mut frame[ETHERNET_HEADER..end]),
        &ChecksumCapabilities::default(),
    );
    let mut udp = UdpPacket::new_unchecked(&mut frame[ETHERNET_HEADER + 20..end]);
    udp.set_src_port(addresses.source_port);
    udp.set_dst_port(addresses.destination_port);
    udp.set_len((length + 8) as u16);
    udp.fill_checksum(&IpAddress::Ipv4(addresses.source), &IpAddress::Ipv4(addresses.destination));
    end
}

/// Sets where a finished frame goes.
pub fn set_destination(frame: &mut [u8], mac: EthernetAddress) {
    EthernetFrame::new_unchecked(frame).set_dst_addr(mac);
}

/// The question who has the guest's address.
pub fn arp_request() -> [u8; 42] {
    let mut frame = [0; 42];
    EthernetRepr {
        src_addr: GATEWAY_MAC,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: GATEWAY_MAC,
        source_protocol_addr: GATEWAY,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: GUEST,
    }
    .emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET_HEADER..]));
    frame
}

/// What a frame from the guest is, as far as it concerns the gateway.
#[derive(Debug, PartialEq, Eq)]
pub enum FromGuest {
    /// A datagram.
    Udp {
        /// The guest's address, unspecified while it has none.
        source: Ipv4Address,
        /// The guest's port.
        source_port: u16,
        /// The address it is for.
        destination: Ipv4Address,
        /// The port it is for.
        destination_port: u16,
        /// Where in the frame the datagram is.
        payload: Range<usize>,
    },
    /// The first segment of a connection that the guest opens.
    Syn {
        /// The guest's port.
        source_port: u16,
        /// Where it wants to go.
        destination: SocketAddrV4,
    },
    /// ARP, ICMP, or TCP of a connection there is: for smoltcp.
    Other,
    /// Nothing that the gateway understands.
    Ignored,
}

/// Looks into a frame: its sender's hardware address, the guest if it says it is, and what it is.
pub fn parse(frame: &[u8]) -> Option<(EthernetAddress, bool, FromGuest)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let sender = ethernet.src_addr();
    if !sender.is_unicast() {
        return None;
    }
    let payload = &frame[ETHERNET_HEADER..];
    match ethernet.ethertype() {
        EthernetProtocol::Arp => {
            let arp = ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()?;
            let ArpRepr::EthernetIpv4 { source_protocol_addr, source_hardware_addr, .. } = arp else {
                return None;
            };
            let guest = source_protocol_addr == GUEST && source_hardware_addr == sender;
            Some((sender, guest, FromGuest::Other))
        }
        EthernetProtocol::Ipv4 => {
            let ip = Ipv4Packet::new_checked(payload).ok()?;
            let guest = ip.src_addr() == GUEST;
            Some((sender, guest, parse_ipv4(&ip)?))
        }
        _ => Some((sender, false, FromGuest::Ignored)),
    }
}

fn parse_ipv4(ip: &Ipv4Packet<&[u8]>) -> Option<FromGuest> {
    if !ip.verify_checksum() || ip.more_frags() || ip.frag_offset() != 0 {
        return None;
    }
    match ip.next_header() {
        IpProtocol::Udp => {}
        IpProtocol::Tcp => return Some(parse_tcp(ip)),
        _ => return Some(FromGuest::Other),
    }
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    if !udp.verify_checksum(&IpAddress::Ipv4(ip.src_addr()), &IpAddress::Ipv4(ip.dst_addr())) {
        return None;
    }
    let start = ETHERNET_HEADER + usize::from(ip.header_len()) + 8;
    Some(FromGuest::Udp {
        source: ip.src_addr(),
        source_port: udp.src_port(),
        destination: ip.dst_addr(),
        destination_port: udp.dst_port(),
        payload: start..start + udp.payload().len(),
    })
}

/// Whether it opens a connection; all else is smoltcp's to judge.
fn parse_tcp(ip: &Ipv4Packet<&[u8]>) -> FromGuest {
    match TcpPacket::new_checked(ip.payload()) {
        Ok(tcp) if tcp.syn() && !tcp.ack() && ip.src_addr() == GUEST => FromGuest::Syn {
            source_port: tcp.src_port(),
            destination: SocketAddrV4::new(ip.dst_addr(), tcp.dst_port()),
        },
        _ => FromGuest::Other,
    }
}
