//! A split virtqueue: what is given to the device, and what of it has come back.
//!
//! ```text
//!   descriptors   available ring   ...   used ring        memory that the device reads and writes
//!        ▲               ▲                   │
//!      describe       publish              take          this file
//!        │               │                   ▼
//!   shadow: who holds each descriptor, and what follows it   memory of ours alone
//! ```
//!
//! The device is not trusted. Nothing that it can write is read back but the used ring, every entry once, and an entry counts
//! only if the shadow says that the device holds that chain: an index out of range, an entry used twice or an index that runs
//! ahead is a [`Violation`]. So whoever gets a descriptor from [`Ring::take`] owns it, whatever the device does.
//!
//! Source: VIRTIO 1.2 §2.7. The layout is that of legacy devices (§2.7.2), which later ones take as well.

use super::transport::RingAddresses;
use std::{
    alloc::{Layout, alloc_zeroed},
    fmt,
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering, fence},
};

/// Alignment of a ring and of its used part. Source: VIRTIO 1.2 §2.7.2 and §4.1.5.1.3.1.
const PAGE: usize = 4096;

/// A descriptor goes on in another one.
const NEXT: u16 = 1;
/// The device writes to the buffer.
const WRITE: u16 = 2;
/// The other side does not want to be told, where there is no event index.
const QUIET: u16 = 1;

/// No descriptor.
const NONE: u16 = u16::MAX;

/// A descriptor as the device reads it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

/// An entry of the used ring.
#[repr(C)]
#[derive(Clone, Copy)]
struct UsedElement {
    id: u32,
    length: u32,
}

/// Who has a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// We: it is in the free list.
    Free,
    /// We: it was acquired.
    Driver,
    /// The device, as the first of a chain.
    Device,
    /// The device, as a later one of a chain.
    Follower,
}

/// What only we can write: the truth about a descriptor.
#[derive(Clone, Copy, Debug)]
struct Shadow {
    holder: Holder,
    /// The next in its chain or in the free list.
    next: u16,
    /// Its flags, without [`NEXT`].
    flags: u16,
}

/// What a device did that it must not do. There is no going on after it: it is broken, or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It says it has used more chains than it was given.
    Ahead {
        /// Chains it says it has used since last time.
        used: u16,
        /// Chains it held.
        held: u16,
    },
    /// It used a descriptor that the ring does not have.
    OutOfRange(u32),
    /// It used a chain that it does not hold: never given, or used before.
    NotHeld(u16),
    /// It spread a frame over a number of buffers that cannot be.
    Buffers(u16),
    /// It asks for a reset: it has given up.
    GaveUp,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { used, held } => {
                write!(f, "the host says it has used {used} buffers of the {held} it was given")
            }
            Self::OutOfRange(id) => write!(f, "the host used descriptor {id}, which the ring does not have"),
            Self::NotHeld(id) => write!(f, "the host used descriptor {id}, which it does not hold"),
            Self::Buffers(count) => write!(f, "the host spread one frame over {count} buffers"),
            Self::GaveUp => write!(f, "the host's device has given up and wants to be reset"),
        }
    }
}

impl std::error::Error for Violation {}

/// A chain that the device is done with. Its descriptors are free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The first descriptor of the chain.
    pub head: u16,
    /// Bytes that the device says it wrote. Not checked: it may be anything.
    pub written: u32,
}

/// One split virtqueue.
pub struct Ring {
    memory: NonNull<u8>,
    size: u16,
    event_index: bool,
    shadow: Box<[Shadow]>,
    /// First of the free list.
    free: u16,
    free_count: u16,
    /// Chains that the device holds.
    held: u16,
    /// Chains ever published, and how many of those when the bell was last thought of.
    published: u16,
    announced: u16,
    /// Entries of the used ring that were taken.
    seen: u16,
}

impl Ring {
    /// A ring of `size` descriptors, a power of two, of which the first `usable` are handed out; `None` if there is no memory.
    ///
    /// Its memory is never given back: the device may write to it until it is reset.
    pub fn new(size: u16, usable: u16, event_index: bool) -> Option<Self> {
        assert!(size.is_power_of_two() && usable <= size, "sizes of split rings are powers of two");
        let layout = Layout::from_size_align(Self::bytes(size), PAGE).ok()?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let shadow = (0..usable).map(|index| Shadow {
            holder: Holder::Free,
            next: if index + 1 < usable { index + 1 } else { NONE },
            flags: 0,
        });
        let mut ring = Self {
            memory,
            size,
            event_index,
            shadow: shadow.collect(),
            free: if usable > 0 { 0 } else { NONE },
            free_count: usable,
            held: 0,
            published: 0,
            announced: 0,
            seen: 0,
        };
        ring.disarm();
        Some(ring)
    }

    fn bytes(size: u16) -> usize {
        Self::used_offset(size) + 6 + usize::from(size) * size_of::<UsedElement>()
    }

    const fn available_offset(size: u16) -> usize {
        size as usize * size_of::<Descriptor>()
    }

    const fn used_offset(size: u16) -> usize {
        (Self::available_offset(size) + 6 + size as usize * 2).next_multiple_of(PAGE)
    }

    /// Where the device finds it: memory is mapped one to one.
    pub fn addresses(&self) -> RingAddresses {
        let descriptors = self.memory.addr().get() as u64;
        RingAddresses {
            descriptors,
            available: descriptors + Self::available_offset(self.size) as u64,
            used: descriptors + Self::used_offset(self.size) as u64,
        }
    }

    /// Descriptors that there are to be had.
    pub fn usable(&self) -> u16 {
        self.shadow.len() as u16
    }

    /// Descriptors that are free.
    pub fn free_count(&self) -> u16 {
        self.free_count
    }

    /// Takes a descriptor from the free list.
    #[inline]
    pub fn acquire(&mut self) -> Option<u16> {
        let index = self.free;
        let shadow = self.shadow.get_mut(usize::from(index))?;
        self.free = shadow.next;
        self.free_count -= 1;
        *shadow = Shadow { holder: Holder::Driver, next: NONE, flags: 0 };
        Some(index)
    }

    /// Says where the buffer of a descriptor lies, and appends it to the chain that ends with `previous`.
    ///
    /// # Safety
    /// The memory must be the device's to read, or to write where `device_writes`, until [`take`](Self::take) has returned the
    /// chain, which may be never.
    #[inline]
    pub unsafe fn describe(
        &mut self,
        index: u16,
        previous: Option<u16>,
        address: u64,
        length: u32,
        device_writes: bool,
    ) {
        debug_assert_eq!(self.shadow[usize::from(index)].holder, Holder::Driver);
        let flags = if device_writes { WRITE } else { 0 };
        self.shadow[usize::from(index)].flags = flags;
        // SAFETY: `descriptor` points into the table.
        unsafe { self.descriptor(index).write_volatile(Descriptor { address, length, flags, next: 0 }) };
        let Some(previous) = previous else { return };
        self.shadow[usize::from(index)].holder = Holder::Follower;
        let shadow = &mut self.shadow[usize::from(previous)];
        shadow.next = index;
        let (flags, at) = (shadow.flags | NEXT, self.descriptor(previous));
        // SAFETY: as above.
        unsafe {
            (&raw mut (*at).next).write_volatile(index);
            (&raw mut (*at).flags).write_volatile(flags);
        }
    }

    /// Gives the device the chain that starts with `head`. It may not look before the bell is rung.
    #[inline]
    pub fn publish(&mut self, head: u16) {
        debug_assert_eq!(self.shadow[usize::from(head)].holder, Holder::Driver);
        self.shadow[usize::from(head)].holder = Holder::Device;
        let slot = usize::from(self.published & (self.size - 1));
        // SAFETY: the slot is one of the ring's.
        unsafe { self.available(4 + 2 * slot).cast::<u16>().write_volatile(head) };
        self.published = self.published.wrapping_add(1);
        self.held += 1;
        self.available_index().store(self.published, Ordering::Release);
    }

    /// Takes back one chain that the device is done with, and frees its descriptors; `None` if there is none now.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Used>, Violation> {
        let used = self.used_index().load(Ordering::Acquire).wrapping_sub(self.seen);
        if used == 0 {
            return Ok(None);
        }
        if used > self.held {
            return Err(Violation::Ahead { used, held: self.held });
        }
        let slot = usize::from(self.seen & (self.size - 1));
        // SAFETY: the slot is one of the ring's; it is read once.
        let UsedElement { id, length } =
            unsafe { self.used(4 + size_of::<UsedElement>() * slot).cast::<UsedElement>().read_volatile() };
        self.seen = self.seen.wrapping_add(1);
        let shadow = self.shadow.get(id as usize).ok_or(Violation::OutOfRange(id))?;
        let head = id as u16;
        if shadow.holder != Holder::Device {
            return Err(Violation::NotHeld(head));
        }
        self.held -= 1;
        self.free_chain(head);
        Ok(Some(Used { head, written: length }))
    }

    fn free_chain(&mut self, head: u16) {
        let mut index = head;
        // A chain is as long as the shadow says; it ends, since descriptors are in one chain only.
        while let Some(shadow) = self.shadow.get_mut(usize::from(index)) {
            let next = shadow.next;
            *shadow = Shadow { holder: Holder::Free, next: self.free, flags: 0 };
            self.free = index;
            self.free_count += 1;
            index = next;
        }
    }

    /// Whether the device wants the bell rung for what was published since the last call.
    #[inline]
    pub fn must_notify(&mut self) -> bool {
        let (new, old) = (self.published, self.announced);
        if new == old {
            return false;
        }
        self.announced = new;
        // What was published must be visible before the device's wish is read, or both could wait for each other.
        fence(Ordering::SeqCst);
        if self.event_index {
            let event = self.word(Self::used_offset(self.size) + 4 + usize::from(self.size) * 8);
            crosses(event.load(Ordering::Relaxed), new, old)
        } else {
            self.word(Self::used_offset(self.size)).load(Ordering::Relaxed) & QUIET == 0
        }
    }

    /// Asks the device for an interrupt with the next chain it is done with. Whether it is not done with one already.
    pub fn arm(&mut self) -> bool {
        if self.event_index {
            self.used_event().store(self.seen, Ordering::Relaxed);
        } else {
            self.word(Self::available_offset(self.size)).store(0, Ordering::Relaxed);
        }
        // The wish must be visible before the ring is looked at, or both could miss each other.
        fence(Ordering::SeqCst);
        self.used_index().load(Ordering::Acquire) == self.seen
    }

    /// Asks the device for no interrupts: with event indices for one 65535 chains from now.
    #[inline]
    pub fn disarm(&mut self) {
        if self.event_index {
            self.used_event().store(self.seen.wrapping_sub(1), Ordering::Relaxed);
        } else {
            self.word(Self::available_offset(self.size)).store(QUIET, Ordering::Relaxed);
        }
    }

    fn descriptor(&self, index: u16) -> *mut Descriptor {
        assert!(index < self.size, "a descriptor of this ring");
        // SAFETY: the table is at the start of the memory, and the index is below its length.
        unsafe { self.memory.cast::<Descriptor>().as_ptr().add(usize::from(index)) }
    }

    /// `offset` bytes into the available ring.
    fn available(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay within the ring: 4 bytes, a word for each descriptor, a word.
        unsafe { self.memory.as_ptr().add(Self::available_offset(self.size) + offset) }
    }

    /// `offset` bytes into the used ring.
    fn used(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay within the ring: 4 bytes, an element for each descriptor, a word.
        unsafe { self.memory.as_ptr().add(Self::used_offset(self.size) + offset) }
    }

    fn available_index(&self) -> &AtomicU16 {
        self.word(Self::available_offset(self.size) + 2)
    }

    fn used_index(&self) -> &AtomicU16 {
        self.word(Self::used_offset(self.size) + 2)
    }

    fn used_event(&self) -> &AtomicU16 {
        self.word(Self::available_offset(self.size) + 4 + usize::from(self.size) * 2)
    }

    /// A word that both sides use.
    fn word(&self, offset: usize) -> &AtomicU16 {
        assert!(offset.is_multiple_of(2) && offset + 2 <= Self::bytes(self.size));
        // SAFETY: it lies within the memory, which is never freed, is aligned, and is only ever accessed as an atomic.
        unsafe { AtomicU16::from_ptr(self.memory.as_ptr().add(offset).cast()) }
    }
}

/// On the host a device is gone when its test is.
#[cfg(skerry_target = "host")]
impl Drop for Ring {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(Self::bytes(self.size), PAGE).expect("it was good for `new`");
        // SAFETY: `new` has allocated it with this layout.
        unsafe { std::alloc::dealloc(self.memory.as_ptr(), layout) };
    }
}

/// Whether counting from `old` to `new` passes the one after `event`, in a circle of 65536 (VIRTIO 1.2 §2.7.7.2).
fn crosses(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::{
        fake::{Fake, Host},
        transport::{Kind, Transport},
    };
    use std::{cell::RefCell, rc::Rc};

    const SIZE: u16 = 8;

    fn ring(event_index: bool) -> (Ring, Rc<RefCell<Host>>) {
        let host = Host::new(Kind::Net, 0, &[]);
        let ring = Ring::new(SIZE, SIZE, event_index).expect("there is memory");
        Fake(host.clone()).enable_queue(0, SIZE, ring.addresses()).expect("it takes every ring");
        (ring, host)
    }

    /// Publishes one chain of `parts` descriptors, none of which has any bytes.
    fn give(ring: &mut Ring, parts: usize) -> u16 {
        let head = ring.acquire().expect("one is free");
        let mut previous = None;
        for part in 0..parts {
            let index = if part == 0 { head } else { ring.acquire().expect("one is free") };
            // SAFETY: there is nothing at the address to be read or written.
            unsafe { ring.describe(index, previous, 0x1000 + part as u64, 0, true) };
            previous = Some(index);
        }
        ring.publish(head);
        head
    }

    /// Publishes two chains, lets the device do something, and takes until there is no more or something is wrong.
    #[track_caller]
    fn check(device: impl FnOnce(&mut Host, [u16; 2]), expect: Result<usize, Violation>) {
        let (mut ring, host) = ring(true);
        let heads = [give(&mut ring, 3), give(&mut ring, 1)];
        device(&mut host.borrow_mut(), heads);
        let mut taken = 0;
        let outcome = loop {
            match ring.take() {
                Ok(Some(_)) => taken += 1,
                Ok(None) => break Ok(taken),
                Err(violation) => break Err(violation),
            }
        };
        assert_eq!(outcome, expect);
    }

    #[test]
    fn chains_come_back_in_any_order() {
        check(|_, _| {}, Ok(0));
        check(|host, [first, _]| host.give_back(0, first.into(), 0), Ok(1));
        check(
            |host, [first, second]| {
                host.give_back(0, second.into(), u32::MAX);
                host.give_back(0, first.into(), 7);
            },
            Ok(2),
        );
    }

    #[test]
    fn a_used_entry_that_cannot_be_is_a_violation() {
        check(|host, _| host.give_back(0, 8, 0), Err(Violation::OutOfRange(8)));
        check(|host, _| host.give_back(0, u32::MAX, 0), Err(Violation::OutOfRange(u32::MAX)));
        // Not published, in the middle of a chain, and used twice.
        check(|host, _| host.give_back(0, 7, 0), Err(Violation::NotHeld(7)));
        check(|host, _| host.give_back(0, 1, 0), Err(Violation::NotHeld(1)));
        check(
            |host, [first, _]| {
                host.give_back(0, first.into(), 0);
                host.give_back(0, first.into(), 0);
            },
            Err(Violation::NotHeld(0)),
        );
    }

    #[test]
    fn an_index_that_runs_ahead_is_a_violation() {
        check(|host, _| host.move_used(0, 3), Err(Violation::Ahead { used: 3, held: 2 }));
        check(|host, _| host.move_used(0, u16::MAX), Err(Violation::Ahead { used: u16::MAX, held: 2 }));
    }

    #[test]
    fn what_the_device_writes_into_its_descriptors_changes_nothing() {
        let (mut ring, host) = ring(true);
        for round in 0..u64::from(SIZE) * 16 / 2 {
            let head = give(&mut ring, 3);
            host.borrow_mut().scribble(0, round * 2, 0xffff);
            host.borrow_mut().give_back(0, head.into(), 0);
            assert_eq!(ring.take(), Ok(Some(Used { head, written: 0 })));
            assert_eq!(ring.free_count(), SIZE);
        }
    }

    #[test]
    fn a_chain_arrives_as_it_was_described() {
        for parts in [1, 3, usize::from(SIZE)] {
            let (mut ring, host) = ring(true);
            let head = give(&mut ring, parts);
            let chain = host.borrow_mut().take(0).expect("it was published");
            assert_eq!((chain.head, chain.parts.len()), (head, parts));
            for (number, part) in chain.parts.iter().enumerate() {
                assert_eq!((part.address, part.device_writes), (0x1000 + number as u64, true));
            }
            assert_eq!(usize::from(ring.free_count()), usize::from(SIZE) - parts);
        }
    }

    #[test]
    fn the_bell_is_rung_where_the_device_asks_for_it() {
        let (mut ring, host) = ring(true);
        give(&mut ring, 1);
        assert!(ring.must_notify(), "the device waits for the first");
        assert!(!ring.must_notify(), "nothing new");
        give(&mut ring, 1);
        assert!(!ring.must_notify(), "the device has not taken the first yet");
        while host.borrow_mut().take(0).is_some() {}
        give(&mut ring, 1);
        assert!(ring.must_notify());
    }

    #[test]
    fn events_are_counted_in_a_circle() {
        for (event, new, old, expect) in [
            (0, 1, 0, true),
            (1, 1, 0, false),
            (5, 8, 4, true),
            (3, 8, 4, false),
            (65_535, 2, 65_534, true),
            (65_534, 3, 65_535, false),
            (2, 3, 65_530, true),
        ] {
            assert_eq!(crosses(event, new, old), expect, "event {event}, {old} to {new}");
        }
    }

    #[test]
    fn interrupts_come_only_while_armed() {
        for event_index in [false, true] {
            let (mut ring, host) = ring(event_index);
            let turn = |ring: &mut Ring| {
                let head = give(ring, 1);
                host.borrow_mut().give_back(0, head.into(), 0);
                host.borrow().interrupt_wanted(0, event_index)
            };
            assert!(!turn(&mut ring));
            assert!(!ring.arm(), "one is there already");
            ring.take().expect("nothing is wrong");
            assert!(ring.arm());
            assert!(turn(&mut ring));
            ring.take().expect("nothing is wrong");
            ring.disarm();
            assert!(!turn(&mut ring));
        }
    }

    #[test]
    fn indices_go_round() {
        let (mut ring, host) = ring(true);
        for _ in 0..70_000 {
            let head = give(&mut ring, 2);
            assert!(ring.must_notify());
            assert_eq!(host.borrow_mut().take(0).map(|chain| chain.head), Some(head));
            host.borrow_mut().give_back(0, head.into(), 0);
            assert_eq!(ring.take(), Ok(Some(Used { head, written: 0 })));
        }
    }
}
