//! Network interfaces: by the tender's ring where it offers one, else one frame a system call.

use super::{number, ring::Ring, system_call};
use crate::{
    net::{Capabilities, ETHERNET_HEADER, Interrupt, Offload},
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

/// An interface of the tender's: a TAP device or a packet socket.
#[derive(Debug)]
pub struct Interface {
    descriptor: usize,
    batches: Option<Batches>,
}

impl Interface {
    /// The interface at `handle` that `entry` describes.
    pub fn new(handle: usize, entry: &Entry) -> Self {
        let mtu = u16::from_le_bytes([entry.properties[6], entry.properties[7]]);
        let batches = Ring::accept().then(|| Batches::new(handle as u32, usize::from(mtu)));
        Self { descriptor: entry.host as u32 as usize, batches }
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        if let (Some(batches), Some(ring)) = (&mut self.batches, Ring::get()) {
            return batches.receive(ring, frame);
        }
        let arguments = [self.descriptor, frame.as_mut_ptr().addr(), frame.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most the length of `frame` to it.
        received(unsafe { system_call(number::READ, arguments) })
    }

    /// Sends one frame, by the ring with the next batch or before the image sleeps; false if the host did not take it, or
    /// one before it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8], _: Offload) -> bool {
        if let (Some(batches), Some(ring)) = (&mut self.batches, Ring::get()) {
            return batches.transmit(ring, frame);
        }
        let arguments = [self.descriptor, frame.as_ptr().addr(), frame.len(), 0, 0, 0];
        // SAFETY: the kernel only reads `frame`.
        unsafe { system_call(number::WRITE, arguments) >= 0 }
    }

    /// Nothing: a tender takes frames as they are.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// How it ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::Host
    }
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
    /// Frames queued in `round` of the ring.
    sending: usize,
    round: u64,
}

impl Batches {
    fn new(handle: u32, mtu: usize) -> Self {
        let stride = ((mtu + ETHERNET_HEADER).div_ceil(64) | 1) * 64;
        let places = (BATCH_BYTES / stride).clamp(1, BATCH);
        Self {
            handle,
            stride,
            incoming: vec![0; stride * places],
            outgoing: vec![0; stride * places],
            results: vec![0; places],
            asked: 0,
            next: 0,
            came: 0,
            sending: 0,
            round: 0,
        }
    }

    #[inline]
    fn receive(&mut self, ring: &mut Ring, frame: &mut [u8]) -> Option<usize> {
        if let Some(length) = self.next_frame(frame) {
            return Some(length);
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
    fn next_frame(&mut self, frame: &mut [u8]) -> Option<usize> {
        while self.next < self.asked {
            let place = self.next;
            self.next += 1;
            if let Some(length) = received(self.results[place] as isize) {
                self.came += 1;
                let length = length.min(self.stride).min(frame.len());
                frame[..length].copy_from_slice(&self.incoming[place * self.stride..][..length]);
                return Some(length);
            }
        }
        None
    }

    #[inline]
    fn transmit(&mut self, ring: &mut Ring, frame: &[u8]) -> bool {
        if frame.len() > self.stride {
            return false;
        }
        if ring.full() || (self.round == ring.round() && self.sending == self.results.len()) {
            ring.flush();
        }
        if self.round != ring.round() {
            (self.round, self.sending) = (ring.round(), 0);
        }
        let buffer = &mut self.outgoing[self.sending * self.stride..][..frame.len()];
        buffer.copy_from_slice(frame);
        // SAFETY: this place is not used again before the ring's next round, and is not freed: an interface lives as long as the image.
        unsafe { ring.send(self.handle, buffer) };
        self.sending += 1;
        !ring.take_lost()
    }
}
