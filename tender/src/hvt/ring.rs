//! The network ring: frames without leaving the virtual machine, moved by a thread of the host.
//!
//! ```text
//! guest: entries[entry_tail++] ──► thread: read or write the interface ──► commits[commit_tail++] (reads only)
//!        wakes a sleeping thread by `out 0x600`, which KVM turns into an eventfd
//! ```
//!
//! Everything in the ring is the guest's to change at any time, so the thread keeps its own two indices, copies an entry
//! once before it looks at it, and takes no more than the ring holds. An index that cannot be, or an address that is not
//! the guest's, stops the ring with a reason; hypercalls still work.

use std::fmt;
use std::os::fd::RawFd;
use std::ptr::{addr_of, addr_of_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

use seccompiler::BpfProgram;
use solo5_sys::hvt::{RING_SIZE, Ring, RingCommit, RingEntry, result, ring_operation};

use super::hypercall::transfer;
use super::memory::{Access, BadAddress, GuestMemory};
use super::report;
use crate::limits::HVT_RING_LOOKS;
use crate::manifest::{Attachment, Manifest};

/// Why the ring stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum RingError {
    /// More entries submitted than the ring holds.
    EntryIndex(u32),
    /// More answers unread than the ring holds.
    CommitIndex(u32),
    /// An address that the guest may not pass.
    Address(BadAddress),
}

impl fmt::Display for RingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryIndex(ahead) => {
                write!(formatter, "its entry index is {ahead} ahead where {RING_SIZE} is the most")
            }
            Self::CommitIndex(behind) => {
                write!(formatter, "its commit index is {behind} behind where {RING_SIZE} is the most")
            }
            Self::Address(address) => address.fmt(formatter),
        }
    }
}

impl From<BadAddress> for RingError {
    fn from(error: BadAddress) -> Self {
        Self::Address(error)
    }
}

/// The host's half of a ring.
pub struct HostRing {
    memory: Arc<GuestMemory>,
    ring: *mut Ring,
    /// Descriptors by handle.
    interfaces: Vec<Option<RawFd>>,
    entry_head: u32,
    commit_tail: u32,
}

// SAFETY: the pointer is into the guest's memory, which lives as long as the process and is accessed through atomics and
// volatile copies only.
unsafe impl Send for HostRing {}

impl HostRing {
    /// The ring behind the end of `memory`, which must have room for one there, zero.
    pub fn new(memory: Arc<GuestMemory>, manifest: &Manifest) -> Self {
        assert!(memory.mapped() - memory.end() >= size_of::<Ring>() as u64, "no room for the ring");
        let ring = memory.behind_end().cast();
        let mut interfaces = Vec::new();
        for (index, attachment) in manifest.attachments() {
            if let Attachment::Net { fd, .. } = attachment {
                interfaces.resize(index + 1, None);
                interfaces[index] = Some(fd);
            }
        }
        Self { memory, ring, interfaces, entry_head: 0, commit_tail: 0 }
    }

    /// Serves the ring in a thread of its own, inside `filter`; returns once the filter is in place.
    pub fn serve(self, kick: RawFd, filter: BpfProgram) -> std::io::Result<()> {
        let confined = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&confined);
        let serve = move || {
            let mut host_ring = self;
            if let Err(error) = seccompiler::apply_filter(&filter) {
                report::line(format_args!("network ring: {error}"));
                report::exit(1);
            }
            confined.store(true, Ordering::Release);
            host_ring.run(kick)
        };
        std::thread::Builder::new().name("ring".into()).stack_size(64 * 1024).spawn(serve)?;
        while !seen.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn run(&mut self, kick: RawFd) -> ! {
        loop {
            match self.process() {
                Ok(0) => self.sleep(kick),
                Ok(_) => {}
                Err(error) => {
                    report::line(format_args!("the guest broke its network ring, which is stopped: {error}"));
                    loop {
                        wait(kick);
                    }
                }
            }
        }
    }

    /// Takes the entries there are now; returns how many.
    pub fn process(&mut self) -> Result<u32, RingError> {
        let ahead = self.entry_tail().load(Ordering::Acquire).wrapping_sub(self.entry_head);
        if ahead as usize > RING_SIZE {
            return Err(RingError::EntryIndex(ahead));
        }
        for _ in 0..ahead {
            let entry = self.entry(self.entry_head);
            self.entry_head = self.entry_head.wrapping_add(1);
            match entry.operation {
                ring_operation::NET_WRITE => self.write(&entry)?,
                ring_operation::NET_READ => {
                    let commit = self.read(&entry)?;
                    self.publish_entry_head();
                    self.commit(commit)?;
                }
                // Upstream passes over what it does not know, and so must we.
                _ => {}
            }
        }
        self.publish_entry_head();
        Ok(ahead)
    }

    fn write(&self, entry: &RingEntry) -> Result<(), RingError> {
        let Some(fd) = self.interface(entry.handle) else { return Ok(()) };
        let bytes = self.memory.range(entry.data, u64::from(entry.len), Access::Read)?;
        // SAFETY: `range` checked the bytes; the kernel only reads them. A frame that the host cannot take is lost.
        transfer(|| unsafe { libc::write(fd, bytes.cast(), entry.len as usize) });
        Ok(())
    }

    fn read(&self, entry: &RingEntry) -> Result<RingCommit, RingError> {
        let mut commit = RingCommit { id: entry.id, ret: result::EINVAL, ..RingCommit::default() };
        if let Some(fd) = self.interface(entry.handle) {
            let bytes = self.memory.range(entry.data, u64::from(entry.len), Access::Write)?;
            // SAFETY: `range` checked the bytes for writing.
            let (ret, length) = transfer(|| unsafe { libc::read(fd, bytes.cast(), entry.len as usize) });
            (commit.ret, commit.len) = (ret, length as u32);
        }
        Ok(commit)
    }

    fn commit(&mut self, commit: RingCommit) -> Result<(), RingError> {
        let behind = self.commit_tail.wrapping_sub(self.commit_head().load(Ordering::Acquire));
        if behind as usize >= RING_SIZE {
            return Err(RingError::CommitIndex(behind));
        }
        let index = self.commit_tail as usize % RING_SIZE;
        // SAFETY: the index is inside of the array, which lies in the mapping.
        unsafe { addr_of_mut!((*self.ring).commits[index]).write_volatile(commit) };
        self.commit_tail = self.commit_tail.wrapping_add(1);
        // SAFETY: the field lies in the mapping, aligned.
        let tail = unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.ring).commit_tail)) };
        tail.store(self.commit_tail, Ordering::Release);
        Ok(())
    }

    /// Looks a little longer, then asks for a kick and sleeps until it comes.
    fn sleep(&self, kick: RawFd) {
        for _ in 0..HVT_RING_LOOKS {
            if self.entry_tail().load(Ordering::Relaxed) != self.entry_head {
                return;
            }
            std::hint::spin_loop();
        }
        // SAFETY: the field lies in the mapping, aligned.
        let needs_kick = unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.ring).needs_kick)) };
        needs_kick.store(1, Ordering::Relaxed);
        // The guest stores its index and then loads the wish; we store the wish and then load the index.
        fence(Ordering::SeqCst);
        if self.entry_tail().load(Ordering::Relaxed) == self.entry_head {
            wait(kick);
        }
        needs_kick.store(0, Ordering::Relaxed);
    }

    fn interface(&self, handle: u32) -> Option<RawFd> {
        *self.interfaces.get(handle as usize)?
    }

    fn entry(&self, index: u32) -> RingEntry {
        let index = index as usize % RING_SIZE;
        // SAFETY: the index is inside of the array, which lies in the mapping; any bytes are an entry.
        unsafe { addr_of!((*self.ring).entries[index]).read_volatile() }
    }

    fn publish_entry_head(&self) {
        // SAFETY: the field lies in the mapping, aligned.
        let head = unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.ring).entry_head)) };
        head.store(self.entry_head, Ordering::Release);
    }

    fn entry_tail(&self) -> &AtomicU32 {
        // SAFETY: the field lies in the mapping, aligned.
        unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.ring).entry_tail)) }
    }

    fn commit_head(&self) -> &AtomicU32 {
        // SAFETY: the field lies in the mapping, aligned.
        unsafe { AtomicU32::from_ptr(addr_of_mut!((*self.ring).commit_head)) }
    }
}

/// Waits for a kick; several are one.
fn wait(kick: RawFd) {
    let mut kicks = 0_u64;
    // SAFETY: an eventfd gives eight bytes, which is what the local has.
    unsafe { libc::read(kick, (&raw mut kicks).cast(), size_of::<u64>()) };
}
