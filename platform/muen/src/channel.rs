//! Channels: SHMStream version 2, packets of one size in a ring, one way, and nobody ever waits.
//!
//! ```text
//!   0 transport  8 epoch  16 protocol  24 size  32 elements  40 -  48 WSC  56 WC  64 data: elements × size bytes
//! ```
//!
//! The writer never looks at the reader: what is not read in time is overwritten. It announces each packet in WSC before and in
//! WC after it is written, so that a reader knows whether the copy it made is whole. An epoch that changes says that the
//! writer has begun again.

use crate::shared::Shared;
use core::sync::atomic::{Ordering, fence};

/// What a channel of this version begins with.
pub const TRANSPORT: u64 = 0x4873_12b6_b79a_9b6d;

/// Bytes before the data.
pub const HEADER: usize = 64;

/// Words of the header.
mod word {
    pub const TRANSPORT: usize = 0;
    pub const EPOCH: usize = 1;
    pub const PROTOCOL: usize = 2;
    pub const SIZE: usize = 3;
    pub const ELEMENTS: usize = 4;
    pub const RESERVED: usize = 5;
    pub const WSC: usize = 6;
    pub const WC: usize = 7;
}

/// What a packet means, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its number.
    pub number: u64,
    /// Bytes of a packet.
    pub size: usize,
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// All that was written has been read.
    NoData,
    /// There is no writer.
    Inactive,
    /// The writer speaks something else, or its numbers contradict the channel's size. Until it begins again, nothing is read.
    Incompatible,
    /// The writer has begun, or begun again: what was not read of the epoch before is lost.
    EpochChanged,
    /// The writer was faster: so many packets are lost.
    Overrun(u64),
}

/// The reading end.
#[derive(Debug)]
pub struct Reader {
    protocol: Protocol,
    epoch: u64,
    /// Packets in the ring; 0 while the epoch's writer is one that cannot be read.
    elements: u64,
    count: u64,
}

impl Reader {
    /// A reader that has seen nothing yet.
    pub const fn new(protocol: Protocol) -> Self {
        Self { protocol, epoch: 0, elements: 0, count: 0 }
    }

    /// Copies the next packet into `packet`, which is the protocol's size; a shorter one takes its beginning. After an error it
    /// may hold anything.
    pub fn read(&mut self, channel: Shared<'_>, packet: &mut [u8]) -> Result<(), Idle> {
        let epoch = channel.load(word::EPOCH, Ordering::Acquire);
        if epoch == 0 {
            self.epoch = 0;
            return Err(Idle::Inactive);
        }
        if epoch != self.epoch {
            return Err(self.synchronize(channel, epoch));
        }
        if self.elements == 0 {
            return Err(Idle::Incompatible);
        }
        let written = channel.load(word::WC, Ordering::Acquire);
        match written.wrapping_sub(self.count) {
            0 => return Err(Idle::NoData),
            ahead if ahead > self.elements => return Err(self.skip_to(written)),
            _ => {}
        }
        let size = self.protocol.size;
        // Both factors were checked against the channel's size.
        let position = HEADER + (self.count % self.elements) as usize * size;
        let length = packet.len().min(size);
        channel.read(position, &mut packet[..length]);
        // The copy comes before what tells whether it is whole.
        fence(Ordering::Acquire);
        let started = channel.load(word::WSC, Ordering::Relaxed);
        if channel.load(word::EPOCH, Ordering::Relaxed) != self.epoch {
            self.epoch = 0;
            return Err(Idle::EpochChanged);
        }
        if started.wrapping_sub(self.count) > self.elements {
            return Err(self.skip_to(written));
        }
        self.count = self.count.wrapping_add(1);
        Ok(())
    }

    /// Whether a read would give something else than [`Idle::NoData`] or [`Idle::Inactive`].
    pub fn has_news(&self, channel: Shared<'_>) -> bool {
        match channel.load(word::EPOCH, Ordering::Acquire) {
            0 => false,
            epoch if epoch != self.epoch => true,
            _ => self.elements != 0 && channel.load(word::WC, Ordering::Acquire) != self.count,
        }
    }

    /// Takes the numbers of a new epoch, once: what is read later is what was checked here.
    fn synchronize(&mut self, channel: Shared<'_>, epoch: u64) -> Idle {
        let size = self.protocol.size as u64;
        let speaks = |at, expect| channel.load(at, Ordering::Relaxed) == expect;
        let fits = |elements: &u64| {
            let bytes = elements.checked_mul(size).and_then(|bytes| bytes.checked_add(HEADER as u64));
            size > 0 && bytes.is_some_and(|bytes| bytes <= channel.bytes() as u64)
        };
        let suits = speaks(word::TRANSPORT, TRANSPORT)
            && speaks(word::PROTOCOL, self.protocol.number)
            && speaks(word::SIZE, size);
        let elements =
            Some(channel.load(word::ELEMENTS, Ordering::Relaxed)).filter(|elements| suits && fits(elements));
        fence(Ordering::Acquire);
        if channel.load(word::EPOCH, Ordering::Relaxed) != epoch {
            self.epoch = 0;
            return Idle::EpochChanged;
        }
        (self.epoch, self.elements, self.count) = (epoch, elements.unwrap_or(0), 0);
        if self.elements == 0 { Idle::Incompatible } else { Idle::EpochChanged }
    }

    /// To behind the newest packet: the one that is being overwritten now would be lost too.
    fn skip_to(&mut self, written: u64) -> Idle {
        let lost = written.wrapping_sub(self.count);
        self.count = written;
        Idle::Overrun(lost)
    }
}

/// The writing end; the only one of its channel.
pub struct Writer<'a> {
    channel: Shared<'a>,
    size: usize,
    elements: u64,
    count: u64,
}

impl<'a> Writer<'a> {
    /// Begins `epoch`, which differs from the one before and is not 0. None: the channel holds not one packet, or the epoch is 0.
    pub fn new(channel: Shared<'a>, protocol: Protocol, epoch: u64) -> Option<Self> {
        let data = channel.bytes().checked_sub(HEADER)?;
        let elements = data.checked_div(protocol.size).filter(|elements| *elements > 0 && epoch != 0)? as u64;
        channel.store(word::EPOCH, 0, Ordering::Relaxed);
        // Nobody reads the new numbers with the old epoch.
        fence(Ordering::Release);
        channel.write(HEADER, &[], data);
        for (at, value) in [
            (word::TRANSPORT, TRANSPORT),
            (word::PROTOCOL, protocol.number),
            (word::SIZE, protocol.size as u64),
            (word::ELEMENTS, elements),
            (word::RESERVED, 0),
            (word::WSC, 0),
            (word::WC, 0),
        ] {
            channel.store(at, value, Ordering::Relaxed);
        }
        channel.store(word::EPOCH, epoch, Ordering::Release);
        Some(Self { channel, size: protocol.size, elements, count: 0 })
    }

    /// Writes a packet, with zeros up to the protocol's size; what is longer is cut.
    pub fn write(&mut self, packet: &[u8]) {
        let position = HEADER + (self.count % self.elements) as usize * self.size;
        self.count = self.count.wrapping_add(1);
        self.channel.store(word::WSC, self.count, Ordering::Relaxed);
        fence(Ordering::Release);
        self.channel.write(position, packet, self.size);
        self.channel.store(word::WC, self.count, Ordering::Release);
    }

    /// Ends the epoch.
    pub fn deactivate(self) {
        self.channel.store(word::EPOCH, 0, Ordering::Release);
    }
}
