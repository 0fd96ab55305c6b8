//! What an operator gets who makes a mistake: one line that says whose fault it is and what to do, and an exit status.

mod machine;

use machine::{Code, End, File, run, tender};
use skerry_tender::elf::sample;
use solo5_sys::elf::Target;

fn image(target: Target, devices: &[&str]) -> File {
    File::new(&sample::program(target, devices, &Code::default().exit(7).0, &[0; 16]))
}

/// The image that most mistakes here are made with.
fn with_devices() -> File {
    image(Target::Spt, &["service", "management", "storage"])
}

#[track_caller]
fn check(options: &[&str], image: &File, status: i32, words: &[&str]) {
    let (end, text) = run(options.iter().copied().chain([image.path()]));
    assert_eq!(end, End::Status(status), "it printed:\n{text}");
    assert!(text.starts_with("skerry-tender: ") && text.lines().count() == 1, "not one line:\n{text}");
    for word in words {
        assert!(text.contains(word), "'{word}' is missing from:\n{text}");
    }
}

#[test]
fn a_device_that_nothing_is_attached_to_is_named_with_what_to_do() {
    let disk = File::new(&[0; 1024]);
    let block = format!("--block:storage={}", disk.path());
    check(&[], &with_devices(), 1, &["network 'service'", "nothing is attached", "--net:service=TAP"]);
    let publish = "--publish=127.0.0.1:0:53";
    let image = image(Target::Spt, &["service", "storage"]);
    let (end, text) = run([publish, image.path()]);
    assert_eq!(end, End::Status(1));
    assert!(
        text.contains("block device 'storage' but nothing is attached: add --block:storage=FILE"),
        "{text}"
    );
    let (end, text) = run([publish, &block, image.path()]);
    assert_eq!(end, End::Status(7), "{text}");
}

#[test]
fn a_device_that_nobody_asked_for_is_named_with_what_there_is() {
    let image = with_devices();
    let there = "it has: service, management";
    check(&["--net:servcie=tap0"], &image, 1, &["'servcie'", "declares no network of this name", there]);
    check(&["--net-mac:other=2:0:0:0:0:1"], &image, 1, &["'other'", there]);
    check(&["--block:service=/dev/null"], &image, 1, &["'service'", "no block device", "it has: storage"]);
    check(&["--block-sector-size:disk=512"], &image, 1, &["'disk'", "it has: storage"]);
    let bare = self::image(Target::Spt, &[]);
    check(&["--net:service=tap0"], &bare, 1, &["'service'", "it has: none"]);
    check(&["--publish=127.0.0.1:0:53"], &bare, 1, &["--publish needs a network"]);
}

#[test]
fn devices_that_cannot_be_had_are_named() {
    let image = image(Target::Spt, &["service", "storage"]);
    let missing = ["network interface tap54321: does not exist", "ip tuntap add"];
    check(&["--net:service=tap54321"], &image, 1, &missing);
    check(&["--net:service=@77"], &image, 1, &["network 'service': descriptor @77", "Bad file descriptor"]);
    let shell = format!(
        "exec '{}' --net:service=@9 --block:storage=/nonexistent '{}' 9</dev/null",
        env!("CARGO_BIN_EXE_skerry-tender"),
        image.path()
    );
    let output = std::process::Command::new("/bin/sh").args(["-c", &shell]).output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("descriptor @9: neither a TAP nor a socket that keeps frames apart"), "{text}");
    let image = self::image(Target::Spt, &["storage"]);
    let nowhere = "--block:storage=/nonexistent/file";
    check(&[nowhere], &image, 1, &["block device 'storage': /nonexistent/file: cannot be opened"]);
    check(&["--block:storage=/tmp"], &image, 1, &["block device 'storage': /tmp: cannot be opened"]);
    let (odd, empty) = (File::new(&[0; 1000]), File::new(&[]));
    let block = |file: &File| format!("--block:storage={}", file.path());
    check(&[&block(&odd)], &image, 1, &["must be block aligned (512 bytes), and it has 1000 bytes"]);
    check(&[&block(&empty)], &image, 1, &["must be at least 1 block"]);
}

#[test]
fn an_address_that_is_taken_is_named_before_anything_runs() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    let address = taken.local_addr().expect("it is bound");
    let publish = format!("--publish={address}:53/udp");
    check(
        &[&publish],
        &image(Target::Spt, &["service"]),
        1,
        &[&address.to_string(), "another process has it"],
    );
}

#[test]
fn an_address_that_is_published_twice_is_not_blamed_on_others() {
    let image = image(Target::Spt, &["service"]);
    // A port that was free a moment ago.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = free.expect("loopback has ports").port();
    let udp = |address, guest| format!("--publish={address}:{port}:{guest}/udp");
    for first in ["127.0.0.1", "0.0.0.0"] {
        let clash = [udp(first, 53), udp("127.0.0.1", 54)];
        let words = [&format!("cannot publish 127.0.0.1:{port}/udp"), "an earlier --publish has it"];
        check(&[&clash[0], &clash[1]], &image, 1, &words);
    }
    let (end, text) = run([&udp("127.0.0.1", 53), &udp("127.0.0.2", 53), image.path()]);
    assert_eq!(end, End::Status(7), "{text}");
}

#[test]
fn files_that_are_no_images_are_refused_with_a_reason() {
    let (end, text) = run([""]);
    assert_eq!(end, End::Status(64));
    assert!(text.contains("no image given"), "{text}");
    let truncated = sample::image(Target::Spt, &[]);
    check(&[], &File::new(b""), 1, &["not an ELF file"]);
    check(&[], &File::new(b"#!/bin/sh\n"), 1, &["not an ELF file"]);
    check(&[], &File::new(&truncated[..truncated.len() - 1]), 1, &["segment 5 lies outside of the file"]);
    check(&[], &image(Target::Virtio, &[]), 1, &["built for target 3; this tender runs hvt (1) and spt (2)"]);
    for path in ["/nonexistent", "/", "/proc/self/mem"] {
        let (end, text) = run([path]);
        assert_eq!(end, End::Status(1), "{path}");
        assert!(text.starts_with(&format!("skerry-tender: {path}: ")) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn too_little_and_too_much_memory_are_refused() {
    let image = image(Target::Spt, &[]);
    check(&["--mem=1"], &image, 1, &["needs 2 MiB where the guest has 1: give more with --mem"]);
    assert_eq!(run(["--mem=2", image.path()]).0, End::Status(7));
    check(&["--mem=1048577"], &image, 64, &["--mem=1048577", "from 1 to 1048576"]);
    check(&["--mem=512M"], &image, 64, &["--mem=512M"]);
}

#[test]
fn arguments_of_the_guest_have_a_limit() {
    let image = image(Target::Spt, &[]);
    let (longest, longer) = ("x".repeat(8191), "x".repeat(8192));
    assert_eq!(run(["--", image.path(), &longest]).0, End::Status(7));
    let (end, text) = run(["--", image.path(), &longer]);
    assert_eq!(end, End::Status(64));
    assert!(text.contains("8192 bytes where 8191 are the most"), "{text}");
}

#[test]
fn a_closed_console_is_nowhere_and_not_a_device() {
    // The standard library opens /dev/null in place of what is closed, before anything else can get the number.
    let disk = File::new(&[0; 1024]);
    let write = Code::default().system_call(libc::SYS_write as u32, [1, sample::DATA as u32, 16]).exit(7);
    let image = File::new(&sample::program(Target::Spt, &["storage"], &write.0, b"for the console!"));
    let (tender, disk_path, image) = (env!("CARGO_BIN_EXE_skerry-tender"), disk.path(), image.path());
    let shell = format!("exec '{tender}' '--block:storage={disk_path}' '{image}' >&- 2>&-");
    let output = std::process::Command::new("/bin/sh").args(["-c", &shell]).output().expect("a shell");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(std::fs::read(disk.path()).expect("the disk is there"), [0; 1024]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (option, words) in [("--help", "usage: skerry-tender"), ("--version", "Solo5 ABI 2")] {
        let output = tender([option]).output().expect("the tender starts");
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(words), "{option}");
        assert!(output.stderr.is_empty());
    }
}
