//! Configuration: boot arguments over a TOML document that was baked into the image, checked before anything runs.
//!
//! ```text
//!   --port=53 --dns 10.0.0.1          ┐
//!                                     ├─► one value per key ─┬─► Common: addresses, name servers, log levels
//!   port = 53        (TOML document)  ┘                      └─► the service's own struct, through serde
//! ```
//!
//! Arguments win over the document. A key that nobody knows, one given twice, a value that does not parse: one complete line
//! on the console and exit status 64, before the network is touched. Both sources are hostile as far as this module is
//! concerned: nothing panics, everything is bounded.

mod arguments;
mod common;
mod document;
mod help;
mod value;

pub(crate) use common::FromConfiguration;
pub use common::{Common, Levels};
pub use help::{help, version};

use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, ffi::OsString, fmt};
use value::Value;

/// Exit status for what the user configured wrong (EX_USAGE of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// One argument that a service takes: a line of `--help`, and what makes its key known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, without dashes: `port`. Also the key in the TOML document and the field of the service's struct.
    pub name: &'static str,
    /// What stands for its value in `--help`: `PORT`. Empty for a flag, which is true when it is there.
    pub value: &'static str,
    /// What it does and what it is when it is not given, in one line.
    pub help: &'static str,
}

/// Configuration, merged and with every key known.
#[derive(Debug, Default)]
pub struct Configuration {
    values: BTreeMap<String, Value>,
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// To run.
    Run(Box<Configuration>),
    /// To print every argument (`--help`).
    Help,
    /// To print name and version (`--version`).
    Version,
}

/// What is wrong with the configuration: the user's fault, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    key: String,
    problem: String,
    expected: String,
}

impl Configuration {
    /// Merges boot arguments (without the program's name) and a document, for a service that takes `own` arguments.
    pub fn load(
        own: &[Argument],
        given: impl IntoIterator<Item = OsString>,
        document: Option<&[u8]>,
    ) -> Result<Request, Error> {
        let known =
            |key: &str| common::ARGUMENTS.iter().chain(own).find(|argument| argument.name == key).copied();
        let mut values = document::parse(document.unwrap_or_default(), &known)?;
        let arguments = match arguments::parse(given, &known)? {
            arguments::Parsed::Help => return Ok(Request::Help),
            arguments::Parsed::Version => return Ok(Request::Version),
            arguments::Parsed::Values(arguments) => arguments,
        };
        values.extend(arguments);
        Ok(Request::Run(Box::new(Self { values })))
    }

    /// Takes out the keys that all services have.
    pub fn take_common(&mut self) -> Result<Common, Error> {
        Common::take(self)
    }

    /// What is left, as the service's own struct.
    pub fn service<T: DeserializeOwned>(self) -> Result<T, Error> {
        T::deserialize(value::Fields::new(self.values))
    }
}

impl Error {
    /// An error about the value of an argument that a service found once all values had been read. The value is not repeated.
    pub fn about(argument: &Argument, problem: impl fmt::Display) -> Self {
        Self::new(format!("--{}", argument.name), problem, expected(argument))
    }

    fn new(key: impl Into<String>, problem: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self {
            key: printable(&key.into()),
            problem: printable(&problem.to_string()),
            expected: expected.into(),
        }
    }
}

/// One line, of characters that do no harm to a terminal, not endless.
fn printable(text: &str) -> String {
    const CHARACTERS: usize = 120;
    let mut line: String =
        text.chars().take(CHARACTERS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARACTERS).is_some() {
        line.push('…');
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; expected {}", self.key, self.problem, self.expected)
    }
}

impl std::error::Error for Error {}

/// What is expected where `argument` stands.
fn expected(argument: &Argument) -> String {
    match argument.value {
        "" => format!("--{} or --{}=false", argument.name, argument.name),
        value => format!("--{}={value}: {}", argument.name, argument.help),
    }
}

#[cfg(test)]
mod tests;
