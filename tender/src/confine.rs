//! What each process may still ask of the host's kernel once the guest runs. Everything else kills the process.
//!
//! # spt: the guest itself
//!
//! | system call | arguments | only if |
//! |---|---|---|
//! | `read` | descriptor of an interface | an interface is attached |
//! | `write` | descriptor 1, or of an interface | |
//! | `pread64`, `pwrite64` | descriptor of a block device, length = its block size, offset ≤ capacity - block size | a block device is attached |
//! | `clock_gettime` | `CLOCK_MONOTONIC` or `CLOCK_REALTIME` | |
//! | `timerfd_settime` | the timer | |
//! | `epoll_pwait` | the epoll set | |
//! | `exit_group` | | |
//! | `arch_prctl` | `ARCH_SET_FS` | the image does not name its thread pointer |
//!
//! That is 8 at most for an image that names its thread pointer, as all of ours do.
//!
//! # hvt: one filter for each thread
//!
//! | thread | system call | arguments |
//! |---|---|---|
//! | vcpu | `ioctl` | the vcpu's descriptor, `KVM_RUN`, `KVM_GET_REGS` or `KVM_GET_SREGS` |
//! | vcpu | `read` | descriptor of an interface |
//! | vcpu | `write` | descriptors 1, 2, or of an interface |
//! | vcpu | `pread64`, `pwrite64` | descriptor of a block device, length and offset ≤ its capacity |
//! | vcpu | `epoll_pwait` | the epoll set |
//! | vcpu | `timerfd_settime` | the timer |
//! | vcpu | `clock_gettime` | `CLOCK_REALTIME` |
//! | vcpu | `exit_group` | |
//! | ring | `read` | the kick's eventfd, or descriptor of an interface |
//! | ring | `write` | descriptor 2, or of an interface |
//! | ring | `exit_group` | |
//!
//! Nine calls for the vcpu thread and three for the ring's. Both inherit nothing else: no memory is mapped or freed, no
//! descriptor opened or closed after the filters are in place.
//!
//! # The user-mode network's process
//!
//! It talks to the whole world, so it may receive, send, accept and close, wait, take memory and write to descriptor 2, and
//! neither open a file nor make a socket or a process. `USER_NETWORK` is the list.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::failure::Failure;
use crate::manifest::{Attachment, Manifest};

/// `arch_prctl`'s code for setting the base of `fs`. Source: Linux `asm/prctl.h`.
pub const ARCH_SET_FS: u64 = 0x1002;

/// `ioctl` requests on a virtual CPU. Source: Linux `include/uapi/linux/kvm.h`.
const KVM_RUN: u32 = 0xae80;
const KVM_GET_REGS: u32 = 0x8090_ae81;
const KVM_GET_SREGS: u32 = 0x8138_ae83;

/// What the user-mode network's process calls with any arguments. It has no descriptor but sockets, its epoll set and the
/// standard three, and cannot open or make one, so arguments have little left to say.
const USER_NETWORK: [i64; 24] = [
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_epoll_ctl,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_close,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// A condition on one argument of a system call.
#[derive(Clone, Copy, Debug)]
enum Argument {
    /// The `int` or `unsigned int` argument with this index: the kernel looks at 32 bits, and so does the filter.
    Int(u8, u32),
    /// The 64-bit argument with this index is this value.
    Equal(u8, u64),
    /// The 64-bit argument with this index is at most this value, unsigned: a negative offset is not.
    AtMost(u8, u64),
}

/// The system calls that a process or thread keeps.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: BTreeMap<i64, Vec<SeccompRule>>,
}

impl Policy {
    /// For an spt guest with the attached devices of `manifest`.
    pub fn spt(manifest: &Manifest, epoll: i32, timer: i32, names_thread_pointer: bool) -> Self {
        let mut policy = Self::default();
        for (_, attachment) in manifest.attachments() {
            match attachment {
                Attachment::Net { fd, .. } => {
                    policy.allow(libc::SYS_read, &[fd_is(fd)]);
                    policy.allow(libc::SYS_write, &[fd_is(fd)]);
                }
                Attachment::Block { fd, capacity, block_size } => {
                    let length = u64::from(block_size);
                    let block =
                        [fd_is(fd), Argument::Equal(2, length), Argument::AtMost(3, capacity - length)];
                    policy.allow(libc::SYS_pread64, &block);
                    policy.allow(libc::SYS_pwrite64, &block);
                }
            }
        }
        policy.allow(libc::SYS_write, &[fd_is(1)]);
        policy.allow(libc::SYS_clock_gettime, &[Argument::Int(0, libc::CLOCK_MONOTONIC as u32)]);
        policy.allow(libc::SYS_clock_gettime, &[Argument::Int(0, libc::CLOCK_REALTIME as u32)]);
        policy.allow(libc::SYS_timerfd_settime, &[fd_is(timer)]);
        policy.allow(libc::SYS_epoll_pwait, &[fd_is(epoll)]);
        policy.allow(libc::SYS_exit_group, &[]);
        if !names_thread_pointer {
            policy.allow(libc::SYS_arch_prctl, &[Argument::Int(0, ARCH_SET_FS as u32)]);
        }
        policy
    }

    /// For the thread that runs an hvt guest's virtual CPU.
    pub fn hvt_vcpu(manifest: &Manifest, vcpu: i32, epoll: i32, timer: i32) -> Self {
        let mut policy = Self::default();
        for request in [KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS] {
            policy.allow(libc::SYS_ioctl, &[fd_is(vcpu), Argument::Int(1, request)]);
        }
        for (_, attachment) in manifest.attachments() {
            match attachment {
                Attachment::Net { fd, .. } => {
                    policy.allow(libc::SYS_read, &[fd_is(fd)]);
                    policy.allow(libc::SYS_write, &[fd_is(fd)]);
                }
                Attachment::Block { fd, capacity, .. } => {
                    let part = [fd_is(fd), Argument::AtMost(2, capacity), Argument::AtMost(3, capacity)];
                    policy.allow(libc::SYS_pread64, &part);
                    policy.allow(libc::SYS_pwrite64, &part);
                }
            }
        }
        policy.allow(libc::SYS_write, &[fd_is(1)]);
        policy.allow(libc::SYS_write, &[fd_is(2)]);
        policy.allow(libc::SYS_epoll_pwait, &[fd_is(epoll)]);
        policy.allow(libc::SYS_timerfd_settime, &[fd_is(timer)]);
        policy.allow(libc::SYS_clock_gettime, &[Argument::Int(0, libc::CLOCK_REALTIME as u32)]);
        policy.allow(libc::SYS_exit_group, &[]);
        policy
    }

    /// For the thread that serves an hvt guest's network ring.
    pub fn hvt_ring(manifest: &Manifest, kick: i32) -> Self {
        let mut policy = Self::default();
        policy.allow(libc::SYS_read, &[fd_is(kick)]);
        policy.allow(libc::SYS_write, &[fd_is(2)]);
        for (_, attachment) in manifest.attachments() {
            if let Attachment::Net { fd, .. } = attachment {
                policy.allow(libc::SYS_read, &[fd_is(fd)]);
                policy.allow(libc::SYS_write, &[fd_is(fd)]);
            }
        }
        policy.allow(libc::SYS_exit_group, &[]);
        policy
    }

    /// For the child that carries the user-mode network, once its sockets are bound.
    pub fn user_network() -> Self {
        let mut policy = Self::default();
        for system_call in USER_NETWORK {
            policy.allow(system_call, &[]);
        }
        policy.allow(libc::SYS_write, &[fd_is(2)]);
        policy
    }

    /// How many system calls it has.
    pub fn system_calls(&self) -> usize {
        self.rules.len()
    }

    /// The filter program for the kernel.
    pub fn compile(self) -> Result<BpfProgram, Failure> {
        let failure = |error: seccompiler::BackendError| Failure::general(format!("seccomp filter: {error}"));
        SeccompFilter::new(self.rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)
            .and_then(BpfProgram::try_from)
            .map_err(failure)
    }

    /// Allows a call with these arguments; without arguments, any.
    fn allow(&mut self, system_call: i64, arguments: &[Argument]) {
        let rules = self.rules.entry(system_call).or_default();
        if !arguments.is_empty() {
            let conditions = arguments.iter().map(Argument::condition).collect();
            rules.push(SeccompRule::new(conditions).expect("a rule has conditions: checked above"));
        }
    }
}

impl Argument {
    fn condition(&self) -> SeccompCondition {
        let (index, length, operator, value) = match *self {
            Self::Int(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value)),
            Self::Equal(index, value) => (index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value),
            Self::AtMost(index, value) => (index, SeccompCmpArgLen::Qword, SeccompCmpOp::Le, value),
        };
        SeccompCondition::new(index, length, operator, value).expect("indices here are below 6")
    }
}

fn fd_is(fd: i32) -> Argument {
    Argument::Int(0, fd as u32)
}
