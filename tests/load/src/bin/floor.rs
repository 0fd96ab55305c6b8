//! The floor: the least that a program on a TAP can do for a datagram, one blocking read and one write.
//!
//! Everything a server costs above this is its own. With `--sandbox` it first gives up every system call but those
//! two, with their descriptor, as a guest on spt has: what the kernel takes for checking them is then in it. `floor TAP` creates the interface TAP, which the caller then
//! brings up, and reflects frames until it is killed or the interface goes away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::ExitCode;

use load::{frame, limits};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use tappers::{Interface, Tap};

/// Locally administered, so that it can collide with nobody's.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xf1];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), option) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "usage: floor TAP [--sandbox]   (the interface is created; being root or CAP_NET_ADMIN is needed)"
        );
        return ExitCode::from(64);
    };
    match reflect_forever(&name, option.as_deref() == Some("--sandbox")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn reflect_forever(name: &str, sandbox: bool) -> std::io::Result<()> {
    let tap = Tap::new_named(Interface::new(name)?)?;
    let mut device = File::from(tap.as_fd().try_clone_to_owned()?);
    let mut buffer = [0; limits::FRAME_BYTES];
    if sandbox {
        give_up_system_calls(device.as_raw_fd()).map_err(std::io::Error::other)?;
    }
    loop {
        let length = device.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if frame::reflect(&mut buffer[..length], MAC) {
            // A full queue drops the answer, as it would for any other server on a TAP.
            let _ = device.write(&buffer[..length]);
        }
    }
}

/// Leaves `read` and `write` of `descriptor`, and the end.
fn give_up_system_calls(descriptor: RawFd) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let of_device = || {
        let is = SeccompCmpOp::Eq;
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, is, descriptor as u64)?;
        SeccompRule::new(vec![condition])
    };
    let rules = [
        (libc::SYS_read, vec![of_device()?]),
        (libc::SYS_write, vec![of_device()?]),
        (libc::SYS_exit_group, Vec::new()),
    ];
    let filter = SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}
