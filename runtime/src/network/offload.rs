//! What is left to the device of a frame: the checksum of a TCP segment, and the cutting of a long one.
//!
//! smoltcp leaves the checksum out where the device completes it. The device wants the sum of the pseudo header in its place
//! (VIRTIO 1.2 §5.1.6.2; Linux has it so on every TAP and in Xen's netfront), over the length of the whole, also where it is to be cut.

use super::{
    checksum::Sum,
    device::{ETHERNET_HEADER, Offload},
    sequence,
};
use platform::net::{PartialChecksum, Segmentation};
use std::num::NonZeroU16;

/// Protocol number, and offset of the checksum in the header.
const TCP: u16 = 6;
const CHECKSUM: usize = 16;

/// Prepares a frame that smoltcp has built for a device that completes checksums, and says what the device has to do: nothing,
/// if it is no TCP segment. `segment_size` is the data of each segment that it is to be cut into.
pub(super) fn prepare(frame: &mut [u8], segment_size: Option<NonZeroU16>) -> Offload {
    let Some((start, end)) = sequence::segment(frame) else { return Offload::default() };
    let ipv6 = frame[ETHERNET_HEADER] >> 4 == 6;
    let addresses = if ipv6 { &frame[start - 32..start] } else { &frame[start - 8..start] };
    let sum = Sum::default().bytes(addresses).word(TCP).word((end - start) as u16).fold();
    let segment = &mut frame[start..end];
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    let headers = start + usize::from(segment[12] >> 4) * 4;
    Offload {
        checksum: Some(PartialChecksum { start: start as u16, offset: CHECKSUM as u16 }),
        segment: segment_size.map(|size| Segmentation { ipv6, headers: headers as u16, size: size.get() }),
    }
}
