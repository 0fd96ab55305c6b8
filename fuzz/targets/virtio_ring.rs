//! A virtio device that keeps to the rules or does not: used entries that cannot be, lengths, counts of buffers and checksums
//! that point elsewhere, descriptors that change under the driver. The driver reads and writes nothing but its own memory (the
//! address sanitizer looks on), every frame fits, and what an honest device gets is what was sent.
//!
//! The input is what the device offers, then a list of steps. The first violation ends a run, as it ends an image.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platform::{
    net::{Offload, PartialChecksum, Segmentation},
    virtio::{
        block::Block,
        fake::{Fake, Host},
        net::Net,
        transport::{Kind, feature},
    },
};
use std::{cell::RefCell, rc::Rc};

const STEPS: usize = 200;
const FRAME: usize = 1_514;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// What is left of the input; zeroes behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn word(&mut self) -> u32 {
        u32::from(self.half()) << 16 | u32::from(self.half())
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// A device that offers anything, with queues of few descriptors.
    fn host(&mut self, kind: Kind) -> Rc<RefCell<Host>> {
        let features = u64::from(self.word()) | (u64::from(self.byte() & 1) * feature::VERSION_1);
        let configuration = self.bytes(24);
        let host = Host::new(kind, features, &configuration);
        {
            let mut host = host.borrow_mut();
            host.fixed_sizes = self.byte() & 1 != 0;
            for queue in 0..2 {
                host.queues[queue].size_max = match self.byte() {
                    size @ 0..128 => 1 << (size % 12),
                    size => size.into(),
                };
            }
        }
        host
    }
}

/// The device does something that it must not.
fn misbehave(input: &mut Input<'_>, host: &mut Host, queue: usize) {
    match input.byte() % 4 {
        0 => host.give_back(queue, input.word(), input.word()),
        1 => host.give_back(queue, (input.byte() % 16).into(), input.half().into()),
        2 => host.move_used(queue, input.half()),
        _ => host.scribble(queue, input.half().into(), input.half()),
    }
}

struct Card {
    net: Net,
    host: Rc<RefCell<Host>>,
    /// Whether the device has changed what is not its own: nobody can say then what it gets.
    broken: bool,
    /// Frames that were sent and not yet seen by the device.
    sent: Vec<Vec<u8>>,
    given: Vec<u16>,
}

impl Card {
    /// False when the image would stop.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        match input.byte() % 8 {
            0 | 1 => self.receive(),
            2 => self.transmit(input),
            3 => {
                self.net.arm();
                self.host.borrow_mut().interrupt = input.byte();
                self.net.disarm().is_ok()
            }
            4 => {
                self.deliver(input);
                true
            }
            5 => {
                self.collect();
                true
            }
            6 => {
                if let Some(head) = self.given.pop() {
                    self.host.borrow_mut().give_back(TRANSMIT, head.into(), input.byte().into());
                }
                true
            }
            _ => {
                self.broken = true;
                let queue = usize::from(input.byte() & 1);
                misbehave(input, &mut self.host.borrow_mut(), queue);
                true
            }
        }
    }

    fn receive(&mut self) -> bool {
        let mut frame = [0x55; FRAME];
        match self.net.receive(&mut frame) {
            Ok(Some(received)) => {
                assert!(received.length <= FRAME);
                assert!(frame[received.length..].len() + received.length == FRAME);
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    fn transmit(&mut self, input: &mut Input<'_>) -> bool {
        let (length, what) = (usize::from(input.half()), input.byte());
        let checksum = PartialChecksum { start: input.half(), offset: input.half() };
        let segment = Segmentation { ipv6: what & 4 != 0, headers: input.half(), size: input.half() };
        let offload = Offload {
            checksum: (what & 1 != 0).then_some(checksum),
            segment: (what & 2 != 0).then_some(segment),
        };
        let frame = vec![what; length];
        match self.net.transmit(&frame, offload) {
            Ok(true) => self.sent.push(frame),
            Ok(false) => {}
            Err(_) => return false,
        }
        true
    }

    /// The device delivers a frame, with a header and a length that may be anything.
    fn deliver(&mut self, input: &mut Input<'_>) {
        let mut host = self.host.borrow_mut();
        let Some(chain) = host.take(RECEIVE) else { return };
        let length = usize::from(input.byte());
        let bytes = input.bytes(length);
        let written = if self.broken { length as u32 } else { chain.write(&bytes) };
        let written = if input.byte() & 3 == 0 { input.word() } else { written };
        host.give_back(RECEIVE, chain.head.into(), written);
    }

    /// The device takes a frame to send.
    fn collect(&mut self) {
        let Some(chain) = self.host.borrow_mut().take(TRANSMIT) else { return };
        self.given.push(chain.head);
        if !self.broken {
            let frame = self.sent.remove(0);
            assert!(chain.read().ends_with(&frame), "the device gets what was sent");
        }
    }
}

fn net(input: &mut Input<'_>) {
    let host = input.host(Kind::Net);
    let Ok(net) = Net::new(Box::new(Fake(host.clone()))) else { return };
    let mut card = Card { net, host, broken: false, sent: Vec::new(), given: Vec::new() };
    for _ in 0..STEPS {
        if input.0.is_empty() || !card.step(input) {
            break;
        }
    }
}

fn block(input: &mut Input<'_>) {
    let host = input.host(Kind::Block);
    let Ok(mut disk) = Block::new(Box::new(Fake(host.clone()))) else { return };
    let size = disk.block_size();
    assert!(disk.capacity().is_multiple_of(size as u64) && size <= 4_096);
    let (mut buffer, mut broken) = (vec![0; size], false);
    for _ in 0..STEPS {
        if input.0.is_empty() {
            break;
        }
        let (operation, mut naps) = (input.byte() % 3, 0);
        let mut device = || {
            let mut host = host.borrow_mut();
            naps += 1;
            if input.byte() & 7 == 0 {
                broken = true;
                misbehave(input, &mut host, 0);
            } else if let Some(chain) = host.take(0) {
                let length = usize::from(input.byte());
                let bytes = input.bytes(length);
                let written = if broken { 0 } else { chain.write(&bytes) };
                host.give_back(0, chain.head.into(), written);
            }
            naps < 4
        };
        let outcome = match operation {
            0 => disk.read(0, &mut buffer, &mut device),
            1 => disk.write(0, &buffer, &mut device),
            _ => disk.flush(&mut device),
        };
        if outcome.is_err() {
            break;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() & 3 {
        0 => block(&mut input),
        _ => net(&mut input),
    }
});
