//! What a guest on spt cannot do, tried by guests of a few instructions: every system call there is, and the back doors.

mod machine;

use machine::{Code, End, File, confinement, run};
use skerry_tender::elf::sample;
use solo5_sys::elf::Target;

/// A guest's own status, which says that it went on.
const WENT_ON: End = End::Status(7);
const KILLED: End = End::Signal(libc::SIGSYS);

fn image(code: Code) -> File {
    File::new(&sample::program(Target::Spt, &[], &code.0, &[0; 16]))
}

#[track_caller]
fn check(code: Code, expect: End) {
    let image = image(code);
    let (end, text) = run(["--mem=2", image.path()]);
    assert_eq!(end, expect, "it printed:\n{text}");
}

#[test]
fn every_system_call_but_its_own_ends_the_guest() {
    // Those that are allowed with arguments of zero; with others, see the tests of `confine`.
    const OWN: [u32; 2] = [libc::SYS_clock_gettime as u32, libc::SYS_exit_group as u32];
    // The kernel does not ask filters about uretprobe and uprobe, which outside of its own page only end the process.
    const PROBES: [u32; 2] = [335, 336];
    for number in (0..480).filter(|number| !OWN.contains(number) && !PROBES.contains(number)) {
        let image = image(Code::default().system_call(number, [0, 0, 0]).exit(7));
        assert_eq!(run(["--mem=2", image.path()]).0, KILLED, "system call {number}");
    }
    check(Code::default().system_call(OWN[0], [0, 0, 0]).exit(7), WENT_ON);
}

#[test]
fn the_32_bit_gate_leads_nowhere() {
    let image = image(Code::default().raw(&[0xb8, 1, 0, 0, 0, 0xcd, 0x80]).exit(7));
    let (end, text) = run(["--mem=2", image.path()]);
    // Killed by the filter, or by a fault where the kernel is built without the gate.
    assert!(end == KILLED || end == End::Status(255), "{end:?}, it printed:\n{text}");
}

#[test]
fn memory_cannot_be_made_executable() {
    let (address, length, execute) = (sample::DATA as u32, 4096, libc::PROT_READ | libc::PROT_EXEC);
    let protect =
        |number: i64| Code::default().system_call(number as u32, [address, length, execute as u32]).exit(7);
    check(protect(libc::SYS_mprotect), KILLED);
    check(protect(libc::SYS_pkey_mprotect), KILLED);
    check(protect(libc::SYS_mmap), KILLED);
    check(protect(libc::SYS_remap_file_pages), KILLED);
}

#[test]
fn the_console_is_the_only_descriptor() {
    let write =
        |fd| Code::default().system_call(libc::SYS_write as u32, [fd, sample::ENTRY as u32, 0]).exit(7);
    check(write(1), WENT_ON);
    for fd in [0, 2, 3, 4, 5, 6, 100] {
        check(write(fd), KILLED);
    }
}

#[test]
fn a_running_guest_has_a_filter_and_can_gain_nothing() {
    let image = image(Code::default().forever());
    let threads = confinement(["--mem=2", image.path()]);
    assert_eq!(threads.len(), 1);
    for field in ["\nSeccomp:\t2\n", "\nNoNewPrivs:\t1\n"] {
        assert!(threads[0].contains(field), "{field} is missing from:\n{}", threads[0]);
    }
}

#[test]
fn a_fault_is_reported_and_ends_the_guest() {
    let (end, text) = run(["--mem=2", image(Code::default().raw(&[0x0f, 0x0b])).path()]);
    assert_eq!(end, End::Status(255));
    assert!(text.contains("fault: invalid instruction at 0x100000"), "{text}");
    let (end, text) = run(["--mem=2", image(Code::default().store(sample::ENTRY, 0)).path()]);
    assert_eq!(end, End::Status(255));
    assert!(text.contains("fault: page fault writing address 0x100000 at 0x100000"), "{text}");
}
