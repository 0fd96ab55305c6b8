//! What a commit says of an update: who, from where, and which records.

use crate::record::{Difference, Record};
use crate::zonefile::record_text;
use std::net::IpAddr;
use store::Identity;

/// Records listed in a message at most; of the rest only the number.
const RECORDS: usize = 40;

/// Characters of a record at most.
const CHARACTERS: usize = 160;

/// The author: the key that signed, as a name without its final dot.
pub fn author(key: &str, now: i64) -> Identity {
    let key = key.trim_end_matches('.');
    Identity::new(&format!("{key} via primary git"), key, now)
}

/// `example.org changed by 192.0.2.7`, and below it the difference with `-` and `+`.
pub fn message(file: &str, peer: IpAddr, difference: &Difference) -> String {
    let mut text = format!("{file} changed by {peer}\n\n");
    let (removed, added) = (&difference.removed, &difference.added);
    let serial = |records: &[Record]| records.iter().find_map(Record::serial);
    if let (Some(old), Some(new)) = (serial(removed), serial(added)) {
        text.push_str(&format!("serial {old} -> {new}\n"));
    }
    // Of the SOA record usually the serial number is all that changes.
    let rest = |records: &[Record]| records.iter().filter(|record| record.serial().is_none()).count();
    let lines = removed.iter().map(|record| ('-', record)).chain(added.iter().map(|record| ('+', record)));
    let mut lines = lines.filter(|(_, record)| record.serial().is_none());
    for (sign, record) in lines.by_ref().take(RECORDS) {
        let line: String = record_text(record).chars().take(CHARACTERS).collect();
        text.push_str(&format!("{sign} {line}\n"));
    }
    let more = (rest(removed) + rest(added)).saturating_sub(RECORDS);
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text
}
