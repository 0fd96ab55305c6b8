//! The boot grid: target × behaviour. The tests are named "spt::hello", "hvt::echo_on_two_interfaces".
//!
//! They need the images and the tender, which `cargo xtask test` builds first; a plain `cargo test` shows them as ignored.
//! No root: interfaces are packet sockets whose other end the test holds.

#[macro_use]
mod every_target;

use rustix::{
    io::{read, write},
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use std::{
    fs,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Longest run of one image.
const PATIENCE: Duration = Duration::from_secs(30);
const BLOCK: usize = 512;
const BLOCKS: usize = 64;
const MEMORY_MIB: usize = 16;
/// Exit status of an image that gave up. Source: `SOLO5_EXIT_ABORT` in Solo5 `include/solo5.h`.
const ABORT: Option<i32> = Some(255);

/// A grid image at work, with our ends of its devices.
struct Guest {
    process: Child,
    service: OwnedFd,
    management: OwnedFd,
    disk: PathBuf,
    image: PathBuf,
}

impl Guest {
    fn start(target: &str, arguments: &[&str]) -> Self {
        let directory = PathBuf::from(
            std::env::var_os("SKERRY_IMAGES")
                .expect("SKERRY_IMAGES is unset: run this through `cargo xtask test`"),
        );
        let tender = std::env::var_os("SKERRY_TENDER")
            .expect("SKERRY_TENDER is unset: run this through `cargo xtask test`");
        let image = directory.join(format!("grid.{target}"));
        let disk =
            directory.join(format!("grid-{}-{target}-{}.disk", std::process::id(), arguments.join("-")));
        let mut content = vec![0; BLOCK * BLOCKS];
        content[..16].copy_from_slice(b"the first block.");
        fs::write(&disk, content).expect("the images' directory is writable");
        let (service, guest_service) = interface();
        let (management, guest_management) = interface();
        let process = Command::new(tender)
            .args(std::env::var_os("SKERRY_TENDER_OPTION"))
            .arg(format!("--mem={MEMORY_MIB}"))
            .arg(format!("--net:service=@{}", guest_service.as_raw_fd()))
            .arg("--net-mac:service=02:00:00:00:00:01")
            .arg(format!("--net:management=@{}", guest_management.as_raw_fd()))
            .arg("--net-mac:management=02:00:00:00:00:02")
            .arg(format!("--block:storage={}", disk.display()))
            .arg("--")
            .arg(&image)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tender starts");
        Self { process, service, management, disk, image }
    }

    /// Waits for the end, and returns what was printed.
    #[track_caller]
    fn finish(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        while self.process.try_wait().expect("the tender is our child").is_none() {
            if Instant::now() > end {
                let _ = self.process.kill();
                panic!("still running after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = fs::remove_file(&self.disk);
        let Output { status, stdout, stderr } = self.process.wait_with_output().expect("it has ended");
        (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }
}

/// A wire: our end, and the one that the tender inherits.
fn interface() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("sockets exist");
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).expect("it is open");
    sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE)).expect("it is a socket");
    (ours, theirs)
}

#[track_caller]
fn check(target: &str, arguments: &[&str], status: Option<i32>, expect: &[&str]) -> String {
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

/// Sends frames to an interface and expects each back, with source and destination swapped.
#[track_caller]
fn check_echo(wire: &OwnedFd, mac: u8, payloads: &[&[u8]]) {
    for payload in payloads {
        let mut frame = vec![0x02, 0, 0, 0, 0, mac, 0x02, 0, 0, 0, 0, 0xfe, 0x88, 0xb5];
        frame.extend_from_slice(payload);
        write(wire, &frame).expect("the wire takes a frame");
        let mut answer = [0; 2048];
        let length = read(wire, &mut answer).expect("the frame comes back in time");
        assert_eq!(answer[..6], frame[6..12], "destination");
        assert_eq!(answer[6..12], frame[..6], "source");
        assert_eq!(answer[12..length], frame[12..], "type and payload");
    }
}

fn hello(target: &str) {
    check(target, &["hello"], Some(0), &["hello from ring 3\n"]);
}

fn arguments(target: &str) {
    check(target, &["arguments", "--a=b", "c"], Some(0), &["[\"--a=b\", \"c\"]\n"]);
}

fn exit_status(target: &str) {
    for status in [0, 1, 64, 200] {
        check(target, &["exit", &status.to_string()], Some(status), &[]);
    }
}

fn panic(target: &str) {
    let report =
        check(target, &["panic"], ABORT, &["panic: on purpose, at tests/grid/src/main.rs:", "frame 0x"]);
    let guest = Guest::start(target, &["hello"]);
    let image = guest.image.clone();
    guest.finish();
    let named = symbolize(&image, &report);
    assert!(named.contains("tests/grid/src/main.rs:18"), "the panicking line is not named in:\n{named}");
}

fn page_fault(target: &str) {
    check_fault(target, "read-null", &["reading address 0x8"], "read_null");
}

fn stack_overflow(target: &str) {
    check_fault(target, "overflow-stack", &["writing address 0x"], "recurse");
}

fn write_to_code(target: &str) {
    check_fault(target, "write-code", &["writing address 0x"], "write_code");
}

fn write_to_constant(target: &str) {
    check_fault(target, "write-constant", &["writing address 0x"], "write_constant");
}

fn execute_data(target: &str) {
    check_fault(target, "execute-data", &["executing address 0x"], "execute_data");
}

fn invalid_instruction(target: &str) {
    check_fault(target, "invalid-instruction", &["invalid instruction"], "invalid_instruction");
}

fn clock(target: &str) {
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

fn entropy(target: &str) {
    let texts: Vec<String> = (0..3).map(|_| check(target, &["entropy"], Some(0), &[])).collect();
    assert!(texts.iter().all(|text| text.len() == 16 * 2 + 1 + 16 + 1), "unexpected output {texts:?}");
    assert!(
        texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2],
        "the same numbers twice: {texts:?}"
    );
}

fn block(target: &str) {
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

fn echo(target: &str) {
    let guest = Guest::start(target, &["echo", "service"]);
    let full = vec![0xa5; 1500];
    check_echo(&guest.service, 1, &[b"x", &full, b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

fn echo_on_two_interfaces(target: &str) {
    let guest = Guest::start(target, &["echo", "service", "management"]);
    for _ in 0..100 {
        check_echo(&guest.service, 1, &[b"to the first"]);
        check_echo(&guest.management, 2, &[b"to the second"]);
    }
    check_echo(&guest.management, 2, &[b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

/// An interface that the host takes away must end the image, which could neither serve nor sleep any more.
fn interface_gone(target: &str) {
    let mut guest = Guest::start(target, &["echo", "service", "management"]);
    check_echo(&guest.service, 1, &[b"there"]);
    drop(std::mem::replace(&mut guest.service, interface().0));
    let (code, text) = guest.finish();
    assert_eq!(code, Some(1), "exit status; it printed:\n{text}");
    assert!(text.contains("the host took a network interface away"), "unexpected output:\n{text}");
}

fn memory_limit(target: &str) {
    let text = check(target, &["memory"], Some(0), &["took "]);
    let taken: usize =
        text["took ".len()..].split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let whole = MEMORY_MIB << 20;
    assert!(taken > whole * 3 / 5 && taken < whole, "took {taken} of {whole} bytes");
}

fn deadlock(target: &str) {
    check(target, &["deadlock"], ABORT, &["panic: deadlock: the only thread waits for itself"]);
}

every_target! {
    hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
    invalid_instruction clock entropy block echo echo_on_two_interfaces interface_gone memory_limit deadlock
}
