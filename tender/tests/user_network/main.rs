//! The user-mode network between real sockets of this host and a scripted guest: smoltcp at the other end of the wire.
//!
//! No rights are needed and nothing leaves the loopback interface. The guest is polled by the test itself, so a test that
//! wants it to be late just does not poll it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod guest;
mod outbound;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use guest::{Guest, Network, noise, receive};
use skerry_tender::args::Published;
use skerry_tender::network::user::{Dropped, bind};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

const GUEST: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const PORT: u16 = 53;
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_datagram_goes_to_the_guest_and_its_answer_back_to_the_client() {
    let mut network = Network::start(true, false);
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.udp(PORT);
    let clients = [network.client(), network.client()];
    for (client, query) in clients.iter().zip([b"first", b"other"]) {
        client.send(query).unwrap();
    }
    for _ in 0..2 {
        let (query, from) = guest.receive(socket);
        assert_eq!(from.endpoint.addr, Ipv4Address::new(10, 0, 2, 2).into());
        guest.send(socket, &query.to_ascii_uppercase(), from);
    }
    assert_eq!(receive(&clients[0]), b"FIRST");
    assert_eq!(receive(&clients[1]), b"OTHER");
    assert_eq!(network.stop(guest), Dropped::default());
}

#[test]
fn what_comes_before_the_guest_is_up_is_held_and_answered() {
    let mut network = Network::start(true, false);
    let client = network.client();
    client.send(b"early").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.udp(PORT);
    let (query, from) = guest.receive(socket);
    guest.send(socket, &query, from);
    assert_eq!(receive(&client), b"early");
}

#[test]
fn more_than_is_held_is_dropped_and_counted() {
    let network = Network::start(true, false);
    let client = network.client();
    let held = skerry_tender::limits::USER_HELD_FRAMES_MAX;
    for _ in 0..held + 7 {
        client.send(b"early").unwrap();
        // The host's own queue is not what is tested here.
        std::thread::sleep(Duration::from_micros(50));
    }
    std::thread::sleep(Duration::from_millis(200));
    let dropped = network.stop_without_guest();
    assert_eq!(dropped, Dropped { not_held: 7, ..Dropped::default() });
}

#[test]
fn the_largest_datagram_passes_and_a_larger_one_is_counted() {
    let mut network = Network::start(true, false);
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.udp(PORT);
    let client = network.client();
    client.send(&[7; 1473]).unwrap();
    client.send(&[7; 1472]).unwrap();
    let (query, from) = guest.receive(socket);
    assert_eq!(query.len(), 1472);
    guest.send(socket, &query, from);
    assert_eq!(receive(&client).len(), 1472);
    assert_eq!(network.stop(guest), Dropped { too_large: 1, ..Dropped::default() });
}

#[test]
fn an_empty_datagram_passes() {
    let mut network = Network::start(true, false);
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.udp(PORT);
    let client = network.client();
    client.send(b"").unwrap();
    let (query, from) = guest.receive(socket);
    assert_eq!(query, b"");
    guest.send(socket, b"", from);
    assert_eq!(receive(&client), b"");
}

#[test]
fn datagrams_from_another_port_than_the_published_are_not_answers() {
    let mut network = Network::start(true, false);
    let mut guest = network.guest(Some(GUEST));
    let (socket, other) = (guest.udp(PORT), guest.udp(PORT + 1));
    let client = network.client();
    client.send(b"query").unwrap();
    let (_, from) = guest.receive(socket);
    guest.send(other, b"forged", from);
    guest.send(socket, b"answer", from);
    assert_eq!(receive(&client), b"answer");
    assert_eq!(network.stop(guest), Dropped { unwanted: 1, ..Dropped::default() });
}

#[test]
fn dhcp_gives_the_guest_its_address() {
    let mut network = Network::start(true, false);
    let mut guest = network.guest(None);
    let handle = guest.sockets.add(dhcpv4::Socket::new());
    let configuration =
        guest.until(|guest| match guest.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll()? {
            dhcpv4::Event::Configured(configuration) => {
                Some((configuration.address, configuration.router, configuration.dns_servers.len()))
            }
            dhcpv4::Event::Deconfigured => None,
        });
    assert_eq!(configuration, (Ipv4Cidr::new(GUEST, 24), Some(Ipv4Address::new(10, 0, 2, 2)), 0));
}

#[test]
fn bytes_go_both_ways_and_each_side_ends_alone() {
    let mut network = Network::start(false, true);
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.listen(PORT);
    let address = network.address;
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let sent = noise(3_000_000);
        let mut writer = stream.try_clone().unwrap();
        let to_send = sent.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&to_send).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        writing.join().unwrap();
        assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    });
    // Echo until the client's end, then answer one more time: half-close.
    guest.until(|guest| {
        let socket = guest.sockets.get_mut::<tcp::Socket<'_>>(socket);
        while socket.can_recv() && socket.send_capacity() - socket.send_queue() > 0 {
            let room = socket.send_capacity() - socket.send_queue();
            let mut bytes = vec![0; room.min(4096)];
            let length = socket.recv_slice(&mut bytes).unwrap();
            assert_eq!(socket.send_slice(&bytes[..length]).unwrap(), length);
        }
        if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
            socket.close();
        }
        client.is_finished().then_some(())
    });
    client.join().unwrap();
}

#[test]
fn a_connection_that_the_guest_refuses_is_reset() {
    let mut network = Network::start(false, true);
    let mut guest = network.guest(Some(GUEST));
    let mut stream = TcpStream::connect(network.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let error = guest.until(|_| match stream.read(&mut [0; 1]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        other => Some(other),
    });
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_resets_resets_the_guest() {
    let mut network = Network::start(false, true);
    let mut guest = network.guest(Some(GUEST));
    let socket = guest.listen(PORT);
    let stream = TcpStream::connect(network.address).unwrap();
    guest.until(|guest| guest.sockets.get::<tcp::Socket<'_>>(socket).may_send().then_some(()));
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    guest.until(|guest| {
        (guest.sockets.get::<tcp::Socket<'_>>(socket).state() == tcp::State::Closed).then_some(())
    });
}

#[test]
fn connections_above_the_limit_wait_for_their_turn() {
    let mut network = Network::start(false, true);
    let mut guest = network.guest(Some(GUEST));
    let limit = skerry_tender::limits::USER_TCP_CONNECTIONS_MAX;
    let listeners: Vec<_> = (0..limit + 8).map(|_| guest.listen(PORT)).collect();
    // In a thread, because only a guest that is polled makes room in the host's accept queue.
    let address = network.address;
    let clients = std::thread::spawn(move || -> Vec<TcpStream> {
        (0..limit + 8).map(|_| TcpStream::connect(address).unwrap()).collect()
    });
    let established = |guest: &mut Guest| {
        let open = |&&handle: &&SocketHandle| guest.sockets.get::<tcp::Socket<'_>>(handle).may_send();
        listeners.iter().filter(open).count()
    };
    guest.until(|guest| (established(guest) == limit).then_some(()));
    guest.run_for(Duration::from_millis(100));
    assert_eq!(established(&mut guest), limit);
    let mut streams = clients.join().unwrap();
    // Those in front go; the guest answers their end with its own.
    streams.drain(..8);
    guest.until(|guest| {
        for &handle in &listeners {
            let socket = guest.sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.state() == tcp::State::CloseWait {
                socket.close();
            }
        }
        (established(guest) == limit).then_some(())
    });
}

#[test]
fn the_gateway_ends_with_its_guest() {
    let mut network = Network::start(true, true);
    let guest = network.guest(Some(GUEST));
    drop(guest);
    let deadline = Instant::now() + PATIENCE;
    while !network.gateway.as_ref().unwrap().is_finished() {
        assert!(Instant::now() < deadline, "the gateway outlives its guest");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_address_that_is_taken_is_one_clear_line() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = taken.local_addr().unwrap();
    let failure = bind(&[Published { host, guest_port: PORT, udp: true, tcp: false }]).unwrap_err();
    assert_eq!(
        failure.message,
        format!("cannot publish {host}/udp: another process has it; stop that or choose another port")
    );
}
