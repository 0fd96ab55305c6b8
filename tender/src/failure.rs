//! The one kind of error that ends the tender: a complete line for a person, and an exit status.
//!
//! Everything that can go wrong before the guest runs becomes a [`Failure`]; modules with errors worth telling apart in
//! tests ([`elf`](crate::elf), [`manifest`](crate::manifest)) have an enum of their own and convert.

use std::fmt::{self, Write};

/// Exit status where the command line itself cannot be understood. Source: BSD `sysexits.h`, `EX_USAGE`.
pub const USAGE: i32 = 64;

/// Exit status of everything else that stops the tender, the same as upstream's tenders use.
pub const GENERAL: i32 = 1;

/// Why the tender ends, and with which exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status of the process.
    pub status: i32,
    /// One line: whose fault it is and what to do.
    pub message: String,
}

impl Failure {
    /// The command line cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { status: USAGE, message: message.into() }
    }

    /// The image, a device or this host is not as it must be.
    pub fn general(message: impl Into<String>) -> Self {
        Self { status: GENERAL, message: message.into() }
    }
}

/// Always one line, whatever a name or path in it contains: control characters are escaped.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.message.chars() {
            match character {
                character if character.is_control() => write!(formatter, "{}", character.escape_default())?,
                character => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_that_does_nothing_to_a_terminal() {
        let failure = Failure::usage("unknown option --é\n\u{1b}[2J\r");
        assert_eq!(failure.to_string(), r"unknown option --é\n\u{1b}[2J\r");
    }
}
