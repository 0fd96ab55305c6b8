//! TAP interfaces of this host, and descriptors that somebody else opened.
//!
//! The interface must exist and be up: opening one that does not exist would create it. Receive and segmentation
//! offloads are turned off where the host lets us, since a frame of 64 KiB fits no guest's buffer.
//!
//! Source of the facts: Linux `Documentation/networking/tuntap.rst`, Solo5 `tenders/common/tap_attach.c`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::net::{SocketType, sockopt};
use solo5_sys::skerry::OFFLOAD_HEADER_SIZE;

use crate::failure::Failure;
use crate::limits::{INTERFACE_NAME_SIZE, TAP_BUSY_PATIENCE, USER_MTU};

/// Attaches the TAP interface `name`: its descriptor, non-blocking, and its MTU. With `header`, each frame has one before it.
pub fn open(name: &str, header: bool) -> Result<(RawFd, u16), Failure> {
    let failure = |what: String| Failure::general(format!("network interface {name}: {what}"));
    let control = control_socket().map_err(|error| failure(error.to_string()))?;
    let flags = match flags(&control, name) {
        Ok(flags) => flags,
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            return Err(failure(format!("does not exist; create it with: ip tuntap add {name} mode tap")));
        }
        Err(error) => return Err(failure(error.to_string())),
    };
    if flags & (libc::IFF_UP | libc::IFF_RUNNING) == 0 {
        return Err(failure(format!("is down; bring it up with: ip link set {name} up")));
    }
    let tun =
        rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| {
                failure(format!(
                    "/dev/net/tun cannot be opened: {error}; let your user open it, or use --publish, which needs no rights"
                ))
            })?;
    attach_when_free(&tun, name, header).map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::EPERM) => "; let your user own it: ip tuntap add NAME mode tap user USER",
            Some(libc::EBUSY) => "; another process has it",
            _ => "",
        };
        failure(format!("cannot be attached: {error}{advice}"))
    })?;
    let mtu = mtu(&control, name).map_err(|error| failure(format!("no MTU: {error}")))?;
    take_whole_frames(&tun, header).map_err(|error| failure(format!("cannot be set up: {error}")))?;
    disable_offloads(&control, name);
    Ok((tun.into_raw_fd(), mtu))
}

/// Takes over a descriptor that was open when the tender started: a TAP, or a packet socket with an MTU of 1500.
pub fn adopt(fd: RawFd) -> io::Result<(RawFd, u16)> {
    // SAFETY: fcntl with F_GETFD reads no memory and fails with EBADF if the number is no open descriptor.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else in this process knows it: the caller named it on the command line.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    super::set_nonblocking(borrowed)?;
    let mut request = Request::new("");
    // SAFETY: TUNGETIFF writes an ifreq; other kinds of descriptor refuse with an error.
    let is_tap = unsafe { libc::ioctl(fd, libc::TUNGETIFF, &raw mut request) } == 0;
    if is_tap {
        return Ok((fd, request.mtu_of(&control_socket()?)?));
    }
    match sockopt::socket_type(borrowed) {
        Ok(SocketType::SEQPACKET | SocketType::DGRAM | SocketType::RAW) => Ok((fd, USER_MTU as u16)),
        _ => Err(io::Error::other("neither a TAP nor a socket that keeps frames apart")),
    }
}

/// `struct ifreq`: a name and a union, of which these are the parts used here.
#[repr(C)]
struct Request {
    name: [u8; INTERFACE_NAME_SIZE],
    value: RequestValue,
}

#[repr(C)]
union RequestValue {
    flags: libc::c_short,
    mtu: libc::c_int,
    data: *mut EthtoolValue,
    size: [u8; 24],
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `ETHTOOL_SGSO` and `ETHTOOL_SGRO`. Source: Linux `include/uapi/linux/ethtool.h`.
const ETHTOOL_OFFLOADS: [u32; 2] = [0x24, 0x2c];

impl Request {
    fn new(name: &str) -> Self {
        let mut request = Self { name: [0; INTERFACE_NAME_SIZE], value: RequestValue { size: [0; 24] } };
        let length = name.len().min(INTERFACE_NAME_SIZE - 1);
        request.name[..length].copy_from_slice(&name.as_bytes()[..length]);
        request
    }

    fn mtu_of(&mut self, control: &OwnedFd) -> io::Result<u16> {
        // SAFETY: SIOCGIFMTU reads the name and writes the union's `mtu`.
        check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCGIFMTU, &raw mut *self) })?;
        // SAFETY: the successful call above wrote this field.
        let mtu = unsafe { self.value.mtu };
        u16::try_from(mtu).map_err(|_| io::Error::other(format!("an MTU of {mtu}")))
    }
}

fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn flags(control: &OwnedFd, name: &str) -> io::Result<i32> {
    let mut request = Request::new(name);
    // SAFETY: SIOCGIFFLAGS reads the name and writes the union's `flags`.
    check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: the successful call above wrote this field.
    Ok(i32::from(unsafe { request.value.flags }))
}

fn mtu(control: &OwnedFd, name: &str) -> io::Result<u16> {
    Request::new(name).mtu_of(control)
}

fn attach(tun: &OwnedFd, name: &str, header: bool) -> io::Result<()> {
    let mut request = Request::new(name);
    let header = if header { libc::IFF_VNET_HDR } else { 0 };
    request.value.flags = (libc::IFF_TAP | libc::IFF_NO_PI | header) as libc::c_short;
    // SAFETY: TUNSETIFF reads the whole request and writes its name.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(())
}

/// The kernel takes a ring apart some 40 ms after its process has ended, and only then lets go of the ring's interface: whoever
/// restarts a guest at once waits for that.
fn attach_when_free(tun: &OwnedFd, name: &str, header: bool) -> io::Result<()> {
    let end = Instant::now() + TAP_BUSY_PATIENCE;
    loop {
        match attach(tun, name, header) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// Has the host hand out frames that are complete and no larger than the MTU, whoever had the interface before; what it takes
/// from the guest does not depend on it. The interface outlives the guest, and the next one may know nothing of headers.
fn take_whole_frames(tun: &OwnedFd, header: bool) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a number of features, no pointer.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, 0) })?;
    if header {
        let size = OFFLOAD_HEADER_SIZE as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads an integer, which outlives the call.
        check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) })?;
    }
    Ok(())
}

/// Best effort: without the right to do so, the interface's owner has to.
fn disable_offloads(control: &OwnedFd, name: &str) {
    for command in ETHTOOL_OFFLOADS {
        let mut value = EthtoolValue { command, data: 0 };
        let mut request = Request::new(name);
        request.value.data = &raw mut value;
        // SAFETY: SIOCETHTOOL reads the name and, through `data`, the value, which outlives the call.
        unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

const _: () = assert!(size_of::<Request>() == 40);
