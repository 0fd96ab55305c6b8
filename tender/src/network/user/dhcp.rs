//! A DHCP server with one lease that never ends: 10.0.2.15/24, router 10.0.2.2, name server 10.0.2.3 where the guest may reach one.
//!
//! RFC 2131 §4.3, as far as one client on one wire needs: DISCOVER is offered the address, REQUEST for it is granted,
//! REQUEST for another is refused. Answers are broadcast, which every client has to accept (§4.1).

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, Ipv4Address};

use super::frame::{GATEWAY, GUEST, NAME_SERVER, UDP_HEADERS, UdpAddresses, write_udp};

/// Port of servers.
pub const SERVER_PORT: u16 = 67;
/// Port of clients.
pub const CLIENT_PORT: u16 = 68;
/// Seconds of the lease, renewed after half of it.
const LEASE_SECONDS: u32 = 24 * 60 * 60;

/// The frame that answers `request`, which came from hardware address `client`; `None` where there is nothing to say.
pub fn handle_request(request: &[u8], client: EthernetAddress, name_server: bool) -> Option<Vec<u8>> {
    let packet = DhcpPacket::new_checked(request).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request => {
            if request.server_identifier.is_some_and(|server| server != GATEWAY) {
                return None;
            }
            let wanted = request.requested_ip.unwrap_or(request.client_ip);
            if wanted == GUEST { DhcpMessageType::Ack } else { DhcpMessageType::Nak }
        }
        DhcpMessageType::Inform => DhcpMessageType::Ack,
        _ => return None,
    };
    Some(answer(&request, message_type, client, name_server))
}

fn answer(
    request: &DhcpRepr<'_>,
    message_type: DhcpMessageType,
    client: EthernetAddress,
    name_server: bool,
) -> Vec<u8> {
    let granted = message_type != DhcpMessageType::Nak;
    let answer = DhcpRepr {
        message_type,
        transaction_id: request.transaction_id,
        secs: 0,
        client_hardware_address: request.client_hardware_address,
        client_ip: Ipv4Address::UNSPECIFIED,
        your_ip: if granted { GUEST } else { Ipv4Address::UNSPECIFIED },
        server_ip: GATEWAY,
        router: granted.then_some(GATEWAY),
        subnet_mask: granted.then_some(Ipv4Address::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Address::UNSPECIFIED,
        broadcast: true,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: (granted && name_server).then(|| [NAME_SERVER].into_iter().collect()),
        max_size: None,
        lease_duration: granted.then_some(LEASE_SECONDS),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let length = answer.buffer_len();
    let mut frame = vec![0; UDP_HEADERS + length];
    answer
        .emit(&mut DhcpPacket::new_unchecked(&mut frame[UDP_HEADERS..]))
        .expect("the buffer has the length that the message says it needs");
    write_udp(
        &mut frame,
        length,
        UdpAddresses {
            source: GATEWAY,
            destination_mac: client,
            destination: Ipv4Address::BROADCAST,
            source_port: SERVER_PORT,
            destination_port: CLIENT_PORT,
        },
    );
    frame
}
