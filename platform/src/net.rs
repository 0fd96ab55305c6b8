//! Network interfaces: Ethernet frames in and out, nothing more.

use crate::{manifest::OpenError, target};
use solo5_sys::manifest::device_type::NET_BASIC;

/// Bytes of an Ethernet header: destination, source, type.
pub const ETHERNET_HEADER: usize = 14;

/// A network interface of the image. It has one owner, and none can be made but by [`open`].
#[derive(Debug)]
pub struct NetDevice {
    interface: target::Interface,
    mac: [u8; 6],
    mtu: usize,
    dropped: u64,
}

/// Opens the interface that the manifest calls `name` ("service", "management").
pub fn open(name: &str) -> Result<NetDevice, OpenError> {
    let (handle, entry) = target::open(name, NET_BASIC)?;
    let [m0, m1, m2, m3, m4, m5, mtu0, mtu1, ..] = entry.properties;
    Ok(NetDevice {
        interface: target::Interface::new(handle, &entry),
        mac: [m0, m1, m2, m3, m4, m5],
        mtu: usize::from(u16::from_le_bytes([mtu0, mtu1])),
        dropped: 0,
    })
}

impl NetDevice {
    /// The interface's MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Largest frame in bytes, without its [`ETHERNET_HEADER`].
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Takes one frame into `frame`, without its checksum, and returns its length; `None` when there is none now.
    /// A frame longer than `frame` is cut.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.interface.receive(frame).map(|length| length.min(frame.len()))
    }

    /// Sends one frame. A frame the host cannot take now is dropped and counted, as on any Ethernet.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8]) {
        if !self.interface.transmit(frame) {
            self.dropped += 1;
        }
    }

    /// Frames that [`transmit`](Self::transmit) dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
