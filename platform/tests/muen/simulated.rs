//! A subject's memory as Muen lays it out, and the subjects at the other ends of its channels.
//!
//! Every region is mapped twice: for the image with the rights that the policy gives it, read-only where it reads, and with
//! inaccessible pages before and behind; and for the other side, which may write everything. So a bindings' access that the
//! kernel would trap on ends the test the same way. The other ends are written from the protocol and share no code with the
//! bindings.

use platform::muen::{
    region::Region,
    subject::{NotASubject, Subject},
};
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous},
};
use std::{
    ffi::c_void,
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicU64, Ordering, fence},
};

const PAGE: usize = 4096;

/// The protocol of network channels.
pub const NET: u64 = 0x7ade_5c54_9b08_e814;
/// The protocol of the console's channel.
pub const LOG: u64 = 0xf007_8909_4b6f_70cf;
/// Bytes of a network channel's element.
pub const NET_ELEMENT: usize = 1516;

/// A region that an image and another subject share. Never unmapped: the bindings may hold on to it.
#[derive(Clone, Copy)]
pub struct Shared {
    /// Where the image has it.
    pub image: *mut u8,
    other: *mut u8,
    /// Its bytes.
    pub length: usize,
    writable: bool,
}

// SAFETY: memory that lives for ever, written through atomics and raw copies only.
unsafe impl Send for Shared {}

impl Shared {
    /// Some pages; `writable` says whether the image may write.
    pub fn new(pages: usize, writable: bool) -> Self {
        let length = pages * PAGE;
        let file = memfd_create("region", MemfdFlags::CLOEXEC).expect("Linux has it");
        ftruncate(&file, length as u64).expect("there is memory");
        let rights = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: new mappings at addresses that the kernel chooses, the last one within the first, which is ours.
        unsafe {
            let around = mmap_anonymous(null_mut(), length + 2 * PAGE, ProtFlags::empty(), MapFlags::PRIVATE)
                .expect("address space");
            let inside = around.cast::<u8>().add(PAGE).cast::<c_void>();
            let image =
                mmap(inside, length, rights, MapFlags::SHARED | MapFlags::FIXED, &file, 0).expect("memory");
            let all = ProtFlags::READ | ProtFlags::WRITE;
            let other = mmap(null_mut(), length, all, MapFlags::SHARED, &file, 0).expect("memory");
            Self { image: image.cast(), other: other.cast(), length, writable }
        }
    }

    /// What the image's side hands to the bindings.
    pub fn region(&self) -> Region {
        let base = NonNull::new(self.image).expect("it is mapped");
        // SAFETY: it was mapped for ever, and is nothing of Rust's.
        unsafe { Region::new(base, self.length) }.expect("pages are aligned")
    }

    /// The other side writes a word.
    pub fn put(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// The other side reads a word.
    pub fn get(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// The other side writes bytes.
    pub fn put_bytes(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length, "within the region");
        // SAFETY: just checked.
        unsafe { self.other.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// The other side reads bytes.
    pub fn get_bytes(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset + length <= self.length, "within the region");
        let mut bytes = vec![0; length];
        // SAFETY: just checked.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.other.add(offset), length) };
        bytes
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset + 8 <= self.length && offset.is_multiple_of(8), "a word of the region");
        // SAFETY: just checked; the memory is mapped for ever.
        unsafe { AtomicU64::from_ptr(self.other.add(offset).cast()) }
    }
}

/// A subject information in the making.
pub struct Policy {
    bytes: Vec<u8>,
    resources: usize,
}

impl Policy {
    /// A subject called `name`, with a counter of 2 GHz.
    pub fn new(name: &str) -> Self {
        let mut bytes = vec![0; 80 + 255 * 128];
        bytes[..8].copy_from_slice(b"muinfo\0\x05");
        bytes[8..12].copy_from_slice(&2_000_000u32.to_le_bytes());
        write_name(&mut bytes[12..77], name);
        Self { bytes, resources: 0 }
    }

    /// Adds a channel.
    pub fn channel(self, name: &str, shared: &Shared) -> Self {
        self.memory(name, 5, shared)
    }

    /// Adds memory of some kind.
    pub fn memory(self, name: &str, kind: u8, shared: &Shared) -> Self {
        let (address, length) = (shared.image.expose_provenance() as u64, shared.length as u64);
        self.memory_at(name, kind, shared.writable, address, length)
    }

    /// Adds memory somewhere.
    pub fn memory_at(mut self, name: &str, kind: u8, writable: bool, address: u64, length: u64) -> Self {
        let resource = self.resource(1, name);
        (resource[72], resource[74]) = (kind, u8::from(writable));
        resource[80..88].copy_from_slice(&address.to_le_bytes());
        resource[88..96].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// Adds an event.
    pub fn event(mut self, name: &str, number: u8) -> Self {
        self.resource(2, name)[72] = number;
        self
    }

    /// Writes any bytes, as no kernel would.
    pub fn scribble(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The subject of this policy.
    pub fn subject(self) -> Result<Subject, NotASubject> {
        let shared = Shared::new(self.bytes.len().div_ceil(PAGE), false);
        shared.put_bytes(0, &self.bytes);
        // SAFETY: tests read and write only memory of a `Shared`, which is mapped as it says.
        unsafe { Subject::new(shared.region()) }
    }

    fn resource(&mut self, kind: u32, name: &str) -> &mut [u8] {
        let at = 80 + self.resources * 128;
        self.resources += 1;
        self.bytes[78..80].copy_from_slice(&(self.resources as u16).to_le_bytes());
        let resource = &mut self.bytes[at..at + 128];
        resource[..4].copy_from_slice(&kind.to_le_bytes());
        write_name(&mut resource[4..69], name);
        resource
    }
}

fn write_name(field: &mut [u8], name: &str) {
    field[0] = name.len() as u8;
    field[1..=name.len()].copy_from_slice(name.as_bytes());
}

/// Another subject's writing end.
pub struct Writer {
    /// The channel.
    pub shared: Shared,
    size: usize,
    elements: u64,
}

impl Writer {
    /// Starts an epoch with as many elements as there is room for.
    pub fn start(shared: Shared, protocol: u64, size: usize, epoch: u64) -> Self {
        let elements = ((shared.length - 64) / size) as u64;
        Self::start_with(shared, [0x4873_12b6_b79a_9b6d, protocol, size as u64, elements], epoch)
    }

    /// Starts an epoch with any marker, protocol, element's size and number of elements.
    pub fn start_with(shared: Shared, header: [u64; 4], epoch: u64) -> Self {
        shared.put(8, 0);
        let [marker, protocol, size, elements] = header;
        for (offset, value) in
            [(0, marker), (16, protocol), (24, size), (32, elements), (40, 0), (48, 0), (56, 0), (8, epoch)]
        {
            shared.put(offset, value);
        }
        Self { shared, size: size as usize, elements }
    }

    /// Writes an element.
    pub fn write(&self, element: &[u8]) {
        let count = self.shared.get(56);
        self.shared.put(48, count + 1);
        fence(Ordering::SeqCst);
        self.shared.put_bytes(64 + (count % self.elements) as usize * self.size, element);
        self.shared.put(56, count + 1);
    }

    /// Writes a frame as an element of a network channel.
    pub fn send(&self, frame: &[u8]) {
        let mut element = vec![0; NET_ELEMENT];
        element[..frame.len()].copy_from_slice(frame);
        element[1514..].copy_from_slice(&(frame.len() as u16).to_le_bytes());
        self.write(&element);
    }
}

/// Another subject's reading end.
pub struct Reader {
    shared: Shared,
    count: u64,
    /// Times that elements were overwritten before they were read.
    pub overruns: u64,
}

impl Reader {
    /// The reader of an active channel, which must speak `protocol` with elements of `size` bytes.
    pub fn new(shared: Shared, protocol: u64, size: usize) -> Self {
        assert_eq!([0, 16, 24].map(|at| shared.get(at)), [0x4873_12b6_b79a_9b6d, protocol, size as u64]);
        assert_ne!(shared.get(8), 0, "it is active");
        Self { shared, count: 0, overruns: 0 }
    }

    /// The next element that is whole.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        let (size, elements) = (self.shared.get(24) as usize, self.shared.get(32));
        let written = self.shared.get(56);
        if written == self.count {
            return None;
        }
        let element = self.shared.get_bytes(64 + (self.count % elements) as usize * size, size);
        fence(Ordering::SeqCst);
        if self.shared.get(48) - self.count > elements {
            (self.overruns, self.count) = (self.overruns + 1, self.shared.get(56));
            return None;
        }
        self.count += 1;
        Some(element)
    }
}

/// Marsaglia's xorshift64.
pub struct Xorshift(pub u64);

impl Xorshift {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
