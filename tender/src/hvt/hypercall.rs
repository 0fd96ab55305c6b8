//! What the guest may ask for: time, console, sleep, blocks, frames. Arguments lie in its memory and are copied before use.

use std::io;

use solo5_sys::hvt::{BlockIo, HALT_COOKIE_MAX, Halt, Hypercall, NetIo, Poll, Puts, Walltime, result};
use solo5_sys::manifest::MAX_ENTRIES;
use solo5_sys::spt::INTERNAL_TIMER;

use super::memory::{Access, BadAddress, GuestMemory, Plain};
use crate::boot::WaitSet;
use crate::manifest::{Attachment, Manifest};

// SAFETY: integers without padding that matters, any value valid.
unsafe impl Plain for Walltime {}
// SAFETY: as above.
unsafe impl Plain for Puts {}
// SAFETY: as above.
unsafe impl Plain for Poll {}
// SAFETY: as above.
unsafe impl Plain for BlockIo {}
// SAFETY: as above.
unsafe impl Plain for NetIo {}
// SAFETY: as above.
unsafe impl Plain for Halt {}

/// The host's side of the hypercalls.
#[derive(Debug)]
pub struct Host<'a> {
    memory: &'a GuestMemory,
    devices: [Option<Attachment>; MAX_ENTRIES],
    wait_set: WaitSet,
}

/// What follows a hypercall.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest goes on.
    Resume,
    /// The guest has ended with this status.
    Exit(i32),
}

/// Why a hypercall ends the guest.
#[derive(Debug, PartialEq, Eq)]
pub enum HypercallError {
    /// There is no hypercall of this number.
    Unknown(u16),
    /// An address that the guest may not pass.
    Address(BadAddress),
}

impl From<BadAddress> for HypercallError {
    fn from(error: BadAddress) -> Self {
        Self::Address(error)
    }
}

impl<'a> Host<'a> {
    /// The host for a guest with `memory` and the attached devices of `manifest`.
    pub fn new(memory: &'a GuestMemory, manifest: &Manifest, wait_set: WaitSet) -> Self {
        let mut devices = [None; MAX_ENTRIES];
        for (index, attachment) in manifest.attachments() {
            devices[index] = Some(attachment);
        }
        Self { memory, devices, wait_set }
    }

    /// Does hypercall `number` with its arguments at `address`.
    pub fn call(&self, number: u16, address: u64) -> Result<Next, HypercallError> {
        const WALLTIME: u16 = Hypercall::Walltime as u16;
        const PUTS: u16 = Hypercall::Puts as u16;
        const POLL: u16 = Hypercall::Poll as u16;
        const BLOCK_WRITE: u16 = Hypercall::BlockWrite as u16;
        const BLOCK_READ: u16 = Hypercall::BlockRead as u16;
        const NET_WRITE: u16 = Hypercall::NetWrite as u16;
        const NET_READ: u16 = Hypercall::NetRead as u16;
        const HALT: u16 = Hypercall::Halt as u16;
        let memory = self.memory;
        match number {
            WALLTIME => memory.write(address, walltime())?,
            PUTS => self.puts(memory.read(address)?)?,
            POLL => memory.write(address, self.poll(memory.read(address)?))?,
            BLOCK_WRITE | BLOCK_READ => {
                let access = if number == BLOCK_WRITE { Access::Read } else { Access::Write };
                memory.write(address, self.block(memory.read(address)?, access)?)?;
            }
            NET_WRITE | NET_READ => {
                let access = if number == NET_WRITE { Access::Read } else { Access::Write };
                memory.write(address, self.net(memory.read(address)?, access)?)?;
            }
            HALT => return self.halt(memory.read(address)?),
            unknown => return Err(HypercallError::Unknown(unknown)),
        }
        Ok(Next::Resume)
    }

    /// Whether there is memory at `address`, whatever its protection.
    pub fn is_memory(&self, address: u64) -> bool {
        address < self.memory.mapped()
    }

    fn puts(&self, call: Puts) -> Result<(), BadAddress> {
        let bytes = self.memory.range(call.data, call.len, Access::Read)?;
        // SAFETY: `range` checked the bytes; the kernel only reads them. A console that takes no more is no reason to stop.
        unsafe { libc::write(1, bytes.cast(), call.len as usize) };
        Ok(())
    }

    fn poll(&self, mut call: Poll) -> Poll {
        let mut timer = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: (call.timeout_nsecs / 1_000_000_000) as i64,
                tv_nsec: (call.timeout_nsecs % 1_000_000_000) as i64,
            },
        };
        // Zero would switch the timer off, and the wait would never end.
        timer.it_value.tv_nsec |= 1;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MAX_ENTRIES + 1];
        // SAFETY: both pointers are to locals of the sizes given, and the descriptors are the wait set's.
        let count = unsafe {
            libc::timerfd_settime(self.wait_set.timer, 0, &raw const timer, std::ptr::null_mut());
            let room = events.len() as i32;
            libc::epoll_pwait(self.wait_set.epoll, events.as_mut_ptr(), room, -1, std::ptr::null())
        };
        // An interrupted wait is one that has ended early, which the guest has to expect anyway.
        let events = &events[..usize::try_from(count).unwrap_or(0)];
        let devices = events.iter().map(|event| event.u64).filter(|&data| data != INTERNAL_TIMER);
        call.ready_set = devices.fold(0, |set, index| set | 1 << index);
        call.ret = call.ready_set.count_ones() as i32;
        call
    }

    fn block(&self, mut call: BlockIo, access: Access) -> Result<BlockIo, BadAddress> {
        call.ret = result::EINVAL;
        let Some(Attachment::Block { fd, capacity, .. }) = self.device(call.handle) else { return Ok(call) };
        let end = call.offset.checked_add(call.len);
        if call.offset >= capacity || end.is_none_or(|end| end > capacity) {
            return Ok(call);
        }
        let bytes = self.memory.range(call.data, call.len, access)?.cast();
        let (length, offset) = (call.len as usize, call.offset as i64);
        // SAFETY: `range` checked the bytes for this access.
        let done = unsafe {
            match access {
                Access::Read => libc::pwrite(fd, bytes, length, offset),
                Access::Write => libc::pread(fd, bytes, length, offset),
            }
        };
        call.ret = if done == call.len as isize { result::OK } else { result::EUNSPEC };
        Ok(call)
    }

    fn net(&self, mut call: NetIo, access: Access) -> Result<NetIo, BadAddress> {
        let Some(Attachment::Net { fd, .. }) = self.device(call.handle) else {
            return Ok(NetIo { ret: result::EINVAL, ..call });
        };
        let bytes = self.memory.range(call.data, call.len, access)?;
        let (ret, length) = match access {
            Access::Read => transfer(|| {
                // SAFETY: `range` checked the bytes; the kernel only reads them.
                unsafe { libc::write(fd, bytes.cast(), call.len as usize) }
            }),
            Access::Write => transfer(|| {
                // SAFETY: `range` checked the bytes for writing.
                unsafe { libc::read(fd, bytes.cast(), call.len as usize) }
            }),
        };
        call.ret = ret;
        if ret == result::OK && access == Access::Write {
            call.len = length as u64;
        }
        Ok(call)
    }

    fn halt(&self, call: Halt) -> Result<Next, HypercallError> {
        if call.cookie != 0 {
            self.memory.range(call.cookie, HALT_COOKIE_MAX as u64, Access::Read)?;
        }
        Ok(Next::Exit(call.exit_status))
    }

    fn device(&self, handle: u64) -> Option<Attachment> {
        usize::try_from(handle).ok().and_then(|handle| *self.devices.get(handle)?)
    }
}

/// The result for the guest, and bytes, of a read or write of one frame. Nothing there now, and no room now, are the same.
pub fn transfer(call: impl FnOnce() -> isize) -> (i32, usize) {
    match call() {
        // The other end of a packet socket is closed for good.
        0 => (result::EUNSPEC, 0),
        length @ 1.. => (result::OK, length as usize),
        _ => match io::Error::last_os_error().kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => (result::AGAIN, 0),
            _ => (result::EUNSPEC, 0),
        },
    }
}

fn walltime() -> Walltime {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the local; the clock exists on every kernel.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    Walltime { nsecs: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64 }
}
