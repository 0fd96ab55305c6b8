//! Network interfaces: by the tender's ring where it offers one, else one frame a system call.

use super::{number, offload, ring::Ring, system_call};
use crate::{
    net::{Capabilities, ETHERNET_HEADER, Interrupt, Offload, Received},
    report::interface_gone,
};
use solo5_sys::manifest::Entry;

/// -EAGAIN and -EINTR. Any other error of a read is there to stay: the interface was deleted, or its other end closed.
const NOT_NOW: isize = -11;
const INTERRUPTED: isize = -4;

/// Frames taken, and frames sent, with one system call at most. More amortise it no better and need more cache.
const BATCH: usize = 64;

/// Memory for each direction of an interface at most, bytes: an interface with large frames takes fewer of them at a time.
const BATCH_BYTES: usize = 256 << 10;

/// Bytes of a frame that the host cuts into segments: what an IP packet's length can say.
const SEGMENTED_MAX: usize = 65_535;

/// VIRTIO_NET_HDR_F_DATA_VALID: the host vouches for the checksum.
const VERIFIED: u8 = 2;

/// An interface of the tender's: a TAP device or a packet socket.
#[derive(Debug)]
pub struct Interface {
    descriptor: usize,
    /// Bytes of header before each frame: none, unless the host does something for us.
    header: usize,
    batches: Option<Batches>,
    /// Where frames and their headers are put together, if they are moved one by one.
    single: Vec<u8>,
}

impl Interface {
    /// The interface at `handle` that `entry` describes.
    pub fn new(handle: usize, entry: &Entry) -> Self {
        let mtu = usize::from(u16::from_le_bytes([entry.properties[6], entry.properties[7]]));
        let header = offload::header_size(handle);
        let batches = Ring::accept().then(|| Batches::new(handle as u32, mtu, header));
        let single = if header > 0 && batches.is_none() { header + SEGMENTED_MAX } else { 0 };
        Self { descriptor: entry.host as u32 as usize, header, batches, single: vec![0; single] }
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        if let (Some(batches), Some(ring)) = (&mut self.batches, Ring::get()) {
            return batches.receive(ring, frame);
        }
        let place = if self.header > 0 { &mut self.single[..] } else { &mut *frame };
        let arguments = [self.descriptor, place.as_mut_ptr().addr(), place.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most the length of `place` to it.
        let length = received(unsafe { system_call(number::READ, arguments) })?;
        if self.header == 0 {
            return Some(length.into());
        }
        Some(behind_header(&self.single[..length.min(self.single.len())], self.header, frame))
    }

    /// Sends one frame, by the ring with the next batch or before the image sleeps; false if the host did not take it, or
    /// one before it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> bool {
        if let (Some(batches), Some(ring)) = (&mut self.batches, Ring::get()) {
            return batches.transmit(ring, frame, offload);
        }
        let mut whole = frame;
        if self.header > 0 {
            let Some(place) = self.single.get_mut(..self.header + frame.len()) else { return false };
            place[..self.header].copy_from_slice(&offload.header());
            place[self.header..].copy_from_slice(frame);
            whole = place;
        }
        let arguments = [self.descriptor, whole.as_ptr().addr(), whole.len(), 0, 0, 0];
        // SAFETY: the kernel only reads `whole`.
        unsafe { system_call(number::WRITE, arguments) >= 0 }
    }

    /// Checksums and segments where frames have headers, else nothing.
    pub fn capabilities(&self) -> Capabilities {
        let segmented = if self.header > 0 { SEGMENTED_MAX } else { 0 };
        Capabilities { checksum: self.header > 0, segment_tcp4: segmented, segment_tcp6: segmented }
    }

    /// How it ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::Host
    }
}

/// Copies what lies behind a header of `header` bytes to `frame`.
#[inline]
fn behind_header(place: &[u8], header: usize, frame: &mut [u8]) -> Received {
    let verified = header > 0 && place.first().is_some_and(|flags| flags & VERIFIED != 0);
    let bytes = place.get(header..).unwrap_or_default();
    let length = bytes.len().min(frame.len());
    frame[..length].copy_from_slice(&bytes[..length]);
    Received { length, verified }
}

/// What the kernel's answer to a read says.
#[inline]
fn received(result: isize) -> Option<usize> {
    match result {
        length @ 1.. => Some(length as usize),
        NOT_NOW | INTERRUPTED => None,
        _ => interface_gone(),
    }
}

/// Frames of an interface on their way through the ring.
#[derive(Debug)]
struct Batches {
    handle: u32,
    /// Bytes of header before each frame.
    header: usize,
    /// Bytes from one frame to the next: an odd number of cache lines, so that frames do not all want the same few sets.
    stride: usize,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// What the kernel said of each place of the last batch.
    results: Vec<i32>,
    /// Places of the last batch, and the first not looked at.
    asked: usize,
    next: usize,
    /// Frames of the last batch.
    came: usize,
    /// Bytes of `outgoing` that frames queued in `round` of the ring lie in.
    sending: usize,
    round: u64,
}

impl Batches {
    fn new(handle: u32, mtu: usize, header: usize) -> Self {
        let stride = ((mtu + ETHERNET_HEADER + header).div_ceil(64) | 1) * 64;
        let places = (BATCH_BYTES / stride).clamp(1, BATCH);
        let outgoing = if header > 0 { BATCH_BYTES } else { stride * places };
        Self {
            handle,
            header,
            stride,
            incoming: vec![0; stride * places],
            outgoing: vec![0; outgoing],
            results: vec![0; places],
            asked: 0,
            next: 0,
            came: 0,
            sending: 0,
            round: 0,
        }
    }

    #[inline]
    fn receive(&mut self, ring: &mut Ring, frame: &mut [u8]) -> Option<Received> {
        if let Some(received) = self.next_frame(frame) {
            return Some(received);
        }
        // Full: there is likely more. Else as many as came, and one to see that there are no more.
        let full = self.came == self.asked;
        let ask = if full { self.asked * 2 } else { self.came };
        self.asked = (ask + 1).min(self.results.len());
        ring.exchange(self.handle, &mut self.incoming, self.stride, &mut self.results[..self.asked]);
        (self.next, self.came) = (0, 0);
        self.next_frame(frame)
    }

    /// Copies the next frame of the batch. Places without one may lie between: a frame can come while the batch is read.
    #[inline]
    fn next_frame(&mut self, frame: &mut [u8]) -> Option<Received> {
        while self.next < self.asked {
            let place = self.next;
            self.next += 1;
            if let Some(length) = received(self.results[place] as isize) {
                self.came += 1;
                let place = &self.incoming[place * self.stride..][..length.min(self.stride)];
                return Some(behind_header(place, self.header, frame));
            }
        }
        None
    }

    #[inline]
    fn transmit(&mut self, ring: &mut Ring, frame: &[u8], offload: Offload) -> bool {
        let length = self.header + frame.len();
        if length > self.outgoing.len() {
            return false;
        }
        let taken = if self.round == ring.round() { self.sending } else { 0 };
        if ring.full() || taken + length > self.outgoing.len() {
            ring.flush();
        }
        if self.round != ring.round() {
            (self.round, self.sending) = (ring.round(), 0);
        }
        let place = &mut self.outgoing[self.sending..][..length];
        if self.header > 0 {
            place[..self.header].copy_from_slice(&offload.header());
        }
        place[self.header..].copy_from_slice(frame);
        // SAFETY: this place is not used again before the ring's next round, and is not freed: an interface lives as long as the image.
        unsafe { ring.send(self.handle, place) };
        self.sending = (self.sending + length.next_multiple_of(64)).min(self.outgoing.len());
        !ring.take_lost()
    }
}
