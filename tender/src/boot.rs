//! What hvt and spt have in common before the guest runs: its command line, the host's wait set, fewer rights.

use std::ffi::OsString;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{TimerfdClockId, TimerfdFlags};
use solo5_sys::spt::{COMMAND_LINE_SIZE, INTERNAL_TIMER};

use crate::failure::Failure;
use crate::manifest::{Attachment, Manifest};

/// The guest's arguments with spaces between them, as a C string.
pub fn command_line(arguments: &[OsString]) -> Result<Vec<u8>, Failure> {
    let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let mut line = arguments.join(&b' ');
    line.push(0);
    if line.len() > COMMAND_LINE_SIZE {
        return Err(Failure::usage(format!(
            "the guest's arguments have {} bytes where {} are the most: use a configuration document",
            line.len() - 1,
            COMMAND_LINE_SIZE - 1
        )));
    }
    Ok(line)
}

/// The descriptors on which a guest sleeps.
#[derive(Clone, Copy, Debug)]
pub struct WaitSet {
    /// Epoll set of all interfaces and the timer; an event's data is the device's index, or [`INTERNAL_TIMER`].
    pub epoll: RawFd,
    /// Timer on the monotonic clock.
    pub timer: RawFd,
}

impl WaitSet {
    /// A set of all attached interfaces of `manifest`. The descriptors stay open as long as the process lives.
    pub fn new(manifest: &Manifest) -> Result<Self, Failure> {
        let failure = |error| Failure::general(format!("the devices cannot be waited for: {error}"));
        Self::try_new(manifest).map_err(failure)
    }

    fn try_new(manifest: &Manifest) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&set, &timer, EventData::new_u64(INTERNAL_TIMER), EventFlags::IN)?;
        for (index, attachment) in manifest.attachments() {
            if let Attachment::Net { fd, .. } = attachment {
                // SAFETY: an attached interface's descriptor stays open as long as the process lives.
                let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
                epoll::add(&set, fd, EventData::new_u64(index as u64), EventFlags::IN)?;
            }
        }
        Ok(Self { epoll: set.into_raw_fd(), timer: timer.into_raw_fd() })
    }
}

/// Gives up what the process will not need again: new privileges, debuggers, and every descriptor but the standard three
/// and those in `keep`.
pub fn drop_privileges(keep: &[RawFd]) -> Result<(), Failure> {
    let failure = |what| Failure::general(format!("{what} failed: {}", io::Error::last_os_error()));
    // SAFETY: these options of prctl take no pointers.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(failure("PR_SET_NO_NEW_PRIVS"));
        }
        if libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 {
            return Err(failure("PR_SET_DUMPABLE"));
        }
    }
    let mut keep: Vec<u32> = [0, 1, 2].iter().chain(keep).map(|&fd| fd as u32).collect();
    keep.sort_unstable();
    let gaps = keep.windows(2).map(|pair| (pair[0] + 1, pair[1].saturating_sub(1)));
    for (first, last) in gaps.chain(keep.last().map(|&fd| (fd + 1, u32::MAX))) {
        // SAFETY: closes descriptors that nothing in this process uses any more; takes no pointers.
        if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(failure("close_range"));
        }
    }
    Ok(())
}

/// Refuses to run where readable memory is executable too, which would make W^X a promise without effect.
pub fn check_personality() -> Result<(), Failure> {
    // SAFETY: asks for the current personality; takes no pointers.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    if personality & libc::READ_IMPLIES_EXEC != 0 {
        return Err(Failure::general(
            "this process has the personality READ_IMPLIES_EXEC, which makes data executable: start it without `setarch -X`",
        ));
    }
    Ok(())
}

/// Descriptors of all attached devices.
pub fn device_descriptors(manifest: &Manifest) -> impl Iterator<Item = RawFd> + '_ {
    manifest.attachments().map(|(_, attachment)| match attachment {
        Attachment::Net { fd, .. } | Attachment::Block { fd, .. } => fd,
    })
}
