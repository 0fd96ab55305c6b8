//! The tender's command line: arguments are split at zero bytes, as the kernel hands them over.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use skerry_tender::args::{self, Command, Interface, Options};
use skerry_tender::elf::sample;
use skerry_tender::manifest::Manifest;
use skerry_tender::{boot, devices};
use solo5_sys::spt::COMMAND_LINE_SIZE;

fuzz_target!(|input: &[u8]| {
    let arguments =
        input.split(|&byte| byte == 0).map(|argument| OsString::from(OsStr::from_bytes(argument)));
    match args::parse(arguments) {
        Ok(Command::Run(options)) => check(&options),
        Ok(Command::Help | Command::Version) => {}
        Err(failure) => {
            assert_eq!(failure.to_string().lines().count(), 1, "an error is one line: {failure}");
            assert!(matches!(failure.status, 1 | 64));
        }
    }
});

fn check(options: &Options) {
    assert!(options.memory >= 1 << 20 && options.memory.is_multiple_of(1 << 20));
    assert!(options.macs.iter().all(|(_, mac)| mac[0] & 1 == 0));
    assert!(options.block_sizes.iter().all(|(_, size)| *size >= 512 && size.is_power_of_two()));
    for (_, interface) in &options.nets {
        match interface {
            Interface::Descriptor(fd) => assert!(*fd > 2),
            Interface::Tap(name) => assert!((1..16).contains(&name.len()) && !name.contains('%')),
        }
    }
    if let Ok(line) = boot::command_line(&options.guest) {
        assert!(line.len() <= COMMAND_LINE_SIZE && line.last() == Some(&0));
    }
    let bytes = sample::manifest(&["service", "storage"]);
    let mut manifest = Manifest::parse(&bytes).expect("the sample is valid");
    let _ = devices::check_declared(options, &mut manifest);
}
