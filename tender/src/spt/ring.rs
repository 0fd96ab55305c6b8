//! The guest's network ring: an io_uring that can do nothing but read from and write to its interfaces.
//!
//! Made before the filter is in place, mapped into the guest, and handed over by writing [`NetworkRing`] where the image's
//! note asks for it. What a seccomp filter checks on system calls, the kernel's restrictions check on ring entries, which
//! no filter sees:
//!
//! - operations: IORING_OP_READ and IORING_OP_WRITE;
//! - flags: IOSQE_FIXED_FILE, and no entry without it. So the only files are those registered here, the interfaces;
//! - registrations: none any more. The table of files stays as it is.
//!
//! The guest asks for every entry with RWF_NOWAIT, so that it completes within its system call. Where the kernel is too old
//! (IORING_SETUP_DEFER_TASKRUN came with 6.1, RWF_NOWAIT for interfaces later), forbids io_uring (`kernel.io_uring_disabled`, the policy of a
//! container) or lacks restrictions, there is no ring, and the guest reads and writes frame by frame.

use std::ffi::c_void;
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};

use rustix::io::{Errno, IoSlice, IoSliceMut, ReadWriteFlags, preadv2, pwritev2};
use rustix::io_uring::{
    IORING_OFF_CQ_RING, IORING_OFF_SQ_RING, IORING_OFF_SQES, IoringOp, IoringRegisterOp, IoringRestrictionOp,
    IoringSetupFlags, IoringSqeFlags, io_uring_cqe, io_uring_params, io_uring_register, io_uring_restriction,
    io_uring_setup, io_uring_sqe, register_or_sqe_op_or_sqe_flags_union,
};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use solo5_sys::skerry::NetworkRing;

use crate::limits::SPT_RING_ENTRIES;
use crate::manifest::{Attachment, Manifest};

/// A ring for the attached interfaces of `manifest`, mapped for ever; `None` where there can be none.
pub fn offer(manifest: &Manifest) -> Option<NetworkRing> {
    let interfaces: Vec<(usize, i32)> = manifest
        .attachments()
        .filter_map(|(index, attachment)| match attachment {
            Attachment::Net { fd, .. } => Some((index, fd)),
            Attachment::Block { .. } => None,
        })
        .collect();
    if interfaces.is_empty() || !interfaces.iter().all(|(_, fd)| knows_nowait(*fd)) {
        return None;
    }
    set_up(&interfaces).ok()
}

/// Whether reads and writes of `fd` with RWF_NOWAIT return at once. Asked of things like it: no frame is lost or sent.
fn knows_nowait(fd: i32) -> bool {
    // SAFETY: an attached interface's descriptor stays open as long as the process lives.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    match sockopt::socket_type(fd) {
        Ok(_) => socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .and_then(|(socket, _other)| {
                let mut byte = [0];
                preadv2(&socket, &mut [IoSliceMut::new(&mut byte)], u64::MAX, ReadWriteFlags::NOWAIT)
            })
            .is_err_and(|error| error == Errno::AGAIN),
        // A TAP refuses a frame without an Ethernet header, but an unknown flag first.
        Err(_) => pwritev2(fd, &[IoSlice::new(&[0])], u64::MAX, ReadWriteFlags::NOWAIT)
            .is_err_and(|error| error == Errno::INVAL),
    }
}

fn set_up(interfaces: &[(usize, i32)]) -> io::Result<NetworkRing> {
    let mut parameters = io_uring_params::default();
    parameters.flags =
        IoringSetupFlags::R_DISABLED | IoringSetupFlags::SINGLE_ISSUER | IoringSetupFlags::DEFER_TASKRUN;
    // SAFETY: makes a ring that nobody uses yet, and writes its parameters.
    let ring = unsafe { io_uring_setup(SPT_RING_ENTRIES, &mut parameters) }?;
    register_files(&ring, interfaces)?;
    restrict(&ring)?;
    // SAFETY: takes no argument. From here on the ring takes entries, of this thread only.
    unsafe { io_uring_register(&ring, IoringRegisterOp::RegisterEnableRings, std::ptr::null(), 0) }?;
    let (submission, completion) = (parameters.sq_off, parameters.cq_off);
    let array_size = parameters.sq_entries as usize * size_of::<u32>();
    let submission_ring = map(&ring, IORING_OFF_SQ_RING, submission.array as usize + array_size)?;
    let completions_size = parameters.cq_entries as usize * size_of::<io_uring_cqe>();
    let completion_ring = map(&ring, IORING_OFF_CQ_RING, completion.cqes as usize + completions_size)?;
    let submissions =
        map(&ring, IORING_OFF_SQES, parameters.sq_entries as usize * size_of::<io_uring_sqe>())?;
    for index in 0..parameters.sq_entries {
        // SAFETY: the array has this many entries and lies inside of what was just mapped, at the kernel's own offset.
        unsafe {
            ((submission_ring + u64::from(submission.array)) as *mut u32).add(index as usize).write(index);
        };
    }
    Ok(NetworkRing {
        descriptor: ring.into_raw_fd(),
        submission_entries: parameters.sq_entries,
        completion_entries: parameters.cq_entries,
        reserved: 0,
        submission_tail: submission_ring + u64::from(submission.tail),
        submissions,
        completion_head: completion_ring + u64::from(completion.head),
        completion_tail: completion_ring + u64::from(completion.tail),
        completions: completion_ring + u64::from(completion.cqes),
    })
}

/// Registers each interface at its handle; places between them stay empty.
fn register_files(ring: &OwnedFd, interfaces: &[(usize, i32)]) -> io::Result<()> {
    let count = interfaces.iter().map(|(handle, _)| handle + 1).max().unwrap_or(0);
    let mut files = vec![-1_i32; count];
    for (handle, fd) in interfaces {
        files[*handle] = *fd;
    }
    // SAFETY: the kernel reads `count` descriptors.
    unsafe { io_uring_register(ring, IoringRegisterOp::RegisterFiles, files.as_ptr().cast(), count as u32) }?;
    Ok(())
}

fn restrict(ring: &OwnedFd) -> io::Result<()> {
    let restriction = |opcode, what| {
        let mut restriction = io_uring_restriction::default();
        restriction.opcode = opcode;
        restriction.register_or_sqe_op_or_sqe_flags = what;
        restriction
    };
    let operation =
        |sqe_op| restriction(IoringRestrictionOp::SqeOp, register_or_sqe_op_or_sqe_flags_union { sqe_op });
    let fixed_file = register_or_sqe_op_or_sqe_flags_union { sqe_flags: IoringSqeFlags::FIXED_FILE };
    let enable = register_or_sqe_op_or_sqe_flags_union { register_op: IoringRegisterOp::RegisterEnableRings };
    let restrictions = [
        operation(IoringOp::Read),
        operation(IoringOp::Write),
        restriction(IoringRestrictionOp::SqeFlagsAllowed, fixed_file),
        restriction(IoringRestrictionOp::SqeFlagsRequired, fixed_file),
        // The next step; afterwards the guest has no system call to register anything with.
        restriction(IoringRestrictionOp::RegisterOp, enable),
    ];
    let (address, count) = (restrictions.as_ptr().cast(), restrictions.len() as u32);
    // SAFETY: the kernel reads `count` restrictions.
    unsafe { io_uring_register(ring, IoringRegisterOp::RegisterRestrictions, address, count) }?;
    Ok(())
}

fn map(ring: &OwnedFd, offset: u64, length: usize) -> io::Result<u64> {
    let flags = MapFlags::SHARED | MapFlags::POPULATE;
    // SAFETY: maps memory of the kernel's at an address that nothing has; it stays mapped for ever.
    let address: *mut c_void = unsafe {
        mmap(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags, ring, offset)
    }?;
    Ok(address.addr() as u64)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::io::{read, write};
    use rustix::io_uring::{IoringEnterFlags, io_uring_enter};

    use super::*;
    use crate::elf::sample;

    /// What a guest has: the ring of a manifest with two interfaces around a block device. And the interfaces' other ends.
    fn guest() -> (NetworkRing, [OwnedFd; 2]) {
        let mut manifest = Manifest::parse(&sample::manifest(&["service", "storage", "management"]))
            .expect("the sample is valid");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let wires = [0, 2].map(|device: usize| {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("sockets exist");
            let fd = theirs.into_raw_fd();
            manifest.devices[device].attachment = Some(Attachment::Net { fd, mac: [2; 6], mtu: 1500 });
            ours
        });
        let disk = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).expect("memory exists");
        let fd = disk.into_raw_fd();
        manifest.devices[1].attachment = Some(Attachment::Block { fd, capacity: 512, block_size: 512 });
        (offer(&manifest).expect("`cargo xtask test` asks for this only where io_uring is allowed"), wires)
    }

    /// Submits one entry of `opcode` with `flags` for `file`, over `buffer`; what the kernel says.
    fn submit(
        ring: &NetworkRing,
        opcode: IoringOp,
        flags: IoringSqeFlags,
        file: i32,
        buffer: &mut [u8],
    ) -> i32 {
        let index = |address: u64| {
            // SAFETY: an index of the ring, mapped for ever.
            unsafe { AtomicU32::from_ptr(address as *mut u32) }
        };
        let tail = index(ring.submission_tail).load(Ordering::Relaxed);
        let mut entry = io_uring_sqe { opcode, flags, fd: file, ..io_uring_sqe::default() };
        entry.addr_or_splice_off_in.addr = rustix::io_uring::io_uring_ptr::new(buffer.as_mut_ptr().cast());
        entry.len.len = buffer.len() as u32;
        entry.op_flags.rw_flags = ReadWriteFlags::NOWAIT;
        // SAFETY: the index is masked to the array's length; the buffer outlives the call below, which completes the entry.
        let submitted = unsafe {
            (ring.submissions as *mut io_uring_sqe)
                .add((tail & (ring.submission_entries - 1)) as usize)
                .write(entry);
            index(ring.submission_tail).store(tail.wrapping_add(1), Ordering::Release);
            io_uring_enter(BorrowedFd::borrow_raw(ring.descriptor), 1, 1, IoringEnterFlags::GETEVENTS)
        };
        assert_eq!(submitted, Ok(1));
        let head = index(ring.completion_head).load(Ordering::Relaxed);
        assert_ne!(index(ring.completion_tail).load(Ordering::Acquire), head, "nothing completed");
        // SAFETY: the index is masked to the array's length, and the kernel has released this entry.
        let result = unsafe {
            (*(ring.completions as *const io_uring_cqe).add((head & (ring.completion_entries - 1)) as usize))
                .res
        };
        index(ring.completion_head).store(head.wrapping_add(1), Ordering::Release);
        result
    }

    #[test]
    #[ignore = "needs io_uring: cargo xtask test"]
    fn frames_pass_each_interface_by_its_handle() {
        let (ring, wires) = guest();
        for (handle, wire) in [1, 3].into_iter().zip(&wires) {
            let mut frame = [0; 64];
            let fixed = IoringSqeFlags::FIXED_FILE;
            let nothing = submit(&ring, IoringOp::Read, fixed, handle, &mut frame);
            assert_eq!(nothing, -libc::EAGAIN);
            write(wire, b"in").expect("the other end is open");
            assert_eq!(submit(&ring, IoringOp::Read, fixed, handle, &mut frame), 2);
            assert_eq!(&frame[..2], b"in");
            frame[..3].copy_from_slice(b"out");
            assert_eq!(submit(&ring, IoringOp::Write, fixed, handle, &mut frame[..3]), 3);
            assert_eq!(read(wire, &mut frame), Ok(3));
            assert_eq!(&frame[..3], b"out");
        }
    }

    #[test]
    #[ignore = "needs io_uring: cargo xtask test"]
    fn the_ring_does_nothing_else() {
        let (ring, wires) = guest();
        let fixed = IoringSqeFlags::FIXED_FILE;
        let wire = wires[0].as_raw_fd();
        let forbidden = [
            (IoringOp::Read, IoringSqeFlags::empty(), wire),
            (IoringOp::Write, IoringSqeFlags::empty(), 1),
            (IoringOp::Read, fixed | IoringSqeFlags::ASYNC, 1),
            (IoringOp::Read, fixed | IoringSqeFlags::IO_LINK, 1),
            (IoringOp::Read, fixed | IoringSqeFlags::BUFFER_SELECT, 1),
            (IoringOp::Nop, fixed, 1),
            (IoringOp::Readv, fixed, 1),
            (IoringOp::ReadFixed, fixed, 1),
            (IoringOp::PollAdd, fixed, 1),
            (IoringOp::Sendmsg, fixed, 1),
            (IoringOp::Send, fixed, 1),
            (IoringOp::Accept, fixed, 1),
            (IoringOp::Openat, IoringSqeFlags::empty(), libc::AT_FDCWD),
            (IoringOp::Socket, IoringSqeFlags::empty(), libc::AF_INET),
            (IoringOp::FilesUpdate, IoringSqeFlags::empty(), 0),
            (IoringOp::FixedFdInstall, fixed, 1),
            (IoringOp::UringCmd, fixed, 1),
            (IoringOp::Madvise, IoringSqeFlags::empty(), 0),
        ];
        for (opcode, flags, file) in forbidden {
            let result = submit(&ring, opcode, flags, file, &mut [0; 64]);
            assert_eq!(result, -libc::EACCES, "{opcode:?} {flags:?}");
        }
        for handle in [0, 2, 4, 1000, -1] {
            assert_eq!(submit(&ring, IoringOp::Read, fixed, handle, &mut [0; 64]), -libc::EBADF, "{handle}");
        }
    }

    #[test]
    #[ignore = "needs io_uring: cargo xtask test"]
    fn nothing_can_be_registered_any_more() {
        let (ring, _wires) = guest();
        // SAFETY: the descriptor stays open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(ring.descriptor) };
        let files = [0_i32];
        let wanted = [
            IoringRegisterOp::RegisterFiles,
            IoringRegisterOp::RegisterFilesUpdate,
            IoringRegisterOp::UnregisterFiles,
            IoringRegisterOp::RegisterBuffers,
            IoringRegisterOp::RegisterRestrictions,
            IoringRegisterOp::RegisterEventfd,
        ];
        for operation in wanted {
            // SAFETY: the kernel reads one descriptor at most before it refuses.
            let result = unsafe { io_uring_register(descriptor, operation, files.as_ptr().cast(), 1) };
            assert!(matches!(result, Err(Errno::ACCESS | Errno::BADFD)), "{operation:?}: {result:?}");
        }
    }
}
