//! Network interfaces: Ethernet frames in and out, nothing more.

use crate::{manifest::OpenError, target};
use solo5_sys::manifest::device_type::NET_BASIC;
use std::fmt;

/// Bytes of an Ethernet header: destination, source, type.
pub const ETHERNET_HEADER: usize = 14;

/// What an interface does for us with frames that we send: all zero where it only takes frames as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it completes checksums.
    pub checksum: bool,
    /// Bytes of the largest frame with TCP over IPv4 that it cuts into segments; 0 if it cuts none.
    pub segment_tcp4: usize,
    /// The same for TCP over IPv6.
    pub segment_tcp6: usize,
}

/// What an interface is to do with a frame before it leaves. Nothing, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Complete a checksum.
    pub checksum: Option<PartialChecksum>,
    /// Cut the frame into TCP segments; wants `checksum` as well.
    pub segment: Option<Segmentation>,
}

impl Offload {
    /// The same for a host: `struct virtio_net_hdr` without a number of buffers (VIRTIO 1.2 §5.1.6).
    #[allow(dead_code, reason = "not every back end has a host that knows it")]
    pub(crate) fn header(self) -> [u8; 10] {
        /// VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4 and _TCPV6.
        const NEEDS_CHECKSUM: u8 = 1;
        const SEGMENT_TCP4: u8 = 1;
        const SEGMENT_TCP6: u8 = 4;
        let mut header = [0; 10];
        if let Some(checksum) = self.checksum {
            header[0] = NEEDS_CHECKSUM;
            header[6..8].copy_from_slice(&checksum.start.to_le_bytes());
            header[8..10].copy_from_slice(&checksum.offset.to_le_bytes());
        }
        if let Some(segment) = self.segment {
            header[1] = if segment.ipv6 { SEGMENT_TCP6 } else { SEGMENT_TCP4 };
            header[2..4].copy_from_slice(&segment.headers.to_le_bytes());
            header[4..6].copy_from_slice(&segment.size.to_le_bytes());
        }
        header
    }
}

/// A checksum field that holds the sum of the pseudo header: the interface adds everything from `start` to the frame's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialChecksum {
    /// Offset in the frame of the first byte that counts: the header of TCP or UDP.
    pub start: u16,
    /// Offset of the field from there.
    pub offset: u16,
}

/// How a frame is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Whether its packet is IPv6.
    pub ipv6: bool,
    /// Bytes of the headers that each segment gets: Ethernet, IP, TCP.
    pub headers: u16,
    /// Bytes of data in each segment but the last.
    pub size: u16,
}

/// How an interface ends the sleep of an image that has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The host knows what the image waits for.
    Host,
    /// By a line of this number, which several devices may share.
    Line(u8),
    /// By messages to the processor: MSI-X.
    Messages,
    /// Not at all: nobody has said which line is its own.
    Never,
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => write!(f, "the host"),
            Self::Line(line) => write!(f, "interrupt line {line}"),
            Self::Messages => write!(f, "MSI-X"),
            Self::Never => write!(f, "nothing"),
        }
    }
}

/// A frame that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its bytes, without its checksum.
    pub length: usize,
    /// Whether the host vouches for the checksum of its TCP or UDP: it has verified it, or the frame has never left it.
    pub verified: bool,
}

impl From<usize> for Received {
    /// A frame that nobody vouches for.
    fn from(length: usize) -> Self {
        Self { length, verified: false }
    }
}

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

    /// What the interface does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        self.interface.capabilities()
    }

    /// How the interface ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        self.interface.interrupt()
    }

    /// Takes one frame into `frame`, without its checksum; `None` when there is none now. A frame longer than `frame` is cut.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        #[allow(clippy::useless_conversion, reason = "some back ends know no more than the length")]
        let received = self.interface.receive(frame).map(Received::from)?;
        Some(Received { length: received.length.min(frame.len()), ..received })
    }

    /// Sends one frame. A frame the host cannot take now is dropped and counted, as on any Ethernet.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8]) {
        self.transmit_offloaded(frame, Offload::default());
    }

    /// Sends one frame, of which the interface does what `offload` says: no more than its [`capabilities`](Self::capabilities).
    #[inline]
    pub fn transmit_offloaded(&mut self, frame: &[u8], offload: Offload) {
        if !self.interface.transmit(frame, offload) {
            self.dropped += 1;
        }
    }

    /// Frames that were not sent.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
