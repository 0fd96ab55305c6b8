//! Binds the published addresses on this host.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::args::Published;
use crate::failure::Failure;

/// Which transport a [`Forward`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// A bound, non-blocking socket of this host.
#[derive(Debug)]
pub enum Socket {
    /// Takes and sends datagrams.
    Udp(UdpSocket),
    /// Accepts connections.
    Tcp(TcpListener),
}

/// An address of this host that leads to a port of the guest.
#[derive(Debug)]
pub struct Forward {
    /// Where clients send to.
    pub socket: Socket,
    /// The address it is bound to.
    pub host: SocketAddr,
    /// Whether the port was left to the kernel.
    pub chosen_by_kernel: bool,
    /// The guest's port.
    pub guest_port: u16,
}

impl Forward {
    /// The socket's descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    fn protocol(&self) -> Protocol {
        match self.socket {
            Socket::Udp(_) => Protocol::Udp,
            Socket::Tcp(_) => Protocol::Tcp,
        }
    }

    /// Whether `host` cannot be had for `protocol` because this one has it, perhaps among all addresses.
    fn takes(&self, host: SocketAddr, protocol: Protocol) -> bool {
        let (own, other) = (self.host.ip(), host.ip());
        let overlap = own == other || own.is_unspecified() || other.is_unspecified();
        self.protocol() == protocol && self.host.port() == host.port() && overlap
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.protocol())
    }
}

impl AsFd for Forward {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Udp(socket) => socket.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        }
    }
}

/// Binds every published address, for UDP and TCP as asked. One that is published for both has the same port for both.
pub fn bind(published: &[Published]) -> Result<Vec<Forward>, Failure> {
    let mut forwards = Vec::new();
    for one in published {
        let mut host = one.host;
        for (wanted, protocol) in [(one.tcp, Protocol::Tcp), (one.udp, Protocol::Udp)] {
            if wanted {
                let mut forward = bind_one(host, one.guest_port, protocol)
                    .map_err(|error| refused(host, protocol, &error, &forwards))?;
                host = forward.host;
                forward.chosen_by_kernel = one.host.port() == 0;
                forwards.push(forward);
            }
        }
    }
    Ok(forwards)
}

fn bind_one(host: SocketAddr, guest_port: u16, protocol: Protocol) -> io::Result<Forward> {
    let (socket, host) = match protocol {
        Protocol::Udp => {
            let socket = UdpSocket::bind(host)?;
            socket.set_nonblocking(true)?;
            let host = socket.local_addr()?;
            (Socket::Udp(socket), host)
        }
        Protocol::Tcp => {
            let listener = TcpListener::bind(host)?;
            listener.set_nonblocking(true)?;
            let host = listener.local_addr()?;
            (Socket::Tcp(listener), host)
        }
    };
    Ok(Forward { socket, host, chosen_by_kernel: false, guest_port })
}

fn refused(host: SocketAddr, protocol: Protocol, error: &io::Error, earlier: &[Forward]) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied; choose a port above 1023, or lower net.ipv4.ip_unprivileged_port_start"
                .to_owned()
        }
        io::ErrorKind::AddrInUse if earlier.iter().any(|forward| forward.takes(host, protocol)) => {
            "an earlier --publish has it; give each its own port".to_owned()
        }
        io::ErrorKind::AddrInUse => "another process has it; stop that or choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this host has no such address; see `ip address`".to_owned(),
        _ => error.to_string(),
    };
    Failure::general(format!("cannot publish {host}/{protocol}: {advice}"))
}
