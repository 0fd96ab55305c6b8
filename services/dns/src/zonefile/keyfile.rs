//! Files of keys: DNSKEY records that no zone has, written like a zone file.

use std::io::BufRead;

use super::entry::Entries;
use super::rdata;
use super::scope::is_class;
use super::words::{self, Words, ttl};
use crate::types::RecordType;

/// Reads a file of keys: DNSKEY records, with or without TTL and class; names are relative to the root unless `$ORIGIN`
/// says otherwise. **No message quotes what may be part of a secret.**
pub fn read_keys(
    text: &mut dyn BufRead,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<(), (u32, String)> {
    let (mut origin, mut owner) = (vec![0], Vec::new());
    let mut entries = Entries::new(text);
    while entries.advance()? {
        let mut words = Words::new(&entries);
        let mut entry = || {
            if !entries.indented {
                let word = words.take()?;
                let is_origin = word.eq_ignore_ascii_case(b"$ORIGIN");
                if word.eq_ignore_ascii_case(b"$TTL") {
                    return ttl(words.take()?).map(drop);
                }
                let mut name = Vec::new();
                words::name(if is_origin { words.take()? } else { word }, &origin, &mut name)?;
                if is_origin {
                    origin = name;
                    return Ok(());
                }
                owner = name;
            }
            if owner.is_empty() {
                return Err("the first record has no name before it".to_string());
            }
            take(&owner, &key_data(&mut words).ok_or("a key is written NAME DNSKEY 0 3 ALGORITHM BASE64")?)
        };
        entry().map_err(|reason| (entries.line(), reason))?;
    }
    Ok(())
}

/// The data of a DNSKEY record, whatever stands before its type.
fn key_data(words: &mut Words<'_, '_>) -> Option<Vec<u8>> {
    let is_other = |word: &[u8]| word.first().is_some_and(u8::is_ascii_digit) || is_class(word) == Ok(true);
    loop {
        match words.take().ok()? {
            word if word.eq_ignore_ascii_case(b"DNSKEY") => break,
            word if !is_other(word) => return None,
            _ => {}
        }
    }
    let mut data = Vec::new();
    rdata::parse(RecordType(48), words, &[0], &mut data).ok()?;
    Some(data)
}
