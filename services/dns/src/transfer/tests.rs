//! Transfers from one side to the other.

use super::*;
use crate::name::{HashKey, Name};
use crate::packet::{Packet, put_record, set_count};
use crate::record::{Difference, Record};
use crate::types::RecordType;
use crate::zone::Zone;
use crate::zonefile;
use std::rc::Rc;

fn key() -> HashKey {
    HashKey::new([5; 24])
}

fn apex() -> Name {
    zonefile::zone_name("example.org", &key()).unwrap()
}

/// A zone with this serial number and so many hosts.
fn zone(serial: u32, hosts: usize) -> Rc<Zone> {
    let mut text = format!(
        "$TTL 60\n@ SOA Ns H {serial} 1 2 3 4\n@ NS Ns\nNs A 192.0.2.1\n@ MX 1 Mail.Example.ORG.\nmail A 192.0.2.9\n"
    );
    for host in 0..hosts {
        text.push_str(&format!(
            "host{host} A 10.0.{}.{}\n TXT \"some text that takes room, number {host}\"\n",
            host / 256,
            host % 256
        ));
    }
    text.push_str("big TXT ");
    (0..100).for_each(|_| text.push_str(&format!("{:x<250} ", 'x')));
    text.push('\n');
    Rc::new(zonefile::read(&apex(), &mut text.as_bytes(), &key()).unwrap().0)
}

fn sorted(zone: &Zone) -> Vec<Record> {
    let mut records: Vec<Record> = zone.iter().collect();
    records.sort_by(|a, b| (&a.owner, a.rtype, &a.data).cmp(&(&b.owner, b.rtype, &b.data)));
    records
}

/// All messages that answer a request, and what the other side makes of them.
fn transfer(mut outgoing: Outgoing, ours: Option<u32>) -> (Vec<Vec<u8>>, Result<Outcome, TransferError>) {
    let (key, mut messages) = (key(), Vec::new());
    let mut incoming = Incoming::new(&apex(), 7, ours, 1 << 24, &key);
    let mut outcome = None;
    while let Some(message) = outgoing.next_message(100) {
        assert!(outcome.is_none(), "there is a message behind the last");
        match incoming.handle_message(&message) {
            Ok(Progress::More) => {}
            Ok(Progress::Done(done)) => outcome = Some(Ok(done)),
            Err(error) => outcome = Some(Err(error)),
        }
        messages.push(message);
    }
    (messages, outcome.expect("the transfer comes to an end"))
}

fn request(since: Option<&Zone>) -> Request {
    let soa = since.and_then(Zone::soa);
    Request::parse(&Request::message(apex().wire(), soa.as_ref(), 7)).unwrap()
}

#[test]
fn a_whole_zone_arrives_as_it_was() {
    for hosts in [0, 1, 2000] {
        let zone = zone(3, hosts);
        let (messages, outcome) = transfer(Outgoing::new(&request(None), zone.clone(), None), None);
        let Ok(Outcome::Whole(arrived)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(sorted(&arrived), sorted(&zone));
        assert!(messages.iter().all(|message| message.len() < 32 * 1024));
        assert!(messages.iter().skip(1).all(|message| Packet::new(message).unwrap().count(0) == 0));
        assert!(hosts < 2000 || messages.len() > 5, "{} messages", messages.len());
    }
}

/// What an IXFR brings to a client that has `ours`, from a server that has a history of single steps from 1 to 5.
fn incremental(ours: &Zone) -> Result<Outcome, TransferError> {
    let (mut history, mut last) = (History::default(), zone(1, 1));
    for serial in 2..=5 {
        let next = zone(serial, serial as usize);
        history.push(between(&last, &next, &key()));
        last = next;
    }
    let request = request(Some(ours));
    let differences = history.since(request.serial.unwrap(), last.serial());
    transfer(Outgoing::new(&request, last, differences), request.serial).1
}

#[test]
fn what_changed_arrives_step_by_step() {
    for serial in 1..5 {
        let mut ours = zone(serial, serial as usize);
        let Ok(Outcome::Differences(differences)) = incremental(&ours) else { panic!("{serial}") };
        assert_eq!(differences.len(), 5 - serial as usize);
        for difference in &differences {
            ours = Rc::new(ours.with(difference, true, &key()).unwrap().0);
        }
        assert_eq!(sorted(&ours), sorted(&zone(5, 5)));
        assert!(ours.with(&differences[0], true, &key()).is_err(), "it is one of another version");
    }
    assert!(matches!(incremental(&zone(5, 5)), Ok(Outcome::UpToDate)));
    assert!(matches!(incremental(&zone(6, 5)), Ok(Outcome::UpToDate)));
    assert!(matches!(incremental(&zone(0, 5)), Ok(Outcome::Whole(_)))); // not known any more
}

#[test]
fn a_history_has_bounds_and_no_gaps() {
    let step = |from: u32, to: u32, hosts: usize| between(&zone(from, 0), &zone(to, hosts), &key());
    let mut history = History::default();
    history.push(step(1, 2, 1));
    history.push(step(2, 3, 1));
    assert_eq!(history.since(1, 3).map(|steps| steps.len()), Some(2));
    assert!(history.since(1, 4).is_none() && history.since(3, 3).is_none());
    history.push(step(5, 6, 1));
    assert!(history.since(2, 6).is_none() && history.since(5, 6).is_some());
    for serial in 6..200 {
        history.push(step(serial, serial + 1, 0));
    }
    assert_eq!(history.since(100, 200).map(|steps| steps.len()), Some(100));
    assert!(history.since(99, 200).is_none());
    history.push(step(200, 201, 6000));
    assert!(history.since(200, 201).is_none(), "more records than are kept");
    history.push(Difference::default());
    assert!(history.since(200, 201).is_none());
}

/// What comes of a message with these records in the answer section.
#[track_caller]
fn check(ours: Option<u32>, records: &[&Record], expect: Result<&str, TransferError>) {
    let mut message = b"\0\x07\x84\0\0\0\0\0\0\0\0\0".to_vec();
    set_count(&mut message, 1, records.len() as u16);
    records.iter().for_each(|record| put_record(&mut message, record, 1));
    let key = key();
    let outcome = Incoming::new(&apex(), 7, ours, 10_000, &key).handle_message(&message);
    let shown = outcome.map(|progress| match progress {
        Progress::More => "more",
        Progress::Done(Outcome::UpToDate) => "up to date",
        Progress::Done(Outcome::Whole(_)) => "whole",
        Progress::Done(Outcome::Differences(_)) => "differences",
    });
    assert_eq!(shown, expect);
}

fn soa(serial: u32) -> Record {
    zone(serial, 0).soa().unwrap()
}

fn other(owner: &[u8], rtype: RecordType, data: &[u8]) -> Record {
    Record { owner: owner.to_vec(), rtype, ttl: 60, data: data.to_vec() }
}

#[test]
fn records_must_come_in_order() {
    let ns = other(b"\x07Example\x03org\0", RecordType::NS, b"\x01n\x07example\x03net\0");
    let a = other(b"\x01a\x07example\x03org\0", RecordType::A, &[192, 0, 2, 1]);
    let outside = other(b"\x01a\x07example\x03net\0", RecordType::A, &[192, 0, 2, 1]);
    let order = || Err(TransferError::Order);
    check(None, &[&soa(2), &ns, &a, &soa(2)], Ok("whole"));
    check(None, &[&soa(2), &ns, &outside, &soa(2)], Ok("whole"));
    check(None, &[&soa(2), &ns], Ok("more"));
    check(None, &[&ns, &soa(2)], order());
    check(None, &[&soa(2), &ns, &soa(3)], order());
    check(None, &[&soa(2), &ns, &soa(2), &a], order());
    check(None, &[], order());
    check(Some(1), &[&soa(2), &ns, &soa(2)], Ok("whole"));
    check(Some(2), &[&soa(2)], Ok("up to date"));
    check(Some(3), &[&soa(2)], Ok("up to date"));
    check(Some(1), &[&soa(2)], Ok("more"));
    check(Some(1), &[&soa(2), &soa(1), &a, &soa(2), &soa(2)], Ok("differences"));
    check(Some(1), &[&soa(3), &soa(1), &soa(2), &a, &soa(2), &a, &soa(3), &soa(3)], Ok("differences"));
    check(Some(1), &[&soa(3), &soa(1), &soa(2), &soa(3)], order());
    check(Some(1), &[&soa(3), &soa(1), &soa(2), &soa(2), &soa(3)], Ok("more"));
    let no_servers = Err(TransferError::Zone("the zone has no NS record at example.org.".to_string()));
    check(None, &[&soa(2), &a, &soa(2)], no_servers);
    let large = other(b"\x01a\x07example\x03org\0", RecordType(65_280), &[0; 10_000]);
    check(None, &[&soa(2), &large], Err(TransferError::TooLarge));
}

#[test]
fn requests_are_read_as_they_are_written() {
    let parse = |message: &[u8]| Request::parse(message).map(|request| request.serial);
    let message = Request::message(apex().wire(), Some(&soa(9)), 1);
    assert_eq!((parse(&message), parse(&Request::message(apex().wire(), None, 1))), (Ok(Some(9)), Ok(None)));
    for length in 0..message.len() {
        assert!(parse(&message[..length]).is_err());
    }
    let mut without_soa = Request::message(apex().wire(), None, 1);
    let at = without_soa.len() - 3;
    without_soa[at] = 251;
    assert!(parse(&without_soa).is_err());
}
