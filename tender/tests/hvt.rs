//! What a hostile guest on hvt gets: a line that says what it did, and an end; never a look beyond its memory.
//!
//! Each guest is a few instructions in ring 0, at the entry that the tender gives it. They need /dev/kvm, so a plain
//! `cargo test` shows them as ignored and `cargo xtask test` runs them.

mod machine;

use std::mem::offset_of;

use machine::{Code, End, File, confinement, run};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use skerry_tender::elf::sample::{self, DATA, ENTRY};
use solo5_sys::elf::Target;
use solo5_sys::hvt::{
    BOOT_INFO_BASE, BlockIo, BootInfo, FEATURE_RING_IO, HYPERCALL_PORT_BASE, Halt, Hypercall, NetIo, Puts,
    RING_KICK_PORT, Ring, RingEntry, result, ring_operation,
};

/// A guest's own status, which says that it went on.
const STATUS: u32 = 7;
/// Where the arguments of `halt` lie; those of other calls are at [`DATA`].
const HALT: u64 = DATA + 0x800;
/// Guest memory, MiB and bytes.
const MEMORY: (&str, u64) = ("--mem=4", 4 << 20);
/// Handles of the devices, where there are any.
const NETWORK: u32 = 1;
const STORAGE: u32 = 2;

fn call(code: Code, number: Hypercall, arguments: u64) -> Code {
    code.out(u32::from(HYPERCALL_PORT_BASE) + number as u32, arguments)
}

/// `halt(status)`, whose arguments are written first.
fn halt(code: Code, status: u32) -> Code {
    call(code.store(HALT + offset_of!(Halt, exit_status) as u64, status), Hypercall::Halt, HALT)
}

/// `halt` with the result that the hypercall before left at this address.
fn halt_with(code: Code, result: u64) -> Code {
    let result = u32::try_from(result).expect("test images lie low").to_le_bytes();
    let status = (HALT as u32 + offset_of!(Halt, exit_status) as u32).to_le_bytes();
    // mov eax, [result]; mov [status], eax
    let copied = code.raw(&[0x8b, 0x04, 0x25]).raw(&result).raw(&[0x89, 0x04, 0x25]).raw(&status);
    call(copied, Hypercall::Halt, HALT)
}

/// Stores a 64-bit field of the arguments at [`DATA`].
fn field(code: Code, offset: usize, value: u64) -> Code {
    let place = DATA + offset as u64;
    code.store(place, value as u32).store(place + 4, (value >> 32) as u32)
}

#[track_caller]
fn check_with(options: &[&str], devices: &[&str], code: Code, status: i32, words: &str) {
    let image = File::new(&sample::program(Target::Hvt, devices, &code.0, &[0; 16]));
    let (end, text) = run(options.iter().copied().chain([MEMORY.0, image.path()]));
    assert_eq!(end, End::Status(status), "it printed:\n{text}");
    assert!(text.contains(words), "'{words}' is missing from:\n{text}");
}

/// A guest that goes on after `code` has the status [`STATUS`].
#[track_caller]
fn check(code: Code, status: i32, words: &str) {
    check_with(&[], &[], halt(code, STATUS), status, words);
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn what_is_no_hypercall_ends_the_guest() {
    let new = Code::default;
    check(new(), STATUS as i32, "");
    check(new().out(0x500, DATA), 1, "Invalid guest hypercall: num=0");
    check(new().out(0x509, DATA), 1, "Invalid guest port access: port=0x509");
    check(new().out(0x3f8, 0x41), 1, "Invalid guest port access: port=0x3f8");
    // in eax, dx; out dx, al
    check(new().raw(&[0xba, 1, 5, 0, 0, 0xed]), 1, "an Invalid guest port access");
    check(new().raw(&[0xba, 2, 5, 0, 0, 0xee]), 1, "an Invalid guest port access");
    check(new().raw(&[0xf4]), 1, "a hlt instruction");
    check(new().raw(&[0x0f, 0x0b]), 1, "a triple fault");
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn arguments_must_lie_in_the_guests_memory() {
    let walltime = |address| call(Code::default(), Hypercall::Walltime, address);
    check(walltime(DATA), STATUS as i32, "");
    for address in [0, 0x2000, ENTRY, MEMORY.1 - 4, MEMORY.1, 0xffff_fff8] {
        check(walltime(address), 1, "are not the guest's to pass");
    }
    check(call(Code::default(), Hypercall::Halt, MEMORY.1 - 8), 1, "are not the guest's to pass");
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn bytes_that_are_passed_must_be_the_guests_too() {
    let puts = |data, length| {
        let data = field(Code::default(), offset_of!(Puts, data), data);
        call(field(data, offset_of!(Puts, len), length), Hypercall::Puts, DATA)
    };
    check(puts(ENTRY, 16), STATUS as i32, "");
    for (data, length) in [(MEMORY.1, 1), (ENTRY, MEMORY.1), (1 << 40, 8), (u64::MAX, 2), (ENTRY, u64::MAX)] {
        check(puts(data, length), 1, "are not the guest's to pass");
    }
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn blocks_outside_of_the_device_are_an_error_and_code_is_not_read_over() {
    let disk = File::new(&[0x90; 1024]);
    let storage = format!("--block:storage={}", disk.path());
    let block = |number, handle: u32, offset, data, length| {
        let code = field(Code::default(), offset_of!(BlockIo, handle), u64::from(handle));
        let code = field(code, offset_of!(BlockIo, offset), offset);
        let code = field(code, offset_of!(BlockIo, data), data);
        let code = call(field(code, offset_of!(BlockIo, len), length), number, DATA);
        halt_with(code, DATA + offset_of!(BlockIo, ret) as u64)
    };
    let run = |code, status, words| check_with(&[&storage], &["storage"], code, status, words);
    let buffer = DATA + 0x400;
    run(block(Hypercall::BlockRead, 1, 0, buffer, 512), result::OK, "");
    run(block(Hypercall::BlockWrite, 1, 512, buffer, 512), result::OK, "");
    for (handle, offset, length) in [
        (0, 0, 512),
        (2, 0, 512),
        (64, 0, 512),
        (u32::MAX, 0, 512),
        (1, 1024, 512),
        (1, 513, 512),
        (1, u64::MAX, 512),
    ] {
        run(block(Hypercall::BlockRead, handle, offset, buffer, length), result::EINVAL, "");
        run(block(Hypercall::BlockWrite, handle, offset, buffer, length), result::EINVAL, "");
    }
    run(block(Hypercall::BlockRead, 1, 0, ENTRY, 512), 1, "are not the guest's to pass");
    run(block(Hypercall::BlockRead, 1, 0, MEMORY.1 - 1, 512), 1, "are not the guest's to pass");
    run(block(Hypercall::BlockWrite, 1, 0, ENTRY, 512), result::OK, "");
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn frames_are_not_read_over_page_tables() {
    let net = |number, handle: u32, data| {
        let code = field(Code::default(), offset_of!(NetIo, handle), u64::from(handle));
        let code = field(code, offset_of!(NetIo, data), data);
        let code = call(field(code, offset_of!(NetIo, len), 64), number, DATA);
        halt_with(code, DATA + offset_of!(NetIo, ret) as u64)
    };
    let disk = File::new(&[0; 512]);
    let options = ["--publish=127.0.0.1:0:53", &format!("--block:storage={}", disk.path())];
    let run = |code, status, words| check_with(&options, &["service", "storage"], code, status, words);
    run(net(Hypercall::NetRead, NETWORK, DATA + 0x400), result::AGAIN, "");
    run(net(Hypercall::NetRead, STORAGE, DATA + 0x400), result::EINVAL, "");
    run(net(Hypercall::NetRead, NETWORK, 0x2000), 1, "are not the guest's to pass");
    run(net(Hypercall::NetWrite, NETWORK, MEMORY.1), 1, "are not the guest's to pass");
}

/// The processors that this thread and what it starts may use.
fn processors() -> CpuSet {
    sched_getaffinity(None).expect("every thread may ask for its own")
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn a_ring_is_offered_only_where_its_thread_has_a_processor_to_run_on() {
    let check = |features| {
        let code = halt_with(Code::default(), BOOT_INFO_BASE + offset_of!(BootInfo, host_features) as u64);
        check_with(&["--publish=127.0.0.1:0:53"], &["service"], code, features, "");
    };
    let all = processors();
    if all.count() > 1 {
        check(FEATURE_RING_IO as i32);
    }
    let first = (0..CpuSet::MAX_CPU).find(|&processor| all.is_set(processor)).expect("this runs on one");
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).expect("fewer are always allowed");
    let outcome = std::panic::catch_unwind(|| check(0));
    // The thread may be the harness's own, which goes on with other tests.
    sched_setaffinity(None, &all).expect("they were allowed before");
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// `mov dword [ring + offset], value`, with the ring's address from the boot information.
fn store_in_ring(code: Code, offset: usize, value: u32) -> Code {
    let load = [0x48, 0x8b, 0x47, offset_of!(BootInfo, net_ring) as u8, 0xc7, 0x80];
    code.raw(&load).raw(&(offset as u32).to_le_bytes()).raw(&value.to_le_bytes())
}

/// Kicks the ring and gives its thread time to look.
fn kick(code: Code) -> Code {
    let poll = field(code.out(u32::from(RING_KICK_PORT), 0), 0, 200_000_000);
    halt(call(poll, Hypercall::Poll, DATA), STATUS)
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn a_broken_ring_stops_and_the_guest_goes_on() {
    if processors().count() == 1 {
        eprintln!("not tried: with one processor there is no ring");
        return;
    }
    let run = |code, words| {
        check_with(&["--publish=127.0.0.1:0:53"], &["service"], kick(code), STATUS as i32, words);
    };
    let tail = |count| store_in_ring(Code::default(), offset_of!(Ring, entry_tail), count);
    run(tail(0), "");
    run(tail(1025), "its entry index is 1025 ahead where 1024 is the most");
    run(tail(u32::MAX), "its entry index is 4294967295 ahead");
    let entry = |field, value| store_in_ring(Code::default(), offset_of!(Ring, entries) + field, value);
    let submit = |code| store_in_ring(code, offset_of!(Ring, entry_tail), 1);
    let frame = |operation, address, length| {
        let code = entry(offset_of!(RingEntry, operation), operation);
        let code = store_in_ring(code, offset_of!(Ring, entries) + offset_of!(RingEntry, handle), NETWORK);
        let code = store_in_ring(code, offset_of!(Ring, entries) + offset_of!(RingEntry, data), address);
        submit(store_in_ring(code, offset_of!(Ring, entries) + offset_of!(RingEntry, len), length))
    };
    run(submit(entry(offset_of!(RingEntry, operation), 99)), "");
    run(
        frame(ring_operation::NET_READ, ENTRY as u32, 64),
        "64 bytes at 0x100000 are not the guest's to pass",
    );
    run(frame(ring_operation::NET_WRITE, u32::MAX, 64), "are not the guest's to pass");
    run(frame(ring_operation::NET_WRITE, ENTRY as u32, u32::MAX), "are not the guest's to pass");
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn writing_to_code_ends_the_guest_with_the_address() {
    check(Code::default().store(ENTRY + 8, 0), 1, "host/guest translation fault");
    check(Code::default().store(0x1_0000, 0), 1, "a triple fault");
    check(Code::default().store(0, 0), 1, "a triple fault");
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn every_thread_of_the_tender_has_a_filter() {
    for (options, devices, count) in [
        (&[][..], &[][..], 1),
        (&["--publish=127.0.0.1:0:53"][..], &["service"][..], processors().count().min(2) as usize),
    ] {
        let image = File::new(&sample::program(Target::Hvt, devices, &Code::default().forever().0, &[0; 16]));
        let threads = confinement(options.iter().copied().chain([MEMORY.0, image.path()]));
        // KVM may have a thread of its own in the process.
        assert!(threads.len() >= count, "{} threads", threads.len());
        for field in ["\nSeccomp:\t2\n", "\nNoNewPrivs:\t1\n"] {
            for thread in &threads {
                assert!(thread.contains(field), "{field} is missing from:\n{thread}");
            }
        }
    }
}

#[test]
#[ignore = "needs KVM: cargo xtask test"]
fn memory_has_its_edges_where_it_says() {
    let image = |target| File::new(&sample::program(target, &[], &halt(Code::default(), STATUS).0, &[0; 16]));
    let image = image(Target::Hvt);
    assert_eq!(run(["--mem=2", image.path()]).0, End::Status(STATUS as i32));
    let (end, text) = run(["--mem=1", image.path()]);
    assert_eq!(end, End::Status(1), "{text}");
    assert!(text.contains("needs 2 MiB where the guest has 1"), "{text}");
    assert_eq!(run(["--mem=4096", image.path()]).0, End::Status(STATUS as i32));
    let (end, text) = run(["--mem=4098", image.path()]);
    assert_eq!(end, End::Status(1), "{text}");
    assert!(text.contains("hvt has at most 4096 MiB of memory"), "{text}");
}
