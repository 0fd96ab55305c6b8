//! Where a guest's network interface is attached: a TAP interface, a descriptor from outside, or the user-mode network.

pub mod tap;
pub mod user;

use std::io;
use std::os::fd::BorrowedFd;

use crate::args::Interface;
use crate::failure::Failure;

/// An attached interface.
#[derive(Clone, Copy, Debug)]
pub struct Attached {
    /// Non-blocking; one read or write is one frame.
    pub fd: i32,
    /// Largest frame without its Ethernet header, bytes.
    pub mtu: u16,
    /// Whether each frame has a header that says what is still to be done with it.
    pub header: bool,
}

/// Attaches network `name`; with headers if `offload` and it is a TAP that is opened here.
pub fn attach(name: &str, interface: &Interface, offload: bool) -> Result<Attached, Failure> {
    let (fd, mtu) = match interface {
        Interface::Tap(tap) => tap::open(tap, offload)?,
        Interface::Descriptor(fd) => tap::adopt(*fd)
            .map_err(|error| Failure::general(format!("network '{name}': descriptor @{fd}: {error}")))?,
    };
    Ok(Attached { fd, mtu, header: offload && matches!(interface, Interface::Tap(_)) })
}

/// A random hardware address, locally administered and not a group's.
pub fn random_mac() -> [u8; 6] {
    let mut mac = [0; 6];
    // SAFETY: the pointer and length are those of `mac`. Six bytes are never returned in part.
    let got = unsafe { libc::getrandom(mac.as_mut_ptr().cast(), mac.len(), 0) };
    assert_eq!(got, 6, "getrandom: {}", io::Error::last_os_error());
    mac[0] = mac[0] & !1 | 2;
    mac
}

/// Makes reads and writes of a descriptor return at once, its other flags left as they are.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}
