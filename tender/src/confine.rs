//! What each process may still ask of the host's kernel once the guest runs. Everything else kills the process.
//!
//! # spt: the guest itself
//!
//! | system call | arguments | only if |
//! |---|---|---|
//! | `read` | descriptor of an interface | an interface is attached, and there is no ring |
//! | `write` | descriptor 1, or of an interface where there is no ring | |
//! | `io_uring_enter` | the network ring, `IORING_ENTER_GETEVENTS`, no signal mask | there is one, see `spt/ring.rs` |
//! | `pread64`, `pwrite64` | descriptor of a block device, length = its block size, offset ≤ capacity - block size | a block device is attached |
//! | `clock_gettime` | `CLOCK_MONOTONIC` or `CLOCK_REALTIME` | |
//! | `timerfd_settime` | the timer | |
//! | `epoll_pwait` | the epoll set | |
//! | `exit_group` | | |
//! | `arch_prctl` | `ARCH_SET_FS` | the image does not name its thread pointer |
//!
//! A guest that asks its ring for a read of a quiet interface without RWF_NOWAIT leaves an entry waiting in the kernel; it can
//! leave many. They count as memory of the tender's control group, which is where a host that runs images of strangers bounds them, or
//! it offers no ring (`--no-ring`).
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
//! neither open a file nor make a socket or a process. `USER_NETWORK` is the list. With `--outbound` it may also make and
//! connect sockets of TCP and UDP over IPv4.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::failure::Failure;
use crate::manifest::{Attachment, Manifest};

/// `arch_prctl`'s code for setting the base of `fs`. Source: Linux `asm/prctl.h`.
pub const ARCH_SET_FS: u64 = 0x1002;

/// `IORING_ENTER_GETEVENTS`. Source: Linux `include/uapi/linux/io_uring.h`.
const ENTER_GETEVENTS: u32 = 1;

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
    pub fn spt(
        manifest: &Manifest,
        epoll: i32,
        timer: i32,
        ring: Option<i32>,
        names_thread_pointer: bool,
    ) -> Self {
        let mut policy = Self::default();
        if let Some(ring) = ring {
            let get_events = Argument::Int(3, ENTER_GETEVENTS);
            policy.allow(libc::SYS_io_uring_enter, &[fd_is(ring), get_events, Argument::Equal(4, 0)]);
        }
        for (_, attachment) in manifest.attachments() {
            match attachment {
                Attachment::Net { .. } if ring.is_some() => {}
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
    ///
    /// With `outbound` it may also make sockets of TCP and UDP over IPv4 and connect them. Where to, no filter can see.
    pub fn user_network(outbound: bool) -> Self {
        let mut policy = Self::default();
        for system_call in USER_NETWORK {
            policy.allow(system_call, &[]);
        }
        policy.allow(libc::SYS_write, &[fd_is(2)]);
        if outbound {
            policy.allow(libc::SYS_connect, &[]);
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                let kind = (kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u32;
                let family = libc::AF_INET as u32;
                policy.allow(
                    libc::SYS_socket,
                    &[Argument::Int(0, family), Argument::Int(1, kind), Argument::Int(2, 0)],
                );
            }
        }
        policy
    }

    /// How many system calls it has.
    pub fn system_calls(&self) -> usize {
        self.rules.len()
    }

    /// The filter program for the kernel.
    pub fn compile(self) -> Result<BpfProgram, Failure> {
        self.compile_with(SeccompAction::KillProcess)
    }

    /// The same with another end for what is not allowed.
    fn compile_with(self, otherwise: SeccompAction) -> Result<BpfProgram, Failure> {
        let failure = |error: seccompiler::BackendError| Failure::general(format!("seccomp filter: {error}"));
        SeccompFilter::new(self.rules, otherwise, SeccompAction::Allow, TargetArch::x86_64)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;
    use crate::elf::sample;
    use crate::limits::SPT_SYSTEM_CALLS_MAX;

    /// Descriptors that are not open here, so that an allowed call fails instead of doing something.
    const NET: i32 = 1000;
    const BLOCK: i32 = 1001;
    const EPOLL: i32 = 1002;
    const TIMER: i32 = 1003;
    const VCPU: i32 = 1004;
    const KICK: i32 = 1005;
    const RING: i32 = 1006;
    const CAPACITY: u64 = 0x8000;

    fn manifest() -> Manifest {
        let mut manifest =
            Manifest::parse(&sample::manifest(&["service", "storage"])).expect("the sample is valid");
        manifest.devices[0].attachment = Some(Attachment::Net { fd: NET, mac: [2; 6], mtu: 1500 });
        manifest.devices[1].attachment =
            Some(Attachment::Block { fd: BLOCK, capacity: CAPACITY, block_size: 512 });
        manifest
    }

    fn spt() -> Policy {
        Policy::spt(&manifest(), EPOLL, TIMER, None, true)
    }

    fn spt_with_ring() -> Policy {
        Policy::spt(&manifest(), EPOLL, TIMER, Some(RING), true)
    }

    /// `uretprobe` and `uprobe`, which the kernel does not ask filters about: from anywhere but its own page they do nothing
    /// but end the process. Source: Linux `kernel/seccomp.c`, `seccomp_uprobe_exception`.
    const PROBES: [i64; 2] = [335, 336];

    /// One system call: its number and arguments.
    type Call = (i64, [u64; 5]);

    /// What the kernel says to each call under `policy`, asked in a process of its own: whether the call is allowed.
    fn ask(policy: Policy, calls: &[Call]) -> Vec<bool> {
        /// An error that no system call has.
        const FORBIDDEN: i32 = 4000;
        let filter = policy.compile_with(SeccompAction::Errno(FORBIDDEN as u32)).expect("it compiles");
        // SAFETY: a new mapping, shared with the child.
        let shared = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                calls.len(),
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
            )
        }
        .expect("memory for a test");
        // SAFETY: as long as the mapping, aligned, zero, and accessed through atomics by both processes.
        let answers = unsafe { std::slice::from_raw_parts(shared.cast::<AtomicU8>(), calls.len()) };
        // SAFETY: the child makes system calls and nothing else: no allocation, no lock.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            if seccompiler::apply_filter(&filter).is_ok() {
                for ((number, [a, b, c, d, e]), answer) in calls.iter().zip(answers) {
                    // SAFETY: pointers here are null, and descriptors closed: nothing is read or written.
                    let result = unsafe { libc::syscall(*number, *a, *b, *c, *d, *e, 0) };
                    let forbidden =
                        result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(FORBIDDEN);
                    answer.store(if forbidden { 1 } else { 2 }, Ordering::Relaxed);
                }
            }
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        let asked = answers.iter().filter(|answer| answer.load(Ordering::Relaxed) != 0).count();
        assert_eq!(status, 0, "the child ended at {:?}", calls.get(asked));
        let answers = answers.iter().map(|answer| answer.load(Ordering::Relaxed));
        answers.inspect(|answer| assert_ne!(*answer, 0, "not asked")).map(|answer| answer == 2).collect()
    }

    /// Numbers of all system calls that are allowed with at least one of many first arguments. `exit_group` is left out.
    fn allowed(policy: Policy) -> BTreeSet<i64> {
        let firsts = [0, 1, 2, 3, 7].into_iter().chain((NET..=KICK).map(|fd| fd as u64));
        let numbers = (0..600).filter(|number| *number != libc::SYS_exit_group && !PROBES.contains(number));
        let requests = [0, u64::from(KVM_RUN), u64::from(KVM_GET_REGS)];
        let lengths = [0, 512];
        let calls: Vec<Call> = numbers
            .flat_map(|number| firsts.clone().map(move |first| (number, first)))
            .flat_map(|(number, first)| requests.map(|second| (number, first, second)))
            .flat_map(|(number, first, second)| lengths.map(|third| (number, [first, second, third, 0, 0])))
            .collect();
        let answers = ask(policy, &calls);
        calls.iter().zip(answers).filter(|(_, allowed)| *allowed).map(|((number, _), _)| *number).collect()
    }

    #[track_caller]
    fn check(policy: Policy, number: i64, arguments: [u64; 4], expect: bool) {
        let [a, b, c, d] = arguments;
        assert_eq!(ask(policy, &[(number, [a, b, c, d, 0])]), [expect]);
    }

    #[test]
    fn a_guest_on_spt_has_eight_system_calls() {
        assert_eq!(spt().system_calls(), SPT_SYSTEM_CALLS_MAX);
        let others = [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
            libc::SYS_clock_gettime,
            libc::SYS_timerfd_settime,
            libc::SYS_epoll_pwait,
        ];
        assert_eq!(allowed(spt()), others.into(), "beside exit_group");
    }

    #[test]
    fn a_guest_with_a_ring_has_it_in_place_of_read() {
        assert_eq!(spt_with_ring().system_calls(), SPT_SYSTEM_CALLS_MAX);
        let enter = |descriptor: i32, flags, mask| {
            let arguments = [descriptor as u64, 0, 0, flags, mask];
            ask(spt_with_ring(), &[(libc::SYS_io_uring_enter, arguments)])
        };
        assert_eq!(enter(RING, 1, 0), [true]);
        assert_eq!(enter(RING, 0, 0), [false]);
        assert_eq!(enter(RING, 1 << 3 | 1, 0), [false], "an argument that is a structure");
        assert_eq!(enter(RING, 1, 0x1000), [false], "a signal mask");
        assert_eq!(enter(NET, 1, 0), [false]);
        for number in [libc::SYS_read, libc::SYS_io_uring_setup, libc::SYS_io_uring_register] {
            check(spt_with_ring(), number, [RING as u64, 0, 0, 0], false);
        }
        check(spt_with_ring(), libc::SYS_read, [NET as u64, 0, 0, 0], false);
        check(spt_with_ring(), libc::SYS_write, [NET as u64, 0, 0, 0], false);
        check(spt_with_ring(), libc::SYS_write, [1, 0, 0, 0], true);
    }

    #[test]
    fn a_guest_without_devices_has_five() {
        let manifest = Manifest::parse(&sample::manifest(&[])).expect("the sample is valid");
        let policy = Policy::spt(&manifest, EPOLL, TIMER, None, true);
        assert_eq!(policy.system_calls(), 5);
        let others =
            [libc::SYS_write, libc::SYS_clock_gettime, libc::SYS_timerfd_settime, libc::SYS_epoll_pwait];
        assert_eq!(allowed(policy), others.into(), "beside exit_group");
    }

    #[test]
    fn descriptors_on_spt_are_those_of_the_devices() {
        let fd = |fd: i32| [fd as u64, 0, 0, 0];
        check(spt(), libc::SYS_read, fd(NET), true);
        check(spt(), libc::SYS_write, fd(NET), true);
        check(spt(), libc::SYS_write, fd(1), true);
        for other in [0, 2, 3, BLOCK, EPOLL, TIMER] {
            check(spt(), libc::SYS_read, fd(other), false);
            check(spt(), libc::SYS_write, fd(other), false);
        }
        check(spt(), libc::SYS_read, fd(1), false);
        check(spt(), libc::SYS_epoll_pwait, fd(TIMER), false);
        check(spt(), libc::SYS_timerfd_settime, fd(EPOLL), false);
        // The kernel looks at 32 bits of a descriptor, and so must the filter.
        check(spt(), libc::SYS_read, [1 << 32, 0, 0, 0], false);
        check(spt(), libc::SYS_read, [1 << 32 | NET as u64, 0, 0, 0], true);
    }

    #[test]
    fn blocks_on_spt_are_whole_and_inside_of_the_device() {
        let block = |fd: i32, length, offset| [fd as u64, 0, length, offset];
        for number in [libc::SYS_pread64, libc::SYS_pwrite64] {
            check(spt(), number, block(BLOCK, 512, 0), true);
            check(spt(), number, block(BLOCK, 512, CAPACITY - 512), true);
            check(spt(), number, block(BLOCK, 512, CAPACITY - 511), false);
            check(spt(), number, block(BLOCK, 512, CAPACITY), false);
            check(spt(), number, block(BLOCK, 512, u64::MAX - 511), false);
            check(spt(), number, block(BLOCK, 511, 0), false);
            check(spt(), number, block(BLOCK, 513, 0), false);
            check(spt(), number, block(BLOCK, 1 << 32 | 512, 0), false);
            check(spt(), number, block(NET, 512, 0), false);
        }
    }

    #[test]
    fn clocks_on_spt_are_two() {
        let clock = |clock: i32| [u64::from(clock as u32), 0, 0, 0];
        check(spt(), libc::SYS_clock_gettime, clock(libc::CLOCK_MONOTONIC), true);
        check(spt(), libc::SYS_clock_gettime, clock(libc::CLOCK_REALTIME), true);
        for other in [libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_TAI, -1, -6] {
            check(spt(), libc::SYS_clock_gettime, clock(other), false);
        }
    }

    #[test]
    fn an_image_that_does_not_name_its_thread_pointer_may_set_it_and_nothing_else() {
        let policy = || Policy::spt(&manifest(), EPOLL, TIMER, None, false);
        assert_eq!(policy().system_calls(), SPT_SYSTEM_CALLS_MAX + 1);
        for other in [0x1001, 0x1003, 0x1011, 0x3001] {
            check(policy(), libc::SYS_arch_prctl, [other, 0, 0, 0], false);
        }
        check(spt(), libc::SYS_arch_prctl, [ARCH_SET_FS, 0, 0, 0], false);
    }

    #[test]
    fn numbers_of_the_other_abi_are_forbidden() {
        const X32: i64 = 0x4000_0000;
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_clock_gettime, libc::SYS_exit_group] {
            check(spt(), X32 | number, [NET as u64, 0, 0, 0], false);
        }
    }

    #[test]
    fn the_threads_of_an_hvt_tender_have_nine_and_three() {
        let vcpu = || Policy::hvt_vcpu(&manifest(), VCPU, EPOLL, TIMER);
        let others = [
            libc::SYS_ioctl,
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
            libc::SYS_epoll_pwait,
            libc::SYS_timerfd_settime,
            libc::SYS_clock_gettime,
        ];
        assert_eq!(allowed(vcpu()), others.into(), "beside exit_group");
        check(vcpu(), libc::SYS_ioctl, [VCPU as u64, 0xae41, 0, 0], false);
        check(vcpu(), libc::SYS_ioctl, [NET as u64, u64::from(KVM_RUN), 0, 0], false);
        check(vcpu(), libc::SYS_pread64, [BLOCK as u64, 0, CAPACITY + 1, 0], false);
        let ring = || Policy::hvt_ring(&manifest(), KICK);
        assert_eq!(allowed(ring()), [libc::SYS_read, libc::SYS_write].into(), "beside exit_group");
        check(ring(), libc::SYS_write, [KICK as u64, 0, 0, 0], false);
        check(ring(), libc::SYS_write, [1, 0, 0, 0], false);
    }

    #[test]
    fn the_user_mode_network_opens_and_starts_nothing() {
        let forbidden = [
            libc::SYS_open,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_mprotect,
            libc::SYS_kill,
            libc::SYS_ioctl,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
        ];
        let calls: Vec<Call> = forbidden.map(|number| (number, [0; 5])).into();
        assert_eq!(ask(Policy::user_network(false), &calls), [false; 18]);
    }

    #[test]
    fn outbound_makes_sockets_of_tcp_and_udp_over_ipv4_and_no_others() {
        let policy = || Policy::user_network(true);
        let flags = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u64;
        let socket = |family: i32, kind: i32, protocol: i32| {
            ask(policy(), &[(libc::SYS_socket, [family as u64, kind as u64 | flags, protocol as u64, 0, 0])])
        };
        assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM, 0), [true]);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_DGRAM, 0), [true]);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP), [false]);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP), [false]);
        for family in [libc::AF_UNIX, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK] {
            assert_eq!(socket(family, libc::SOCK_STREAM, 0), [false]);
            assert_eq!(socket(family, libc::SOCK_DGRAM, 0), [false]);
        }
        for number in [libc::SYS_bind, libc::SYS_listen, libc::SYS_openat, libc::SYS_clone, libc::SYS_execve]
        {
            check(policy(), number, [0, 0, 0, 0], false);
        }
    }
}
