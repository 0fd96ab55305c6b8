//! A virtio disk: one request at a time, and nothing of the caller's memory in the device's hands.
//!
//! A request is three descriptors: what is wanted, a block, and a byte in which the device says how it went. The block travels
//! through a buffer of ours, so that a device which answers late, or never, writes to nobody else's memory.
//!
//! Source: VIRTIO 1.2 §5.2.

use super::limits::{BLOCK_MAX, BLOCK_QUEUE_SIZE, SECTOR};
use super::{
    ring::{Ring, Violation},
    transport::{Refusal, Transport, configuration, feature, negotiate, queue_size, start},
};
use crate::machine::request::{self, answer};
use std::{
    alloc::{Layout, alloc_zeroed},
    ptr::NonNull,
};

/// Feature bits (§5.2.3).
mod bits {
    pub const READ_ONLY: u64 = 1 << 5;
    pub const BLOCK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
}

/// What is used of what a device offers.
const WANTED: u64 = bits::READ_ONLY | bits::BLOCK_SIZE | bits::FLUSH | feature::ANY_LAYOUT;

const REQUESTS: u16 = 0;

/// Why a request failed.
pub type Failure = request::Failure<Violation>;

/// What a request wants (§5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Operation {
    Read = 0,
    Write = 1,
    Flush = 4,
}

/// How it went.
mod outcome {
    pub const OK: u8 = 0;
    pub const UNSUPPORTED: u8 = 2;
    /// None of the above: the device has not written it.
    pub const NONE: u8 = 0xff;
}

/// The memory of the one request.
#[repr(C)]
struct Request {
    operation: u32,
    reserved: u32,
    sector: u64,
    outcome: u8,
    block: [u8; BLOCK_MAX],
}

/// Bytes of a request that the device reads first.
const HEADER: u32 = 16;

/// A disk at work.
pub struct Block {
    transport: Box<dyn Transport>,
    ring: Ring,
    request: NonNull<Request>,
    capacity: u64,
    block_size: usize,
    read_only: bool,
    flushes: bool,
    silent: bool,
}

impl Block {
    /// Sets a device up.
    pub fn new(mut transport: Box<dyn Transport>) -> Result<Self, Refusal> {
        let device = &mut *transport;
        let features = negotiate(device, WANTED)?;
        let has = |bit| features & bit != 0;
        let block_size = if has(bits::BLOCK_SIZE) {
            u32::from_le_bytes(configuration(device, 20)?)
        } else {
            SECTOR as u32
        };
        if !block_size.is_power_of_two() || !(SECTOR..=BLOCK_MAX).contains(&(block_size as usize)) {
            return Err(Refusal::Configuration("block size", block_size.into()));
        }
        let sectors = u64::from_le_bytes(configuration(device, 0)?);
        let capacity = sectors
            .checked_mul(SECTOR as u64)
            .ok_or(Refusal::Configuration("capacity in sectors", sectors))?;
        let size = queue_size(device, REQUESTS, BLOCK_QUEUE_SIZE)?;
        let usable = size.min(BLOCK_QUEUE_SIZE);
        let ring = Ring::new(size, usable, has(feature::EVENT_INDEX)).ok_or(Refusal::NoMemory)?;
        // SAFETY: the layout is not empty. All zeroes is a request.
        let request =
            NonNull::new(unsafe { alloc_zeroed(Layout::new::<Request>()) }).ok_or(Refusal::NoMemory)?;
        device.enable_queue(REQUESTS, size, ring.addresses())?;
        start(device, features);
        Ok(Self {
            transport,
            ring,
            request: request.cast(),
            capacity: capacity - capacity % u64::from(block_size),
            block_size: block_size as usize,
            read_only: has(bits::READ_ONLY),
            flushes: has(bits::FLUSH),
            silent: false,
        })
    }

    /// Size of the device in bytes, a multiple of the block size.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Size of a block in bytes, a power of two.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Whether the device takes no writes.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Reads the block at `offset` bytes. `sleep` returns after a little time, and is false when it has been long
    /// enough.
    pub fn read(
        &mut self,
        offset: u64,
        block: &mut [u8],
        sleep: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let length = block.len();
        self.perform(Operation::Read, offset, length, sleep)?;
        // SAFETY: `perform` has checked the length; the bytes are copied, whatever the device does to them meanwhile.
        unsafe { block.as_mut_ptr().copy_from_nonoverlapping(self.block(), length) };
        Ok(())
    }

    /// Writes the block at `offset` bytes; `sleep` as for [`read`](Self::read).
    pub fn write(&mut self, offset: u64, block: &[u8], sleep: impl FnMut() -> bool) -> Result<(), Failure> {
        assert!(block.len() <= BLOCK_MAX, "one block");
        if self.silent {
            return Err(Failure::Silent);
        }
        // SAFETY: the buffer has BLOCK_MAX bytes, and the device holds no request.
        unsafe { self.block().copy_from_nonoverlapping(block.as_ptr(), block.len()) };
        self.perform(Operation::Write, offset, block.len(), sleep)
    }

    /// Has everything written reach the disk; `sleep` as for [`read`](Self::read). A device that does not offer it has no cache.
    pub fn flush(&mut self, sleep: impl FnMut() -> bool) -> Result<(), Failure> {
        if self.flushes { self.perform(Operation::Flush, 0, 0, sleep) } else { Ok(()) }
    }

    fn block(&self) -> *mut u8 {
        // SAFETY: the request is ours, and never freed.
        unsafe { (&raw mut (*self.request.as_ptr()).block).cast() }
    }

    fn perform(
        &mut self,
        operation: Operation,
        offset: u64,
        length: usize,
        mut sleep: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        assert!(length <= BLOCK_MAX, "one block");
        if self.silent {
            return Err(Failure::Silent);
        }
        self.submit(operation, offset / SECTOR as u64, length);
        self.complete(&mut sleep)?;
        // SAFETY: the request is ours, and never freed; the byte is read once.
        match unsafe { (&raw const (*self.request.as_ptr()).outcome).read_volatile() } {
            outcome::OK => Ok(()),
            outcome::UNSUPPORTED => Err(Failure::Unsupported),
            // The device says so, says nonsense, or has not written it.
            _ => Err(Failure::Device),
        }
    }

    /// Waits until the device is done with the request. It is never asked for an interrupt: one that is late would keep its line
    /// raised, with nobody there to acknowledge it.
    fn complete(&mut self, sleep: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
        let used = answer(self, |disk| disk.ring.take(), |_| sleep())?;
        self.silent = used.is_none();
        used.map(drop).ok_or(Failure::Silent)
    }

    /// Gives the device the one request.
    fn submit(&mut self, operation: Operation, sector: u64, length: usize) {
        let request = self.request.as_ptr();
        // SAFETY: the request is ours, never freed, and not the device's: it gave back the last one.
        unsafe {
            (&raw mut (*request).operation).write_volatile(operation as u32);
            (&raw mut (*request).sector).write_volatile(sector);
            (&raw mut (*request).outcome).write_volatile(outcome::NONE);
        }
        let address = |field: *const u8| field.addr() as u64;
        // SAFETY: only addresses are taken.
        let (header, outcome) = unsafe { (&raw const (*request).operation, &raw const (*request).outcome) };
        let parts = [
            (address(header.cast()), HEADER, false),
            (address(self.block()), length as u32, operation == Operation::Read),
            (address(outcome), 1, true),
        ];
        let (mut first, mut previous) = (None, None);
        for (address, length, device_writes) in parts.into_iter().filter(|&(_, length, _)| length > 0) {
            let index =
                self.ring.acquire().expect("the ring has four descriptors, and the device holds none");
            // SAFETY: all three parts lie in the request, which nobody else uses and which is never freed.
            unsafe { self.ring.describe(index, previous, address, length, device_writes) };
            first = first.or(Some(index));
            previous = Some(index);
        }
        if let Some(first) = first {
            self.ring.publish(first);
        }
        if self.ring.must_notify() {
            self.transport.notify(REQUESTS);
        }
    }
}

/// On the host a device is gone when its test is.
#[cfg(skerry_target = "host")]
impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `new` has allocated it with this layout.
        unsafe { std::alloc::dealloc(self.request.cast().as_ptr(), Layout::new::<Request>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::{
        fake::{Chain, Fake, Host},
        transport::Kind,
    };
    use std::{cell::RefCell, rc::Rc};

    const SECTORS: u64 = 64;
    const OFFERED: u64 = feature::VERSION_1 | feature::EVENT_INDEX | bits::FLUSH;

    fn configuration(sectors: u64, block_size: u32) -> Vec<u8> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&sectors.to_le_bytes());
        bytes[20..].copy_from_slice(&block_size.to_le_bytes());
        bytes.to_vec()
    }

    fn disk(offered: u64) -> (Block, Rc<RefCell<Host>>) {
        let host = Host::new(Kind::Block, offered, &configuration(SECTORS, 512));
        (Block::new(Box::new(Fake(host.clone()))).expect("it is a good device"), host)
    }

    /// A device that answers each request with `answer`, the bytes of the block and the outcome, after `naps` waits.
    fn serve(host: &Rc<RefCell<Host>>, answer: &[u8], naps: usize) -> impl FnMut() -> bool {
        let (host, answer, mut waited) = (host.clone(), answer.to_vec(), 0);
        move || {
            waited += 1;
            if waited == naps {
                let mut host = host.borrow_mut();
                let chain = host.take(0).expect("there is a request");
                let written = chain.write(&answer);
                host.give_back(0, chain.head.into(), written);
            }
            waited < 1_000
        }
    }

    #[track_caller]
    fn check_read(answer: &[u8], expect: Result<&[u8; 512], Failure>) {
        let (mut disk, host) = disk(OFFERED);
        let mut block = [0; 512];
        let outcome = disk.read(1_024, &mut block, serve(&host, answer, 3));
        assert_eq!(outcome.map(|()| &block), expect);
    }

    fn block(outcome: u8) -> Vec<u8> {
        let mut bytes = vec![7; 512];
        bytes.push(outcome);
        bytes
    }

    #[test]
    fn blocks_are_read() {
        check_read(&block(outcome::OK), Ok(&[7; 512]));
        check_read(&block(1), Err(Failure::Device));
        check_read(&block(outcome::UNSUPPORTED), Err(Failure::Unsupported));
        check_read(&block(77), Err(Failure::Device));
        // Nothing written, or not as far as the outcome.
        check_read(&[], Err(Failure::Device));
        check_read(&[7; 512], Err(Failure::Device));
    }

    /// What a request looks like to a device that answers it with `answer`.
    #[track_caller]
    fn check_request(
        request: impl FnOnce(&mut Block, &mut dyn FnMut() -> bool) -> Result<(), Failure>,
        answer: &[u8],
        header: [u8; 16],
        rest: &[(u32, bool)],
    ) {
        let (mut disk, host) = disk(OFFERED);
        let mut chain: Option<Chain> = None;
        let mut wait = || {
            let mut host = host.borrow_mut();
            let taken = host.take(0).expect("there is a request");
            let written = taken.write(answer);
            host.give_back(0, taken.head.into(), written);
            chain = Some(taken);
            true
        };
        assert_eq!(request(&mut disk, &mut wait), Ok(()));
        let chain = chain.expect("there was a request");
        assert_eq!(chain.read()[..16], header);
        let parts: Vec<_> = chain.parts[1..].iter().map(|part| (part.length, part.device_writes)).collect();
        assert_eq!(parts, rest);
    }

    #[test]
    fn requests_name_operation_and_sector() {
        let header = |operation, sector| [operation, 0, 0, 0, 0, 0, 0, 0, sector, 0, 0, 0, 0, 0, 0, 0];
        check_request(
            |disk, wait| disk.read(1_024, &mut [0; 512], wait),
            &block(outcome::OK),
            header(0, 2),
            &[(512, true), (1, true)],
        );
        check_request(
            |disk, wait| disk.write(512, &[1; 512], wait),
            &[outcome::OK],
            header(1, 1),
            &[(512, false), (1, true)],
        );
        check_request(|disk, wait| disk.flush(wait), &[outcome::OK], header(4, 0), &[(1, true)]);
    }

    #[test]
    fn a_device_without_a_cache_is_not_asked_to_flush() {
        let (mut disk, host) = disk(feature::VERSION_1);
        assert_eq!(disk.flush(|| false), Ok(()));
        assert_eq!(host.borrow_mut().take(0), None);
    }

    #[test]
    fn a_silent_device_is_asked_no_more() {
        let (mut disk, host) = disk(OFFERED);
        let too_late = request::LOOKS as usize + 2_000;
        assert_eq!(disk.read(0, &mut [0; 512], serve(&host, &block(0), too_late)), Err(Failure::Silent));
        // It may answer by now; nobody looks.
        let chain = host.borrow_mut().take(0).expect("it was published");
        chain.write(&block(0));
        host.borrow_mut().give_back(0, chain.head.into(), 513);
        assert_eq!(disk.read(0, &mut [0; 512], || true), Err(Failure::Silent));
        assert_eq!(disk.write(0, &[0; 512], || true), Err(Failure::Silent));
        assert_eq!(disk.flush(|| true), Err(Failure::Silent));
    }

    #[test]
    fn the_ring_is_watched() {
        let (mut disk, host) = disk(OFFERED);
        host.borrow_mut().give_back(0, 4, 0);
        let expect = Err(Failure::Violation(Violation::OutOfRange(4)));
        assert_eq!(disk.read(0, &mut [0; 512], || true), expect);
    }

    /// Capacity and block size of a device that says so.
    #[track_caller]
    fn check_size(sectors: u64, block_size: u32, expect: Result<(u64, usize), Refusal>) {
        let host = Host::new(Kind::Block, OFFERED | bits::BLOCK_SIZE, &configuration(sectors, block_size));
        let disk = Block::new(Box::new(Fake(host)));
        assert_eq!(disk.map(|disk| (disk.capacity(), disk.block_size())), expect);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        check_size(64, 512, Ok((32_768, 512)));
        check_size(67, 2_048, Ok((32_768, 2_048)));
        check_size(0, 512, Ok((0, 512)));
        check_size(u64::MAX / 512, 4_096, Ok((u64::MAX / 4_096 * 4_096, 4_096)));
        check_size(1 << 56, 512, Err(Refusal::Configuration("capacity in sectors", 1 << 56)));
        for block_size in [0, 256, 1_000, 8_192, u32::MAX] {
            check_size(64, block_size, Err(Refusal::Configuration("block size", block_size.into())));
        }
    }
}
