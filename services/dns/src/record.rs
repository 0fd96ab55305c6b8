//! Records that stand for themselves: what goes into a zone, comes out of it, and differs between two versions of it.
//!
//! A [`Zone`] keeps its records packed and its names in lower case. Whoever changes zones (updates, transfers, the editor of
//! zone files) speaks of single records instead; this is the one form of them that all parts share.

use crate::name::{HashKey, Name, to_text};
use crate::types::RecordType;
use crate::zone::{Builder, Node, Place, RECORD_HEADER, Zone, build};
use std::collections::HashMap;

/// A record of class IN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The name it belongs to, uncompressed, the case as it was given. A zone only knows lower case.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// Its data as on the wire, names in it uncompressed.
    pub data: Vec<u8>,
}

/// What changes from one version of a zone to the next. A record whose TTL changes is in both lists. The SOA records of
/// both versions are part of it: the old one removed, the new one added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is no longer there.
    pub removed: Vec<Record>,
    /// What is new.
    pub added: Vec<Record>,
}

impl Record {
    /// Whether both are of one set: same owner, the case aside (RFC 4343 §3), and same type.
    pub fn same_set(&self, other: &Record) -> bool {
        self.rtype == other.rtype && self.owner.eq_ignore_ascii_case(&other.owner)
    }

    /// Whether both are the same but for the TTL, which does not tell records apart (RFC 2181 §5).
    pub fn same(&self, other: &Record) -> bool {
        self.same_set(other) && self.rtype.same_data(&self.data, &other.data)
    }

    /// The serial number of an SOA record (RFC 1035 §3.3.13); `None` if it is of another type.
    pub fn serial(&self) -> Option<u32> {
        (self.rtype == RecordType::SOA).then(|| soa_field(&self.data, 0)).flatten()
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", to_text(&self.owner), self.ttl, self.rtype)
    }
}

impl Difference {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// The serial numbers of before and after; `None` where the SOA records are missing.
    pub fn serials(&self) -> Option<(u32, u32)> {
        Some((self.removed.iter().find_map(Record::serial)?, self.added.iter().find_map(Record::serial)?))
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }
}

/// The numbers that end an SOA record's data: serial, refresh, retry, expire, minimum, counted from 0.
pub fn soa_field(data: &[u8], number: usize) -> Option<u32> {
    let numbers = data.get(data.len().checked_sub(20)?..)?;
    numbers.get(4 * number..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// Whether the serial number `new` is later than `old` (RFC 1982 §3.2). Numbers that are half the circle apart are neither.
pub fn is_later(new: u32, old: u32) -> bool {
    (1..1 << 31).contains(&new.wrapping_sub(old))
}

impl Zone {
    /// Builds the zone called `apex` of these records; and warnings. Records of other names are an error, and so is all
    /// that a zone file may not have.
    pub fn from_records(
        apex: &Name,
        records: impl IntoIterator<Item = Record>,
        key: &HashKey,
    ) -> Result<(Zone, Vec<String>), String> {
        Zone::of(apex, records, true, key)
    }

    fn of(
        apex: &Name,
        records: impl IntoIterator<Item = Record>,
        strict: bool,
        key: &HashKey,
    ) -> Result<(Zone, Vec<String>), String> {
        let (mut builder, mut owner, mut warnings) = (Builder::new(apex, key), Name::root(key), Vec::new());
        for record in records {
            owner.read(&record.owner, key).map_err(|_| "the owner of a record is no name".to_string())?;
            let Record { rtype, ttl, ref data, .. } = record;
            warnings.extend(builder.add(&owner, build::Record { rtype, ttl, data })?);
        }
        let (zone, more) = if strict { builder.finish(apex)? } else { builder.finish_lenient(apex)? };
        warnings.extend(more);
        Ok((zone, warnings))
    }

    /// This zone with a difference applied; and warnings. What is to be removed must be there, TTLs aside: otherwise it is a
    /// difference of another version. `strict`: the zone's own servers must have addresses.
    pub fn with(
        &self,
        difference: &Difference,
        strict: bool,
        key: &HashKey,
    ) -> Result<(Zone, Vec<String>), String> {
        let mut removed: HashMap<Vec<u8>, Vec<&Record>> = HashMap::new();
        for record in &difference.removed {
            removed.entry(record.owner.to_ascii_lowercase()).or_default().push(record);
        }
        let mut found = 0;
        let kept = self.iter().filter(|record| {
            let goes = removed.get(&record.owner).is_some_and(|all| all.iter().any(|one| one.same(record)));
            found += usize::from(goes);
            !goes
        });
        let mut apex = Name::root(key);
        apex.read(self.apex(), key).map_err(|_| "the zone has no name".to_string())?;
        // Collected by the builder one by one: the zone is not in memory three times.
        let zone = Zone::of(&apex, kept.chain(difference.added.iter().cloned()), strict, key)?;
        match found == difference.removed.len() {
            true => Ok(zone),
            false => Err("the difference is one of another version of the zone".to_string()),
        }
    }

    /// The records of the node at `place`.
    pub(crate) fn records_in(&self, place: Place) -> Vec<Record> {
        records_of(self, self.node(place)).collect()
    }

    /// All records: the SOA record first, names in the order they were added, the records of a name side by side. Owners
    /// are in lower case.
    pub fn iter(&self) -> impl Iterator<Item = Record> + '_ {
        let soa = self.soa();
        let others = self.nodes_in_order().into_iter().flat_map(|place| records_of(self, self.node(place)));
        soa.into_iter().chain(others.filter(|record| record.rtype != RecordType::SOA))
    }

    /// The SOA record.
    pub fn soa(&self) -> Option<Record> {
        records_of(self, self.apex_node()).find(|record| record.rtype == RecordType::SOA)
    }

    /// The serial number of its SOA record.
    pub fn serial(&self) -> u32 {
        self.soa().and_then(|soa| soa.serial()).unwrap_or(0)
    }

    /// The records of the name `owner` as it stands: no wildcard, no delegation; of all types. None if there is no such
    /// name, or nothing but names below it.
    pub fn records_at(&self, owner: &Name) -> Vec<Record> {
        self.node_at(owner).map_or_else(Vec::new, |node| records_of(self, node).collect())
    }
}

fn records_of<'z>(zone: &'z Zone, node: Node<'z>) -> impl Iterator<Item = Record> + 'z {
    let owner = [node.name(), zone.apex()].concat();
    node.sets().flat_map(move |set| {
        let owner = owner.clone();
        set.records().map(move |record| {
            let ttl = record.get(6..).and_then(<[u8]>::first_chunk).map_or(0, |ttl| u32::from_be_bytes(*ttl));
            let data = record.get(RECORD_HEADER..).unwrap_or_default().to_vec();
            Record { owner: owner.clone(), rtype: set.rtype(), ttl, data }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile;

    const TEXT: &str = "$TTL 60\n\
        WWW A 192.0.2.2\n A 192.0.2.3\n\
        @ NS ns\n@ SOA ns h 7 1 2 3 4\n\
        ns A 192.0.2.1\n\
        *.deep.er TXT \"x\"\n";

    fn key() -> HashKey {
        HashKey::new([5; 24])
    }

    fn zone() -> (Name, Zone) {
        let apex = zonefile::zone_name("example.org", &key()).unwrap();
        let zone = zonefile::read(&apex, &mut TEXT.as_bytes(), &key()).unwrap().0;
        (apex, zone)
    }

    #[test]
    fn all_records_come_out_and_go_in_again() {
        let (apex, zone) = zone();
        let lines: Vec<String> = zone.iter().map(|record| record.to_string()).collect();
        let expect = [
            "example.org. 60 SOA",
            "example.org. 60 NS",
            "www.example.org. 60 A",
            "www.example.org. 60 A",
            "ns.example.org. 60 A",
            "*.deep.er.example.org. 60 TXT",
        ];
        let (mut sorted, mut expect) = (lines.clone(), expect.map(String::from).to_vec());
        assert_eq!(lines[0], expect[0]);
        sorted.sort();
        expect.sort();
        assert_eq!(sorted, expect);
        let (again, warnings) = Zone::from_records(&apex, zone.iter(), &key()).unwrap();
        assert_eq!((again.records(), again.serial(), warnings), (6, 7, Vec::new()));
        let mut both = [zone.iter().collect::<Vec<_>>(), again.iter().collect()];
        both.iter_mut()
            .for_each(|records| records.sort_by_key(|record| (record.owner.clone(), record.data.clone())));
        assert_eq!(both[0], both[1]);
    }

    #[track_caller]
    fn check(owner: &[u8], expect: usize) {
        let mut name = Name::root(&key());
        name.read(owner, &key()).unwrap();
        assert_eq!(zone().1.records_at(&name).len(), expect);
    }

    #[test]
    fn a_name_is_looked_up_as_it_stands() {
        check(b"\x07example\x03org\0", 2);
        check(b"\x03wWw\x07example\x03org\0", 2);
        check(b"\x02er\x07example\x03org\0", 0);
        check(b"\x01x\x04deep\x02er\x07example\x03org\0", 0);
        check(b"\x01*\x04deep\x02er\x07example\x03org\0", 1);
        check(b"\x03org\0", 0);
        check(b"\x03www\x07example\x03com\0", 0);
    }

    #[test]
    fn serial_numbers_go_in_a_circle() {
        assert!(is_later(1, 0) && is_later(0, u32::MAX) && is_later(0x7FFF_FFFF, 0));
        assert!(!is_later(0, 0) && !is_later(0, 1) && !is_later(0x8000_0000, 0) && !is_later(0, 0x8000_0000));
    }
}
