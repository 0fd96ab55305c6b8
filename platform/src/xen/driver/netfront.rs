//! A network interface of Xen's: two rings, and a page for each frame.
//!
//! ```text
//!   receive:   pages ──► requests      responses ──► frame is copied out, its pages go back
//!   transmit:  frame is copied into free pages ──► requests      responses ──► pages are free
//! ```
//!
//! The back end is notified of batches: when the receiver has found nothing more, when [`Netfront::flush`] is called, and when
//! many frames have gathered. It raises events only while the image sleeps.
//!
//! What it says is checked: a frame whose lengths cannot be comes out empty, a ring that cannot be is a [`Violation`].
//! Source: Xen `public/io/netif.h`.

use super::{
    Backend, NoPages, blank,
    limits::{
        FRAME_MAX, FRAME_PAGES_MAX, FRAMES_PER_BELL, PAGE, RECEIVE_PAGES, TRANSMIT_ATTEMPTS, TRANSMIT_PAGES,
    },
    pages::Pages,
    ring::{Ids, Ring, Violation},
};
use crate::net::{Capabilities, Interrupt, Offload, Received, Segmentation};

/// Bytes of a slot in either ring.
const TRANSMIT_SLOT: usize = 12;
const RECEIVE_SLOT: usize = 8;

/// Flags of a frame that goes out.
mod sent {
    pub const CHECKSUM_BLANK: u16 = 1;
    pub const VALIDATED: u16 = 1 << 1;
    pub const MORE: u16 = 1 << 2;
    pub const EXTRA: u16 = 1 << 3;
}

/// Flags of a frame that has come in.
mod came {
    pub const VALIDATED: u16 = 1;
    pub const CHECKSUM_BLANK: u16 = 1 << 1;
    pub const MORE: u16 = 1 << 2;
    pub const EXTRA: u16 = 1 << 3;
}

/// Status of the response to an extra slot, which has no number.
const STATUS_NULL: i16 = 1;

/// The extra slot that says how to cut a frame, and its kinds.
const EXTRA_SEGMENTATION: u8 = 1;
const SEGMENT_TCP4: u8 = 1;
const SEGMENT_TCP6: u8 = 2;

/// What the back end says that it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Takes a frame in several pages: `feature-sg`.
    pub gather: bool,
    /// Completes checksums of IPv6 too, as all do of IPv4: `feature-ipv6-csum-offload`.
    pub checksum6: bool,
    /// Cuts TCP over IPv4 into segments: `feature-gso-tcpv4`.
    pub segment_tcp4: bool,
    /// The same for IPv6: `feature-gso-tcpv6`.
    pub segment_tcp6: bool,
}

impl Features {
    fn capabilities(self) -> Capabilities {
        let segmented = |offered| if offered && self.gather && self.checksum6 { FRAME_MAX } else { 0 };
        Capabilities {
            checksum: self.checksum6,
            segment_tcp4: segmented(self.segment_tcp4),
            segment_tcp6: segmented(self.segment_tcp6),
        }
    }
}

/// What a response says about a page that was filled.
struct Filled {
    page: u16,
    offset: u16,
    flags: u16,
    /// Bytes, or an error below zero.
    status: i16,
}

/// A network interface at work.
pub struct Netfront {
    backend: Box<dyn Backend>,
    receive: Direction<RECEIVE_SLOT>,
    transmit: Direction<TRANSMIT_SLOT>,
    /// Extra slots that the back end has not answered.
    extras: u32,
    features: Features,
    /// Frames published since the back end was last thought of.
    unannounced: u16,
}

/// One of the two: a ring, and a page for each number of a request.
struct Direction<const SLOT: usize> {
    ring: Ring<SLOT>,
    ids: Ids,
    pages: Pages,
}

impl Netfront {
    /// Makes the rings and gives the back end all pages for frames that come in.
    pub fn new(mut backend: Box<dyn Backend>, features: Features) -> Result<Self, NoPages> {
        let mut receive = Direction::new(&mut *backend, RECEIVE_PAGES, true)?;
        let transmit = Direction::new(&mut *backend, TRANSMIT_PAGES, false)?;
        receive.refill();
        Ok(Self { backend, receive, transmit, extras: 0, features, unannounced: 0 })
    }

    /// The grants of both rings: that for what goes out, that for what comes in.
    pub fn references(&self) -> (u32, u32) {
        (self.transmit.ring.reference(), self.receive.ring.reference())
    }

    /// What the back end does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        self.features.capabilities()
    }

    /// How the back end ends a sleep: by an event, for which the domain is blocked.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::Host
    }

    /// Takes one frame; `None` when there is none now. What does not fit into `frame` is cut. One that cannot be a frame, by
    /// what the back end says about it, comes out empty: nobody takes that for a frame, and it is counted like others.
    pub fn receive(&mut self, frame: &mut [u8]) -> Result<Option<Received>, Violation> {
        let Some(first) = self.receive.take_filled()? else {
            self.flush();
            return Ok(None);
        };
        let received = self.take_frame(first, frame)?;
        self.receive.refill();
        Ok(Some(received.unwrap_or(Received { length: 0, verified: false })))
    }

    /// Copies a frame out of its pages; `None` if it cannot be one.
    fn take_frame(&mut self, first: Filled, frame: &mut [u8]) -> Result<Option<Received>, Violation> {
        let flags = first.flags;
        let (mut part, mut length, mut whole) = (first, 0, true);
        for _ in 0..FRAME_PAGES_MAX {
            if part.flags & came::EXTRA != 0 {
                return Err(Violation::Form); // for what we never said we could take
            }
            let (offset, bytes) = (usize::from(part.offset), usize::try_from(part.status));
            match bytes {
                Ok(bytes) if bytes <= PAGE.saturating_sub(offset) => {
                    let room = frame.len().saturating_sub(length).min(bytes);
                    self.receive.pages.read(part.page, offset.min(PAGE), &mut frame[length..length + room]);
                    length += room;
                }
                _ => whole = false,
            }
            if part.flags & came::MORE == 0 {
                return Ok(whole.then(|| verify(&mut frame[..length], flags)));
            }
            // All pages of a frame are answered at once, so they are there.
            part = self.receive.take_filled()?.ok_or(Violation::Form)?;
        }
        Err(Violation::Form)
    }

    /// Sends one frame, of which the back end does what `offload` says; false if it cannot take it.
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> Result<bool, Violation> {
        let pages = frame.len().div_ceil(PAGE);
        if frame.is_empty() || frame.len() > FRAME_MAX || (pages > 1 && !self.features.gather) {
            return Ok(false);
        }
        let extra = offload.segment.map(extra);
        if !self.make_room(pages, extra.is_some())? {
            return Ok(false);
        }
        let mut flags = if extra.is_some() { sent::EXTRA } else { 0 };
        if offload.checksum.is_some() {
            flags |= sent::CHECKSUM_BLANK | sent::VALIDATED;
        }
        // The first slot has the length of the whole, the others that of theirs.
        let mut size = frame.len();
        for (number, piece) in frame.chunks(PAGE).enumerate() {
            let more = if number + 1 < pages { sent::MORE } else { 0 };
            self.transmit.send(piece, size, flags | more);
            if let (0, Some(extra)) = (number, extra) {
                self.transmit.ring.put(extra);
                self.extras += 1;
            }
            flags = 0;
            size = frame.len().saturating_sub((number + 1) * PAGE).min(PAGE);
        }
        self.transmit.ring.publish();
        self.unannounced += 1;
        if self.unannounced >= FRAMES_PER_BELL {
            self.flush();
        }
        Ok(true)
    }

    /// Takes back what was sent, and waits a little for it if there are not so many pages, and slots for them.
    fn make_room(&mut self, pages: usize, extra: bool) -> Result<bool, Violation> {
        for attempt in 0..TRANSMIT_ATTEMPTS {
            self.reclaim()?;
            let slots = self.transmit.ring.room() as usize;
            if self.transmit.ids.free_count() >= pages && slots >= pages + usize::from(extra) {
                return Ok(true);
            }
            if attempt == 0 {
                self.flush();
            }
            std::hint::spin_loop();
        }
        Ok(false)
    }

    fn reclaim(&mut self) -> Result<(), Violation> {
        for _ in 0..Ring::<TRANSMIT_SLOT>::SIZE {
            let Some([i0, i1, s0, s1]) = self.transmit.ring.take()? else { break };
            // An error is the frame's loss, as on any Ethernet; the page is ours again.
            if i16::from_le_bytes([s0, s1]) == STATUS_NULL {
                self.extras = self.extras.checked_sub(1).ok_or(Violation::Form)?;
            } else {
                self.transmit.ids.release(u16::from_le_bytes([i0, i1]).into())?;
            }
        }
        self.transmit.ring.disarm();
        Ok(())
    }

    /// Notifies the back end of what it was given since, if it wants to be.
    #[inline]
    pub fn flush(&mut self) {
        self.unannounced = 0;
        // Both, although one event is for both.
        if self.transmit.ring.must_notify() | self.receive.ring.must_notify() {
            self.backend.notify();
        }
    }

    /// Whether the back end has taken everything that was sent; it is notified if it has not.
    pub fn has_sent_all(&mut self) -> Result<bool, Violation> {
        self.flush();
        self.reclaim()?;
        Ok(self.transmit.ring.room() == Ring::<TRANSMIT_SLOT>::SIZE)
    }

    /// Before the image sleeps: notifies the back end, and asks for an event with the next frame. Whether none is there already.
    pub fn arm(&mut self) -> bool {
        self.flush();
        self.receive.ring.arm()
    }

    /// After the image slept: asks for no more events.
    pub fn disarm(&mut self) {
        self.receive.ring.disarm();
    }
}

impl<const SLOT: usize> Direction<SLOT> {
    fn new(backend: &mut dyn Backend, pages: u16, writable: bool) -> Result<Self, NoPages> {
        Ok(Self {
            ring: Ring::new(backend)?,
            ids: Ids::new(pages),
            pages: Pages::new(backend, pages, writable)?,
        })
    }
}

impl Direction<RECEIVE_SLOT> {
    /// Gives the back end every page that it does not have.
    #[inline]
    fn refill(&mut self) {
        while let Some(page) = self.ids.acquire() {
            let ([i0, i1], [r0, r1, r2, r3]) = (page.to_le_bytes(), self.pages.reference(page).to_le_bytes());
            self.ring.put([i0, i1, 0, 0, r0, r1, r2, r3]);
        }
        self.ring.publish();
    }

    #[inline]
    fn take_filled(&mut self) -> Result<Option<Filled>, Violation> {
        let Some([i0, i1, o0, o1, f0, f1, s0, s1]) = self.ring.take()? else { return Ok(None) };
        Ok(Some(Filled {
            page: self.ids.release(u16::from_le_bytes([i0, i1]).into())?,
            offset: u16::from_le_bytes([o0, o1]),
            flags: u16::from_le_bytes([f0, f1]),
            status: i16::from_le_bytes([s0, s1]),
        }))
    }
}

impl Direction<TRANSMIT_SLOT> {
    /// Copies `piece` into a free page, and makes the request to send it.
    #[inline]
    fn send(&mut self, piece: &[u8], size: usize, flags: u16) {
        let page = self.ids.acquire().expect("there is room, as just made");
        self.pages.write(page, 0, piece);
        let [r0, r1, r2, r3] = self.pages.reference(page).to_le_bytes();
        let ([f0, f1], [i0, i1]) = (flags.to_le_bytes(), page.to_le_bytes());
        let [s0, s1] = (size as u16).to_le_bytes();
        self.ring.put([r0, r1, r2, r3, 0, 0, f0, f1, i0, i1, s0, s1]);
    }
}

/// What the flags of a frame that came in mean for its checksum.
fn verify(frame: &mut [u8], flags: u16) -> Received {
    let verified = if flags & came::CHECKSUM_BLANK != 0 {
        blank::complete(frame).is_some()
    } else {
        flags & came::VALIDATED != 0
    };
    Received { length: frame.len(), verified }
}

/// The extra slot that says how to cut a frame.
fn extra(segment: Segmentation) -> [u8; 8] {
    let [s0, s1] = segment.size.to_le_bytes();
    let kind = if segment.ipv6 { SEGMENT_TCP6 } else { SEGMENT_TCP4 };
    [EXTRA_SEGMENTATION, 0, s0, s1, kind, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::PartialChecksum,
        xen::fake::{End, Host},
    };
    use std::{cell::RefCell, rc::Rc};

    const ALL: Features = Features { gather: true, checksum6: true, segment_tcp4: true, segment_tcp6: true };

    /// An interface, and a back end that can do everything right.
    struct Pair {
        net: Netfront,
        host: Rc<RefCell<Host>>,
        /// The back end's ends: of what it is sent, and of what it sends.
        sent: End,
        came: End,
    }

    impl Pair {
        fn new(features: Features) -> Self {
            let host = Host::new();
            let net = Netfront::new(Box::new(host.clone()), features).expect("there is memory");
            let (transmit, receive) = net.references();
            Self { net, host, sent: End::new(transmit, TRANSMIT_SLOT), came: End::new(receive, RECEIVE_SLOT) }
        }

        /// The back end puts `bytes` into the next page, and answers with this offset, flags and status.
        fn arrive(&mut self, bytes: &[u8], offset: u16, flags: u16, status: i16) -> u16 {
            let host = self.host.borrow();
            let request = self.came.take(&host).expect("there is a page");
            let reference = u32::from_le_bytes([request[4], request[5], request[6], request[7]]);
            if usize::from(offset) + bytes.len() <= PAGE {
                host.write(reference, offset.into(), bytes);
            }
            let id = u16::from_le_bytes([request[0], request[1]]);
            self.came.answer(&host, &came(id, offset, flags, status));
            id
        }

        fn receive(&mut self) -> Result<Option<(Vec<u8>, bool)>, Violation> {
            let mut frame = [0x55; 9_014];
            let received = self.net.receive(&mut frame)?;
            Ok(received.map(|received| (frame[..received.length].to_vec(), received.verified)))
        }

        /// The slots of the next frame, in which lengths, flags and the pieces are what a back end sees.
        fn sent(&mut self) -> Vec<(u16, u16, Vec<u8>)> {
            let host = self.host.borrow();
            let mut slots = Vec::new();
            while let Some(slot) = self.sent.take(&host) {
                let reference = u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]);
                let (flags, size) =
                    (u16::from_le_bytes([slot[6], slot[7]]), u16::from_le_bytes([slot[10], slot[11]]));
                slots.push((flags, size, host.read(reference, 0, usize::from(size).min(PAGE))));
                if flags & sent::EXTRA != 0 {
                    let extra = self.sent.take(&host).expect("the extra slot");
                    slots.push((0, 0, extra[..8].to_vec()));
                }
                if flags & sent::MORE == 0 {
                    break;
                }
            }
            slots
        }
    }

    fn came(id: u16, offset: u16, flags: u16, status: i16) -> [u8; 8] {
        let mut response = [0; 8];
        for (place, value) in [id, offset, flags, status as u16].into_iter().enumerate() {
            response[2 * place..][..2].copy_from_slice(&value.to_le_bytes());
        }
        response
    }

    /// One page with `bytes` and this offset, flags and status: `expect` comes out.
    #[track_caller]
    fn check(
        (bytes, offset, flags, status): (&[u8], u16, u16, i16),
        expect: Result<Option<(&[u8], bool)>, Violation>,
    ) {
        let mut pair = Pair::new(ALL);
        pair.arrive(bytes, offset, flags, status);
        let expect = expect.map(|received| received.map(|(bytes, verified)| (bytes.to_vec(), verified)));
        assert_eq!(pair.receive(), expect);
        if expect.is_ok() {
            pair.arrive(b"another", 0, 0, 7);
            assert_eq!(pair.receive(), Ok(Some((b"another".to_vec(), false))));
            assert_eq!(pair.receive(), Ok(None));
        }
    }

    #[test]
    fn frames_come_in_more_often_than_there_are_pages() {
        let mut pair = Pair::new(Features::default());
        for turn in 0..1_000_i16 {
            let frame = turn.to_le_bytes();
            pair.arrive(&frame, 64, 0, 2);
            assert_eq!(pair.receive(), Ok(Some((frame.to_vec(), false))));
        }
        assert_eq!(pair.receive(), Ok(None));
    }

    #[test]
    fn lengths_that_cannot_be_make_an_empty_frame() {
        let page = [7; PAGE];
        check((&page, 0, 0, 4096), Ok(Some((&page, false))));
        check((b"", 4096, 0, 0), Ok(Some((b"", false))));
        for (offset, status) in
            [(1, 4096), (4096, 1), (4097, 0), (0, 4097), (65_535, 32_767), (0, -1), (0, i16::MIN)]
        {
            check((b"", offset, 0, status), Ok(Some((b"", false))));
        }
    }

    #[test]
    fn a_frame_may_take_several_pages_but_not_any_number() {
        let mut pair = Pair::new(ALL);
        for (piece, flags) in [(b"some ", came::MORE), (b"frame", 0)] {
            pair.arrive(piece, 0, flags, 5);
        }
        assert_eq!(pair.receive(), Ok(Some((b"some frame".to_vec(), false))));
        // One page of them cannot be: all are the back end's again, and the next frame is whole.
        for (status, flags) in [(5, came::MORE), (-1, came::MORE), (5, 0)] {
            pair.arrive(b"piece", 0, flags, status);
        }
        assert_eq!(pair.receive(), Ok(Some((vec![], false))));
        pair.arrive(b"whole", 0, 0, 5);
        assert_eq!(pair.receive(), Ok(Some((b"whole".to_vec(), false))));

        check((b"some", 0, came::MORE, 4), Err(Violation::Form)); // and no more
        for _ in 0..FRAME_PAGES_MAX {
            pair.arrive(b"piece", 0, came::MORE, 5);
        }
        assert_eq!(pair.receive(), Err(Violation::Form));
        check((b"some", 0, came::EXTRA, 4), Err(Violation::Form));
    }

    #[test]
    fn a_page_that_is_not_the_back_ends_is_found_out() {
        let mut pair = Pair::new(ALL);
        let id = pair.arrive(b"frame", 0, 0, 5);
        let host = pair.host.clone();
        pair.came.answer(&host.borrow(), &came(id, 0, 0, 5));
        assert!(pair.receive().is_ok_and(|received| received.is_some()));
        // It has it again, so that it may answer once more, but not twice.
        pair.came.answer(&host.borrow(), &came(id, 0, 0, 5));
        assert!(pair.receive().is_ok_and(|received| received.is_some()));
        assert!(pair.receive().is_ok_and(|received| received.is_some()));
        pair.came.answer(&host.borrow(), &came(RECEIVE_PAGES, 0, 0, 5));
        assert_eq!(pair.receive().err(), Some(Violation::OutOfRange(RECEIVE_PAGES.into())));

        let mut pair = Pair::new(ALL);
        let id = pair.arrive(b"piece", 0, came::MORE, 5);
        pair.came.answer(&pair.host.borrow(), &came(id, 0, 0, 5));
        assert_eq!(pair.receive(), Err(Violation::NotHeld(id.into())));
    }

    #[test]
    fn checksums_are_as_good_as_the_back_end_says() {
        check((b"some frame", 0, came::VALIDATED, 10), Ok(Some((b"some frame", true))));
        // Blank, and nobody knows where.
        check(
            (b"some frame", 0, came::CHECKSUM_BLANK | came::VALIDATED, 10),
            Ok(Some((b"some frame", false))),
        );
        let blank =
            [&[2; 12][..], &[8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17], &[0; 10], &[0, 1, 0, 2, 0, 8, 0, 0]]
                .concat();
        let mut complete = blank.clone();
        complete[40..].copy_from_slice(&[0xff, 0xdb]);
        check((&blank, 0, came::CHECKSUM_BLANK, 42), Ok(Some((&complete, true))));
    }

    #[test]
    fn a_long_frame_goes_out_in_pages_and_says_how_to_cut_it() {
        let mut pair = Pair::new(ALL);
        let frame: Vec<u8> = (0..9_000_u32).map(|place| place as u8).collect();
        let offload = Offload {
            checksum: Some(PartialChecksum { start: 34, offset: 16 }),
            segment: Some(Segmentation { ipv6: true, headers: 54, size: 1_440 }),
        };
        assert_eq!(pair.net.transmit(&frame, offload), Ok(true));
        let flags = sent::CHECKSUM_BLANK | sent::VALIDATED | sent::MORE | sent::EXTRA;
        let expect = [
            (flags, 9_000, frame[..4096].to_vec()),
            (0, 0, vec![1, 0, 0xa0, 5, 2, 0, 0, 0]),
            (sent::MORE, 4096, frame[4096..8192].to_vec()),
            (0, 808, frame[8192..].to_vec()),
        ];
        assert_eq!(pair.sent(), expect);
        assert_eq!(pair.net.transmit(b"short", Offload::default()), Ok(true));
        assert_eq!(pair.sent(), [(0, 5, b"short".to_vec())]);
    }

    #[test]
    fn what_the_back_end_does_not_take_is_not_sent() {
        let mut pair = Pair::new(Features { gather: false, ..ALL });
        assert_eq!(
            pair.net.capabilities(),
            Capabilities { checksum: true, segment_tcp4: 0, segment_tcp6: 0 }
        );
        assert_eq!(pair.net.transmit(&[0; PAGE + 1], Offload::default()), Ok(false));
        assert_eq!(pair.net.transmit(&[], Offload::default()), Ok(false));
        assert_eq!(Pair::new(ALL).net.transmit(&[0; FRAME_MAX + 1], Offload::default()), Ok(false));
        assert_eq!(Pair::new(Features::default()).net.capabilities(), Capabilities::default());
    }

    #[test]
    fn pages_are_used_again_once_they_were_answered() {
        let mut pair = Pair::new(ALL);
        let send = |pair: &mut Pair| pair.net.transmit(b"frame", Offload::default());
        (0..TRANSMIT_PAGES).for_each(|_| assert_eq!(send(&mut pair), Ok(true)));
        assert_eq!(send(&mut pair), Ok(false), "no page is free");
        pair.sent.answer(&pair.host.borrow(), &[5, 0, 0, 0]);
        pair.sent.answer(&pair.host.borrow(), &[6, 0, 0xff, 0xff]);
        assert_eq!((send(&mut pair), send(&mut pair), send(&mut pair)), (Ok(true), Ok(true), Ok(false)));
        pair.sent.answer(&pair.host.borrow(), &[0, 1, 0, 0]);
        assert_eq!(send(&mut pair), Err(Violation::OutOfRange(256)));
    }

    #[test]
    fn everything_is_sent_once_it_was_answered() {
        let mut pair = Pair::new(ALL);
        assert_eq!(pair.net.has_sent_all(), Ok(true));
        assert_eq!(pair.net.transmit(b"frame", Offload::default()), Ok(true));
        let notified = pair.host.borrow().notified;
        assert_eq!(pair.net.has_sent_all(), Ok(false));
        assert_eq!(pair.host.borrow().notified, notified + 1);
        let id = pair.sent.take(&pair.host.borrow()).map(|slot| [slot[8], slot[9], 0, 0]);
        pair.sent.answer(&pair.host.borrow(), &id.expect("a slot"));
        assert_eq!(pair.net.has_sent_all(), Ok(true));
    }

    #[test]
    fn an_extra_slot_is_answered_without_a_number() {
        let mut pair = Pair::new(ALL);
        let null = [9, 0, STATUS_NULL as u8, 0];
        let segment = Some(Segmentation { ipv6: false, headers: 54, size: 1_460 });
        for _ in 0..1_000 {
            assert_eq!(pair.net.transmit(b"frame", Offload { checksum: None, segment }), Ok(true));
            let id = {
                let host = pair.host.borrow();
                let slot = pair.sent.take(&host).expect("a slot");
                pair.sent.take(&host).expect("the extra one");
                [slot[8], slot[9], 0, 0]
            };
            pair.sent.answer(&pair.host.borrow(), &id);
            pair.sent.answer(&pair.host.borrow(), &null);
        }
        assert_eq!(pair.net.transmit(b"frame", Offload::default()), Ok(true));
        pair.sent.answer(&pair.host.borrow(), &null);
        assert_eq!(pair.net.transmit(b"frame", Offload::default()), Err(Violation::Form));
    }

    #[test]
    fn the_back_end_is_notified_of_batches() {
        let mut pair = Pair::new(ALL);
        assert!(pair.net.arm());
        assert_eq!(pair.host.borrow().notified, 1, "of the pages");
        for frames in 0..u32::from(FRAMES_PER_BELL) {
            assert_eq!(pair.host.borrow().notified, 1, "{frames} frames");
            assert_eq!(pair.net.transmit(b"frame", Offload::default()), Ok(true));
        }
        assert_eq!(pair.host.borrow().notified, 2);
        pair.arrive(b"frame", 0, 0, 5);
        assert!(!pair.net.arm(), "a frame is there");
    }

    #[test]
    fn without_grants_there_is_no_interface() {
        for grants_max in [0, 1, 100, 130, 257] {
            let host = Host::new();
            host.borrow_mut().grants_max = Some(grants_max);
            assert!(Netfront::new(Box::new(host), ALL).is_err());
        }
    }
}
