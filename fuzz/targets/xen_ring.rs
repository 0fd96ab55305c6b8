//! The rings of Xen's netfront and blkfront against a back end that does anything: answers wrong, twice, too much, or writes
//! all over what was granted to it.
//!
//! The drivers stop with a reason or go on; what they hand out lies within the buffer they were given, they never send a page
//! that is not theirs, and as long as the back end has kept to the rules, frames and blocks are what was sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use platform::{
    net::{Offload, PartialChecksum, Segmentation},
    xen::{
        blkfront::{Blkfront, Failure, Geometry},
        fake::{End, Host},
        netfront::{Features, Netfront},
        ring::Violation,
    },
};
use std::{cell::RefCell, rc::Rc};

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    if input.byte() % 4 == 0 {
        disk(&mut input);
    } else {
        card(&mut input);
    }
});

/// Bytes to decide by; zeroes once there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        std::array::from_fn(|_| self.byte())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An interface and the back end's view of it.
struct Card {
    net: Netfront,
    host: Rc<RefCell<Host>>,
    sent: End,
    came: End,
    /// What an honest back end has given that was not received; `None` once it is not honest.
    expected: Option<Vec<Vec<u8>>>,
}

fn card(input: &mut Input<'_>) {
    let host = Host::new();
    let features = input.byte();
    let has = |bit: u8| features & (1 << bit) != 0;
    let features = Features { gather: has(0), checksum6: has(1), segment_tcp4: has(2), segment_tcp6: has(3) };
    let net = Netfront::new(Box::new(host.clone()), features).expect("there is memory");
    let (transmit, receive) = net.references();
    let (sent, came) = (End::new(transmit, 12), End::new(receive, 8));
    let mut card = Card { net, host, sent, came, expected: Some(Vec::new()) };
    while !input.is_empty() {
        if let Err(violation) = card.step(input) {
            assert!(card.expected.is_none(), "an honest back end is accused: {violation}");
            return;
        }
    }
}

impl Card {
    fn step(&mut self, input: &mut Input<'_>) -> Result<(), Violation> {
        match input.byte() % 10 {
            0 | 1 => self.receive(input)?,
            2 => self.arrive(input),
            3 => self.transmit(input)?,
            4 => self.answer_sent(),
            5 => {
                self.net.has_sent_all()?;
                self.net.arm();
                self.net.disarm();
            }
            6 => self.lie(|card, host| drop(card.came.answer(host, &input.bytes::<8>()))),
            7 => self.lie(|card, host| drop(card.sent.answer(host, &input.bytes::<4>()))),
            8 => {
                let (place, value) =
                    (usize::from(input.word()) << 4 | usize::from(input.byte() & 15), input.byte());
                self.lie(|_, host| host.scribble(place, value));
            }
            _ => {
                let (is_sent, answered) = (input.byte() & 1 == 0, u32::from(input.word()));
                self.lie(|card, host| {
                    if is_sent { &card.sent } else { &card.came }.set_answered(host, answered)
                });
            }
        }
        Ok(())
    }

    /// The back end does what it must not.
    fn lie(&mut self, what: impl FnOnce(&mut Self, &Host)) {
        self.expected = None;
        let host = self.host.clone();
        what(self, &host.borrow());
    }

    fn receive(&mut self, input: &mut Input<'_>) -> Result<(), Violation> {
        let mut buffer = vec![0x55; usize::from(input.word() % 10_000)];
        let Some(received) = self.net.receive(&mut buffer)? else { return Ok(()) };
        assert!(received.length <= buffer.len());
        if let Some(expected) = &mut self.expected {
            let mut frame = expected.remove(0);
            frame.truncate(buffer.len());
            assert_eq!(buffer[..received.length], frame);
        }
        Ok(())
    }

    /// A frame in one page or several: as it should be, or with lengths and flags of the input.
    fn arrive(&mut self, input: &mut Input<'_>) {
        let (honest, pieces) = (input.byte() & 3 != 0, usize::from(input.byte() % 4) + 1);
        let host = self.host.clone();
        let host = host.borrow();
        let mut frame = Vec::new();
        for piece in 1..=pieces {
            let Some(request) = self.came.take(&host) else {
                self.expected = None; // it would have to say less than it has begun to
                return;
            };
            let reference = u32::from_le_bytes([request[4], request[5], request[6], request[7]]);
            let (offset, length, fill) = (input.word() % 64, input.word() % 2_000, input.byte());
            let more = if piece < pieces { 4 } else { 0 };
            let [i0, i1] = [request[0], request[1]];
            // It may have written all over the request itself.
            let response = if honest && (self.expected.is_some() || host.is_granted(reference, true)) {
                host.write(reference, offset.into(), &vec![fill; length.into()]);
                frame.resize(frame.len() + usize::from(length), fill);
                let ([o0, o1], [l0, l1]) = (offset.to_le_bytes(), length.to_le_bytes());
                [i0, i1, o0, o1, more, 0, l0, l1]
            } else {
                self.expected = None;
                let [a, b, c, d, e, f] = input.bytes();
                [i0, i1, a, b, c, d, e, f]
            };
            self.came.answer(&host, &response);
        }
        if let Some(expected) = &mut self.expected {
            expected.push(frame);
        }
    }

    fn transmit(&mut self, input: &mut Input<'_>) -> Result<(), Violation> {
        let (length, what) = (usize::from(input.word()), input.byte());
        let checksum = (what & 1 != 0).then_some(PartialChecksum { start: 34, offset: 16 });
        let segment =
            (what & 2 != 0).then_some(Segmentation { ipv6: what & 4 != 0, headers: 54, size: 1_460 });
        self.net.transmit(&vec![what; length], Offload { checksum, segment }).map(drop)
    }

    /// Sends the next frame as a back end does, and answers all its slots.
    fn answer_sent(&mut self) {
        let host = self.host.clone();
        let host = host.borrow();
        // As many as a frame can have.
        for _ in 0..18 {
            let Some(slot) = self.sent.take(&host) else { return };
            let reference = u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]);
            let flags = slot[6];
            if self.expected.is_some() {
                host.read(reference, 0, 4096); // which panics where it is no grant
            }
            self.sent.answer(&host, &[slot[8], slot[9], 0, 0]);
            if flags & 8 != 0 {
                self.sent.take(&host);
                self.sent.answer(&host, &[0, 0, 1, 0]);
            }
            if flags & 4 == 0 {
                return;
            }
        }
    }
}

fn disk(input: &mut Input<'_>) {
    let host = Host::new();
    let mut disk = Blkfront::new(Box::new(host.clone())).expect("there is memory");
    let geometry = Geometry {
        sectors: u64::from_le_bytes(input.bytes()),
        sector_size: u64::from(input.word()),
        read_only: false,
        flush: input.byte() & 1 == 0,
        barrier: input.byte() & 1 == 0,
    };
    let _ = disk.set_geometry(geometry);
    assert!((512..=4096).contains(&disk.block_size()));
    assert!(disk.capacity().is_multiple_of(disk.block_size() as u64));
    let mut end = End::new(disk.reference(), 112);
    let mut honest = true;
    while !input.is_empty() {
        let mut block = vec![input.byte(); disk.block_size()];
        let (operation, offset) = (input.byte() % 3, u64::from(input.word()) * 512);
        let content = input.byte();
        let mut looks = 0;
        let mut sleep = || {
            looks += 1;
            honest &= serve(input, &mut end, &host.borrow(), content);
            looks < 3
        };
        let outcome = match operation {
            0 => disk.read(offset, &mut block, &mut sleep),
            1 => disk.write(offset, &block, &mut sleep),
            _ => disk.flush(&mut sleep),
        };
        match outcome {
            Err(failure @ Failure::Violation(_)) => {
                assert!(!honest, "an honest back end is accused: {failure:?}");
                return;
            }
            Ok(()) if honest && operation == 0 => assert!(block.iter().all(|&byte| byte == content)),
            _ => {}
        }
    }
}

/// What the back end does while the disk waits. Whether it has kept to the rules.
fn serve(input: &mut Input<'_>, end: &mut End, host: &Host, content: u8) -> bool {
    match input.byte() % 8 {
        0 => drop(end.answer(host, &input.bytes::<16>())),
        1 => end.set_answered(host, u32::from(input.word())),
        2 => host.scribble(usize::from(input.word()), input.byte()),
        3 => return true, // it takes its time
        _ => {
            let Some(request) = end.take(host) else { return true };
            let reference = u32::from_le_bytes([request[24], request[25], request[26], request[27]]);
            // It may have written all over the request itself.
            if request[0] == 0 && host.is_granted(reference, true) {
                host.write(reference, 0, &[content; 4096]);
            }
            let mut response = [0; 16];
            response[..8].copy_from_slice(&request[8..16]);
            end.answer(host, &response);
            return true;
        }
    }
    false
}
