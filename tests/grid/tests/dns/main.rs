//! The whole path: the DNS image on every target, asked from outside. The tests are named "spt::answers_over_tcp",
//! "microvm::answers_over_udp".
//!
//! They need images and the tender, which `cargo xtask test` builds first; a plain `cargo test` shows them as ignored.
//! No root: the way in is a port of the loopback interface, or a packet socket whose other end the test holds.

#[macro_use]
#[path = "../every_target/mod.rs"]
mod every_target;
mod client;
mod guest;
mod machine;
mod wire;

use client::{Answer, Connection, ask_udp, query};
use guest::{Guest, Setup, archive};
use std::{
    fmt::Write,
    thread::sleep,
    time::{Duration, Instant},
};
use wire::Wire;

const A: u16 = 1;
const SOA: u16 = 6;
const AAAA: u16 = 28;

const NO_ERROR: u8 = 0;
const NX_DOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// Exit status of an image that was configured wrong (EX_USAGE).
const USAGE: Option<i32> = Some(64);

/// Of the block device, and of tar.
const BLOCK: usize = 512;

const ZONE: &str = "\
$TTL 1h
@ SOA ns hostmaster 1 2 3 4 5
  NS  ns
ns A  192.0.2.1
www A 192.0.2.80
";

/// Asks for an address over UDP.
#[track_caller]
fn check(guest: &Guest, name: &str, rtype: u16, expect: (u8, u16)) {
    let answer = ask_udp(guest.address, name, rtype);
    assert_eq!((answer.rcode, answer.answers), expect, "{name}: {:x?}", answer.octets);
}

#[track_caller]
fn check_address(answer: &Answer, address: [u8; 4]) {
    assert_eq!((answer.rcode, answer.answers), (NO_ERROR, 1), "{:x?}", answer.octets);
    assert!(answer.octets.ends_with(&address), "{:x?}", answer.octets);
}

fn answers_over_udp(target: &str) {
    let guest = Setup::with_zones(target, &[("example.org", ZONE), ("example.net", ZONE)]).publish().ready();
    check_address(&ask_udp(guest.address, "WWW.example.org", A), [192, 0, 2, 80]);
    check(&guest, "www.example.org", AAAA, (NO_ERROR, 0));
    check(&guest, "nope.example.org", A, (NX_DOMAIN, 0));
    check(&guest, "example.net", SOA, (NO_ERROR, 1));
    check(&guest, "example.com", SOA, (REFUSED, 0));
}

fn answers_over_tcp(target: &str) {
    let guest = Setup::with_zones(target, &[("example.org", ZONE)]).publish().ready();
    for _ in 0..20 {
        let mut connection = Connection::open(guest.address).expect("it listens");
        let questions = [("www.example.org", A), ("nope.example.org", A), ("ns.example.org", A)];
        for _ in 0..3 {
            let answers = connection.ask(&questions);
            check_address(&answers[0], [192, 0, 2, 80]);
            assert_eq!(answers[1].rcode, NX_DOMAIN);
            check_address(&answers[2], [192, 0, 2, 1]);
        }
    }
}

fn answers_from_content_of_its_own(target: &str) {
    let guest = Setup::baked(target).publish().ready();
    check_address(&ask_udp(guest.address, "x.apps.example.org", A), [192, 0, 2, 90]);
}

fn answers_ping_and_datagrams_on_a_wire(target: &str) {
    let wire = Wire::new();
    let setup =
        Setup { arguments: &["--ipv4=10.0.0.2/24"], ..Setup::with_zones(target, &[("example.org", ZONE)]) };
    let _guest = setup.attach(wire.end()).ready();
    let mac = wire.resolve();
    for length in [0, 1, 56, 1472] {
        let data: Vec<u8> = (0..length).map(|number| number as u8).collect();
        assert_eq!(wire.ping(mac, &data), data, "echo of {length} octets");
    }
    let question = query("www.example.org", A);
    for _ in 0..100 {
        check_address(&Answer::to(&question, &wire.ask(mac, 53, &question)), [192, 0, 2, 80]);
    }
}

/// One line, exit status 64.
#[track_caller]
fn check_usage(target: &str, argument: &str, expect: &str) {
    let (status, output) = Setup { arguments: &[argument], ..Setup::baked(target) }.publish().finish();
    assert_eq!(status, USAGE, "{output}");
    assert!(output.contains(expect), "'{expect}' is missing from:\n{output}");
    assert_eq!(output.lines().count(), 1, "more than one line:\n{output}");
}

fn bad_arguments_are_refused(target: &str) {
    check_usage(target, "--udp-sise=1232", "--udp-sise");
    check_usage(target, "--udp-size=many", "--udp-size=many");
    check_usage(target, "--udp-size=511", "511 is not between 512 and 4096");
    check_usage(target, "--udp-size=4097", "4097 is not between 512 and 4096");
    check_usage(target, "--ipv4=10.0.0.2", "--ipv4=10.0.0.2");
}

/// Starts with these files beside a good one: a line for each that is bad, and the good one is served.
#[track_caller]
fn check_zones(target: &str, files: &[(&str, &str)], expect: &[&str]) {
    let files: Vec<(&str, &str)> = files.iter().copied().chain([("good.test", ZONE)]).collect();
    let guest = Setup::with_zones(target, &files).publish().ready();
    let output = guest.output();
    for line in expect {
        assert!(output.contains(line), "'{line}' is missing from:\n{output}");
    }
    check(&guest, "www.good.test", A, (NO_ERROR, 1));
    let refused = expect.iter().filter_map(|line| line.split(':').next());
    for zone in refused.filter(|zone| zone.ends_with(".test") && *zone != "twice.test") {
        check(&guest, zone, SOA, (REFUSED, 0));
    }
}

fn bad_zones_are_named_and_the_others_served(target: &str) {
    let bad_address = ZONE.replace("192.0.2.80", "192.0.2");
    let with = |line: &str| format!("{ZONE}{line}\n");
    let files = [
        ("address.test", bad_address.as_str()),
        ("include.test", &with("$INCLUDE other.zone")),
        ("soa.test", "$TTL 1\n@ NS ns.example.org.\n"),
        ("cname.test", &with("www CNAME ns")),
        ("outside.test", &with("www.example.org. A 192.0.2.1")),
        ("twice.test", ZONE),
        ("twice.test", &ZONE.replace("www", "w3")),
        ("empty.test", ""),
    ];
    let expect = [
        "address.test:5: `192.0.2` is no IPv4 address",
        "include.test:6: $INCLUDE is not served: put the records into this file",
        "soa.test: the zone has no SOA record at soa.test.",
        "cname.test:6: www.cname.test. has CNAME and A records (RFC 2181 section 10.1)",
        "outside.test:6: www.example.org. is not in the zone outside.test.",
        "twice.test: a second file for this zone",
        "empty.test: the zone has no SOA record at empty.test.",
        "serving 2 zones",
    ];
    check_zones(target, &files, &expect);
}

fn a_damaged_archive_is_served_up_to_the_damage(target: &str) {
    let whole = archive(&[("good.test", ZONE), ("lost.test", &zone_of(500)), ("later.test", ZONE)]);
    // The first file takes two blocks: header and text.
    let cut = whole[..4 * BLOCK].to_vec();
    let mut garbled = whole.clone();
    garbled[2 * BLOCK..3 * BLOCK].fill(b'x');
    for (archive, expect) in [
        (cut, "lost.test:31: cannot be read: the archive ends inside of this file"),
        (garbled, "the content is not a whole tar archive"),
    ] {
        let setup = Setup { archive: Some(archive), ..Setup::baked(target) };
        let guest = setup.publish().ready();
        assert!(guest.output().contains(expect), "'{expect}' is missing from:\n{}", guest.output());
        check(&guest, "www.good.test", A, (NO_ERROR, 1));
        check(&guest, "www.lost.test", A, (REFUSED, 0));
    }
}

fn without_a_zone_it_ends(target: &str) {
    for archive in [archive(&[]), vec![0; 512], archive(&[("bad.test", "x")]), vec![b'x'; 4096]] {
        let (status, output) = Setup { archive: Some(archive), ..Setup::baked(target) }.publish().finish();
        assert_eq!(status, Some(1), "{output}");
        let last = output.lines().last().unwrap_or_default();
        assert!(last.starts_with("dns-static: no zone to serve"), "{output}");
    }
}

/// A zone of so many hosts, each with two records.
fn zone_of(hosts: u32) -> String {
    let mut zone = ZONE.to_string();
    for host in 0..hosts {
        let [_, high, middle, low] = host.to_be_bytes();
        let (upper, lower) = (host >> 16, host & 0xFFFF);
        writeln!(zone, "h{host} A 10.{high}.{middle}.{low}\n AAAA 2001:db8::{upper:x}:{lower:x}")
            .expect("a string takes all");
    }
    zone
}

fn a_thousand_records_in_8_mib(target: &str) {
    let zone = zone_of(500);
    let setup = Setup { memory: 8, ..Setup::with_zones(target, &[("example.org", &zone)]) };
    let guest = setup.publish().ready();
    check_address(&ask_udp(guest.address, "h499.example.org", A), [10, 0, 1, 243]);
    let answers = Connection::open(guest.address).expect("it listens").ask(&[("h1.example.org", AAAA)]);
    assert_eq!((answers[0].rcode, answers[0].answers), (NO_ERROR, 1));
}

/// What the image needs in all is far below the 300 bytes a record that are promised: 80 MiB are 84 bytes a record, the
/// image, its stack and its buffers included.
fn a_million_records_in_80_mib(target: &str) {
    const HOSTS: u32 = 500_000;
    let zone = zone_of(HOSTS);
    let setup = Setup { memory: 80, ..Setup::with_zones(target, &[("example.org", &zone)]) };
    let start = Instant::now();
    let guest = setup.publish().ready();
    let (loading, output) = (start.elapsed(), guest.output());
    let octets = output.split(" records, ").nth(1).and_then(|rest| rest.split(' ').next());
    let octets: f64 =
        octets.and_then(|octets| octets.parse().ok()).expect("the image says how large the zone is");
    println!("{:.0} bytes a record in memory, loaded in {loading:.1?}", octets / f64::from(2 * HOSTS));
    assert!(loading < Duration::from_secs(60), "loading took {loading:?}");
    check_address(&ask_udp(guest.address, "h499999.example.org", A), [10, 7, 0xA1, 0x1F]);
    check(&guest, "h500000.example.org", A, (NX_DOMAIN, 0));
}

/// Connections that announce a long message each until there is no memory for another.
fn exhausted_memory_drops_queries_and_nothing_else(target: &str) {
    let setup = Setup { memory: 8, ..Setup::with_zones(target, &[("example.org", ZONE)]) };
    let mut guest = setup.publish().ready();
    let mut connections = Vec::new();
    for _ in 0..300 {
        if let Ok(mut connection) = Connection::open(guest.address) {
            // Where it fails, the image has let the connection go, as it should.
            let _ = connection.announce();
            connections.push(connection);
        }
    }
    sleep(Duration::from_millis(200));
    check_address(&ask_udp(guest.address, "www.example.org", A), [192, 0, 2, 80]);
    assert!(guest.output().contains("memory is full: 1 queries"), "memory was not full:\n{}", guest.output());
    drop(connections);
    sleep(Duration::from_millis(500));
    let answers = Connection::open(guest.address).expect("it listens").ask(&[("www.example.org", A)]);
    check_address(&answers[0], [192, 0, 2, 80]);
    assert!(guest.is_alive(), "{}", guest.output());
}

every_target! {
    answers_over_udp answers_over_tcp answers_from_content_of_its_own answers_ping_and_datagrams_on_a_wire
    bad_arguments_are_refused bad_zones_are_named_and_the_others_served
    a_damaged_archive_is_served_up_to_the_damage without_a_zone_it_ends a_thousand_records_in_8_mib a_million_records_in_80_mib
    exhausted_memory_drops_queries_and_nothing_else
}

macro_rules! every_machine {
    ($($behaviour:ident)*) => {
        grid! {
            q35: $($behaviour)*;
            pc: $($behaviour)*;
            microvm: $($behaviour)*;
            microvm_legacy: $($behaviour)*;
            q35_kvm: $($behaviour)*;
            microvm_kvm: $($behaviour)*;
        }
    };
}

every_machine! {
    answers_over_udp answers_over_tcp answers_from_content_of_its_own answers_ping_and_datagrams_on_a_wire
}
