//! Messages of any kind to a server with everything in its zones: an answer that can be read, or none. Never a panic.
//!
//! The first octet says how much of the input is taken as it is: all of it, or as changes to a good query.
#![no_main]

use dns::{Authority, HashKey, Transport, Zones};
use domain::base::{Message, ParsedName, iana::Rcode};
use domain::rdata::AllRecordData;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

const ZONES: [(&str, &str); 4] = [
    ("edge.test", include_str!("../../tests/conformance/zones/edge.test")),
    ("dname.test", include_str!("../../tests/conformance/zones/dname.test")),
    ("other.test", include_str!("../../tests/conformance/zones/other.test")),
    ("all-types.test", include_str!("../../tests/conformance/zones/all-types.test")),
];

/// What good queries ask for.
const NAMES: [&str; 24] = [
    "edge.test",
    "ns1.edge.test",
    "a.b.c.ent.edge.test",
    "c.ent.edge.test",
    "x.wild.edge.test",
    "a.sub.*.wild.edge.test",
    "www.glued.edge.test",
    "many.edge.test",
    "www.occluded.edge.test",
    "secure.edge.test",
    "c1.edge.test",
    "loop1.edge.test",
    "long0.edge.test",
    "tomx.edge.test",
    "big1.edge.test",
    "big2.edge.test",
    "tobig.edge.test",
    "old.dname.test",
    "a.b.old.dname.test",
    "x.self.dname.test",
    "x.long.dname.test",
    "back.other.test",
    "mx.all-types.test",
    "example",
];

thread_local! {
    static AUTHORITY: RefCell<Authority> = RefCell::new(serve());
}

fn serve() -> Authority {
    let mut zones = Zones::new(HashKey::new([7; 24]));
    for (name, text) in ZONES {
        zones.load(name, &mut text.as_bytes()).expect("the zones are good");
    }
    Authority::new(zones)
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let query = if choice & 1 == 0 { rest.to_vec() } else { changed(rest) };
    let (transport, room) = match choice >> 1 & 3 {
        0 => (Transport::Udp, 1500),
        1 => (Transport::Udp, usize::from(choice) * 8),
        2 => (Transport::Tcp, 65_535),
        _ => (Transport::Tcp, 600),
    };
    let mut buffer = vec![0xA5; room.max(query.len()) + 64];
    let end = buffer.len() - 64;
    buffer[..query.len()].copy_from_slice(&query);
    let answer =
        AUTHORITY.with_borrow_mut(|authority| authority.answer(transport, &mut buffer[..end], query.len()));
    assert!(buffer[end..].iter().all(|octet| *octet == 0xA5), "written behind the buffer");
    if let Some(length) = answer {
        assert!(length <= end, "{length} octets in a buffer of {end}");
        check(&query, &buffer[..length], transport);
    } else if query.len() >= 12 && query[2] & 0x80 == 0 {
        assert!(room < 1500, "no answer to a query");
    }
});

/// A good query with some octets changed: pairs of place and value behind the octets that choose name, type and EDNS.
fn changed(input: &[u8]) -> Vec<u8> {
    let [name, rtype, edns, changes @ ..] = input else { return Vec::new() };
    let mut query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in NAMES[usize::from(*name) % NAMES.len()].split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, *rtype, 0, 1]);
    if edns & 1 != 0 {
        query[11] = 1;
        query.extend([0, 0, 41, *edns, 0, 0, 0, edns & 0x80, 0, 0, 0]);
    }
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % query.len();
        query[at] = change[1];
    }
    query
}

/// What holds for every answer.
fn check(query: &[u8], answer: &[u8], transport: Transport) {
    assert!(answer.len() >= 12 && answer[..2] == query[..2], "identifier");
    assert_eq!(answer[2] & 0xF9, query[2] & 0x79 | 0x80, "QR, opcode and RD");
    assert!(
        transport == Transport::Tcp || answer.len() <= 1232.max(query.len()),
        "{} octets over UDP",
        answer.len()
    );
    let message = Message::from_octets(answer).expect("there is a header");
    let counts = message.header_counts();
    assert!(counts.qdcount() <= 1);
    if counts.qdcount() == 1 {
        let question = message.question();
        let end = question.clone().next_section().expect("the question can be read").pos();
        assert_eq!(answer[12..end], query[12..end], "question");
    } else {
        assert_eq!(answer.len(), 12, "a question is missing, and only that");
    }
    let mut opts = 0;
    for record in message.iter() {
        let (record, _) = record.expect("the records can be read");
        let record =
            record.into_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>().expect("and their data");
        opts += usize::from(matches!(record.data(), AllRecordData::Opt(_)));
    }
    assert!(opts <= 1, "{opts} OPT records");
    if message.header().tc() {
        assert_ne!(message.header().rcode(), Rcode::REFUSED);
    }
}
