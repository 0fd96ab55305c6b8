//! What back ends without a tender do alike when they boot: the command line is kept, and a refusal is said.

use super::command_line::CommandLine;
use crate::{report::Console, target::exit};
use std::fmt::Write;

/// Exit status of an image that cannot boot.
const EXIT_REFUSED: i32 = 1;

static mut COMMAND_LINE: CommandLine = CommandLine::new();

/// Takes the loader's command line apart.
///
/// # Safety
/// Once, at boot, before anything asks for it.
pub unsafe fn take_command_line(line: &[u8]) -> &'static CommandLine {
    // SAFETY: nobody else has a reference yet.
    unsafe { (*(&raw mut COMMAND_LINE)).take(line) };
    command_line()
}

/// What the loader said.
pub fn command_line() -> &'static CommandLine {
    // SAFETY: written once, before the program starts.
    unsafe { &*(&raw const COMMAND_LINE) }
}

/// Ends an image that cannot boot.
pub fn refuse(error: impl std::fmt::Display) -> ! {
    let _ = writeln!(Console, "boot refused: {error}");
    exit(EXIT_REFUSED)
}
