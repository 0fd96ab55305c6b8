//! Changes to zone files of any kind: an empty one leaves every octet, a change of the serial number only that word, any
//! other a file that says the old records with the change applied. Never a panic, never a file that says anything else.
//!
//! The first octets choose what goes and comes, the rest is the file.
#![no_main]

use dns::{Difference, EditError, HashKey, Name, Record, RecordType, Zone, Zones, edit, zone_name};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

/// Octets that choose.
const CHOICES: usize = 8;

fuzz_target!(|input: &[u8]| {
    let Some((choices, text)) = input.split_first_chunk::<CHOICES>() else { return };
    let apex = apex();
    match edit(apex.wire(), text, &Difference::default()) {
        Ok(same) => assert_eq!(same, text, "nothing was to change"),
        Err(EditError::Unreadable(..)) => {}
        Err(error) => panic!("{error}"),
    }
    let Some(old) = records(text) else { return };
    let difference = difference(&old, choices);
    // A change that would leave no zone (its servers' addresses are gone) is not one that the service asks for.
    let stays = old.iter().filter(|record| !difference.removed.contains(record));
    let all = stays.chain(&difference.added).cloned();
    let Ok((zone, _)) = Zone::from_records(&apex, all, &key()) else { return };
    let new_text =
        edit(apex.wire(), text, &difference).unwrap_or_else(|error| panic!("{error}: {difference:?}"));
    let new = records(&new_text).expect("the new file can be read");
    assert_eq!(sorted(new), sorted(zone.iter().collect()));
});

fn key() -> HashKey {
    HashKey::new([7; 24])
}

fn apex() -> Name {
    zone_name("example.org", &key()).expect("it is a name")
}

fn records(text: &[u8]) -> Option<Vec<Record>> {
    let mut zones = Zones::new(key());
    zones.load("example.org", &mut &*text).ok()?;
    Some(zones.get(&apex()).expect("it was loaded").iter().collect())
}

/// Removes some records, gives others a new TTL or serial number, and adds some.
fn difference(old: &[Record], choices: &[u8; CHOICES]) -> Difference {
    let mut difference = Difference::default();
    for (number, record) in old.iter().enumerate() {
        let choice = choices[number % 4].rotate_left(number as u32 / 4 % 8) & 3;
        let mut new = record.clone();
        if let Some(serial) = record.serial() {
            let at = new.data.len() - 20;
            new.data[at..at + 4].copy_from_slice(&serial.wrapping_add(1).to_be_bytes());
        } else if choice == 1 && record.rtype != RecordType::NS {
            difference.removed.push(record.clone());
            continue;
        } else if choice == 2 {
            new.ttl = u32::from(choices[4]);
        } else {
            continue;
        }
        difference.removed.push(record.clone());
        difference.added.push(new);
    }
    if choices[5] & 1 != 0 {
        let like = &old[usize::from(choices[6]) % old.len()];
        let owner = if choices[5] & 2 != 0 {
            [b"\x03new", like.owner.as_slice()].concat()
        } else {
            like.owner.clone()
        };
        let new = Record {
            owner,
            rtype: RecordType(65_280 + u16::from(choices[7])),
            ttl: like.ttl,
            data: vec![1, 2, 3],
        };
        if !old.iter().any(|other| other.same(&new)) {
            difference.added.push(new);
        }
    }
    difference
}

fn sorted(records: Vec<Record>) -> BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)> {
    let fields =
        |record: Record| (record.owner, record.rtype.0, record.ttl, record.data.to_ascii_lowercase());
    records.into_iter().map(fields).collect()
}
