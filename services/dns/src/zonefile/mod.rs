//! Zone files (RFC 1035 §5): `$ORIGIN`, `$TTL`, and records.
//!
//! Not here: `$INCLUDE`, which is refused (there is no file system), and `$GENERATE`, which is BIND's.

pub mod edit;
mod entry;
mod keyfile;
mod lines;
mod location;
mod print;
mod rdata;
mod rewrite;
mod scope;
mod services;
mod style;
mod words;

pub use rdata::time;

use std::io::BufRead;

use crate::limits::WARNINGS;
use crate::name::{HashKey, Name, to_text};
use crate::types::RecordType;
use crate::zone::build::Record;
use crate::zone::{Builder, Zone};
use entry::Entries;
pub use keyfile::read_keys;
pub use print::record_text;
use scope::{Scope, TtlSource};
use words::Words;

/// A zone file that is refused: what is wrong, and on which line (0 where it is the file as a whole).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    /// The file's name.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// What is wrong.
    pub reason: String,
}

impl ZoneError {
    /// An error of the file as a whole.
    pub fn about(file: &str, reason: impl Into<String>) -> ZoneError {
        ZoneError { file: file.to_string(), line: 0, reason: reason.into() }
    }
}

impl std::fmt::Display for ZoneError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.reason),
            line => write!(f, "{}:{line}: {}", self.file, self.reason),
        }
    }
}

impl std::error::Error for ZoneError {}

/// What is odd about a zone that is served all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// The first few, each with its line (0 where it is the file as a whole).
    pub first: Vec<(u32, String)>,
    /// How many there are in all.
    pub count: usize,
}

impl Warnings {
    fn push(&mut self, line: u32, reason: String) {
        self.count += 1;
        if self.first.len() < WARNINGS {
            self.first.push((line, reason));
        }
    }
}

/// Whether this can be the data of a record of type `rtype`; if not, why.
pub fn check_data(rtype: RecordType, data: &[u8]) -> Result<(), &'static str> {
    rdata::check_wire(rtype.fields(), data)
}

/// The zone's name as the file's name spells it.
pub fn zone_name(file: &str, key: &HashKey) -> Result<Name, String> {
    let (mut wire, mut name) = (Vec::new(), Name::root(key));
    words::name(file.as_bytes(), &[0], &mut wire)?;
    name.read(&wire, key).map_err(|_| "the file's name is no domain name".to_string())?;
    Ok(name)
}

/// Reads the file of the zone called `apex`.
pub fn read(apex: &Name, text: &mut dyn BufRead, key: &HashKey) -> Result<(Zone, Warnings), (u32, String)> {
    let mut reader = Reader {
        builder: Builder::new(apex, key),
        key,
        scope: Scope::new(apex.wire()),
        owner: Name::root(key),
        data: Vec::new(),
        warnings: Warnings::default(),
    };
    let mut entries = Entries::new(text);
    while entries.advance()? {
        let mut words = Words::new(&entries);
        reader.entry(&mut words, &entries).map_err(|reason| (words.line(), reason))?;
    }
    let (zone, warnings) = reader.builder.finish(apex).map_err(|reason| (0, reason))?;
    for warning in warnings {
        reader.warnings.push(0, warning);
    }
    Ok((zone, reader.warnings))
}

struct Reader<'k> {
    builder: Builder<'k>,
    key: &'k HashKey,
    scope: Scope,
    owner: Name,
    /// The current record's data; kept to use its memory again.
    data: Vec<u8>,
    warnings: Warnings,
}

impl Reader<'_> {
    fn entry(&mut self, words: &mut Words<'_, '_>, entries: &Entries<'_>) -> Result<(), String> {
        let Some(header) = self.scope.read(words, entries, &mut self.data)? else { return Ok(()) };
        if !entries.indented {
            let read = self.owner.read(&self.scope.owner, self.key);
            read.map_err(|_| format!("{} is no domain name", to_text(&self.scope.owner)))?;
        }
        if header.source == TtlSource::Minimum {
            let reason = "no TTL is given; the SOA record's last field is used";
            self.warnings.push(words.line(), reason.to_string());
        }
        let record = Record { rtype: header.rtype, ttl: header.ttl, data: &self.data };
        if let Some(warning) = self.builder.add(&self.owner, record)? {
            self.warnings.push(words.line(), warning);
        }
        Ok(())
    }
}
