//! The network: smoltcp, with a flow table, listeners and timers around it that do not mind how many connections there are.
//!
//! smoltcp keeps the state of one TCP connection or one UDP socket, and speaks ARP, NDP, ICMP and DHCP. What it lacks for a
//! server is here: finding the connection of a segment, backlogs, limits, and a path below the sockets.
//!
//! Reading order: [`stack`] (the turn), [`classify`] (where a frame goes), `ingress`, `visit`; then what services see:
//! [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`Responder`].

mod addresses;
pub mod checksum;
pub mod classify;
mod cookie;
mod counters;
mod datagram;
mod device;
mod flows;
mod ingress;
mod listener;
mod offload;
mod opening;
mod rate;
mod responder;
mod rest;
mod router;
mod sequence;
pub mod stack;
mod stream;
mod timers;
mod udp;
mod visit;
mod waking;

pub use addresses::{Fixed, Settings, Source};
pub use counters::Counters;
pub use device::{Capabilities, Clock, Device, ETHERNET_HEADER, Offload, Received, SystemClock};
pub use listener::{TcpListener, TcpOptions, TcpStates};
pub use responder::{Endpoints, Responder};
pub use stream::TcpStream;
pub use udp::{UdpOptions, UdpSocket};

use stack::{Random, Stack, Turn};
use std::{
    cell::{Ref, RefCell, RefMut},
    fmt,
    net::IpAddr,
    rc::Rc,
};

/// One network interface and everything above it. Clones are the same network.
#[derive(Clone)]
pub struct Network(Rc<RefCell<Stack>>);

impl Network {
    /// A network on `device`, which gets its addresses as `settings` say.
    pub fn new(device: Box<dyn Device>, clock: Box<dyn Clock>, random: Random, settings: Settings) -> Self {
        let mut stack = Stack::new(device, clock, random);
        stack.start_addressing(settings);
        Self(Rc::new(RefCell::new(stack)))
    }

    /// Takes a batch of frames and does what they and the passing of time ask for. The event loop calls it; a service that
    /// computes for long without awaiting anything may.
    pub fn turn(&self) -> Turn {
        self.borrow_mut().turn()
    }

    /// When the next turn is due even if no frame comes, in nanoseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        self.borrow().deadline()
    }

    /// The monotonic clock in nanoseconds as last read: at the latest [`TURNS_PER_CLOCK`](crate::limits::TURNS_PER_CLOCK)
    /// turns ago.
    pub fn now(&self) -> u64 {
        self.borrow().now()
    }

    /// What was counted since boot.
    pub fn counters(&self) -> Counters {
        let stack = self.borrow();
        Counters { not_taken: stack.device.dropped(), ..stack.counters }
    }

    /// Connections there are now, those that are still opening or closing included.
    pub fn connections(&self) -> usize {
        self.borrow().flows.len()
    }

    /// Whether there is an address of ours to reach `peer` from.
    pub fn has_source_for(&self, peer: IpAddr) -> bool {
        let stack = self.borrow();
        let source = stack.interface.get_source_address(&peer.into());
        source.is_some_and(|source| stack.interface.has_ip_addr(source))
    }

    /// Those of them in which nothing is under way, and which take next to no memory.
    pub fn resting(&self) -> usize {
        self.borrow().flows.resting
    }

    /// Whether an IPv4 address is still to come from DHCP.
    pub fn awaits_lease(&self) -> bool {
        self.borrow().addressing.awaits_lease()
    }

    // Borrows last for one call, no task runs during a turn, and a turn calls nobody but wakers: they cannot meet.
    fn borrow(&self) -> Ref<'_, Stack> {
        self.0.borrow()
    }

    fn borrow_mut(&self) -> RefMut<'_, Stack> {
        self.0.borrow_mut()
    }
}

/// Why a socket cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The port is 0, or another socket of this image has it: the service's fault.
    PortTaken(u16),
    /// There are as many sockets or listeners as limits.rs allows.
    TooManySockets,
    /// There is no memory for its buffers: give the image more.
    NoMemory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken(port) => write!(f, "port {port} is taken in this image"),
            Self::TooManySockets => f.write_str("this image has as many sockets as it may"),
            Self::NoMemory => {
                f.write_str("no memory for a socket's buffers: start the image with more (--mem)")
            }
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
