//! Updates as lines: a zone, what a message asks for, and what comes of it.

use super::*;
use crate::zonefile;
use crate::{Name, to_text};

const ZONE: &str = "$TTL 60\n\
    @ SOA ns h 4294967295 1 2 3 4\n@ NS ns\n@ NS ns.example.net.\n@ MX 10 mail.example.net.\n\
    ns A 192.0.2.1\n\
    www A 192.0.2.2\nwww A 192.0.2.3\nwww TXT \"x\"\n\
    alias CNAME www\n\
    *.wild A 192.0.2.4\n\
    a.ent TXT \"y\"\n\
    child NS ns.child\nns.child A 192.0.2.5\n\
    old DNAME new.example.net.\n";

fn key() -> HashKey {
    HashKey::new([5; 24])
}

fn zone_with(text: &str) -> Zone {
    let apex = zonefile::zone_name("example.org", &key()).unwrap();
    zonefile::read(&apex, &mut text.as_bytes(), &key()).unwrap().0
}

fn wire(name: &str) -> Vec<u8> {
    let name = if name == "@" { "example.org".to_string() } else { format!("{name}.example.org") };
    let name = name.strip_suffix("..example.org").map_or(name.clone(), str::to_string);
    zonefile::zone_name(&name, &key()).unwrap().wire().to_vec()
}

/// A record from a line of a zone file.
fn record(line: &str) -> Record {
    let text = format!("$TTL 60\n@ SOA z z 1 1 2 3 4\n@ NS z.\nns A 192.0.2.1\n{line}\n");
    let owner = line.split(' ').next().unwrap();
    let zone =
        zone_with(if line.contains(" SOA ") { "$TTL 60\n@ SOA ns h 7 1 2 3 4\n@ NS z.\n" } else { &text });
    let mut name = Name::root(&key());
    name.read(&wire(owner), &key()).unwrap();
    let records = zone.records_at(&name);
    let is_it = |record: &&Record| line.contains(&format!(" {} ", record.rtype));
    records.iter().rfind(is_it).unwrap_or_else(|| panic!("{line}")).clone()
}

fn shown(difference: &Difference) -> Vec<String> {
    let line = |sign: &str, record: &Record| {
        let data = match record.serial() {
            Some(serial) => serial.to_string(),
            None => record.data.escape_ascii().to_string(),
        };
        format!(
            "{sign}{} {} {} {data}",
            to_text(&record.owner).replace(".example.org.", ""),
            record.ttl,
            record.rtype
        )
    };
    let removed = difference.removed.iter().map(|record| line("-", record));
    removed.chain(difference.added.iter().map(|record| line("+", record))).collect()
}

#[track_caller]
fn check_request(request: &Request, expect: Result<&[&str], Rcode>) {
    let zone = zone_with(ZONE);
    let outcome = evaluate(&request.message(7), &zone, zone.apex(), &key());
    let lines = outcome.as_ref().map(shown).map_err(|rcode| *rcode);
    let expect = expect.map(|lines| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>());
    // The serial number goes from the last over 0, which is left out, to 1.
    let expect = expect.map(|mut lines| {
        if !lines.is_empty() {
            let removed = lines.iter().filter(|line| line.starts_with('-')).count();
            lines.insert(removed, "-example.org. 60 SOA 4294967295".to_string());
            lines.push("+example.org. 60 SOA 1".to_string());
        }
        lines.sort();
        lines
    });
    let lines = lines.map(|mut lines| {
        lines.sort();
        lines
    });
    assert_eq!(lines, expect);
}

#[track_caller]
fn check(ask: impl Fn(&mut Request) -> &mut Request, expect: Result<&[&str], Rcode>) {
    check_request(ask(&mut Request::new(&wire("@"))), expect);
}

const ADDED: &[&str] = &["+n 60 A \\xc0\\x00\\x02\\t"];

/// A prerequisite together with an addition.
#[track_caller]
fn check_if(condition: impl Fn(&mut Request) -> &mut Request, expect: Result<(), Rcode>) {
    check(|request| condition(request).add(record("n A 192.0.2.9")), expect.map(|()| ADDED));
}

const A: RecordType = RecordType::A;
const TXT: RecordType = RecordType(16);
const ANY: RecordType = RecordType::ANY;

#[test]
fn prerequisites_without_data() {
    check_if(|request| request.if_exists(&wire("www"), A), Ok(()));
    check_if(|request| request.if_exists(&wire("WWW"), TXT), Ok(()));
    check_if(|request| request.if_exists(&wire("www"), RecordType::MX), Err(Rcode::NxRrset));
    check_if(|request| request.if_exists(&wire("www"), ANY), Ok(()));
    check_if(|request| request.if_exists(&wire("x"), ANY), Err(Rcode::NxDomain));
    check_if(|request| request.if_exists(&wire("ent"), ANY), Err(Rcode::NxDomain)); // RFC 2136 §2.4.4
    check_if(|request| request.if_exists(&wire("x.wild"), A), Err(Rcode::NxRrset)); // no wildcards
    check_if(|request| request.if_exists(&wire("*.wild"), A), Ok(()));
    check_if(|request| request.if_exists(&wire("ns.child"), A), Ok(())); // glue
    check_if(|request| request.if_absent(&wire("www"), A), Err(Rcode::YxRrset));
    check_if(|request| request.if_absent(&wire("www"), RecordType::MX), Ok(()));
    check_if(|request| request.if_absent(&wire("www"), ANY), Err(Rcode::YxDomain));
    check_if(|request| request.if_absent(&wire("ent"), ANY), Ok(()));
    check_if(|request| request.if_absent(&wire("x.wild"), ANY), Ok(()));
    check_if(|request| request.if_exists(&wire("www.example.net.."), A), Err(Rcode::NotZone));
    check_if(|request| request.if_exists(&wire("www"), RecordType::AXFR), Err(Rcode::FormErr));
}

#[test]
fn prerequisites_with_data_name_the_whole_set() {
    let (two, three) = (record("www A 192.0.2.2"), record("www A 192.0.2.3"));
    check_if(|request| request.if_is(two.clone()).if_is(three.clone()), Ok(()));
    check_if(|request| request.if_is(three.clone()).if_is(two.clone()).if_is(two.clone()), Ok(()));
    check_if(|request| request.if_is(two.clone()), Err(Rcode::NxRrset));
    let more = record("www A 192.0.2.4");
    check_if(
        |request| request.if_is(two.clone()).if_is(three.clone()).if_is(more.clone()),
        Err(Rcode::NxRrset),
    );
    check_if(|request| request.if_is(record("@ MX 10 MAIL.example.NET.")), Ok(()));
    check_if(|request| request.if_is(record("x.wild A 192.0.2.4")), Err(Rcode::NxRrset));
}

/// A message with one entry put in by hand.
#[track_caller]
fn check_entry(section: usize, class: u16, ttl: u32, rtype: RecordType, data: &[u8], expect: Rcode) {
    let mut message = Request::new(&wire("@")).message(1);
    let record = Record { owner: wire("www"), rtype, ttl, data: data.to_vec() };
    crate::packet::put_record(&mut message, &record, class);
    crate::packet::set_count(&mut message, section, 1);
    let outcome = evaluate(&message, &zone_with(ZONE), &wire("@"), &key());
    assert_eq!(outcome.map(|_| Rcode::NoError).unwrap_or_else(|rcode| rcode), expect);
}

#[test]
fn entries_that_cannot_be() {
    use Rcode::{FormErr, NoError};
    check_entry(1, CLASS_ANY, 1, A, &[], FormErr);
    check_entry(1, CLASS_ANY, 0, A, &[1, 2, 3, 4], FormErr);
    check_entry(1, CLASS_NONE, 0, A, &[1, 2, 3, 4], FormErr);
    check_entry(1, CLASS_IN, 0, A, &[], FormErr);
    check_entry(1, CLASS_IN, 0, ANY, &[], FormErr);
    check_entry(1, 3, 0, A, &[], FormErr);
    check_entry(2, CLASS_IN, 60, A, &[1, 2, 3], FormErr);
    check_entry(2, CLASS_IN, 60, A, &[], FormErr);
    check_entry(2, CLASS_IN, 60, ANY, &[], FormErr);
    check_entry(2, CLASS_IN, 60, RecordType::AXFR, &[1], FormErr);
    check_entry(2, CLASS_IN, 60, RecordType(253), &[1], FormErr); // MAILB
    check_entry(2, CLASS_IN, 1 << 31, A, &[1, 2, 3, 4], FormErr);
    check_entry(2, CLASS_ANY, 0, A, &[], NoError);
    check_entry(2, CLASS_ANY, 1, A, &[], FormErr);
    check_entry(2, CLASS_ANY, 0, A, &[1, 2, 3, 4], FormErr);
    check_entry(2, CLASS_ANY, 0, RecordType(254), &[], FormErr); // MAILA
    check_entry(2, CLASS_NONE, 0, A, &[1, 2, 3, 4], NoError);
    check_entry(2, CLASS_NONE, 0, A, &[], FormErr);
    check_entry(2, CLASS_NONE, 0, ANY, &[], FormErr);
    check_entry(2, CLASS_NONE, 1, A, &[1, 2, 3, 4], FormErr);
    check_entry(2, 3, 0, A, &[1, 2, 3, 4], FormErr);
}

#[test]
fn additions() {
    check(|request| request.add(record("n A 192.0.2.9")), Ok(ADDED));
    check(|request| request.add(record("www A 192.0.2.2")), Ok(&[])); // there already
    let ttl = ["-www 60 TXT \\x01x", "+www 5 TXT \\x01x", "+www 5 TXT \\x01z"];
    check(|request| request.add(record("www 5 TXT z")), Ok(&ttl)); // a set has one TTL
    let outside = Record { owner: b"\x03net\0".to_vec(), ..record("n A 192.0.2.9") };
    check(|request| request.add(outside.clone()), Err(Rcode::NotZone));
    let wild = ["+*.ent 60 A \\xc0\\x00\\x02\\t"];
    check(|request| request.add(record("*.ent A 192.0.2.9")), Ok(&wild));
}

#[test]
fn what_must_be_alone() {
    check(|request| request.add(record("alias TXT x")), Ok(&[]));
    check(|request| request.add(record("www CNAME x")), Ok(&[]));
    let replaced = [
        "-alias 60 CNAME \\x03www\\x07example\\x03org\\x00",
        "+alias 60 CNAME \\x01x\\x07example\\x03org\\x00",
    ];
    check(|request| request.add(record("alias CNAME x")), Ok(&replaced));
    let replaced =
        ["-old 60 DNAME \\x03new\\x07example\\x03net\\x00", "+old 60 DNAME \\x01x\\x07example\\x03org\\x00"];
    check(|request| request.add(record("old DNAME x")), Ok(&replaced));
    // One after the other it goes: the update sees its own changes.
    let changed = ["-alias 60 CNAME \\x03www\\x07example\\x03org\\x00", "+alias 60 TXT \\x01x"];
    check(|request| request.remove_set(&wire("alias"), ANY).add(record("alias TXT x")), Ok(&changed));
    check(
        |request| request.add(record("n CNAME www")).add(record("n A 192.0.2.9")).remove_set(&wire("n"), ANY),
        Ok(&[]),
    );
}

#[test]
fn removals() {
    let two = "-www 60 A \\xc0\\x00\\x02\\x02";
    let (three, text) = ("-www 60 A \\xc0\\x00\\x02\\x03", "-www 60 TXT \\x01x");
    check(|request| request.remove(record("www A 192.0.2.2")), Ok(&[two]));
    check(|request| request.remove(record("www A 192.0.2.9")), Ok(&[]));
    check(|request| request.remove_set(&wire("www"), A), Ok(&[two, three]));
    check(|request| request.remove_set(&wire("www"), ANY), Ok(&[two, three, text]));
    check(|request| request.remove_set(&wire("x.wild"), ANY), Ok(&[]));
    check(|request| request.remove_set(&wire("nothing"), ANY), Ok(&[]));
}

#[test]
fn the_zone_keeps_its_soa_and_its_last_server() {
    let exchanger = "-example.org. 60 MX \\x00\\n\\x04mail\\x07example\\x03net\\x00";
    check(|request| request.remove_set(&wire("@"), ANY), Ok(&[exchanger]));
    check(|request| request.remove_set(&wire("@"), RecordType::NS), Ok(&[]));
    check(|request| request.remove_set(&wire("@"), RecordType::SOA), Ok(&[]));
    check(|request| request.remove(zone_with(ZONE).soa().unwrap()), Ok(&[]));
    let (first, second) = (record("@ NS ns"), record("@ NS ns.example.net."));
    let gone = "-example.org. 60 NS \\x02ns\\x07example\\x03org\\x00";
    check(|request| request.remove(first.clone()), Ok(&[gone]));
    check(|request| request.remove(first.clone()).remove(second.clone()), Ok(&[gone]));
    let child = "-child 60 NS \\x02ns\\x05child\\x07example\\x03org\\x00";
    check(|request| request.remove(record("child NS ns.child")), Ok(&[child]));
}

/// An SOA record with this serial number added to a zone that has `old`: the number there is in the end.
#[track_caller]
fn check_serial(old: u32, given: u32, other_change: bool, expect: Option<u32>) {
    let zone = zone_with(&format!("$TTL 60\n@ SOA ns h {old} 1 2 3 4\n@ NS ns.example.net.\n"));
    let mut soa = zone.soa().unwrap();
    let at = soa.data.len() - 20;
    soa.data[at..at + 4].copy_from_slice(&given.to_be_bytes());
    let mut request = Request::new(&wire("@"));
    request.add(soa);
    if other_change {
        request.add(record("n A 192.0.2.9"));
    }
    let difference = evaluate(&request.message(1), &zone, zone.apex(), &key()).unwrap();
    assert_eq!(difference.added.iter().find_map(Record::serial), expect);
    assert_eq!(difference.removed.iter().find_map(Record::serial), expect.map(|_| old));
}

#[test]
fn serial_numbers_only_rise() {
    check_serial(5, 9, false, Some(9));
    check_serial(5, 9, true, Some(9));
    check_serial(5, 5, false, None);
    check_serial(5, 5, true, Some(6));
    check_serial(5, 4, false, None);
    check_serial(5, 4, true, Some(6));
    check_serial(u32::MAX, 2, false, Some(2)); // RFC 1982
    check_serial(5, 5 + (1 << 31), false, None);
}

#[test]
fn a_key_for_a_name_changes_only_what_is_below() {
    let zone = zone_with(ZONE);
    let ask = |owner: &str| {
        let mut request = Request::new(&wire("@"));
        request.if_exists(&wire("ns"), A).add(record(&format!("{owner} A 192.0.2.9")));
        evaluate(&request.message(1), &zone, &wire("sub"), &key()).map(|difference| difference.added.len())
    };
    assert_eq!(ask("sub"), Ok(2));
    assert_eq!(ask("x.SUB"), Ok(2));
    assert_eq!(ask("xsub"), Err(Rcode::Refused));
    assert_eq!(ask("n"), Err(Rcode::Refused));
}

#[test]
fn the_zone_section_is_one_soa_question() {
    assert_eq!(zone_of(&Request::new(&wire("@")).message(1)), Ok(wire("@")));
    let mut message = Request::new(&wire("@")).message(1);
    let end = message.len();
    message[end - 1] = 3;
    assert_eq!(zone_of(&message), Err(Rcode::NotAuth));
    message[end - 3] = 1;
    assert_eq!(zone_of(&message), Err(Rcode::FormErr));
    message[5] = 0;
    assert_eq!(zone_of(&message), Err(Rcode::FormErr));
}

#[test]
fn a_message_that_is_cut_off_changes_nothing() {
    let mut request = Request::new(&wire("@"));
    request.if_exists(&wire("www"), A).add(record("n A 192.0.2.9")).remove_set(&wire("www"), ANY);
    let message = request.message(1);
    let zone = zone_with(ZONE);
    for length in 0..message.len() {
        assert_eq!(evaluate(&message[..length], &zone, zone.apex(), &key()), Err(Rcode::FormErr), "{length}");
    }
}
