//! What is checked of zone files before they are served: the same in the service and in `dns-check`, which a git server
//! runs before it takes a push.
//!
//! What a zone must and must not hold is checked where it is built (`zone/build.rs`); here is what it takes more than one
//! zone to see.

use crate::dnssec::is_key_file;
use crate::name::{HashKey, Name};
use crate::record::{Record, is_later};
use crate::zone::Zone;
use crate::zonefile::{self, Warnings, ZoneError};

/// What a file of a flat repository or archive is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A zone of the same name.
    Zone,
    /// Secrets of TSIG: `_keys`, `ZONE._keys`.
    Keys,
    /// Half a key that signs a zone: `KZONE.+ALGORITHM+TAG.key`, `….private`.
    SigningKey,
    /// Certificate and key of TLS: `_tls.pem`.
    Identity,
    /// Hidden, or in a folder: nobody's.
    Other,
}

impl FileKind {
    /// By the file's path.
    pub fn of(path: &str) -> FileKind {
        match path {
            _ if path.starts_with('.') || path.contains('/') => FileKind::Other,
            _ if path == "_keys" || path.ends_with("._keys") => FileKind::Keys,
            _ if path == "_tls.pem" => FileKind::Identity,
            _ if is_key_file(path) => FileKind::SigningKey,
            _ => FileKind::Zone,
        }
    }
}

/// A zone out of the text of the file that is named like it.
pub struct Checked {
    /// The zone's name.
    pub apex: Name,
    /// The zone.
    pub zone: Zone,
    /// What is odd about it.
    pub warnings: Warnings,
}

/// Reads a zone file and checks it by itself.
pub fn zone(file: &str, text: &[u8], key: &HashKey) -> Result<Checked, ZoneError> {
    let error = |line, reason| ZoneError { file: file.to_string(), line, reason };
    let apex = zonefile::zone_name(file, key).map_err(|reason| error(0, reason))?;
    let (zone, warnings) =
        zonefile::read(&apex, &mut &*text, key).map_err(|(line, reason)| error(line, reason))?;
    Ok(Checked { apex, zone, warnings })
}

/// Whether the serial number rose where it had to: secondaries take nothing that it does not announce (RFC 1034 §4.3.5).
/// The error says what to write.
pub fn serial(old: &Zone, new: &Zone) -> Result<(), String> {
    let (before, after) = (old.serial(), new.serial());
    if is_later(after, before) || same_records(old, new) {
        return Ok(());
    }
    let what =
        if before == after { format!("is still {after}") } else { format!("went from {before} to {after}") };
    let next = before.wrapping_add(1);
    Err(format!(
        "records changed, but the serial number {what}, so that secondaries keep the old ones; write {next} or later"
    ))
}

fn same_records(old: &Zone, new: &Zone) -> bool {
    if old.records() != new.records() {
        return false;
    }
    let sorted = |zone: &Zone| {
        let mut records: Vec<Record> = zone.iter().collect();
        records.sort_unstable_by(|a, b| (&a.owner, a.rtype, &a.data).cmp(&(&b.owner, b.rtype, &b.data)));
        records
    };
    sorted(old) == sorted(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_kind(path: &str, expect: FileKind) {
        assert_eq!(FileKind::of(path), expect, "{path}");
    }

    #[test]
    fn files_are_known_by_their_names() {
        check_kind("example.org", FileKind::Zone);
        check_kind("Kexample.org.+015+03613.key", FileKind::SigningKey);
        check_kind("_keys", FileKind::Keys);
        check_kind("example.org._keys", FileKind::Keys);
        check_kind(".gitattributes", FileKind::Other);
        check_kind("docs/example.org", FileKind::Other);
    }

    #[track_caller]
    fn check_serial(old: &str, new: &str, expect: Result<(), &str>) {
        let key = HashKey::new([1; 24]);
        let read = |text: &str| {
            let text = format!("$TTL 1\n@ NS ns.example.net.\n@ SOA a b {text}");
            zone("example.org", text.as_bytes(), &key).unwrap().zone
        };
        let found = serial(&read(old), &read(new));
        assert_eq!(
            found.as_ref().map_err(|reason| reason.split(", so").next().unwrap()),
            expect.as_ref().map_err(|text| *text)
        );
    }

    #[test]
    fn the_serial_number_rises_with_the_records() {
        check_serial("7 1 1 1 1\na A 192.0.2.1", "7 1 1 1 1 ; a comment\n\nA A 192.0.2.1", Ok(()));
        check_serial("7 1 1 1 1\na A 192.0.2.1", "8 1 1 1 1\na A 192.0.2.2", Ok(()));
        check_serial("4294967295 1 1 1 1\n", "0 1 1 1 1\na A 192.0.2.2", Ok(()));
        let still = Err("records changed, but the serial number is still 7");
        check_serial("7 1 1 1 1\na A 192.0.2.1", "7 1 1 1 1\na A 192.0.2.2", still);
        check_serial("7 1 1 1 1\n", "7 1 1 1 2\n", still);
        check_serial(
            "7 1 1 1 1\n",
            "6 1 1 1 1\n",
            Err("records changed, but the serial number went from 7 to 6"),
        );
    }
}
