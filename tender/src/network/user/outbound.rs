//! The way out of `--outbound`: which address of the host's world the guest means, and its datagrams' way there and back.
//!
//! Connections are in [`tcp`](super::tcp), beside those that come in. Here is a table of the guest's ports and their peers,
//! each with a connected socket of the host; the longest unused one makes room for a new one.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::frame::{GATEWAY, NAME_SERVER, PREFIX_LENGTH};
use super::wire::send;
use crate::limits::USER_OUTBOUND_FLOWS_MAX;

/// What the guest may reach.
#[derive(Clone, Copy, Debug)]
pub struct Outbound {
    /// The host's name server, which the guest knows as 10.0.2.3.
    pub name_server: Option<Ipv4Addr>,
}

impl Outbound {
    /// With the host's first name server, if it has one with an IPv4 address.
    pub fn of_this_host() -> Self {
        let file = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self { name_server: name_server(&file) }
    }

    /// Where the host has to go for what the guest calls `destination`. `None` where it may not go: the guest's own network
    /// and the host's but for the two names above, and link-local addresses, where clouds keep their machines' secrets.
    pub fn reach(self, destination: SocketAddrV4) -> Option<SocketAddrV4> {
        let address = *destination.ip();
        let mapped = match address {
            GATEWAY => Ipv4Addr::LOCALHOST,
            NAME_SERVER => self.name_server?,
            _ if same_network(address) || address.is_loopback() || address.is_link_local() => return None,
            _ if address.is_multicast() || address.is_broadcast() || address.octets()[0] == 0 => return None,
            _ => address,
        };
        (destination.port() != 0).then(|| SocketAddrV4::new(mapped, destination.port()))
    }
}

fn same_network(address: Ipv4Addr) -> bool {
    (address.to_bits() ^ GATEWAY.to_bits()) >> (32 - PREFIX_LENGTH) == 0
}

/// The first `nameserver` line with an IPv4 address (resolv.conf(5)).
fn name_server(file: &str) -> Option<Ipv4Addr> {
    let servers = file.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse().ok()).next()
}

/// A new socket that is on its way to `peer`, without waiting for it.
pub fn dial(kind: SocketType, peer: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &peer) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Between whom datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The guest's port.
    pub guest_port: u16,
    /// The peer as the guest calls it.
    pub peer: SocketAddrV4,
}

/// The sockets of the guest's datagrams, at most [`USER_OUTBOUND_FLOWS_MAX`].
#[derive(Debug, Default)]
pub struct Datagrams {
    flows: Vec<(Flow, OwnedFd, u64)>,
    /// Counts what was sent or received, so that it says which flow is the longest unused.
    uses: u64,
}

impl Datagrams {
    /// Sends a datagram of the guest to `peer`. Where that needed a socket, its number, under which the caller watches it
    /// from now on.
    pub fn send(&mut self, flow: Flow, peer: SocketAddrV4, payload: &[u8]) -> io::Result<Option<usize>> {
        let known = self.flows.iter().position(|(known, ..)| *known == flow);
        let number = match known {
            Some(number) => number,
            None => self.open(flow, peer)?,
        };
        self.uses += 1;
        self.flows[number].2 = self.uses;
        let sent = send(self.flows[number].1.as_fd(), &[(payload, None)])?;
        if sent == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(known.is_none().then_some(number))
    }

    /// The flow with this number, and its socket.
    pub fn get(&mut self, number: usize) -> Option<(Flow, BorrowedFd<'_>)> {
        self.uses += 1;
        self.flows.get_mut(number)?.2 = self.uses;
        let (flow, socket, _) = &self.flows[number];
        Some((*flow, socket.as_fd()))
    }

    fn open(&mut self, flow: Flow, peer: SocketAddrV4) -> io::Result<usize> {
        let socket = dial(SocketType::DGRAM, peer)?;
        let entry = (flow, socket, self.uses);
        if self.flows.len() < USER_OUTBOUND_FLOWS_MAX {
            self.flows.push(entry);
            return Ok(self.flows.len() - 1);
        }
        let oldest = (0..self.flows.len()).min_by_key(|&number| self.flows[number].2).unwrap_or(0);
        // Closing the old socket takes it out of the epoll set.
        self.flows[oldest] = entry;
        Ok(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(destination: &str, expect: Option<&str>) {
        let outbound = Outbound { name_server: Some(Ipv4Addr::new(192, 0, 2, 53)) };
        let reached = outbound.reach(destination.parse().expect("an address and a port"));
        assert_eq!(reached.map(|address| address.to_string()).as_deref(), expect);
    }

    #[test]
    fn destinations() {
        check("10.0.2.2:9418", Some("127.0.0.1:9418"));
        check("10.0.2.3:53", Some("192.0.2.53:53"));
        check("198.51.100.7:443", Some("198.51.100.7:443"));
        check("10.0.3.1:22", Some("10.0.3.1:22"));
        for nowhere in ["10.0.2.1:80", "10.0.2.15:80", "127.0.0.1:22", "169.254.169.254:80", "224.0.0.1:80"] {
            check(nowhere, None);
        }
        for nowhere in ["255.255.255.255:80", "0.0.0.0:80", "0.1.2.3:80", "198.51.100.7:0"] {
            check(nowhere, None);
        }
    }

    #[test]
    fn without_a_name_server_there_is_none_to_reach() {
        let destination = "10.0.2.3:53".parse().expect("an address and a port");
        assert_eq!(Outbound { name_server: None }.reach(destination), None);
    }

    #[test]
    fn the_first_name_server_of_ipv4_is_taken() {
        let file = "# a comment\nsearch example.org\nnameserver 2001:db8::1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
        assert_eq!(name_server(file), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(name_server("#nameserver 192.0.2.1\n"), None);
    }
}
