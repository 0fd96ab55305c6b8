//! What an entry means where it stands: the origin, owner and TTL that entries before it have set.
//!
//! The reader of zones and the editor of zone files share it, so that both understand a file in the same way.

use super::entry::Entries;
use super::rdata;
use super::words::{self, Words, shown, ttl};
use crate::types::RecordType;

/// What entries inherit; see the module.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What relative names end in, on the wire.
    pub origin: Vec<u8>,
    /// The owner of the record before, on the wire, as it was written; empty before the first.
    pub owner: Vec<u8>,
    /// The TTLs that a record may inherit.
    pub ttls: Ttls,
}

/// The TTLs that a record without one may inherit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ttls {
    /// That of `$TTL` (RFC 2308 §4).
    pub default: Option<u32>,
    /// The last one given with a record (RFC 1035 §5.1).
    pub last: Option<u32>,
}

/// Where a record has its TTL from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlSource {
    /// It is written with the record.
    Own,
    /// `$TTL`.
    Default,
    /// A record before it.
    Last,
    /// The last field of the SOA record itself (RFC 1035 §3.3.13).
    Minimum,
}

/// A record's fields before its data; `..._word` number the entry's tokens.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The record's type.
    pub rtype: RecordType,
    /// The record's TTL.
    pub ttl: u32,
    /// Where it has it from.
    pub source: TtlSource,
    /// The TTL, if it is written.
    pub ttl_word: Option<usize>,
    /// The class, if it is written.
    pub class_word: Option<usize>,
    /// The type.
    pub type_word: usize,
}

impl Scope {
    /// That of the first line of a file of the zone called `apex`.
    pub fn new(apex: &[u8]) -> Scope {
        Scope { origin: apex.to_vec(), owner: Vec::new(), ttls: Ttls::default() }
    }

    /// Reads an entry: `None` for a directive. A record's data comes into `data`; its owner is `self.owner`.
    pub fn read(
        &mut self,
        words: &mut Words<'_, '_>,
        entries: &Entries<'_>,
        data: &mut Vec<u8>,
    ) -> Result<Option<Header>, String> {
        if entries.indented {
            if self.owner.is_empty() {
                return Err("the first record has no name before it".to_string());
            }
        } else {
            let (word, token) = words.take_token()?;
            if word.starts_with(b"$") && !token.quoted {
                return self.directive(word, words).map(|()| None);
            }
            self.owner.clear();
            words::name(word, &self.origin, &mut self.owner)?;
        }
        self.record(words, data).map(Some)
    }

    fn directive(&mut self, directive: &[u8], words: &mut Words<'_, '_>) -> Result<(), String> {
        match directive.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let mut origin = Vec::new();
                words::name(words.take()?, &self.origin, &mut origin)?;
                self.origin = origin;
            }
            b"$TTL" => self.ttls.default = Some(ttl(words.take()?)?),
            b"$INCLUDE" => return Err("$INCLUDE is not served: put the records into this file".to_string()),
            _ => return Err(format!("{} is no directive: $ORIGIN and $TTL are", shown(directive))),
        }
        if words.is_empty() { Ok(()) } else { Err(format!("{} is too much", shown(words.take()?))) }
    }

    /// `[TTL] [class] type data` or `[class] [TTL] type data`
    fn record(&mut self, words: &mut Words<'_, '_>, data: &mut Vec<u8>) -> Result<Header, String> {
        let (mut given, mut ttl_word, mut class_word) = (None, None, None);
        let rtype = loop {
            let position = words.taken();
            let word = words.take()?;
            if given.is_none() && word.first().is_some_and(u8::is_ascii_digit) {
                (given, ttl_word) = (Some(ttl(word)?), Some(position));
            } else if class_word.is_none() && is_class(word)? {
                class_word = Some(position);
            } else {
                break RecordType::from_text(word)
                    .ok_or_else(|| format!("{} is no record type", shown(word)))?;
            }
        };
        let type_word = words.taken() - 1;
        if rtype.is_meta() {
            return Err(format!("{rtype} is a type for questions, not for records"));
        }
        data.clear();
        rdata::parse(rtype, words, &self.origin, data)?;
        let (ttl, source) = self
            .ttls
            .of_record(rtype, given, data)
            .ok_or("the record has no TTL, and no $TTL or other TTL stands before it")?;
        Ok(Header { rtype, ttl, source, ttl_word, class_word, type_word })
    }
}

impl Ttls {
    /// The TTL of a record with this one `given`, and where it comes from; those that follow may inherit it.
    pub fn of_record(
        &mut self,
        rtype: RecordType,
        given: Option<u32>,
        data: &[u8],
    ) -> Option<(u32, TtlSource)> {
        if given.is_some() {
            self.last = given;
        }
        let found = self.inherited(rtype, data);
        let found = given.map(|ttl| (ttl, TtlSource::Own)).or(found);
        self.last = self.last.or(found.map(|(ttl, _)| ttl));
        found
    }

    /// The TTL of a record without one.
    pub fn inherited(&self, rtype: RecordType, data: &[u8]) -> Option<(u32, TtlSource)> {
        let minimum = data.last_chunk().filter(|_| rtype == RecordType::SOA);
        let default = self.default.map(|ttl| (ttl, TtlSource::Default));
        let last = self.last.map(|ttl| (ttl, TtlSource::Last));
        default.or(last).or(minimum.map(|octets| (u32::from_be_bytes(*octets), TtlSource::Minimum)))
    }
}

/// Whether a word is the class IN. Another class is an error.
pub fn is_class(word: &[u8]) -> Result<bool, String> {
    let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
    if is("CH") || is("HS") || is("CS") || word.to_ascii_uppercase().starts_with(b"CLASS") && !is("CLASS1") {
        return Err(format!("only records of class IN are served, not {}", shown(word)));
    }
    Ok(is("IN") || is("CLASS1"))
}
