//! What the network stands on: something that takes and sends Ethernet frames, and a clock.
//!
//! Two small traits, so that the whole stack runs on the desk over an in-memory wire under virtual time. In an image they
//! are a `platform` network interface and its monotonic clock.

use super::{offload, sequence::Sequence};
pub use platform::net::{Capabilities, Offload, Received};
use smoltcp::{
    phy::{self, Checksum, DeviceCapabilities, Medium, PacketMeta},
    time::Instant,
};
use std::num::{NonZeroU16, NonZeroUsize};

/// Bytes of an Ethernet header: destination, source, type.
pub const ETHERNET_HEADER: usize = 14;

/// Bytes of the longest headers before the data of a TCP segment: Ethernet, IPv6, TCP with all options.
const HEADERS_MAX: usize = ETHERNET_HEADER + 40 + 60;

/// A network interface: Ethernet frames without checksum, at most `mtu` + [`ETHERNET_HEADER`] bytes each.
pub trait Device {
    /// The interface's own address.
    fn mac(&self) -> [u8; 6];
    /// Bytes of the largest IP packet.
    fn mtu(&self) -> usize;
    /// What it does for us with frames that we send; nothing, unless it says so.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    /// Takes one frame into `frame`, or `None` when there is none now.
    fn receive(&mut self, frame: &mut [u8]) -> Option<Received>;
    /// Sends one frame, or drops it where the wire cannot take it.
    fn transmit(&mut self, frame: &[u8]);
    /// The same, doing first what `offload` says, which is within its capabilities: frames may be as long as these say.
    fn transmit_offloaded(&mut self, frame: &[u8], offload: Offload) {
        debug_assert_eq!(offload, Offload::default(), "it can nothing of it");
        self.transmit(frame);
    }
    /// Frames that the wire did not take.
    fn dropped(&self) -> u64 {
        0
    }
}

/// A clock that never goes back.
pub trait Clock {
    /// Nanoseconds since an arbitrary moment. May cost a system call: read once per batch, never per packet.
    fn monotonic(&self) -> u64;
}

impl Device for platform::net::NetDevice {
    fn mac(&self) -> [u8; 6] {
        self.mac()
    }
    fn mtu(&self) -> usize {
        self.mtu()
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities()
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.receive(frame)
    }
    fn transmit(&mut self, frame: &[u8]) {
        self.transmit(frame);
    }
    fn transmit_offloaded(&mut self, frame: &[u8], offload: Offload) {
        self.transmit_offloaded(frame, offload);
    }
    fn dropped(&self) -> u64 {
        self.dropped()
    }
}

/// The clock of `platform`.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> u64 {
        platform::clock::monotonic()
    }
}

/// What smoltcp sees of a device while it handles one received frame, or none.
pub(crate) struct Wire<'a> {
    pub device: &'a mut dyn Device,
    /// The frame to be received; taken by the first `receive`.
    pub frame: Option<&'a [u8]>,
    /// Where frames are built before they are sent.
    pub scratch: &'a mut [u8],
    /// Counts frames sent.
    pub sent: &'a mut u64,
    /// The connection whose segments are sent, if it is one.
    pub sequence: Option<&'a mut Sequence>,
}

impl Wire<'_> {
    fn token(&mut self) -> TransmitToken<'_> {
        let Self { device, scratch, sent, sequence, .. } = self;
        TransmitToken {
            device: &mut **device,
            scratch,
            sent,
            sequence: sequence.as_deref_mut(),
            segment_size: None,
        }
    }
}

/// What smoltcp may assume of a device.
pub(crate) fn capabilities(device: &dyn Device) -> DeviceCapabilities {
    let offered = device.capabilities();
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ethernet;
    capabilities.max_transmission_unit = device.mtu() + ETHERNET_HEADER;
    // classify.rs has verified these already, and counted the bad ones. UDP stays: a reassembled datagram was not seen whole.
    capabilities.checksum.ipv4 = Checksum::Tx;
    capabilities.checksum.tcp = if offered.checksum { Checksum::None } else { Checksum::Tx };
    if offered.checksum {
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(offered.segment_tcp4);
        // Not `tcpv6`: smoltcp (0.14) makes such packets and then drops them, as too long to be sent without fragments.
    }
    capabilities
}

/// Bytes of the largest frame that a device is ever given.
pub(crate) fn largest_frame(device: &dyn Device) -> usize {
    device.capabilities().segment_tcp4.max(device.mtu() + ETHERNET_HEADER)
}

impl phy::Device for Wire<'_> {
    type RxToken<'t>
        = ReceiveToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = TransmitToken<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(ReceiveToken<'_>, TransmitToken<'_>)> {
        let frame = self.frame.take()?;
        Some((ReceiveToken(frame), self.token()))
    }

    fn transmit(&mut self, _: Instant) -> Option<TransmitToken<'_>> {
        Some(self.token())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.device)
    }
}

pub(crate) struct ReceiveToken<'t>(&'t [u8]);

impl<'t> ReceiveToken<'t> {
    pub fn new(frame: &'t [u8]) -> Self {
        Self(frame)
    }
}

impl phy::RxToken for ReceiveToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct TransmitToken<'t> {
    device: &'t mut dyn Device,
    scratch: &'t mut [u8],
    sent: &'t mut u64,
    sequence: Option<&'t mut Sequence>,
    /// Bytes of data in each segment that the device is to make of the frame.
    segment_size: Option<NonZeroU16>,
}

impl phy::TxToken for TransmitToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let frame = &mut self.scratch[..length];
        // smoltcp leaves reserved fields alone: bytes of an earlier frame must not show there.
        let headers = if self.segment_size.is_some() { HEADERS_MAX.min(length) } else { length };
        frame[..headers].fill(0);
        let result = f(frame);
        if let Some(sequence) = self.sequence {
            sequence.mend(frame);
        }
        if self.device.capabilities().checksum {
            let offload = offload::prepare(frame, self.segment_size);
            self.device.transmit_offloaded(frame, offload);
        } else {
            self.device.transmit(frame);
        }
        *self.sent += 1;
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment_size = meta.segmentation_offload_size;
    }
}
