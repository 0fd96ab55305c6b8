//! The user-mode network behind `--publish` and `--outbound`: no rights, no TAP, one guest, addresses of this host forwarded
//! to it, and if it may, what this host can reach.
//!
//! ```text
//!  client ──► host socket ─┐   child process, own seccomp filter       ┌─ guest 10.0.2.15/24
//!  127.0.0.1:5353          ├─ udp: flow ◄► port of 10.0.2.2 ─┐         │
//!                          ├─ tcp: pump ◄► smoltcp socket ───┼─ wire ──┘
//!  server ◄── host socket ─┴─ outbound: peer ◄► its address ─┘
//!                                          arp, icmp echo, dhcp   (SOCK_SEQPACKET pair, one packet = one frame)
//! ```
//!
//! The tender binds the host's sockets, so that an address that cannot be had is an error before anything runs, and forks
//! the child before it has any other descriptor. The child ends when the guest's end of the pair is closed.
//!
//! Not done: IPv6 towards the guest (clients may use it) and outwards, ICMP outwards, IP fragments in either direction and datagrams of more than 1472 bytes, which are dropped and counted. An answer leaves from the
//! published socket, so on a wildcard address of a host with several addresses the kernel chooses the source.

mod bind;
mod dhcp;
mod frame;
mod gateway;
mod guest;
mod outbound;
mod tcp;
mod udp;
mod wire;

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

pub use bind::{Forward, Protocol, Socket, bind};
pub use gateway::{Dropped, Gateway};
pub use outbound::Outbound;

use crate::args::Published;
use crate::boot;
use crate::confine::Policy;
use crate::failure::Failure;
use crate::limits::USER_SOCKET_BUFFER;

/// Starts a child process that forwards `published` to the guest, and its connections to the world if they may go
/// `outbound`; returns the guest's end of its wire.
///
/// Must be called while the process has one thread.
pub fn start(published: &[Published], outbound: bool) -> Result<RawFd, Failure> {
    let forwards = bind(published)?;
    let outbound = outbound.then(Outbound::of_this_host);
    for forward in &forwards {
        if forward.chosen_by_kernel {
            eprintln!("skerry-tender: {forward} leads to port {} of the guest", forward.guest_port);
        }
    }
    let (guest_end, gateway_end) =
        pair().map_err(|error| Failure::general(format!("user-mode network: {error}")))?;
    let parent = std::process::id();
    // SAFETY: there is one thread, so the child's memory is in order.
    match unsafe { libc::fork() } {
        -1 => Err(Failure::general(format!("user-mode network: {}", std::io::Error::last_os_error()))),
        0 => {
            drop(guest_end);
            let status = child(parent, gateway_end, forwards, outbound);
            std::process::exit(status)
        }
        _ => Ok(guest_end.into_raw_fd()),
    }
}

/// A wire: two packet sockets that know when the other end is gone, with queues as long as the kernel permits.
pub fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let ends = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    for end in [&ends.0, &ends.1] {
        sockopt::set_socket_send_buffer_size(end, USER_SOCKET_BUFFER)?;
        sockopt::set_socket_recv_buffer_size(end, USER_SOCKET_BUFFER)?;
    }
    Ok(ends)
}

fn child(parent: u32, wire: OwnedFd, forwards: Vec<Forward>, outbound: Option<Outbound>) -> i32 {
    let run = || -> Result<(), Failure> {
        let failure = |error| Failure::general(format!("user-mode network: {error}"));
        // SAFETY: takes no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        if std::os::unix::process::parent_id() != parent {
            return Ok(());
        }
        let sockets: Vec<RawFd> = forwards.iter().map(Forward::descriptor).collect();
        let wire_fd = wire.as_raw_fd();
        let mut gateway = Gateway::new(wire, forwards).map_err(failure)?;
        if let Some(outbound) = outbound {
            gateway.allow(outbound);
        }
        let keep: Vec<RawFd> = sockets.into_iter().chain([wire_fd, gateway.descriptor()]).collect();
        boot::drop_privileges(&keep)?;
        let filter = Policy::user_network(outbound.is_some()).compile()?;
        seccompiler::apply_filter(&filter).map_err(|error| Failure::general(error.to_string()))?;
        gateway.run().map_err(failure)
    };
    match run() {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("skerry-tender: {failure}");
            failure.status
        }
    }
}
