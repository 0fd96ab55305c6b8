//! A virtio network card: two rings, and a header before each frame.
//!
//! ```text
//!   receive:   buffers ──► available      used ──► frame is copied out, checked, its buffers go back
//!   transmit:  frame is copied into free buffers ──► available      used ──► buffers are free
//! ```
//!
//! The bell is rung for batches: when the receiver has found nothing more, when [`Net::flush`] is called, and when many
//! frames have gathered. Interrupts are off but while the image sleeps.
//!
//! What the device says is checked: a frame whose lengths cannot be comes out empty, a ring that cannot be is a
//! [`Violation`]. Source: VIRTIO 1.2 §5.1.

use super::{
    buffers::Buffers,
    limits::{
        BUFFER, FRAMES_PER_BELL, MERGED_MAX, MTU_MIN, QUEUE_SIZE, QUEUE_SIZE_SMALL, SEGMENTED_MAX,
        TRANSMIT_ATTEMPTS,
    },
    ring::{Ring, Used, Violation},
    transport::{
        Refusal, Transport, check_interrupt, check_state, configuration, feature, negotiate, queue_size,
        start,
    },
};
use crate::{
    Memory, checksum,
    net::{Capabilities, ETHERNET_HEADER, Interrupt, Offload, Received},
};

/// Feature bits (§5.1.3).
mod bits {
    pub const CSUM: u64 = 1;
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const MTU: u64 = 1 << 3;
    pub const MAC: u64 = 1 << 5;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const MRG_RXBUF: u64 = 1 << 15;
}

/// What is used of what a device offers. No STATUS: a cable that is not plugged in is silent anyway. No control queue. No
/// GUEST_TSO: a frame is never larger than the MTU, which everything above counts on.
const WANTED: u64 = bits::CSUM
    | bits::GUEST_CSUM
    | bits::MTU
    | bits::MAC
    | bits::HOST_TSO4
    | bits::HOST_TSO6
    | bits::MRG_RXBUF
    | feature::ANY_LAYOUT;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// Bytes of IP packet where the device does not say (RFC 894).
const MTU_DEFAULT: u16 = 1_500;

/// Header of a frame (§5.1.6), with the number of buffers and without.
const HEADER: usize = 12;
const SHORT_HEADER: usize = 10;

/// Header flags: the checksum is not complete; the device has verified it.
const NEEDS_CHECKSUM: u8 = 1;
const VERIFIED: u8 = 2;

/// No segmentation.
const SEGMENT_NONE: u8 = 0;

/// One direction.
struct Queue {
    ring: Ring,
    buffers: Buffers,
}

/// The address of a card that is not set up yet; `None` if it leaves it to us.
pub fn address(transport: &mut dyn Transport) -> Result<Option<[u8; 6]>, Refusal> {
    if transport.offered() & bits::MAC == 0 { Ok(None) } else { configuration(transport, 0).map(Some) }
}

/// A network card at work.
pub struct Net {
    transport: Box<dyn Transport>,
    receive: Queue,
    transmit: Queue,
    mac: Option<[u8; 6]>,
    mtu: u16,
    /// Bytes of header before each frame.
    header: usize,
    /// Whether a frame may come in several buffers.
    merged: bool,
    /// Whether the header has to be in a buffer of its own: a legacy device.
    header_apart: bool,
    capabilities: Capabilities,
    /// Whether frames may come without a complete checksum.
    partial_checksums: bool,
    /// Frames published since the bell was last thought of.
    unannounced: u16,
}

impl Net {
    /// Sets a device up.
    pub fn new(mut transport: Box<dyn Transport>) -> Result<Self, Refusal> {
        let device = &mut *transport;
        let mut features = negotiate(device, WANTED)?;
        if features & bits::CSUM == 0 {
            features &= !(bits::HOST_TSO4 | bits::HOST_TSO6); // §5.1.3.1
        }
        let has = |bit| features & bit != 0;
        let mac = if has(bits::MAC) { Some(configuration::<6>(device, 0)?) } else { None };
        let modern = has(feature::VERSION_1);
        let header = if modern || has(bits::MRG_RXBUF) { HEADER } else { SHORT_HEADER };
        let mtu = mtu(device, has(bits::MTU), has(bits::MRG_RXBUF), header)?;
        let wanted = affordable(crate::memory());
        let mut receive = Queue::new(device, RECEIVE, wanted, has(feature::EVENT_INDEX))?;
        let transmit = Queue::new(device, TRANSMIT, wanted, has(feature::EVENT_INDEX))?;
        start(device, features);
        receive.refill();
        let segmented = |bit| if has(bit) { SEGMENTED_MAX } else { 0 };
        let mut net = Self {
            receive,
            transmit,
            mac,
            mtu,
            header,
            merged: has(bits::MRG_RXBUF),
            header_apart: !modern && !has(feature::ANY_LAYOUT),
            capabilities: Capabilities {
                checksum: has(bits::CSUM),
                segment_tcp4: segmented(bits::HOST_TSO4),
                segment_tcp6: segmented(bits::HOST_TSO6),
            },
            partial_checksums: has(bits::GUEST_CSUM),
            unannounced: 0,
            transport,
        };
        net.flush();
        Ok(net)
    }

    /// The address that the device has; `None` if it leaves it to us.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.mac
    }

    /// Largest frame in bytes, without its Ethernet header.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// What the device does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Takes one frame; `None` when there is none now. What does not fit into `frame` is cut. One that cannot be a frame, by
    /// what the device says about it, comes out empty: nobody takes that for a frame, and it is counted like others.
    pub fn receive(&mut self, frame: &mut [u8]) -> Result<Option<Received>, Violation> {
        let Some(used) = self.receive.ring.take()? else {
            self.flush();
            return Ok(None);
        };
        let received = self.take_frame(used, frame)?;
        self.receive.refill();
        Ok(Some(received.unwrap_or(Received { length: 0, verified: false })))
    }

    /// Copies a frame out of its buffers; `None` if it cannot be one.
    fn take_frame(&mut self, first: Used, frame: &mut [u8]) -> Result<Option<Received>, Violation> {
        let mut header = [0; HEADER];
        self.receive.buffers.read(first.head, 0, &mut header[..self.header]);
        let buffers = if self.merged { u16::from_le_bytes([header[10], header[11]]) } else { 1 };
        if buffers == 0 || usize::from(buffers) > MERGED_MAX {
            return Err(Violation::Buffers(buffers));
        }
        let mut whole = true;
        let mut length = 0;
        for number in 0..buffers {
            // All buffers of a frame become used at once (§5.1.6.3.2), so they are there.
            let used = match number {
                0 => first,
                _ => self.receive.ring.take()?.ok_or(Violation::Buffers(buffers))?,
            };
            let skipped = if number == 0 { self.header } else { 0 };
            let Some(bytes) =
                (used.written as usize).checked_sub(skipped).filter(|_| used.written as usize <= BUFFER)
            else {
                whole = false;
                continue;
            };
            let room = frame.len().saturating_sub(length).min(bytes);
            if room > 0 {
                self.receive.buffers.read(used.head, skipped, &mut frame[length..length + room]);
            }
            length += bytes;
        }
        if !whole || header[1] != SEGMENT_NONE {
            return Ok(None); // segments put together were never asked for
        }
        Ok(self.checksum(&header, frame, length))
    }

    /// Completes the checksum of a frame that comes without, from this very host.
    fn checksum(&self, header: &[u8; HEADER], frame: &mut [u8], length: usize) -> Option<Received> {
        let length = length.min(frame.len());
        let flags = if self.partial_checksums { header[0] } else { 0 };
        if flags & NEEDS_CHECKSUM != 0 {
            let start = usize::from(u16::from_le_bytes([header[6], header[7]]));
            let offset = usize::from(u16::from_le_bytes([header[8], header[9]]));
            checksum::complete(&mut frame[..length], start, offset)?;
        }
        Some(Received { length, verified: flags & (NEEDS_CHECKSUM | VERIFIED) != 0 })
    }

    /// Sends one frame, of which the device does what `offload` says; false if the device cannot take it.
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> Result<bool, Violation> {
        let mut header = [0; HEADER];
        header[..SHORT_HEADER].copy_from_slice(&offload.header());
        let header = &header[..self.header];
        let first = if self.header_apart { 0 } else { BUFFER - self.header };
        let needed = 1 + frame.len().saturating_sub(first).div_ceil(BUFFER);
        if !self.make_room(needed)? {
            return Ok(false);
        }
        let (head, mut rest) = frame.split_at(first.min(frame.len()));
        let Some(mut previous) = self.transmit.append(None, &[header, head]) else { return Ok(false) };
        let first = previous;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(BUFFER.min(rest.len()));
            // There is room, as just made; a chain that was not published costs nobody but us.
            let Some(index) = self.transmit.append(Some(previous), &[piece]) else { return Ok(false) };
            (previous, rest) = (index, others);
        }
        self.transmit.ring.publish(first);
        self.unannounced += 1;
        if self.unannounced >= FRAMES_PER_BELL {
            self.flush();
        }
        Ok(true)
    }

    /// Takes back what the device has sent, and waits a little for it if there is not room for `needed` buffers.
    fn make_room(&mut self, needed: usize) -> Result<bool, Violation> {
        self.transmit.reclaim()?;
        if usize::from(self.transmit.ring.free_count()) >= needed {
            return Ok(true);
        }
        if needed > usize::from(self.transmit.ring.usable()) {
            return Ok(false);
        }
        self.flush();
        for _ in 0..TRANSMIT_ATTEMPTS {
            std::hint::spin_loop();
            self.transmit.reclaim()?;
            if usize::from(self.transmit.ring.free_count()) >= needed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rings the bell for what the device was given since, if it wants to be told.
    #[inline]
    pub fn flush(&mut self) {
        self.unannounced = 0;
        if self.transmit.ring.must_notify() {
            self.transport.notify(TRANSMIT);
        }
        if self.receive.ring.must_notify() {
            self.transport.notify(RECEIVE);
        }
    }

    /// Before the image ends: rings the bell. Whether the device has sent everything; one at fault will send no more.
    pub fn finish(&mut self) -> bool {
        self.flush();
        self.transmit.reclaim().is_err() || self.transmit.ring.free_count() == self.transmit.ring.usable()
    }

    /// Before the image sleeps: rings the bell, and asks for an interrupt with the next frame. Whether none is there already.
    pub fn arm(&mut self) -> bool {
        self.flush();
        self.receive.ring.arm()
    }

    /// After the image slept: ends the interrupt, and asks for no more. Whether there was one.
    pub fn disarm(&mut self) -> Result<bool, Violation> {
        self.receive.ring.disarm();
        check_interrupt(&mut *self.transport)
    }

    /// Looks whether the device has given up.
    pub fn check_state(&mut self) -> Result<(), Violation> {
        check_state(&mut *self.transport)
    }

    /// How the device interrupts.
    pub fn interrupt(&self) -> Interrupt {
        self.transport.interrupt()
    }
}

/// Descriptors of a queue that there is memory for.
fn affordable(memory: Memory) -> u16 {
    let free = memory.total.saturating_sub(memory.used);
    let mut size = QUEUE_SIZE;
    while memory.total != 0 && size > QUEUE_SIZE_SMALL && 2 * usize::from(size) * BUFFER > free / 4 {
        size /= 2;
    }
    size
}

impl Queue {
    fn new(
        transport: &mut dyn Transport,
        number: u16,
        wanted: u16,
        event_index: bool,
    ) -> Result<Self, Refusal> {
        let size = queue_size(transport, number, wanted)?;
        let usable = size.min(wanted);
        let ring = Ring::new(size, usable, event_index).ok_or(Refusal::NoMemory)?;
        let buffers = Buffers::new(usable, false).ok_or(Refusal::NoMemory)?;
        transport.enable_queue(number, size, ring.addresses())?;
        Ok(Self { ring, buffers })
    }

    /// Gives the device every buffer that it does not have.
    #[inline]
    fn refill(&mut self) {
        while let Some(index) = self.ring.acquire() {
            // SAFETY: the buffer is the descriptor's own and never freed; it is only read between `take` and here.
            unsafe { self.ring.describe(index, None, self.buffers.address(index), BUFFER as u32, true) };
            self.ring.publish(index);
        }
    }

    /// Copies `pieces` into a free buffer, and appends it to the chain that ends with `previous`.
    #[inline]
    fn append(&mut self, previous: Option<u16>, pieces: &[&[u8]]) -> Option<u16> {
        let index = self.ring.acquire()?;
        let mut length = 0;
        for piece in pieces {
            self.buffers.write(index, length, piece);
            length += piece.len();
        }
        // SAFETY: the buffer is the descriptor's own and never freed; it is only written to when the ring says that the
        // descriptor is ours.
        unsafe { self.ring.describe(index, previous, self.buffers.address(index), length as u32, false) };
        Some(index)
    }

    #[inline]
    fn reclaim(&mut self) -> Result<(), Violation> {
        for _ in 0..self.ring.usable() {
            if self.ring.take()?.is_none() {
                break;
            }
        }
        self.ring.disarm();
        Ok(())
    }
}

/// The MTU that the device asks for, if a frame of it fits.
fn mtu(transport: &mut dyn Transport, given: bool, merged: bool, header: usize) -> Result<u16, Refusal> {
    if !given {
        return Ok(MTU_DEFAULT);
    }
    let mtu = u16::from_le_bytes(configuration(transport, 10)?);
    let room = if merged { MERGED_MAX * BUFFER } else { BUFFER };
    if mtu < MTU_MIN || usize::from(mtu) + ETHERNET_HEADER + header > room {
        return Err(Refusal::Configuration("MTU", mtu.into()));
    }
    Ok(mtu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::{PartialChecksum, Segmentation},
        virtio::{
            fake::{Fake, Host},
            transport::{Kind, status},
        },
    };
    use std::{cell::RefCell, rc::Rc};

    const MODERN: u64 = feature::VERSION_1 | feature::EVENT_INDEX | bits::MAC;
    /// MAC, status, pairs, MTU.
    const CONFIGURATION: [u8; 12] = [2, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0xdc, 5];

    fn device(offered: u64) -> (Net, Rc<RefCell<Host>>) {
        let host = Host::new(Kind::Net, offered, &CONFIGURATION);
        (Net::new(Box::new(Fake(host.clone()))).expect("it is a good device"), host)
    }

    /// The device puts so many bytes into the next buffer, and says that it has written `written`.
    fn arrive(host: &Rc<RefCell<Host>>, bytes: &[u8], written: u32) {
        let mut host = host.borrow_mut();
        let chain = host.take(0).expect("there is a buffer");
        chain.write(bytes);
        host.give_back(0, chain.head.into(), written);
    }

    /// A frame of `data` with the header given.
    fn with_header(header: [u8; HEADER], data: &[u8]) -> Vec<u8> {
        [&header, data].concat()
    }

    /// The device says that it wrote `written` bytes of `bytes`; `expect` comes out.
    #[track_caller]
    fn check(offered: u64, bytes: &[u8], written: usize, expect: Result<Option<(&[u8], bool)>, Violation>) {
        let (mut net, host) = device(offered);
        arrive(&host, bytes, written as u32);
        let mut frame = [0x55; 1_514];
        let received = net.receive(&mut frame);
        let received =
            received.map(|received| received.map(|received| (&frame[..received.length], received.verified)));
        assert_eq!(received, expect);
    }

    #[test]
    fn queues_are_small_where_memory_is() {
        let size = |total, used| affordable(Memory { total, used });
        assert_eq!(size(0, 0), QUEUE_SIZE, "a heap that is not ours");
        assert_eq!(size(64 << 20, 1 << 20), QUEUE_SIZE);
        assert_eq!(size(4 << 20, 0), QUEUE_SIZE);
        assert_eq!(size(4 << 20, 1 << 20), QUEUE_SIZE / 2);
        assert_eq!(size(1 << 20, 1 << 19), QUEUE_SIZE_SMALL);
        assert_eq!(size(1 << 20, 1 << 20), QUEUE_SIZE_SMALL);
    }

    #[test]
    fn frames_come_in() {
        let frame = with_header([0; HEADER], b"some frame");
        check(MODERN, &frame, 22, Ok(Some((b"some frame", false))));
        check(MODERN, &frame, 12, Ok(Some((b"", false))));
        // A legacy device's header is two bytes shorter.
        check(0, &frame[2..], 20, Ok(Some((b"some frame", false))));
        let merged = with_header([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], b"some frame");
        check(MODERN | bits::MRG_RXBUF, &merged, 22, Ok(Some((b"some frame", false))));
    }

    #[test]
    fn lengths_that_cannot_be_make_an_empty_frame() {
        let frame = with_header([0; HEADER], b"some frame");
        for written in [0, 1, 11, BUFFER + 1, 65_536, u32::MAX as usize] {
            check(MODERN, &frame, written, Ok(Some((b"", false))));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_cut() {
        let frame = with_header([0; HEADER], &[7; 2_000]);
        check(MODERN, &frame, frame.len(), Ok(Some((&[7; 1_514], false))));
    }

    #[test]
    fn counts_of_buffers_that_cannot_be_are_violations() {
        for count in [0, 2, MERGED_MAX as u8, MERGED_MAX as u8 + 1, 255] {
            let frame = with_header([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count, 0], b"some frame");
            check(MODERN | bits::MRG_RXBUF, &frame, 22, Err(Violation::Buffers(count.into())));
        }
    }

    #[test]
    fn a_frame_in_several_buffers_is_put_together() {
        let (mut net, host) = device(MODERN | bits::MRG_RXBUF);
        let header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0];
        arrive(&host, &with_header(header, b"one, "), 17);
        arrive(&host, b"two, ", 5);
        arrive(&host, b"three", 5);
        let mut frame = [0; 100];
        let received = net.receive(&mut frame).expect("nothing is wrong").expect("it is there");
        assert_eq!(&frame[..received.length], b"one, two, three");
        assert_eq!(net.receive(&mut frame), Ok(None));
    }

    #[test]
    fn checksums_of_this_host_are_completed() {
        let offered = MODERN | bits::GUEST_CSUM;
        let header = |flags, start, offset| [flags, 0, 0, 0, 0, 0, start, 0, offset, 0, 0, 0];
        let data = [9, 9, 0, 1, 0, 2, 0, 0];
        let complete = [9, 9, 0, 1, 0, 2, 0xff, 0xfc];
        check(offered, &with_header(header(1, 2, 4), &data), 20, Ok(Some((&complete, true))));
        check(offered, &with_header(header(2, 0, 0), &data), 20, Ok(Some((&data, true))));
        // Outside of the frame, though inside of its buffer.
        check(offered, &with_header(header(1, 2, 5), &data), 20, Ok(Some((b"", false))));
        check(offered, &with_header(header(1, 200, 0), &data), 20, Ok(Some((b"", false))));
        // Not agreed on: nothing is vouched for.
        check(MODERN, &with_header(header(2, 0, 0), &data), 20, Ok(Some((&data, false))));
    }

    #[test]
    fn segments_put_together_were_not_asked_for() {
        check(
            MODERN,
            &with_header([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], b"some frame"),
            22,
            Ok(Some((b"", false))),
        );
    }

    #[test]
    fn the_ring_is_watched() {
        let (mut net, host) = device(MODERN);
        host.borrow_mut().give_back(0, 256, 100);
        assert_eq!(net.receive(&mut [0; 100]), Err(Violation::OutOfRange(256)));
        let (mut net, host) = device(MODERN);
        host.borrow_mut().give_back(1, 3, 0);
        assert_eq!(net.transmit(b"frame", Offload::default()), Err(Violation::Ahead { used: 1, held: 0 }));
        assert_eq!(host.borrow().status & status::DRIVER_OK, status::DRIVER_OK);
    }

    /// The device is sent `frame`, and finds `expect` in buffers of these lengths.
    #[track_caller]
    fn check_sent(offered: u64, frame: &[u8], offload: Offload, header: &[u8], lengths: &[u32]) {
        let (mut net, host) = device(offered);
        assert_eq!(net.transmit(frame, offload), Ok(true));
        let chain = host.borrow_mut().take(1).expect("it was published");
        assert!(chain.parts.iter().all(|part| !part.device_writes));
        assert_eq!(chain.parts.iter().map(|part| part.length).collect::<Vec<_>>(), lengths);
        assert_eq!(chain.read(), [header, frame].concat());
    }

    #[test]
    fn frames_go_out() {
        check_sent(MODERN, b"some frame", Offload::default(), &[0; 12], &[22]);
        check_sent(feature::ANY_LAYOUT, b"some frame", Offload::default(), &[0; 10], &[20]);
        check_sent(0, b"some frame", Offload::default(), &[0; 10], &[10, 10]);
        check_sent(bits::MRG_RXBUF, b"some frame", Offload::default(), &[0; 12], &[12, 10]);
    }

    #[test]
    fn large_frames_take_several_buffers() {
        let offload = Offload {
            checksum: Some(PartialChecksum { start: 34, offset: 16 }),
            segment: Some(Segmentation { ipv6: false, headers: 54, size: 1_460 }),
        };
        let header = [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
        let offered = MODERN | bits::CSUM | bits::HOST_TSO4;
        check_sent(offered, &[3; 2_036], offload, &header, &[2_048]);
        check_sent(offered, &[3; 5_000], offload, &header, &[2_048, 2_048, 916]);
        let mut lengths = vec![2_048; 32];
        lengths.push(11);
        check_sent(offered, &[3; 65_535], offload, &header, &lengths);
    }

    #[test]
    fn a_full_queue_drops_and_is_not_lost() {
        let (mut net, host) = device(MODERN);
        let sent = (0..400).filter(|_| net.transmit(&[1; 60], Offload::default()) == Ok(true)).count();
        assert_eq!(sent, 256);
        for _ in 0..256 {
            let head = host.borrow_mut().take(1).expect("it was published").head;
            host.borrow_mut().give_back(1, head.into(), 0);
        }
        assert_eq!(net.transmit(&[1; 60], Offload::default()), Ok(true));
        assert_eq!(net.transmit(&[1; 600_000], Offload::default()), Ok(false), "larger than the queue");
    }

    #[test]
    fn a_batch_rings_the_bell_once() {
        let (mut net, host) = device(MODERN);
        let before = host.borrow().queues[1].notified;
        for _ in 0..40 {
            assert_eq!(net.transmit(&[1; 60], Offload::default()), Ok(true));
        }
        assert_eq!(host.borrow().queues[1].notified, before);
        net.receive(&mut [0; 100]).expect("nothing is wrong");
        assert_eq!(host.borrow().queues[1].notified, before + 1);
    }

    #[test]
    fn a_device_that_gave_up_is_noticed_when_it_interrupts() {
        let (mut net, host) = device(MODERN);
        assert_eq!(net.disarm(), Ok(false));
        host.borrow_mut().interrupt = 3;
        assert_eq!(net.disarm(), Ok(true), "another configuration is none of ours");
        host.borrow_mut().interrupt = 3;
        host.borrow_mut().status |= status::NEEDS_RESET;
        assert_eq!(net.disarm(), Err(Violation::GaveUp));
        // A message says nothing: the status is read.
        assert_eq!(net.check_state(), Err(Violation::GaveUp));
        host.borrow_mut().status &= !status::NEEDS_RESET;
        assert_eq!(net.check_state(), Ok(()));
    }

    /// A device that was spoilt by `spoil` is refused.
    #[track_caller]
    fn check_refused(offered: u64, spoil: impl FnOnce(&mut Host), expect: Refusal) {
        let host = Host::new(Kind::Net, offered, &CONFIGURATION);
        spoil(&mut host.borrow_mut());
        assert_eq!(Net::new(Box::new(Fake(host))).err(), Some(expect));
    }

    #[test]
    fn devices_that_make_no_sense_are_refused() {
        check_refused(MODERN, |host| host.resets = false, Refusal::NoReset);
        check_refused(MODERN, |host| host.agrees = false, Refusal::Features(MODERN));
        check_refused(MODERN, |host| host.unsteady = true, Refusal::Unsteady);
        check_refused(MODERN, |host| host.maps_messages = false, Refusal::Message(None));
        check_refused(MODERN, |host| host.queues[1].size_max = 0, Refusal::Queue(1, 0));
        check_refused(MODERN, |host| host.queues.truncate(1), Refusal::Queue(1, 0));
        let fixed = |size| {
            move |host: &mut Host| {
                host.fixed_sizes = true;
                host.queues[0].size_max = size;
            }
        };
        check_refused(0, fixed(100), Refusal::Queue(0, 100));
        check_refused(0, fixed(8_192), Refusal::Queue(0, 8_192));
        let mtu =
            |mtu: u16| move |host: &mut Host| host.configuration[10..].copy_from_slice(&mtu.to_le_bytes());
        check_refused(MODERN | bits::MTU, mtu(68), Refusal::Configuration("MTU", 68));
        check_refused(MODERN | bits::MTU, mtu(9_000), Refusal::Configuration("MTU", 9_000));
    }

    #[test]
    fn sizes_that_the_device_dictates_are_taken() {
        let host = Host::new(Kind::Net, 0, &CONFIGURATION);
        host.borrow_mut().fixed_sizes = true;
        host.borrow_mut().queues[0].size_max = 1_024;
        let mut net = Net::new(Box::new(Fake(host.clone()))).expect("it is a good device");
        assert_eq!(host.borrow().queues[0].size, 1_024);
        for _ in 0..1_000 {
            arrive(&host, &[0; 70], 70);
            assert_eq!(net.receive(&mut [0; 100]), Ok(Some(Received { length: 60, verified: false })));
        }
    }

    #[test]
    fn jumbo_frames_need_merged_buffers() {
        let mut configuration = CONFIGURATION;
        configuration[10..].copy_from_slice(&9_000_u16.to_le_bytes());
        let host = Host::new(Kind::Net, MODERN | bits::MTU | bits::MRG_RXBUF, &configuration);
        assert_eq!(Net::new(Box::new(Fake(host))).expect("it is a good device").mtu(), 9_000);
    }
}
