//! Catalog zones (RFC 9432): a zone that lists zones, so that secondaries learn by a transfer which zones there are.
//!
//! ```text
//! consumer   zone ─► Catalog::read ─► members, or Broken ─► Catalogs::update ─► News: added, removed, reset, moved, refused
//! producer   names of zones ─► compose ─► records of a zone
//! ```
//!
//! Pure: what is to be fetched from whom is the service's. Properties other than `version` and `coo` mean nothing here, as RFC 9432
//! §4.3 has it of those that are not known.

mod consumer;

pub use consumer::{Catalogs, News};

use crate::limits::CATALOG_MEMBERS;
use crate::name::to_text;
use crate::record::Record;
use crate::types::RecordType;
use crate::zone::Zone;
use sha2::{Digest, Sha256};

/// The version that there is (RFC 9432 §4.2.1), as the data of a TXT record.
const VERSION: &[u8] = b"\x012";

/// The name `invalid.`, which no server has (RFC 9432 §4).
const INVALID: &[u8] = b"\x07invalid\0";

/// Octets of a digest that name a member: 32 hexadecimal digits.
const LABEL_DIGEST_OCTETS: usize = 16;

/// A zone that a catalog lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its name on the wire, lower case.
    pub zone: Vec<u8>,
    /// The label that it has in the catalog; another one means that it is another zone of that name (RFC 9432 §5.4).
    pub label: Vec<u8>,
    /// The catalog that may take it over (RFC 9432 §4.3.1).
    pub owner: Option<Vec<u8>>,
}

/// Why a zone is no catalog that may be followed (RFC 9432 §5.1). What was there before stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not say that it is of version 2, and once.
    Version,
    /// A name has more than one PTR record.
    Several(Vec<u8>),
    /// It lists more zones than [`CATALOG_MEMBERS`].
    TooMany,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Version => f.write_str(
                "it needs one TXT record `version`, and that has to be \"2\" (RFC 9432 section 4.2.1)",
            ),
            Broken::Several(name) => {
                write!(f, "{} has more than one PTR record (RFC 9432 section 4.1)", to_text(name))
            }
            Broken::TooMany => {
                write!(f, "it lists more than {CATALOG_MEMBERS} zones; divide it into several catalogs")
            }
        }
    }
}

/// What a record of a catalog is about.
enum Entry<'r> {
    Version,
    Member(&'r [u8]),
    Owner(&'r [u8]),
    Other,
}

impl Entry<'_> {
    /// By its owner, and the catalog's name.
    fn of<'r>(record: &'r Record, apex: &[u8]) -> Entry<'r> {
        let (mut labels, mut rest) = (Vec::new(), record.owner.strip_suffix(apex).unwrap_or_default());
        while let Some((&length, tail)) = rest.split_first() {
            let Some((label, behind)) = tail.split_at_checked(usize::from(length)) else {
                return Entry::Other;
            };
            labels.push(label);
            rest = behind;
        }
        match (labels.as_slice(), record.rtype) {
            ([b"version"], RecordType::TXT) => Entry::Version,
            ([label, b"zones"], RecordType::PTR) => Entry::Member(label),
            ([b"coo", label, b"zones"], RecordType::PTR) => Entry::Owner(label),
            _ => Entry::Other,
        }
    }
}

/// The members of the catalog `zone`, sorted.
pub fn read(zone: &Zone) -> Result<Vec<Member>, Broken> {
    let (mut versions, mut members, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for record in zone.iter() {
        let target = || record.data.to_ascii_lowercase();
        match Entry::of(&record, zone.apex()) {
            Entry::Version => versions.push(record.data.clone()),
            Entry::Member(label) => members.push((label.to_vec(), target())),
            Entry::Owner(label) => owners.push((label.to_vec(), target())),
            Entry::Other => {}
        }
        if members.len() > CATALOG_MEMBERS {
            return Err(Broken::TooMany);
        }
    }
    // RFC 9432 §4.2.1
    if versions != [VERSION] {
        return Err(Broken::Version);
    }
    let full = |prefix: &[u8], label: &[u8]| {
        [prefix, &[label.len() as u8], label, b"\x05zones", zone.apex()].concat()
    };
    members.sort_unstable();
    owners.sort_unstable();
    let twice = |all: &[(Vec<u8>, Vec<u8>)]| {
        all.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0.clone())
    };
    if let Some(label) = twice(&members) {
        return Err(Broken::Several(full(b"", &label)));
    }
    if let Some(label) = twice(&owners) {
        return Err(Broken::Several(full(b"\x03coo", &label)));
    }
    let owner_of = |label: &Vec<u8>| {
        let found = owners.binary_search_by(|(of, _)| of.cmp(label)).ok();
        found.map(|number| owners[number].1.clone())
    };
    let member = |(label, zone)| Member { owner: owner_of(&label), zone, label };
    let mut members: Vec<Member> = members.into_iter().map(member).collect();
    members.sort_unstable();
    Ok(members)
}

/// The records of the catalog called `apex` that lists `zones`. Labels are made of the zones' names, so that they are the same
/// after a restart.
pub fn compose<'z>(apex: &[u8], zones: impl IntoIterator<Item = &'z [u8]>, serial: u32) -> Vec<Record> {
    let record = |owner: &[&[u8]], rtype, data| Record {
        owner: [&owner.concat(), apex].concat(),
        rtype,
        ttl: 0,
        data,
    };
    // The numbers of RFC 9432 appendix A: asked for every hour, and never too old.
    let numbers = [serial, 3600, 600, i32::MAX as u32 - 1, 0].map(u32::to_be_bytes).concat();
    let mut records = vec![
        record(&[], RecordType::SOA, [INVALID, INVALID, &numbers].concat()),
        record(&[], RecordType::NS, INVALID.to_vec()),
        record(&[b"\x07version"], RecordType::TXT, VERSION.to_vec()),
    ];
    for zone in zones {
        let digest = Sha256::digest(zone);
        let label: String =
            digest[..LABEL_DIGEST_OCTETS].iter().map(|octet| format!("{octet:02x}")).collect();
        let owner: &[&[u8]] = &[&[label.len() as u8], label.as_bytes(), b"\x05zones"];
        records.push(record(owner, RecordType::PTR, zone.to_vec()));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{HashKey, Name};
    use crate::zonefile;

    const START: &str = "@ 0 SOA invalid. invalid. 1 3600 600 2147483646 0\n@ 0 NS invalid.\n";

    fn key() -> HashKey {
        HashKey::new([8; 24])
    }

    fn apex() -> Name {
        zonefile::zone_name("catalog.example", &key()).unwrap()
    }

    /// The members, as `LABEL ZONE OWNER`; or what is broken.
    #[track_caller]
    fn check(text: &str, expect: Result<&[&str], &str>) {
        let zone = zonefile::read(&apex(), &mut format!("{START}{text}").as_bytes(), &key()).unwrap().0;
        let shown = |member: &Member| {
            let owner = member.owner.as_ref().map(|owner| to_text(owner)).unwrap_or_default();
            let line =
                format!("{} {} {owner}", String::from_utf8_lossy(&member.label), to_text(&member.zone));
            line.trim_end().to_string()
        };
        let read = read(&zone).map(|members| members.iter().map(shown).collect::<Vec<_>>());
        match (read, expect) {
            (Ok(members), Ok(expect)) => assert_eq!(members, expect),
            (Err(broken), Err(expect)) => {
                let text = broken.to_string();
                assert!(text.contains(expect), "{text}");
            }
            (read, _) => panic!("{read:?}, not {expect:?}"),
        }
    }

    #[test]
    fn a_catalog_lists_zones_and_may_have_more_in_it() {
        check("version 0 TXT \"2\"\n", Ok(&[]));
        let text = "version 0 TXT 2\nB.zones 0 PTR Example.ORG.\na.zones 0 PTR example.com.\n\
                    coo.b.zones 0 PTR other.example.\ngroup.b.zones 0 TXT fast\nx.y.zones 0 PTR no.example.\n\
                    b.zones 0 TXT whatever\next 0 PTR no.example.\nzones 0 PTR no.example.\n\
                    coo.c.zones 0 PTR no.example.\n@ 0 PTR no.example.\n";
        check(text, Ok(&["a example.com.", "b example.org. other.example."]));
    }

    #[test]
    fn what_is_broken_is_no_catalog() {
        check("a.zones 0 PTR example.com.\n", Err("version"));
        check("version 0 TXT 1\n", Err("version"));
        check("version 0 TXT 2\nversion 0 TXT 3\n", Err("version"));
        check("version 0 TXT 2 2\n", Err("version"));
        check("version 0 A 192.0.2.2\n", Err("version"));
        let several = "version 0 TXT 2\na.zones 0 PTR example.com.\na.zones 0 PTR example.org.\n";
        check(several, Err("a.zones.catalog.example. has more than one PTR"));
        let several = "version 0 TXT 2\ncoo.a.zones 0 PTR a.example.\ncoo.a.zones 0 PTR b.example.\n";
        check(several, Err("coo.a.zones.catalog.example. has more than one PTR"));
        let many: String = (0..=CATALOG_MEMBERS).map(|n| format!("m{n}.zones 0 PTR z{n}.\n")).collect();
        check(&format!("version 0 TXT 2\n{many}"), Err("more than"));
    }

    #[test]
    fn what_is_composed_is_read() {
        let zones: [&[u8]; 2] = [b"\x03org\0", b"\x07example\x03com\0"];
        let compose = |serial| compose(apex().wire(), zones, serial);
        let zone = Zone::from_records(&apex(), compose(7), &key()).unwrap().0;
        let members = read(&zone).unwrap();
        let names: Vec<&[u8]> = members.iter().map(|member| &member.zone[..]).collect();
        assert_eq!((zone.serial(), names), (7, zones.to_vec()));
        assert!(members.iter().all(|member| member.label.len() == 32 && member.owner.is_none()));
        let again = Zone::from_records(&apex(), compose(8), &key()).unwrap().0;
        assert_eq!(read(&again).unwrap(), members);
    }
}
