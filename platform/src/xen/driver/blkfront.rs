//! A disk of Xen's: one request at a time, and nothing of the caller's memory in the back end's hands.
//!
//! The block travels through a page of ours, so that a back end which answers late, or never, writes to nobody else's memory.
//!
//! Source: Xen `public/io/blkif.h`, in the layout of `XEN_IO_PROTO_ABI_X86_64`.

use super::{
    Backend, NoPages,
    limits::{BLOCK_MAX, SECTOR},
    pages::Pages,
    ring::{Ring, Violation},
};
use crate::machine::request::{self, answer};

/// Bytes of a slot: a request with its eleven segments.
const SLOT: usize = 112;

/// Bytes of a request that are written: it has one segment.
const REQUEST: usize = 32;
const RESPONSE: usize = 16;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Operation {
    Read = 0,
    Write = 1,
    /// A write, of nothing here, that everything before has to reach the disk for.
    Barrier = 2,
    Flush = 3,
}

/// How it went.
const OKAY: i16 = 0;
const UNSUPPORTED: i16 = -2;

/// Why a request failed.
pub type Failure = request::Failure<Violation>;

/// What the back end says about its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Its size in units of 512 bytes: `sectors`.
    pub sectors: u64,
    /// Bytes that it reads or writes at least: `sector-size`.
    pub sector_size: u64,
    /// Bit 2 of `info`.
    pub read_only: bool,
    /// `feature-flush-cache`.
    pub flush: bool,
    /// `feature-barrier`.
    pub barrier: bool,
}

/// A geometry that no disk of ours can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(Geometry);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Geometry { sectors, sector_size, .. } = self.0;
        write!(f, "the back end says it has {sectors} sectors, and blocks of {sector_size} bytes")
    }
}

impl std::error::Error for Unusable {}

/// A disk at work.
pub struct Blkfront {
    backend: Box<dyn Backend>,
    ring: Ring<SLOT>,
    page: Pages,
    geometry: Geometry,
    /// Number of the request that the back end holds.
    asked: Option<u64>,
    /// Number of the last request.
    last: u64,
    silent: bool,
}

impl Blkfront {
    /// Makes the ring. The disk has no size until [`set_geometry`](Self::set_geometry).
    pub fn new(mut backend: Box<dyn Backend>) -> Result<Self, NoPages> {
        let ring = Ring::new(&mut *backend)?;
        let page = Pages::new(&mut *backend, 1, true)?;
        let geometry = Geometry { sector_size: SECTOR as u64, ..Geometry::default() };
        Ok(Self { backend, ring, page, geometry, asked: None, last: 0, silent: false })
    }

    /// What the back end says once it is connected.
    pub fn set_geometry(&mut self, geometry: Geometry) -> Result<(), Unusable> {
        let Geometry { sectors, sector_size, .. } = geometry;
        let fits = sector_size.is_power_of_two()
            && (SECTOR as u64..=BLOCK_MAX as u64).contains(&sector_size)
            && sectors.checked_mul(SECTOR as u64).is_some();
        if !fits {
            return Err(Unusable(geometry));
        }
        self.geometry = geometry;
        Ok(())
    }

    /// The grant of the ring.
    pub fn reference(&self) -> u32 {
        self.ring.reference()
    }

    /// Size of the disk in bytes, a multiple of the block size.
    pub fn capacity(&self) -> u64 {
        let bytes = self.geometry.sectors * SECTOR as u64;
        bytes - bytes % self.geometry.sector_size
    }

    /// Size of a block in bytes, a power of two.
    pub fn block_size(&self) -> usize {
        self.geometry.sector_size as usize
    }

    /// Whether the disk takes no writes.
    pub fn read_only(&self) -> bool {
        self.geometry.read_only
    }

    /// Reads the block at `offset` bytes. `sleep` returns after the disk's event, or some time, and is false when it has been
    /// long enough.
    pub fn read(
        &mut self,
        offset: u64,
        block: &mut [u8],
        sleep: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        self.perform(Operation::Read, offset, block.len(), sleep)?;
        self.page.read(0, 0, block);
        Ok(())
    }

    /// Writes the block at `offset` bytes; `sleep` as for [`read`](Self::read).
    pub fn write(&mut self, offset: u64, block: &[u8], sleep: impl FnMut() -> bool) -> Result<(), Failure> {
        if self.silent {
            return Err(Failure::Silent);
        }
        self.page.write(0, 0, block);
        self.perform(Operation::Write, offset, block.len(), sleep)
    }

    /// Has everything written reach the disk; `sleep` as for [`read`](Self::read). A back end that does not offer it has no cache.
    pub fn flush(&mut self, sleep: impl FnMut() -> bool) -> Result<(), Failure> {
        match self.geometry {
            Geometry { flush: true, .. } => self.perform(Operation::Flush, 0, 0, sleep),
            Geometry { barrier: true, .. } => self.perform(Operation::Barrier, 0, 0, sleep),
            _ => Ok(()),
        }
    }

    fn perform(
        &mut self,
        operation: Operation,
        offset: u64,
        length: usize,
        mut sleep: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        assert!(length <= BLOCK_MAX && length.is_multiple_of(SECTOR), "one block");
        if self.silent {
            return Err(Failure::Silent);
        }
        self.submit(operation, offset / SECTOR as u64, length);
        match self.complete(&mut sleep)? {
            OKAY => Ok(()),
            UNSUPPORTED => Err(Failure::Unsupported),
            // The back end says so, or says nonsense.
            _ => Err(Failure::Device),
        }
    }

    /// Gives the back end the one request.
    fn submit(&mut self, operation: Operation, sector: u64, length: usize) {
        self.last = self.last.wrapping_add(1);
        self.asked = Some(self.last);
        let mut request = [0; REQUEST];
        request[0] = operation as u8;
        request[1] = u8::from(length > 0);
        request[8..16].copy_from_slice(&self.last.to_le_bytes());
        request[16..24].copy_from_slice(&sector.to_le_bytes());
        request[24..28].copy_from_slice(&self.page.reference(0).to_le_bytes());
        // From the first of the page's sectors to, and with, the last.
        request[29] = (length / SECTOR).saturating_sub(1) as u8;
        self.ring.put(request);
        self.ring.publish();
        if self.ring.must_notify() {
            self.backend.notify();
        }
    }

    /// Waits until the back end is done with the request, and says how it went. An event ends a sleep.
    fn complete(&mut self, sleep: &mut dyn FnMut() -> bool) -> Result<i16, Failure> {
        let sleep_armed = |disk: &mut Self| {
            let patient = !disk.ring.arm() || sleep();
            disk.ring.disarm();
            patient
        };
        let status = answer(self, Self::take, sleep_armed)?;
        self.silent = status.is_none();
        status.ok_or(Failure::Silent)
    }

    fn take(&mut self) -> Result<Option<i16>, Violation> {
        let Some(response) = self.ring.take::<RESPONSE>()? else { return Ok(None) };
        let [i0, i1, i2, i3, i4, i5, i6, i7, _, _, s0, s1, ..] = response;
        let id = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
        if self.asked.take() != Some(id) {
            return Err(Violation::NotHeld(id));
        }
        Ok(Some(i16::from_le_bytes([s0, s1])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::fake::{End, Host};
    use std::{cell::RefCell, rc::Rc};

    const GEOMETRY: Geometry =
        Geometry { sectors: 17, sector_size: 1024, read_only: false, flush: true, barrier: false };

    fn disk(geometry: Geometry) -> (Blkfront, End, Rc<RefCell<Host>>) {
        let host = Host::new();
        let mut disk = Blkfront::new(Box::new(host.clone())).expect("there is memory");
        disk.set_geometry(geometry).expect("it is a good one");
        let end = End::new(disk.reference(), SLOT);
        (disk, end, host)
    }

    fn response(id: u64, status: i16) -> Vec<u8> {
        [&id.to_le_bytes()[..], &[0, 0], &status.to_le_bytes(), &[0; 4]].concat()
    }

    fn number(bytes: &[u8]) -> u64 {
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    #[test]
    fn a_block_is_read_and_written_where_it_lies() {
        let (mut disk, mut end, host) = disk(GEOMETRY);
        assert_eq!((disk.capacity(), disk.block_size()), (8 * 1024, 1024));
        let mut block = [0; 1024];
        let outcome = disk.read(3 * 1024, &mut block, || {
            let request = end.take(&host.borrow()).expect("there is a request");
            assert_eq!(request[..2], [0, 1]);
            assert_eq!(number(&request[16..24]), 6);
            assert_eq!(request[28..30], [0, 1], "two sectors");
            host.borrow().write(number(&request[24..28]) as u32, 0, &[7; 1024]);
            assert_eq!(end.take(&host.borrow()), None);
            end.answer(&host.borrow(), &response(number(&request[8..16]), OKAY))
        });
        assert_eq!((outcome, block), (Ok(()), [7; 1024]));
        let outcome = disk.write(0, &[9; 1024], || {
            let request = end.take(&host.borrow()).expect("there is a request");
            assert_eq!(request[..2], [1, 1]);
            assert_eq!(host.borrow().read(number(&request[24..28]) as u32, 0, 1024), [9; 1024]);
            end.answer(&host.borrow(), &response(number(&request[8..16]), OKAY))
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(host.borrow().notified, 2);
    }

    #[track_caller]
    fn check_flush(flush: bool, barrier: bool, operation: Option<u8>) {
        let (mut disk, mut end, host) = disk(Geometry { flush, barrier, ..GEOMETRY });
        let mut asked = None;
        let outcome = disk.flush(|| {
            let request = end.take(&host.borrow()).expect("there is a request");
            asked = Some(request[0]);
            assert_eq!(request[1], 0, "no segment");
            end.answer(&host.borrow(), &response(number(&request[8..16]), OKAY))
        });
        assert_eq!((outcome, asked), (Ok(()), operation));
    }

    #[test]
    fn what_is_written_reaches_the_disk_as_the_back_end_offers() {
        check_flush(true, true, Some(3));
        check_flush(false, true, Some(2));
        check_flush(false, false, None);
    }

    #[track_caller]
    fn check_answer(answer: impl Fn(u64) -> Vec<u8>, expect: Failure) {
        let (mut disk, mut end, host) = disk(GEOMETRY);
        let mut block = [1; 1024];
        let outcome = disk.read(0, &mut block, || {
            end.take(&host.borrow());
            end.answer(&host.borrow(), &answer(1))
        });
        assert_eq!((outcome, block), (Err(expect), [1; 1024]));
    }

    #[test]
    fn an_answer_that_is_none_is_a_failure() {
        check_answer(|id| response(id, -1), Failure::Device);
        check_answer(|id| response(id, 77), Failure::Device);
        check_answer(|id| response(id, UNSUPPORTED), Failure::Unsupported);
        check_answer(|id| response(id + 1, OKAY), Failure::Violation(Violation::NotHeld(2)));
    }

    #[test]
    fn an_answer_given_twice_is_found_out() {
        let (mut disk, mut end, host) = disk(GEOMETRY);
        let mut block = [0; 1024];
        assert_eq!(disk.read(0, &mut block, || end.answer(&host.borrow(), &response(1, OKAY))), Ok(()));
        let outcome = disk.read(0, &mut block, || end.answer(&host.borrow(), &response(1, OKAY)));
        assert_eq!(outcome, Err(Failure::Violation(Violation::NotHeld(1))));
        let ahead = Violation::Ahead { answered: 9, held: 1 };
        let outcome = disk.read(0, &mut block, || {
            end.set_answered(&host.borrow(), 11);
            true
        });
        assert_eq!(outcome, Err(Failure::Violation(ahead)));
    }

    #[test]
    fn nothing_more_is_asked_of_a_silent_back_end() {
        let (mut disk, mut end, host) = disk(GEOMETRY);
        let mut block = [0; 1024];
        assert_eq!(disk.read(0, &mut block, || false), Err(Failure::Silent));
        end.answer(&host.borrow(), &response(1, OKAY));
        assert_eq!(disk.write(0, &block, || true), Err(Failure::Silent));
        assert_eq!(disk.flush(|| true), Err(Failure::Silent));
    }

    #[test]
    fn a_size_that_cannot_be_is_refused() {
        let (mut disk, _end, _host) = disk(GEOMETRY);
        for (sectors, sector_size) in [(1, 0), (1, 256), (1, 513), (1, 8192), (1 << 56, 512)] {
            let geometry = Geometry { sectors, sector_size, ..GEOMETRY };
            assert_eq!(disk.set_geometry(geometry), Err(Unusable(geometry)));
        }
        assert_eq!(disk.capacity(), 8 * 1024);
    }

    #[test]
    fn without_grants_there_is_no_disk() {
        for grants_max in 0..2 {
            let host = Host::new();
            host.borrow_mut().grants_max = Some(grants_max);
            assert!(Blkfront::new(Box::new(host)).is_err());
        }
    }
}
