//! What an image must do, whatever runs it: one function a behaviour, which starts the grid image on a target and looks on.

use crate::guest::{ABORT, BLOCK, BLOCKS, Guest, interface, memory_mib};
use rustix::io::{read, write};
use std::{
    fs,
    io::Write,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes of the shortest frame on a real Ethernet, without its checksum (IEEE 802.3 §4A.4.2).
const ETHERNET_MIN: usize = 60;

#[track_caller]
pub fn check(target: &str, arguments: &[&str], status: Option<i32>, expect: &[&str]) -> String {
    let (code, text) = Guest::start(target, arguments).finish();
    assert_eq!(code, status, "exit status; it printed:\n{text}");
    for part in expect {
        assert!(text.contains(part), "'{part}' is missing from:\n{text}");
    }
    text
}

/// A fault must end the image with a report that names its place.
#[track_caller]
fn check_fault(target: &str, behaviour: &str, expect: &[&str], function: &str) {
    let guest = Guest::start(target, &[behaviour]);
    let image = guest.image.clone();
    let (code, text) = guest.finish();
    assert_eq!(code, ABORT, "exit status; it printed:\n{text}");
    for part in expect.iter().chain(&["rip=0x", "rsp=0x", "rax=0x", "frame 0x", "cargo xtask symbolize"]) {
        assert!(text.contains(part), "'{part}' is missing from:\n{text}");
    }
    let named = symbolize(&image, &text);
    assert!(named.contains(function), "'{function}' is not named in:\n{named}");
}

fn symbolize(image: &std::path::Path, report: &str) -> String {
    let xtask =
        std::env::var_os("SKERRY_XTASK").expect("SKERRY_XTASK is unset: run this through `cargo xtask test`");
    let mut process = Command::new(xtask)
        .arg("symbolize")
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    process.stdin.take().expect("it is piped").write_all(report.as_bytes()).expect("xtask reads");
    String::from_utf8_lossy(&process.wait_with_output().expect("it ends").stdout).into_owned()
}

/// An image that sends back what it gets, once it does: a virtual machine loses frames that come earlier.
pub fn start_echo(target: &str, interfaces: &[&str]) -> Guest {
    let mut guest = Guest::start(target, &[&["echo"], interfaces].concat());
    guest.wait_for("echo ready");
    guest
}

/// Sends frames to an interface and expects each back, with source and destination swapped.
#[track_caller]
pub fn check_echo(wire: &OwnedFd, mac: u8, payloads: &[&[u8]]) {
    for payload in payloads {
        let mut frame = vec![0x02, 0, 0, 0, 0, mac, 0x02, 0, 0, 0, 0, 0xfe, 0x88, 0xb5];
        frame.extend_from_slice(payload);
        write(wire, &frame).expect("the wire takes a frame");
        let mut answer = [0; 2048];
        let length = read(wire, &mut answer)
            .unwrap_or_else(|error| panic!("a frame of {} bytes does not come back: {error}", frame.len()));
        assert_eq!(answer[..6], frame[6..12], "destination");
        assert_eq!(answer[6..12], frame[..6], "source");
        // Some network cards fill a short frame up to what Ethernet wants.
        frame.resize(frame.len().max(length.min(ETHERNET_MIN)), 0);
        assert_eq!(answer[12..length], frame[12..], "type and payload");
    }
}

pub fn hello(target: &str) {
    check(target, &["hello"], Some(0), &["hello from ring 3\n"]);
}

pub fn arguments(target: &str) {
    check(target, &["arguments", "--a=b", "c"], Some(0), &["[\"--a=b\", \"c\"]\n"]);
}

pub fn exit_status(target: &str) {
    for status in [0, 1, 64, 200] {
        check(target, &["exit", &status.to_string()], Some(status), &[]);
    }
}

pub fn panic(target: &str) {
    let report =
        check(target, &["panic"], ABORT, &["panic: on purpose, at tests/grid/src/main.rs:", "frame 0x"]);
    let guest = Guest::start(target, &["hello"]);
    let image = guest.image.clone();
    guest.finish();
    let named = symbolize(&image, &report);
    assert!(named.contains("tests/grid/src/main.rs:18"), "the panicking line is not named in:\n{named}");
}

pub fn page_fault(target: &str) {
    check_fault(target, "read-null", &["reading address 0x8"], "read_null");
}

pub fn stack_overflow(target: &str) {
    check_fault(target, "overflow-stack", &["writing address 0x"], "recurse");
}

pub fn write_to_code(target: &str) {
    check_fault(target, "write-code", &["writing address 0x"], "write_code");
}

pub fn write_to_constant(target: &str) {
    check_fault(target, "write-constant", &["writing address 0x"], "write_constant");
}

pub fn execute_data(target: &str) {
    check_fault(target, "execute-data", &["executing address 0x"], "execute_data");
}

pub fn invalid_instruction(target: &str) {
    check_fault(target, "invalid-instruction", &["invalid instruction"], "invalid_instruction");
}

pub fn clock(target: &str) {
    let text = check(target, &["clock"], Some(0), &["slept ", "wall clock "]);
    let number = |after: &str| -> u64 {
        let start = text.find(after).expect("checked above") + after.len();
        let digits = text[start..].split(|c: char| !c.is_ascii_digit()).next().expect("split gives one");
        digits.parse().expect("it is a number")
    };
    let slept_us = number("slept ");
    assert!((20_000..5_000_000).contains(&slept_us), "slept {slept_us} us instead of 20 ms");
    let wall = number("wall clock ");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    assert!(wall.abs_diff(now) < 60, "wall clock {wall}, ours {now}");
}

pub fn entropy(target: &str) {
    let texts: Vec<String> = (0..3).map(|_| check(target, &["entropy"], Some(0), &[])).collect();
    assert!(texts.iter().all(|text| text.len() == 16 * 2 + 1 + 16 + 1), "unexpected output {texts:?}");
    assert!(
        texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2],
        "the same numbers twice: {texts:?}"
    );
}

pub fn block(target: &str) {
    let guest = Guest::start(target, &["block"]);
    let disk = guest.disk.clone();
    let kept = fs::File::open(&disk).expect("the disk is there");
    let (code, text) = guest.finish();
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
    let expect =
        "the first block. block 512 capacity 32768: Err(OutOfRange) Err(Misaligned) Err(Misaligned)\n";
    assert!(text.contains(expect), "unexpected output:\n{text}");
    let mut last = [0; 16];
    std::os::unix::fs::FileExt::read_exact_at(&kept, &mut last, (BLOCK * (BLOCKS - 1)) as u64)
        .expect("the last block is there");
    assert_eq!(&last, b"the first block.");
}

pub fn echo(target: &str) {
    let guest = start_echo(target, &["service"]);
    let full = vec![0xa5; 1500];
    check_echo(&guest.service, 1, &[b"x", &full, b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

pub fn echo_on_two_interfaces(target: &str) {
    let guest = start_echo(target, &["service", "management"]);
    for _ in 0..100 {
        check_echo(&guest.service, 1, &[b"to the first"]);
        check_echo(&guest.management, 2, &[b"to the second"]);
    }
    check_echo(&guest.management, 2, &[b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

/// Interrupts of the network end sleeps while the image waits for its disk, and the other way round.
pub fn echo_by_disk(target: &str) {
    let mut guest = Guest::start(target, &["echo-by-disk"]);
    guest.wait_for("echo ready");
    for number in 0..100 {
        check_echo(&guest.service, 1, &[format!("frame {number}").as_bytes()]);
    }
    check_echo(&guest.service, 1, &[b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

/// An interface that the host takes away must end the image, which could neither serve nor sleep any more.
pub fn interface_gone(target: &str) {
    let mut guest = start_echo(target, &["service", "management"]);
    check_echo(&guest.service, 1, &[b"there"]);
    drop(std::mem::replace(&mut guest.service, interface().0));
    let (code, text) = guest.finish();
    assert_eq!(code, Some(1), "exit status; it printed:\n{text}");
    assert!(text.contains("the host took a network interface away"), "unexpected output:\n{text}");
}

pub fn memory_limit(target: &str) {
    let text = check(target, &["memory"], Some(0), &["took "]);
    let taken: usize =
        text["took ".len()..].split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let whole = memory_mib(target) << 20;
    assert!(taken > whole * 3 / 5 && taken < whole, "took {taken} of {whole} bytes");
}

pub fn deadlock(target: &str) {
    check(target, &["deadlock"], ABORT, &["panic: deadlock: the only thread waits for itself"]);
}
