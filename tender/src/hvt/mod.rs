//! The hardware-virtualised target: one virtual CPU of KVM, a thread for the network ring, a filter for each.
//!
//! ```text
//! 0        0x10000                    0x100000                           mem_size        + 2 MiB
//! │ tables │ boot info, manifest, args │ image │ heap …            stack ◄─┤ network ring │
//! ```
//!
//! Source: Solo5 `tenders/hvt`, `include/hvt_abi.h`, `include/hvt_ring.h`.

mod cpu;
mod hypercall;
mod memory;
mod report;
mod ring;

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use seccompiler::BpfProgram;
use solo5_sys::hvt::{
    BOOT_INFO_BASE, BootInfo, FEATURE_RING_IO, HYPERCALL_MAX, HYPERCALL_PORT_BASE, RING_KICK_PORT, Ring,
};

use crate::boot::{self, WaitSet};
use crate::confine::Policy;
use crate::elf::Image;
use crate::failure::{self, Failure};
use crate::limits::{HVT_MEMORY_MAX, HVT_PAGE_SIZE};
use crate::manifest::{Attachment, Manifest};
use hypercall::{Host, HypercallError, Next};
use memory::GuestMemory;
use ring::HostRing;

/// A guest that is ready to run.
pub struct Guest {
    memory: Arc<GuestMemory>,
    manifest: Manifest,
    wait_set: WaitSet,
    vcpu: VcpuFd,
    filter: BpfProgram,
    /// Keeps the virtual machine alive.
    _vm: VmFd,
}

/// Memory for a guest that asks for `wanted` bytes: what it is told of, a multiple of [`HVT_PAGE_SIZE`], and what is
/// mapped, which has room for the ring if there is to be one.
pub fn memory_size(wanted: u64, has_ring: bool) -> Result<(u64, u64), Failure> {
    let visible = (wanted / HVT_PAGE_SIZE * HVT_PAGE_SIZE).max(HVT_PAGE_SIZE);
    if visible > HVT_MEMORY_MAX {
        let (wanted, most) = (visible >> 20, HVT_MEMORY_MAX >> 20);
        return Err(Failure::general(format!("hvt has at most {most} MiB of memory, and --mem is {wanted}")));
    }
    if !has_ring {
        return Ok((visible, visible));
    }
    // Where the guest already has all there is, the ring comes out of its memory.
    let mapped = (visible + HVT_PAGE_SIZE).min(HVT_MEMORY_MAX);
    Ok((mapped - HVT_PAGE_SIZE, mapped))
}

impl Guest {
    /// Makes a virtual machine with `image` and the attached devices of `manifest` in `wanted` bytes of memory, and gives up
    /// what it does not need. If `wants_ring`, it is offered a network ring where that helps.
    pub fn prepare(
        image: &Image<'_>,
        manifest: &Manifest,
        wanted: u64,
        command_line: &[u8],
        wants_ring: bool,
    ) -> Result<Self, Failure> {
        boot::check_personality()?;
        let wants_ring = wants_ring && networks(manifest).next().is_some() && runs_in_parallel();
        let (visible, mapped) = memory_size(wanted, wants_ring)?;
        if visible != wanted {
            eprintln!("skerry-tender: adjusting memory to {visible} bytes");
        }
        image.check_fits(visible).map_err(|error| Failure::general(error.to_string()))?;
        let mut memory = GuestMemory::new(mapped, visible).map_err(|error| memory_failure(mapped, &error))?;
        cpu::write_tables(&mut memory);
        for segment in &image.segments {
            memory.load(segment).map_err(|error| memory_failure(mapped, &error))?;
        }
        let (vm, vcpu, frequency) =
            make_machine(&memory, image.entry).map_err(|(what, error)| kvm_failure(what, error))?;
        let kick = if wants_ring { offer_ring(&vm) } else { None };
        write_boot_info(&mut memory, image, manifest, command_line, frequency, kick.is_some());
        let wait_set = WaitSet::new(manifest)?;
        let keep: Vec<RawFd> = boot::device_descriptors(manifest)
            .chain([wait_set.epoll, wait_set.timer, vm.as_raw_fd(), vcpu.as_raw_fd()])
            .chain(kick)
            .collect();
        boot::drop_privileges(&keep)?;
        let memory = Arc::new(memory);
        if let Some(kick) = kick {
            let filter = Policy::hvt_ring(manifest, kick).compile()?;
            HostRing::new(Arc::clone(&memory), manifest)
                .serve(kick, filter)
                .map_err(|error| Failure::general(format!("network ring: {error}")))?;
        }
        let filter =
            Policy::hvt_vcpu(manifest, vcpu.as_raw_fd(), wait_set.epoll, wait_set.timer).compile()?;
        Ok(Self { memory, manifest: manifest.clone(), wait_set, vcpu, filter, _vm: vm })
    }

    /// Runs it. It ends the process.
    pub fn run(mut self) -> ! {
        let host = Host::new(&self.memory, &self.manifest, self.wait_set);
        if let Err(error) = seccompiler::apply_filter(&self.filter) {
            report::line(format_args!("seccomp filter: {error}"));
            report::exit(failure::GENERAL);
        }
        loop {
            if let Next::Exit(status) = step(&mut self.vcpu, &host) {
                report::exit(status);
            }
        }
    }
}

/// Runs the guest until it needs the host, and does what it needs. Anything but a hypercall ends it with a reason.
fn step(vcpu: &mut VcpuFd, host: &Host<'_>) -> Next {
    let stop = |what: std::fmt::Arguments<'_>| {
        report::line(what);
        Next::Exit(failure::GENERAL)
    };
    let (port, address) = match vcpu.run() {
        Ok(VcpuExit::IoOut(port, data)) if let Ok(address) = data.try_into() => {
            (port, u64::from(u32::from_le_bytes(address)))
        }
        Ok(VcpuExit::Intr) => return Next::Resume,
        // Where KVM emulates the instruction, writing protected memory ends up here instead of with EFAULT.
        Ok(VcpuExit::MmioWrite(address, _)) if host.is_memory(address) => {
            return stop(format_args!(
                "KVM: host/guest translation fault: rip={:#x}, writing address {address:#x}",
                rip(vcpu)
            ));
        }
        Ok(exit) => {
            let what = describe(&exit);
            let (rip, fault) = (rip(vcpu), last_fault_address(vcpu));
            return stop(format_args!("the guest stopped with {what}: rip={rip:#x}, cr2={fault:#x}"));
        }
        Err(error) => match error.errno() {
            libc::EINTR | libc::EAGAIN => return Next::Resume,
            libc::EFAULT => {
                return stop(format_args!("KVM: host/guest translation fault: rip={:#x}", rip(vcpu)));
            }
            errno => return stop(format_args!("KVM_RUN failed with errno {errno}: rip={:#x}", rip(vcpu))),
        },
    };
    let number = match port.checked_sub(HYPERCALL_PORT_BASE) {
        Some(number) if number < HYPERCALL_MAX => number,
        _ => return stop(format_args!("Invalid guest port access: port={port:#x}, rip={:#x}", rip(vcpu))),
    };
    match host.call(number, address) {
        Ok(next) => next,
        Err(HypercallError::Unknown(number)) => {
            stop(format_args!("Invalid guest hypercall: num={number}, rip={:#x}", rip(vcpu)))
        }
        Err(HypercallError::Address(bad)) => {
            stop(format_args!("hypercall {number}: {bad}: rip={:#x}", rip(vcpu)))
        }
    }
}

fn describe(exit: &VcpuExit<'_>) -> &'static str {
    match exit {
        VcpuExit::IoIn(..) | VcpuExit::IoOut(..) => "an Invalid guest port access",
        VcpuExit::MmioRead(..) | VcpuExit::MmioWrite(..) => "an access outside of its memory",
        VcpuExit::Hlt => "a hlt instruction",
        VcpuExit::Shutdown => "a triple fault",
        VcpuExit::FailEntry(..) => "a KVM entry failure",
        VcpuExit::InternalError => "a KVM internal error",
        _ => "an exit that no Solo5 guest causes",
    }
}

fn rip(vcpu: &VcpuFd) -> u64 {
    vcpu.get_regs().map_or(0, |registers| registers.rip)
}

fn last_fault_address(vcpu: &VcpuFd) -> u64 {
    vcpu.get_sregs().map_or(0, |registers| registers.cr2)
}

/// A virtual machine with `memory` and one CPU that is about to start at `entry`; and the CPU's frequency in Hz.
fn make_machine(
    memory: &GuestMemory,
    entry: u64,
) -> Result<(VmFd, VcpuFd, u64), (&'static str, kvm_ioctls::Error)> {
    let at = |what: &'static str| move |error| (what, error);
    let kvm = Kvm::new().map_err(at("/dev/kvm"))?;
    let vm = kvm.create_vm().map_err(at("KVM_CREATE_VM"))?;
    let vcpu = vm.create_vcpu(0).map_err(at("KVM_CREATE_VCPU"))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: memory.mapped(),
        userspace_addr: memory.host_address(),
    };
    // SAFETY: the mapping lives as long as the process, and nothing here refers to what is in it.
    unsafe { vm.set_user_memory_region(region) }.map_err(at("KVM_SET_USER_MEMORY_REGION"))?;
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(at("KVM_GET_SUPPORTED_CPUID"))?;
    vcpu.set_cpuid2(&cpuid).map_err(at("KVM_SET_CPUID2"))?;
    vcpu.set_sregs(&cpu::system_registers()).map_err(at("KVM_SET_SREGS"))?;
    vcpu.set_regs(&cpu::registers(entry, memory.end())).map_err(at("KVM_SET_REGS"))?;
    let frequency = vcpu.get_tsc_khz().map_err(at("KVM_GET_TSC_KHZ"))?;
    Ok((vm, vcpu, u64::from(frequency) * 1000))
}

/// `struct kvm_ioeventfd` and the call that registers it. Source: Linux `include/uapi/linux/kvm.h`.
#[repr(C)]
struct IoEventFd {
    datamatch: u64,
    address: u64,
    length: u32,
    fd: i32,
    flags: u32,
    padding: [u8; 36],
}

const KVM_IOEVENTFD: libc::c_ulong = 0x4040_ae79;
const KVM_IOEVENTFD_FLAG_PIO: u32 = 1 << 1;
const _: () = assert!(size_of::<IoEventFd>() == 64);

/// Whether guest and ring thread can run at the same time. On one processor each frame is a switch to the thread and back,
/// while the guest spins for an answer that cannot come; hypercalls cost less there even where leaving the machine is slow.
fn runs_in_parallel() -> bool {
    rustix::thread::sched_getaffinity(None).is_ok_and(|allowed| allowed.count() > 1)
}

/// Makes the kick port wake an eventfd, which is returned; `None` where this KVM cannot, and the guest uses hypercalls.
fn offer_ring(vm: &VmFd) -> Option<RawFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    let request = IoEventFd {
        datamatch: 0,
        address: u64::from(RING_KICK_PORT),
        length: 4,
        fd,
        flags: KVM_IOEVENTFD_FLAG_PIO,
        padding: [0; 36],
    };
    // SAFETY: KVM_IOEVENTFD reads a structure of this layout.
    let registered =
        fd >= 0 && unsafe { libc::ioctl(vm.as_raw_fd(), KVM_IOEVENTFD, &raw const request) } == 0;
    registered.then_some(fd)
}

fn write_boot_info(
    memory: &mut GuestMemory,
    image: &Image<'_>,
    manifest: &Manifest,
    command_line: &[u8],
    frequency: u64,
    has_ring: bool,
) {
    let manifest = manifest.to_bytes(false);
    let manifest_address = BOOT_INFO_BASE + size_of::<BootInfo>() as u64;
    let command_line_address = manifest_address + manifest.len() as u64;
    let fields = [
        memory.end(),
        image.end,
        frequency,
        command_line_address,
        manifest_address,
        // Host features in the lower half, the guest's answer in the upper.
        u64::from(if has_ring { FEATURE_RING_IO } else { 0 }),
        if has_ring { memory.end() } else { 0 },
    ];
    let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
    memory.write_bytes(BOOT_INFO_BASE, &bytes);
    memory.write_bytes(manifest_address, &manifest);
    memory.write_bytes(command_line_address, command_line);
}

const _: () = assert!(size_of::<BootInfo>() == 7 * 8 && size_of::<Ring>() as u64 <= HVT_PAGE_SIZE);

fn networks(manifest: &Manifest) -> impl Iterator<Item = RawFd> + '_ {
    manifest.attachments().filter_map(|(_, attachment)| match attachment {
        Attachment::Net { fd, .. } => Some(fd),
        Attachment::Block { .. } => None,
    })
}

fn memory_failure(mapped: u64, error: &io::Error) -> Failure {
    Failure::general(format!("{} MiB of memory for the guest cannot be had: {error}", mapped >> 20))
}

fn kvm_failure(what: &str, error: kvm_ioctls::Error) -> Failure {
    let advice = match (what, error.errno()) {
        ("/dev/kvm", libc::EACCES | libc::EPERM) => {
            "; let your user open it (usermod -aG kvm USER, then log in again), or use the image for spt, which needs no rights"
        }
        ("/dev/kvm", libc::ENOENT) => {
            "; this host has no KVM (modprobe kvm_intel or kvm_amd), so use the image for spt"
        }
        ("/dev/kvm", _) => "; use the image for spt, which needs no KVM",
        _ => "",
    };
    Failure::general(format!("{what}: {}{advice}", io::Error::from_raw_os_error(error.errno())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted_mib: u64, has_ring: bool, expected_mib: Option<(u64, u64)>) {
        let sizes = memory_size(wanted_mib << 20, has_ring).ok();
        assert_eq!(sizes.map(|(visible, mapped)| (visible >> 20, mapped >> 20)), expected_mib);
    }

    #[test]
    fn memory_is_rounded_and_the_ring_lies_behind_it() {
        check(512, false, Some((512, 512)));
        check(512, true, Some((512, 514)));
        check(1, false, Some((2, 2)));
        check(7, true, Some((6, 8)));
        check(4096, false, Some((4096, 4096)));
        check(4096, true, Some((4094, 4096)));
        check(4098, false, None);
    }
}
