//! Zone files (RFC 1035 §5): `$ORIGIN`, `$TTL`, and records.
//!
//! Not here: `$INCLUDE`, which is refused (there is no file system), and `$GENERATE`, which is BIND's.

mod entry;
mod location;
mod rdata;
mod services;
mod words;

use std::io::BufRead;

use crate::limits::WARNINGS;
use crate::name::{HashKey, Name};
use crate::types::RecordType;
use crate::zone::build::Record;
use crate::zone::{Builder, Zone};
use entry::Entries;
use words::{Words, shown, ttl};

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
        origin: apex.wire().to_vec(),
        owner: Name::root(key),
        has_owner: false,
        default_ttl: None,
        last_ttl: None,
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
    origin: Vec<u8>,
    owner: Name,
    has_owner: bool,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    /// The current record's data; kept to use its memory again.
    data: Vec<u8>,
    warnings: Warnings,
}

impl Reader<'_> {
    fn entry(&mut self, words: &mut Words<'_, '_>, entries: &Entries<'_>) -> Result<(), String> {
        if entries.indented {
            if !self.has_owner {
                return Err("the first record has no name before it".to_string());
            }
        } else {
            let (word, token) = words.take_token()?;
            if word.starts_with(b"$") && !token.quoted {
                return self.directive(word, words);
            }
            self.has_owner = false;
            self.data.clear();
            words::name(word, &self.origin, &mut self.data)?;
            self.owner
                .read(&self.data, self.key)
                .map_err(|_| format!("{} is no domain name", shown(word)))?;
            self.has_owner = true;
        }
        self.record(words)
    }

    fn directive(&mut self, directive: &[u8], words: &mut Words<'_, '_>) -> Result<(), String> {
        match directive.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let mut origin = Vec::new();
                words::name(words.take()?, &self.origin, &mut origin)?;
                self.origin = origin;
            }
            b"$TTL" => self.default_ttl = Some(ttl(words.take()?)?), // RFC 2308 §4
            b"$INCLUDE" => return Err("$INCLUDE is not served: put the records into this file".to_string()),
            _ => return Err(format!("{} is no directive: $ORIGIN and $TTL are", shown(directive))),
        }
        if words.is_empty() { Ok(()) } else { Err(format!("{} is too much", shown(words.take()?))) }
    }

    /// `[TTL] [class] type data` or `[class] [TTL] type data`
    fn record(&mut self, words: &mut Words<'_, '_>) -> Result<(), String> {
        let (mut record_ttl, mut has_class) = (None, false);
        let rtype = loop {
            let word = words.take()?;
            if record_ttl.is_none() && word.first().is_some_and(u8::is_ascii_digit) {
                record_ttl = Some(ttl(word)?);
            } else if !has_class && is_class(word)? {
                has_class = true;
            } else {
                break RecordType::from_text(word)
                    .ok_or_else(|| format!("{} is no record type", shown(word)))?;
            }
        };
        if rtype.is_meta() {
            return Err(format!("{rtype} is a type for questions, not for records"));
        }
        self.data.clear();
        rdata::parse(rtype, words, &self.origin, &mut self.data)?;
        let ttl = self.ttl(rtype, record_ttl, words.line())?;
        let record = Record { rtype, ttl, data: &self.data };
        if let Some(warning) = self.builder.add(&self.owner, record)? {
            self.warnings.push(words.line(), warning);
        }
        Ok(())
    }

    /// The record's own TTL, or that of `$TTL`, or the last one given (RFC 1035 §5.1), or for an SOA record its last
    /// field (RFC 1035 §3.3.13).
    fn ttl(&mut self, rtype: RecordType, given: Option<u32>, line: u32) -> Result<u32, String> {
        if let Some(ttl) = given {
            self.last_ttl = Some(ttl);
        }
        let minimum = || self.data.last_chunk().map(|octets| u32::from_be_bytes(*octets));
        let assumed = || {
            let ttl = minimum().filter(|_| rtype == RecordType::SOA);
            ttl.inspect(|_| {
                self.warnings.push(line, "no TTL is given; the SOA record's last field is used".to_string());
            })
        };
        let ttl = given.or(self.default_ttl).or(self.last_ttl).or_else(assumed);
        self.last_ttl = self.last_ttl.or(ttl);
        ttl.ok_or_else(|| "the record has no TTL, and no $TTL or other TTL stands before it".to_string())
    }
}

fn is_class(word: &[u8]) -> Result<bool, String> {
    let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
    if is("CH") || is("HS") || is("CS") || word.to_ascii_uppercase().starts_with(b"CLASS") && !is("CLASS1") {
        return Err(format!("only records of class IN are served, not {}", shown(word)));
    }
    Ok(is("IN") || is("CLASS1"))
}
