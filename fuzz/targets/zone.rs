//! Zone files of any kind: a zone that answers for every record in it, or a file, line and reason. Never a panic.
//!
//! The records to ask for are those that another parser finds in the same text.
#![no_main]

use dns::{Authority, HashKey, Loaded, Transport, ZoneError, Zones};
use domain::base::{Message, Name, Rtype, iana::Rcode, name::FlattenInto};
use domain::zonefile::inplace::{Entry, Zonefile};
use libfuzzer_sys::fuzz_target;

const ZONE: &str = "example.org";

/// Records asked for at most.
const QUESTIONS: usize = 64;

fuzz_target!(|input: &[u8]| {
    let (zones, outcome) = load(input);
    match outcome {
        Ok(loaded) => {
            assert_eq!(Ok(&loaded), load(input).1.as_ref(), "the same text, another zone");
            assert_eq!((zones.count(), zones.records()), (1, loaded.records));
            assert!(loaded.records >= 2 && loaded.octets > 0, "neither SOA nor NS: {loaded:?}");
            let mut authority = Authority::new(zones);
            let apex: Name<Vec<u8>> = ZONE.parse().expect("it is a name");
            for rtype in [Rtype::SOA, Rtype::NS] {
                let (rcode, answers) = ask(&mut authority, &apex, rtype);
                assert!(rcode == Rcode::NOERROR && answers > 0, "no {rtype} record: {loaded:?}");
            }
            for (owner, rtype) in records(input) {
                ask(&mut authority, &owner, rtype);
                ask(&mut authority, &owner, Rtype::ANY);
            }
        }
        Err(ZoneError { file, line, reason }) => {
            let lines = input.split(|octet| *octet == b'\n').count();
            assert_eq!(file, ZONE);
            assert!(line as usize <= lines, "line {line} of {lines}: {reason}");
            assert!(!reason.is_empty() && reason.len() < 2000 && !reason.contains('\n'), "{reason:?}");
            assert_eq!(zones.count(), 0);
        }
    }
});

fn load(text: &[u8]) -> (Zones, Result<Loaded, ZoneError>) {
    let mut zones = Zones::new(HashKey::new([7; 24]));
    let outcome = zones.load(ZONE, &mut &*text);
    (zones, outcome)
}

/// Owners and types, as the other parser sees them; it may see less or give up.
fn records(text: &[u8]) -> Vec<(Name<Vec<u8>>, Rtype)> {
    let mut file = Zonefile::load(&mut &*text).expect("memory is there");
    file.set_origin(ZONE.parse().expect("it is a name"));
    let entries = file.take(QUESTIONS).map_while(Result::ok);
    let records = entries.filter_map(|entry| match entry {
        Entry::Record(record) => Some((record.owner().clone().try_flatten_into().ok()?, record.rtype())),
        _ => None,
    });
    records.collect()
}

/// Asks over TCP; what comes must be a whole message.
fn ask(authority: &mut Authority, name: &Name<Vec<u8>>, rtype: Rtype) -> (Rcode, u16) {
    let mut buffer = vec![0; 65_535];
    let query =
        [b"\0\x01\0\0\0\x01\0\0\0\0\0\0", name.as_slice(), &rtype.to_int().to_be_bytes(), &[0, 1]].concat();
    buffer[..query.len()].copy_from_slice(&query);
    let length =
        authority.answer(Transport::Tcp, &mut buffer, query.len()).expect("a good query is answered");
    let message = Message::from_octets(&buffer[..length]).expect("there is a header");
    for record in message.iter() {
        record.expect("the records can be read");
    }
    (message.header().rcode(), message.header_counts().ancount())
}
