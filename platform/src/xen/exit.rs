//! The end of the image: a last line on the console with its status, then the domain ends.
//!
//! A domain has no exit status, only a reason: power off after success, a crash after everything else, which is what
//! `on_crash` of its configuration is for. The line says which status it was.

use super::{
    console, device,
    hypercall::{Reason, shut_down},
};
use crate::report::Console;
use std::fmt::Write;

/// Ends the domain.
pub fn exit(status: i32) -> ! {
    let _ = writeln!(Console, "exit status {status}");
    end(if status == 0 { Reason::PowerOff } else { Reason::Crash })
}

/// Ends the domain as the host has asked for it.
pub fn end(reason: Reason) -> ! {
    device::drain();
    console::drain();
    shut_down(reason)
}
