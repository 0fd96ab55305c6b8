//! The floor: the least that a program on a TAP can do for a datagram, one blocking read and one write.
//!
//! Everything a server costs above this is its own. `floor TAP` creates the interface TAP, which the caller then
//! brings up, and reflects frames until it is killed or the interface goes away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use load::{frame, limits};
use tappers::{Interface, Tap};

/// Locally administered, so that it can collide with nobody's.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xf1];

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: floor TAP   (the interface is created; being root or CAP_NET_ADMIN is needed)");
        return ExitCode::from(64);
    };
    match reflect_forever(&name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn reflect_forever(name: &str) -> std::io::Result<()> {
    let tap = Tap::new_named(Interface::new(name)?)?;
    let mut device = File::from(tap.as_fd().try_clone_to_owned()?);
    let mut buffer = [0; limits::FRAME_BYTES];
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
