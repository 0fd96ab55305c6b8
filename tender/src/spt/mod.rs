//! The sandboxed-process target: the guest runs in this very process, whose last act is to give up almost every system call.
//!
//! ```text
//! 0x10000   0x11000    0x100000                                       mem_size
//!   │ unused │ boot info, manifest, command line │ image │ heap … stack ◄─┤
//! ```
//!
//! Addresses are the process's own: the guest sees what the tender maps, with the protection of the image's segments.
//! Source: Solo5 `tenders/spt`, `include/spt_abi.h`.

mod fault;
mod launch;
mod ring;

use std::ffi::c_void;
use std::io;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use seccompiler::BpfProgram;
use solo5_sys::skerry::{NetworkOffload, NetworkRing};
use solo5_sys::spt::{BOOT_INFO_BASE, BootInfo, HOST_MEM_BASE};

use crate::boot::{self, WaitSet};
use crate::confine::Policy;
use crate::elf::{Image, Segment};
use crate::failure::Failure;
use crate::limits::SPT_SYSTEM_CALLS_MAX;
use crate::manifest::Manifest;

/// A guest that is ready to run.
pub struct Guest {
    filter: BpfProgram,
    entry: u64,
    stack: u64,
    thread_pointer: u64,
}

impl Guest {
    /// Loads `image` with the attached devices of `manifest` into `memory` bytes, and gives up what it does not need. If
    /// `wants_ring`, it is offered a network ring where the host's kernel has one. `offload` says on which interfaces frames
    /// have headers.
    pub fn prepare(
        image: &Image<'_>,
        manifest: &Manifest,
        memory: u64,
        command_line: &[u8],
        wants_ring: bool,
        offload: NetworkOffload,
    ) -> Result<Self, Failure> {
        boot::check_personality()?;
        map_memory(memory)?;
        let wait_set = WaitSet::new(manifest)?;
        for segment in &image.segments {
            load(segment)?;
        }
        write_boot_info(image, manifest, memory, command_line, wait_set);
        if let Some(place) = image.network_offload {
            // SAFETY: the loader checked that `place` is aligned, with room for it inside a writable segment, which is loaded.
            unsafe { (place as *mut NetworkOffload).write(offload) };
        }
        let ring =
            image.network_ring.filter(|_| wants_ring).and_then(|place| hand_over_ring(place, manifest));
        let policy =
            Policy::spt(manifest, wait_set.epoll, wait_set.timer, ring, image.thread_pointer.is_some());
        warn_about_ninth_call(&policy);
        let filter = policy.compile()?;
        fault::install(HOST_MEM_BASE..memory, image.thread_pointer.is_some())
            .map_err(|error| Failure::general(format!("fault handler: {error}")))?;
        let keep: Vec<i32> =
            boot::device_descriptors(manifest).chain([wait_set.epoll, wait_set.timer]).chain(ring).collect();
        boot::drop_privileges(&keep)?;
        Ok(Self {
            filter,
            entry: image.entry,
            stack: memory - 8,
            thread_pointer: image.thread_pointer.unwrap_or(0),
        })
    }

    /// Runs it. It ends the process.
    pub fn run(self) -> ! {
        // SAFETY: `prepare` loaded a validated image: the entry lies in an executable segment, stack and boot information
        // in its memory.
        unsafe { launch::launch(&self.filter, self.entry, self.stack, BOOT_INFO_BASE, self.thread_pointer) }
    }
}

/// Makes a network ring, if there can be one, and writes it to `place` in the image. Its descriptor.
fn hand_over_ring(place: u64, manifest: &Manifest) -> Option<i32> {
    let ring = ring::offer(manifest)?;
    // SAFETY: the loader checked that `place` is aligned, with room for a ring inside a writable segment, which is loaded.
    unsafe { (place as *mut NetworkRing).write(ring) };
    Some(ring.descriptor)
}

fn warn_about_ninth_call(policy: &Policy) {
    if policy.system_calls() > SPT_SYSTEM_CALLS_MAX {
        eprintln!(
            "skerry-tender: this image does not name its thread pointer, so it keeps {} system calls, arch_prctl among them",
            policy.system_calls()
        );
    }
}

/// Maps the guest's memory at its fixed address, as far as `memory`, without taking any of it yet.
fn map_memory(memory: u64) -> Result<(), Failure> {
    let failure = |error: rustix::io::Errno| {
        Failure::general(format!("{} MiB of memory for the guest cannot be had: {error}", memory >> 20))
    };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
    let length = (memory - HOST_MEM_BASE) as usize;
    // SAFETY: MAP_FIXED_NOREPLACE takes only addresses that nothing else has.
    let got = unsafe {
        mmap_anonymous(HOST_MEM_BASE as *mut c_void, length, ProtFlags::READ | ProtFlags::WRITE, flags)
    }
    .map_err(failure)?;
    assert_eq!(got.addr() as u64, HOST_MEM_BASE, "MAP_FIXED_NOREPLACE was not honoured");
    Ok(())
}

fn load(segment: &Segment<'_>) -> Result<(), Failure> {
    let mut protection = MprotectFlags::empty();
    protection.set(MprotectFlags::READ, segment.protection.read);
    protection.set(MprotectFlags::WRITE, segment.protection.write);
    protection.set(MprotectFlags::EXEC, segment.protection.execute);
    let (start, length) = (segment.pages.start, segment.pages.end - segment.pages.start);
    // SAFETY: the loader checked that the segment lies in whole pages of its own inside the guest's memory, which is
    // mapped, still zero and writable there, and which no reference of this program points into.
    unsafe {
        std::ptr::copy_nonoverlapping(
            segment.content.as_ptr(),
            segment.address as *mut u8,
            segment.content.len(),
        );
        mprotect(start as *mut c_void, length as usize, protection)
    }
    .map_err(|error| Failure::general(format!("mprotect: {}", io::Error::from(error))))
}

fn write_boot_info(
    image: &Image<'_>,
    manifest: &Manifest,
    memory: u64,
    command_line: &[u8],
    wait_set: WaitSet,
) {
    let manifest = manifest.to_bytes(true);
    let manifest_address = BOOT_INFO_BASE + size_of::<BootInfo>() as u64;
    let command_line_address = manifest_address + manifest.len() as u64;
    let info = BootInfo {
        mem_size: memory,
        kernel_end: image.end,
        command_line: command_line_address,
        manifest: manifest_address,
        epoll_fd: wait_set.epoll,
        timer_fd: wait_set.timer,
    };
    // SAFETY: all three lie below the lowest image address, 0xef000 bytes further up, in mapped and writable memory; the
    // longest manifest and command line together have less than 0x4000 bytes.
    unsafe {
        (BOOT_INFO_BASE as *mut BootInfo).write(info);
        std::ptr::copy_nonoverlapping(manifest.as_ptr(), manifest_address as *mut u8, manifest.len());
        std::ptr::copy_nonoverlapping(
            command_line.as_ptr(),
            command_line_address as *mut u8,
            command_line.len(),
        );
    }
}
