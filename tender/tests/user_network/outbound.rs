//! What the guest opens itself: connections and datagrams to servers of this host, which it knows as 10.0.2.2.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, UdpSocket};

use skerry_tender::network::user::{Dropped, Outbound};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{dhcpv4, tcp, udp};
use smoltcp::wire::{IpEndpoint, Ipv4Address};

use crate::guest::{Guest, Network, noise};
use crate::{GUEST, PATIENCE, PORT};

const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
const NAME_SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 3);

#[test]
fn the_guest_reaches_a_server_of_this_host_and_bytes_go_both_ways() {
    let (mut network, server) = (network(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = server.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut guest = network.guest(Some(GUEST));
    let socket = connect(&mut guest, HOST, port, 40_000);
    let (sent, mut written, mut received) = (noise(100_000), 0, Vec::new());
    guest.until(|guest| {
        let socket = guest.sockets.get_mut::<tcp::Socket<'_>>(socket);
        if written < sent.len() && socket.can_send() {
            written += socket.send_slice(&sent[written..]).unwrap();
            if written == sent.len() {
                socket.close();
            }
        }
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), received.extend_from_slice(bytes))).unwrap();
        }
        (received.len() == sent.len()).then_some(())
    });
    assert!(received == sent);
    echo.join().unwrap();
}

#[test]
fn what_nobody_listens_to_is_refused_at_once() {
    let mut network = network();
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut guest = network.guest(Some(GUEST));
    check_refused(&mut guest, HOST, unused);
}

#[test]
fn what_the_guest_may_not_reach_is_refused_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut network = network();
    let mut guest = network.guest(Some(GUEST));
    check_refused(&mut guest, Ipv4Address::new(169, 254, 169, 254), 80);
    check_refused(&mut guest, Ipv4Address::new(10, 0, 2, 9), port);
    // And nothing at all where nothing was allowed.
    let mut closed = Network::start(true, false);
    let mut guest = closed.guest(Some(GUEST));
    check_refused(&mut guest, HOST, port);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn many_connections_to_one_server_at_once() {
    const CONNECTIONS: u16 = 40;
    let (mut network, server) = (network(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = server.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        for stream in server.incoming().take(usize::from(CONNECTIONS)) {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    });
    let mut guest = network.guest(Some(GUEST));
    let sockets: Vec<_> =
        (0..CONNECTIONS).map(|number| connect(&mut guest, HOST, port, 40_000 + number)).collect();
    let (mut asked, mut answers) = (vec![false; sockets.len()], vec![None; sockets.len()]);
    guest.until(|guest| {
        for (number, &socket) in sockets.iter().enumerate() {
            let socket = guest.sockets.get_mut::<tcp::Socket<'_>>(socket);
            if socket.can_send() && !asked[number] {
                socket.send_slice(&(number as u16).to_be_bytes()).unwrap();
                asked[number] = true;
            }
            if socket.recv_queue() >= 2 {
                let mut bytes = [0; 2];
                socket.recv_slice(&mut bytes).unwrap();
                answers[number] = Some(u16::from_be_bytes(bytes));
            }
        }
        answers.iter().all(Option::is_some).then_some(())
    });
    let expected: Vec<_> = (0..CONNECTIONS).map(Some).collect();
    assert_eq!(answers, expected, "each got its own answer");
    echo.join().unwrap();
}

#[test]
fn datagrams_go_to_the_host_and_to_its_name_server_and_come_back_from_there() {
    let servers = [
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
    ];
    let ports = servers.each_ref().map(|server| server.local_addr().unwrap().port());
    let mut network = network();
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.udp(PORT);
    for (server, (address, port)) in servers.iter().zip([(HOST, ports[0]), (NAME_SERVER, ports[1])]) {
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let peer = IpEndpoint::new(address.into(), port);
        guest.send(socket, b"question", udp::UdpMetadata::from(peer));
        // The first frame waits for ARP.
        let mut buffer = [0; 64];
        server.set_nonblocking(true).unwrap();
        let (length, from) = guest.until(|_| server.recv_from(&mut buffer).ok());
        assert_eq!(&buffer[..length], b"question");
        server.send_to(b"answer", from).unwrap();
        let (answer, from) = guest.receive(socket);
        assert_eq!((&answer[..], from.endpoint), (&b"answer"[..], peer));
    }
    assert_eq!(network.stop(guest), Dropped::default());
}

#[test]
fn more_peers_than_are_remembered_still_get_their_datagrams() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let peer = IpEndpoint::new(HOST.into(), server.local_addr().unwrap().port());
    let mut network = network();
    let mut guest = network.guest(Some(GUEST));
    for number in 0..skerry_tender::limits::USER_OUTBOUND_FLOWS_MAX as u16 + 9 {
        let socket = guest.udp(2_000 + number);
        guest.send(socket, b"question", udp::UdpMetadata::from(peer));
        let mut buffer = [0; 64];
        server.set_nonblocking(true).unwrap();
        let (_, from) = guest.until(|_| server.recv_from(&mut buffer).ok());
        server.send_to(b"answer", from).unwrap();
        assert_eq!(guest.receive(socket).0, b"answer");
        guest.sockets.remove(socket);
    }
}

#[test]
fn dhcp_names_the_name_server_that_can_be_reached() {
    let mut network = network();
    let mut guest = network.guest(None);
    let handle = guest.sockets.add(dhcpv4::Socket::new());
    let servers = guest.until(|guest| match guest.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll()? {
        dhcpv4::Event::Configured(configuration) => Some(configuration.dns_servers.to_vec()),
        dhcpv4::Event::Deconfigured => None,
    });
    assert_eq!(servers, [NAME_SERVER]);
}

/// A network with a way out, whose name server is this host.
fn network() -> Network {
    Network::start_with(true, false, Some(Outbound { name_server: Some(Ipv4Addr::LOCALHOST) }))
}

fn connect(guest: &mut Guest, address: Ipv4Address, port: u16, from: u16) -> SocketHandle {
    let buffer = || tcp::SocketBuffer::new(vec![0; 16384]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    let routes = guest.interface.routes_mut();
    routes.add_default_ipv4_route(HOST).unwrap();
    socket.connect(guest.interface.context(), (address, port), from).unwrap();
    guest.sockets.add(socket)
}

#[track_caller]
fn check_refused(guest: &mut Guest, address: Ipv4Address, port: u16) {
    let socket = connect(guest, address, port, 41_000);
    guest.until(|guest| {
        let socket = guest.sockets.get::<tcp::Socket<'_>>(socket);
        assert!(!socket.may_send(), "{address}:{port} was reached");
        (socket.state() == tcp::State::Closed).then_some(())
    });
    guest.sockets.remove(socket);
}
