//! Catalog zones (RFC 9432): Knot and BIND follow one of ours, and we follow one of theirs.

use crate::ours::{self, Setup};
use crate::theirs::{Kind, Part, Role, at, free_port, wait_for};
use crate::{addresses, key, zone};

const CATALOG: &str = "catalog.example";

/// A server that knows nothing but our catalog and the key for it.
#[track_caller]
fn check_consumer(kind: Kind) {
    let (us, them) = addresses(kind);
    let key_name = &format!("{us}.{them}._transfer.{CATALOG}");
    let port = free_port(&[us, them]);
    let (ours, theirs) = (at(us, port), at(them, port));
    let zones = ["one.example", "two.example"].map(|name| (name, zone(1, them))).to_vec();
    let changes = ours::start(
        ours,
        Setup { zones, keys: vec![key(key_name)], offer_catalog: Some(CATALOG), ..Setup::default() },
    );
    let peer = Part { role: Role::Consumer, zone: CATALOG, ours, key: key_name }.start(kind, theirs, &[]);
    let is_served =
        |name: &str, expect: &str| wait_for(theirs, &[&format!("www.{name}"), "A"], expect, &[&peer]);
    is_served("one.example", "192.0.2.1");
    is_served("two.example", "192.0.2.1");
    changes.send(("three.example", Some(zone(1, them)))).expect("the service runs");
    is_served("three.example", "192.0.2.1");
    changes.send(("one.example", None)).expect("the service runs");
    is_served("one.example", "");
    is_served("two.example", "192.0.2.1");
}

#[test]
fn knot_follows_our_catalog() {
    check_consumer(Kind::Knot);
}

#[test]
fn bind_follows_our_catalog() {
    check_consumer(Kind::Bind);
}

/// The catalog as a person writes it for BIND; Knot makes it by itself. Labels are numbers.
fn catalog(serial: u32, members: &[&str]) -> String {
    let start =
        format!("@ 0 SOA invalid. invalid. {serial} 60 10 3600 0\n@ 0 NS invalid.\nversion 0 TXT \"2\"\n");
    members.iter().fold(start, |text, member| format!("{text}{}.zones 0 PTR {member}.\n", member.len()))
}

/// We know nothing but a server's catalog and the key for it.
#[track_caller]
fn check_producer(kind: Kind) {
    let (us, them) = addresses(kind);
    let key_name = &format!("{them}.{us}._transfer.{CATALOG}");
    let port = free_port(&[us, them]);
    let (ours, theirs) = (at(us, port), at(them, port));
    let member = zone(1, them);
    let produce =
        |members: &'static [&str]| Part { role: Role::Producer(members), zone: CATALOG, ours, key: key_name };
    let first = &["one.example", "second.example"];
    let peer = produce(first).start(kind, theirs, &[("member", &member), ("catalog", &catalog(1, first))]);
    wait_for(theirs, &["www.one.example", "A"], "192.0.2.1", &[&peer]);
    let setup = Setup { keys: vec![key(key_name)], follow_catalog: Some(CATALOG), ..Setup::default() };
    ours::start(ours, setup);
    let is_served =
        |name: &str, expect: &str| wait_for(ours, &[&format!("www.{name}"), "A"], expect, &[&peer]);
    is_served("one.example", "192.0.2.1");
    is_served("second.example", "192.0.2.1");
    let then = &["second.example", "the.third.example"];
    produce(then).take_over(&peer, &[("catalog", &catalog(2, then))]);
    is_served("the.third.example", "192.0.2.1");
    is_served("one.example", "");
    is_served("second.example", "192.0.2.1");
}

#[test]
fn we_follow_the_catalog_of_knot() {
    check_producer(Kind::Knot);
}

#[test]
fn we_follow_the_catalog_of_bind() {
    check_producer(Kind::Bind);
}
