//! Answers as data: a question, and what is in which section, from the zones that conformance compares with NSD and Knot.

use dns::{Authority, HashKey, Transport, Zones};
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;

const ZONES: [(&str, &str); 3] = [
    ("edge.test", include_str!("../../../tests/conformance/zones/edge.test")),
    ("dname.test", include_str!("../../../tests/conformance/zones/dname.test")),
    ("other.test", include_str!("../../../tests/conformance/zones/other.test")),
];

fn serve() -> Authority {
    let mut zones = Zones::new(HashKey::new([3; 24]));
    for (name, text) in ZONES {
        zones.load(name, &mut text.as_bytes()).expect("the zones are good");
    }
    Authority::new(zones)
}

fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, (rtype >> 8) as u8, rtype as u8, 0, 1]);
    query
}

/// The answer as lines: flags and response code, then the records, each behind the letter of its section.
fn answer(transport: Transport, query: &[u8]) -> Vec<String> {
    let mut buffer = vec![0; 65_535];
    buffer[..query.len()].copy_from_slice(query);
    let Some(length) = serve().answer(transport, &mut buffer, query.len()) else { return Vec::new() };
    let message = Message::from_octets(&buffer[..length]).expect("there is a header");
    let header = message.header();
    assert_eq!((header.id(), header.qr(), header.rd()), (0x1234, true, query[2] & 1 != 0));
    let flag = |set: bool, name: &'static str| if set { name } else { "" };
    let (aa, tc) = (flag(header.aa(), " AA"), flag(header.tc(), " TC"));
    let mut lines = vec![format!("{}{aa}{tc}", header.rcode())];
    for record in message.iter() {
        let (record, section) = record.expect("it can be read");
        let letter = match section {
            domain::base::message::Section::Answer => "A",
            domain::base::message::Section::Authority => "N",
            _ => "+",
        };
        let record = record
            .into_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
            .expect("its data can be read");
        let (owner, ttl, rtype) = (record.owner(), record.ttl().as_secs(), record.rtype());
        let data = record.data().to_string();
        lines.push(format!("{letter} {owner} {ttl} {rtype} {}", data.trim()));
    }
    lines
}

#[track_caller]
fn check(name: &str, rtype: u16, expect: &[&str]) {
    assert_eq!(answer(Transport::Udp, &query(name, rtype)), expect, "{name} {rtype}");
}

#[track_caller]
fn check_message(transport: Transport, message: &[u8], expect: &[&str]) {
    assert_eq!(answer(transport, message), expect);
}

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const MX: u16 = 15;
const TXT: u16 = 16;
const DS: u16 = 43;
const IXFR: u16 = 251;
const AXFR: u16 = 252;

const SOA: &str = "N edge.test 7200 SOA ns1.edge.test. hostmaster.edge.test. 1 3600 900 604800 86400";

#[test]
fn what_is_there_and_what_is_not() {
    check("NS1.edge.test", A, &["NOERROR AA", "A NS1.edge.test 3600 A 192.0.2.1"]);
    check("ns1.edge.test", TXT, &["NOERROR AA", SOA]);
    check("nope.edge.test", A, &["NXDOMAIN AA", SOA]);
    check("c.ent.edge.test", A, &["NOERROR AA", SOA]); // an empty non-terminal
    check("example.com", A, &["REFUSED"]);
}

#[test]
fn wildcards() {
    check("x.wild.edge.test", A, &["NOERROR AA", "A x.wild.edge.test 3600 A 192.0.2.4"]);
    check("x.y.wild.edge.test", A, &["NOERROR AA", "A x.y.wild.edge.test 3600 A 192.0.2.4"]);
    check("x.wild.edge.test", TXT, &["NOERROR AA", SOA]);
    // What exists hides the asterisk from what is below it (RFC 4592 §3.3.1).
    check("x.host.wild.edge.test", A, &["NXDOMAIN AA", SOA]);
}

#[test]
fn referrals() {
    let glued = [
        "NOERROR",
        "N glued.edge.test 3600 NS ns.glued.edge.test.",
        "N glued.edge.test 3600 NS ns.sibling.edge.test.",
        "+ ns.glued.edge.test 3600 A 192.0.2.10",
        "+ ns.glued.edge.test 3600 AAAA 2001:db8::10",
        "+ ns.sibling.edge.test 3600 A 192.0.2.11",
    ];
    check("www.glued.edge.test", A, &glued);
    check("glued.edge.test", NS, &glued);
    // What is below the cut, and a cut below the cut, are not to be seen.
    let occluded = ["NOERROR", "N occluded.edge.test 3600 NS ns.elsewhere.example."];
    check("www.occluded.edge.test", A, &occluded);
    check("x.deep.er.occluded.edge.test", A, &occluded);
    // The parent answers for DS itself (RFC 4035 §3.1.4.1).
    let data = "12345 8 2 e2d3c916f6deeac73294e8268fb5885044a833fc5459588f4a9184cfc41a5766";
    check("secure.edge.test", DS, &["NOERROR AA", &format!("A secure.edge.test 3600 DS {data}")]);
    check("glued.edge.test", DS, &["NOERROR AA", SOA]);
}

#[test]
fn chains() {
    let chain = [
        "NOERROR AA",
        "A c3.edge.test 3600 CNAME c4.edge.test.",
        "A c4.edge.test 3600 CNAME ns1.edge.test.",
        "A ns1.edge.test 3600 A 192.0.2.1",
    ];
    check("c3.edge.test", A, &chain);
    check("c3.edge.test", CNAME, &chain[..2]);
    check("outward.edge.test", A, &["NOERROR AA", "A outward.edge.test 3600 CNAME www.outside.example."]);
    let toward = "A toward.edge.test 3600 CNAME www.other.test.";
    check("toward.edge.test", A, &["NOERROR AA", toward, "A www.other.test 600 A 192.0.2.141"]);
    check("tonx.edge.test", A, &["NXDOMAIN AA", "A tonx.edge.test 3600 CNAME not.there.edge.test.", SOA]);
    let (one, two) =
        ("A loop1.edge.test 3600 CNAME loop2.edge.test.", "A loop2.edge.test 3600 CNAME loop1.edge.test.");
    check("loop1.edge.test", A, &["NOERROR AA", one, two]);
    let dname = "A old.dname.test 600 DNAME new.dname.test.";
    let cname = "A www.old.dname.test 600 CNAME www.new.dname.test.";
    check("www.old.dname.test", A, &["NOERROR AA", dname, cname, "A www.new.dname.test 600 A 192.0.2.4"]);
    check("old.dname.test", A, &["NOERROR AA", "A old.dname.test 600 A 192.0.2.2"]);
}

#[test]
fn addresses_of_what_an_answer_names() {
    let servers = [
        "NOERROR AA",
        "A edge.test 3600 NS ns1.edge.test.",
        "A edge.test 3600 NS NS2.Sub-Server.edge.test.",
        "+ ns1.edge.test 3600 A 192.0.2.1",
        "+ NS2.Sub-Server.edge.test 3600 A 192.0.2.2",
        "+ NS2.Sub-Server.edge.test 3600 AAAA 2001:db8::2",
    ];
    check("edge.test", NS, &servers);
    // Of four exchangers one is below a wildcard, two below a cut, and one is a CNAME, whose address nobody looks up.
    let exchangers = [
        "NOERROR AA",
        "A mail.edge.test 3600 MX 10 host.in.wild.edge.test.",
        "A mail.edge.test 3600 MX 20 www.occluded.edge.test.",
        "A mail.edge.test 3600 MX 30 www.glued.edge.test.",
        "A mail.edge.test 3600 MX 40 c1.edge.test.",
        "+ host.in.wild.edge.test 3600 A 192.0.2.4",
    ];
    check("mail.edge.test", MX, &exchangers);
}

#[test]
fn what_does_not_fit_is_left_out_as_a_whole() {
    check("big2.edge.test", TXT, &["NOERROR AA TC"]);
    assert_eq!(answer(Transport::Tcp, &query("big2.edge.test", TXT)).len(), 8);
}

#[test]
fn transfers() {
    check("edge.test", AXFR, &["NOTIMP"]);
    check("edge.test", IXFR, &["REFUSED"]);
    check("www.edge.test", IXFR, &["NOTAUTH"]);
    check_message(Transport::Tcp, &query("edge.test", AXFR), &["REFUSED"]);
    check_message(Transport::Tcp, &query("www.edge.test", AXFR), &["NOTAUTH"]);
}

/// A query with one octet changed.
fn spoiled(at: usize, octet: u8) -> Vec<u8> {
    let mut query = query("ns1.edge.test", A);
    query[at] = octet;
    query
}

#[test]
fn messages_that_are_no_good_queries() {
    check_message(Transport::Udp, b"\x12\x34\x01", &[]);
    check_message(Transport::Udp, &spoiled(2, 0x81), &[]); // an answer
    check_message(Transport::Udp, &spoiled(2, 0x29), &["NOTIMP"]); // opcode 5
    check_message(Transport::Udp, &spoiled(5, 0), &["FORMERR"]); // no question
    check_message(Transport::Udp, &spoiled(5, 2), &["FORMERR"]); // two
    check_message(Transport::Udp, &spoiled(7, 1), &["FORMERR"]); // an answer that is missing
    check_message(Transport::Udp, &spoiled(11, 1), &["FORMERR"]); // an OPT record that is missing
    check_message(Transport::Udp, &spoiled(12, 0xC0), &["FORMERR"]); // a pointer
    check_message(Transport::Udp, &spoiled(12, 0x40), &["FORMERR"]); // a label of 64 octets
    check_message(Transport::Udp, &query("ns1.edge.test", A)[..20], &["FORMERR"]);
    let with_more = [query("ns1.edge.test", A), vec![0]].concat();
    check_message(Transport::Udp, &with_more, &["FORMERR"]);
}

#[test]
fn signatures_that_nobody_can_check() {
    let signed = |class: u8, data: &[u8]| {
        let mut query = query("ns1.edge.test", A);
        query[11] = 1;
        query.extend([1, b'k', 0, 0, 250, 0, class, 0, 0, 0, 0, 0, data.len() as u8]);
        query.extend(data);
        query
    };
    let data = [0, 0, 0, 0x60, 0, 0, 0, 1, 44, 0, 2, 0xAA, 0xBB, 0x12, 0x34, 0, 0, 0, 0];
    check_message(Transport::Udp, &signed(255, &data), &["NOTAUTH"]);
    check_message(Transport::Udp, &signed(1, &data), &["FORMERR"]);
    check_message(Transport::Udp, &signed(255, &data[..data.len() - 1]), &["FORMERR"]);
}

/// A query with an OPT record.
fn with_opt(name: &str, version: u8, options: &[u8]) -> Vec<u8> {
    let mut query = query(name, A);
    query[11] = 1;
    query.extend([0, 0, 41, 4, 208, 0, version, 0x80, 0, 0, options.len() as u8]);
    query.extend(options);
    query
}

/// The OPT record that ends an answer.
#[track_caller]
fn check_opt(transport: Transport, query: &[u8], expect: &[u8]) {
    let mut buffer = vec![0; 65_535];
    buffer[..query.len()].copy_from_slice(query);
    let length = serve().answer(transport, &mut buffer, query.len()).expect("it is answered");
    assert_eq!(&buffer[length - expect.len()..length], expect);
}

#[test]
fn edns() {
    check_opt(Transport::Udp, &with_opt("ns1.edge.test", 0, &[]), &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    check_opt(Transport::Udp, &with_opt("ns1.edge.test", 1, &[]), &[0, 0, 41, 4, 208, 1, 0, 0x80, 0, 0, 0]);
    // Not authoritative (RFC 8914 §4.21).
    let refused = [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 6, 0, 15, 0, 2, 0, 20];
    check_opt(Transport::Udp, &with_opt("example.com", 0, &[]), &refused);
    // Keepalive, only over TCP (RFC 7828 §3.3.2).
    let keepalive = [0, 11, 0, 0];
    let asked = with_opt("ns1.edge.test", 0, &keepalive);
    check_opt(Transport::Udp, &asked, &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    check_opt(Transport::Tcp, &asked, &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 6, 0, 11, 0, 2, 0, 0]);
    check_message(Transport::Udp, &with_opt("ns1.edge.test", 0, &[0, 10, 0, 9, 1]), &["FORMERR"]);
}
