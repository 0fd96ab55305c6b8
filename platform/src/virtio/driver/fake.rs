//! A device in memory, for tests and fuzzing: it does what it is told, right or wrong.
//!
//! The driver gets a [`Fake`], which is a [`Transport`]; the test keeps the [`Host`] behind it and plays the device's part on
//! the same rings, through the addresses that the driver has handed over.

use super::transport::{Kind, Refusal, RingAddresses, Transport, status};
use crate::net::Interrupt;
use std::{
    cell::RefCell,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
};

/// Flags of a descriptor.
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A queue as the device sees it.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// What the device says is the largest size.
    pub size_max: u32,
    /// What the driver chose.
    pub size: u16,
    /// Where the driver has put it.
    pub ring: Option<RingAddresses>,
    /// Times the bell was rung.
    pub notified: u32,
    /// Chains taken from the available ring, and given back.
    taken: u16,
    used: u16,
}

/// A part of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it lies.
    pub address: u64,
    /// Its bytes.
    pub length: u32,
    /// Whether it is the device's to write.
    pub device_writes: bool,
}

/// What the driver has given at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its first descriptor.
    pub head: u16,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// The device's side.
#[derive(Clone, Debug)]
pub struct Host {
    /// What it is.
    pub kind: Kind,
    /// Features that it offers.
    pub offered: u64,
    /// Features that the driver uses.
    pub accepted: u64,
    /// The status register.
    pub status: u8,
    /// Its configuration.
    pub configuration: Vec<u8>,
    /// Its queues.
    pub queues: Vec<Queue>,
    /// Whether it dictates the size of its queues.
    pub fixed_sizes: bool,
    /// Whether it resets when it is told to.
    pub resets: bool,
    /// Whether it keeps the status bit that says that it agrees.
    pub agrees: bool,
    /// Whether its configuration changes all the time.
    pub unsteady: bool,
    /// What it says its interrupt was for.
    pub interrupt: u8,
    /// Whether it takes what it is told of messages.
    pub maps_messages: bool,
    generation: u32,
}

impl Host {
    /// A device with two queues of 256.
    pub fn new(kind: Kind, offered: u64, configuration: &[u8]) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            kind,
            offered,
            accepted: 0,
            status: 0,
            configuration: configuration.to_vec(),
            queues: vec![Queue { size_max: 256, ..Queue::default() }; 2],
            fixed_sizes: false,
            resets: true,
            agrees: true,
            unsteady: false,
            interrupt: 0,
            maps_messages: true,
            generation: 0,
        }))
    }

    /// Takes what the driver has given next, and asks for the bell with the one after it.
    pub fn take(&mut self, queue: usize) -> Option<Chain> {
        let state = self.queues.get_mut(queue)?;
        let ring = state.ring?;
        let index = word(ring.available + 2).load(Ordering::Acquire);
        if index == state.taken {
            return None;
        }
        let slot = u64::from(state.taken % state.size);
        let head = word(ring.available + 4 + 2 * slot).load(Ordering::Relaxed);
        state.taken = state.taken.wrapping_add(1);
        word(ring.used + 4 + 8 * u64::from(state.size)).store(state.taken, Ordering::Relaxed);
        Some(Chain { head, parts: parts(ring, state.size, head) })
    }

    /// Gives a chain back.
    pub fn give_back(&mut self, queue: usize, head: u32, written: u32) {
        self.write_used(queue, head, written);
        self.move_used(queue, 1);
    }

    /// Writes the next entry of the used ring without moving its index.
    pub fn write_used(&mut self, queue: usize, head: u32, written: u32) {
        let Some(state) = self.queues.get(queue) else { return };
        let Some(ring) = state.ring else { return };
        let at = (ring.used + 4 + 8 * u64::from(state.used % state.size)) as *mut [u32; 2];
        // SAFETY: the slot is one of the ring's, whose memory the driver never frees.
        unsafe { at.write_volatile([head, written]) };
    }

    /// Moves the used ring's index.
    pub fn move_used(&mut self, queue: usize, by: u16) {
        let Some(state) = self.queues.get_mut(queue) else { return };
        let Some(ring) = state.ring else { return };
        state.used = state.used.wrapping_add(by);
        word(ring.used + 2).store(state.used, Ordering::Release);
    }

    /// Writes a word somewhere into a queue's rings, where only a hostile device would.
    pub fn scribble(&mut self, queue: usize, offset: u64, value: u16) {
        let Some(state) = self.queues.get(queue) else { return };
        let Some(ring) = state.ring else { return };
        let bytes = ring.used + 6 + 8 * u64::from(state.size) - ring.descriptors;
        let offset = (offset % bytes) & !1;
        // Its own index is what a test reads the ring by.
        if ring.descriptors + offset != ring.used + 2 {
            word(ring.descriptors + offset).store(value, Ordering::Relaxed);
        }
    }

    /// Whether the device is asked for an interrupt with the entry that it used last.
    pub fn interrupt_wanted(&self, queue: usize, event_index: bool) -> bool {
        let state = &self.queues[queue];
        let Some(ring) = state.ring else { return false };
        if event_index {
            let event = word(ring.available + 4 + 2 * u64::from(state.size)).load(Ordering::Acquire);
            event == state.used.wrapping_sub(1)
        } else {
            word(ring.available).load(Ordering::Acquire) & 1 == 0
        }
    }
}

impl Chain {
    /// Copies what the driver has given to read.
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in self.parts.iter().filter(|part| !part.device_writes) {
            // SAFETY: the driver said that so many bytes are there, for the device to read until it gives them back.
            bytes.extend_from_slice(unsafe {
                std::slice::from_raw_parts(part.address as *const u8, part.length as usize)
            });
        }
        bytes
    }

    /// Writes to what the driver has given to write; how much there was room for.
    pub fn write(&self, mut bytes: &[u8]) -> u32 {
        let mut written = 0;
        for part in self.parts.iter().filter(|part| part.device_writes) {
            let (now, later) = bytes.split_at(bytes.len().min(part.length as usize));
            // SAFETY: the driver said that so many bytes are there, for the device to write until it gives them back.
            unsafe { (part.address as *mut u8).copy_from_nonoverlapping(now.as_ptr(), now.len()) };
            written += now.len() as u32;
            bytes = later;
        }
        written
    }
}

/// What the driver gets of a [`Host`].
pub struct Fake(pub Rc<RefCell<Host>>);

impl Transport for Fake {
    fn kind(&self) -> Kind {
        self.0.borrow().kind
    }

    fn status(&mut self) -> u8 {
        self.0.borrow().status
    }

    fn set_status(&mut self, value: u8) {
        let mut host = self.0.borrow_mut();
        host.status = match value {
            0 if !host.resets => host.status | 1,
            _ if !host.agrees => value & !status::FEATURES_OK,
            _ => value,
        };
    }

    fn offered(&mut self) -> u64 {
        self.0.borrow().offered
    }

    fn accept(&mut self, features: u64) {
        self.0.borrow_mut().accepted = features;
    }

    fn queue_size_max(&mut self, queue: u16) -> u32 {
        self.0.borrow().queues.get(usize::from(queue)).map_or(0, |queue| queue.size_max)
    }

    fn queue_size_is_fixed(&self) -> bool {
        self.0.borrow().fixed_sizes
    }

    fn enable_queue(&mut self, queue: u16, size: u16, ring: RingAddresses) -> Result<(), Refusal> {
        let state = &mut self.0.borrow_mut().queues[usize::from(queue)];
        (state.size, state.ring) = (size, Some(ring));
        Ok(())
    }

    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().queues[usize::from(queue)].notified += 1;
    }

    fn configuration_byte(&mut self, offset: u16) -> u8 {
        self.0.borrow().configuration.get(usize::from(offset)).copied().unwrap_or(0)
    }

    fn configuration_generation(&mut self) -> u32 {
        let mut host = self.0.borrow_mut();
        host.generation += u32::from(host.unsteady);
        host.generation
    }

    fn acknowledge_interrupt(&mut self) -> u8 {
        std::mem::take(&mut self.0.borrow_mut().interrupt)
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::Never
    }

    fn map_messages(&mut self) -> Result<(), Refusal> {
        if self.0.borrow().maps_messages { Ok(()) } else { Err(Refusal::Message(None)) }
    }
}

/// Follows a chain as a device does, for at most as many parts as the ring has descriptors.
fn parts(ring: RingAddresses, size: u16, head: u16) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut index = head;
    while parts.len() < usize::from(size) {
        let at = ring.descriptors + 16 * u64::from(index % size);
        let (flags, next) = (word(at + 12).load(Ordering::Relaxed), word(at + 14).load(Ordering::Relaxed));
        // SAFETY: the table has `size` descriptors, whose memory the driver never frees.
        let (address, length) =
            unsafe { ((at as *const u64).read_volatile(), ((at + 8) as *const u32).read_volatile()) };
        parts.push(Part { address, length, device_writes: flags & WRITE != 0 });
        if flags & NEXT == 0 {
            break;
        }
        index = next;
    }
    parts
}

fn word(address: u64) -> &'static AtomicU16 {
    // SAFETY: callers pass addresses within a ring, whose memory the driver never frees.
    unsafe { AtomicU16::from_ptr(address as *mut u16) }
}
