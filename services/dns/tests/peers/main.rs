//! Transfers, updates and notifications with other people's programs, on the loopback interface.

mod catalogs;
mod ours;
mod theirs;

use ours::Setup;
use theirs::{Kind, Part, Role, SECRET, at, dig, free_port, nsupdate, run, wait_for};

const US: &str = "127.0.0.1";
const UPDATE: &str = "u._update.example.org";

/// A zone whose servers are we and another at `them`.
fn zone(serial: u32, them: &str) -> String {
    format!(
        "$TTL 300\n@ SOA ns1 hostmaster {serial} 3600 900 604800 300\n@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A {them}\n\
         www A 192.0.2.1\nwww TXT \"some text\"\nalias CNAME www\n*.wild MX 10 www\n"
    )
}

fn key(name: &str) -> String {
    format!("{name}:SHA256:{SECRET}")
}

fn start(us: &str, them: &str, keys: &[&str], updates: bool) -> u16 {
    let port = free_port(&[us, them]);
    let keys = keys.iter().map(|name| key(name)).collect();
    let zones = vec![("example.org", zone(1, them))];
    ours::start(at(us, port), Setup { zones, keys, updates, ..Setup::default() });
    port
}

#[test]
fn dig_and_kdig_transfer_with_a_key_and_not_without() {
    let transfer = "x._transfer.example.org";
    let port = start(US, US, &[transfer, "x._notify.example.org", "x._transfer.example.com"], false);
    let signed = |name: &str, rest: &[&str]| {
        let key = format!("hmac-sha256:{name}:{SECRET}");
        dig(at(US, port), &[&["-y", key.as_str()], rest].concat())
    };
    let whole = signed(transfer, &["example.org", "AXFR"]);
    assert_eq!(
        whole.lines().filter(|line| line.starts_with("example.org.") && line.contains("SOA")).count(),
        2,
        "{whole}"
    );
    assert!(whole.contains("*.wild.example.org.") && whole.contains("XFR size: 10 records"), "{whole}");
    let soa = signed(transfer, &["example.org", "SOA"]);
    assert!(
        soa.contains("status: NOERROR") && soa.contains("TSIG PSEUDOSECTION") && !soa.contains("verify"),
        "{soa}"
    );
    let unsigned = dig(at(US, port), &["example.org", "AXFR"]);
    assert!(unsigned.contains("Transfer failed"), "{unsigned}");
    for other in ["x._notify.example.org", "x._transfer.example.com"] {
        assert!(signed(other, &["example.org", "AXFR"]).contains("Transfer failed"), "{other}");
    }
    let unknown = signed("y._transfer.example.org", &["example.org", "SOA"]);
    assert!(unknown.contains("BADKEY"), "{unknown}");
    let wrong = format!("hmac-sha256:{transfer}:d3Jvbmc=");
    assert!(dig(at(US, port), &["-y", &wrong, "example.org", "SOA"]).contains("BADSIG"));
    let port = port.to_string();
    let key = format!("hmac-sha256:{transfer}:{SECRET}");
    let (_, text) = run("kdig", &["@127.0.0.1", "-p", &port, "-y", &key, "example.org", "AXFR"], "");
    assert!(text.contains("10 records") && !text.contains("WARNING"), "{text}");
    let (_, text) =
        run("kdig", &["@127.0.0.1", "-p", &port, "-y", &key, "+tcp", "example.org", "IXFR=0"], "");
    assert!(text.contains("*.wild.example.org.") && !text.contains("WARNING"), "{text}");
}

#[test]
fn nsupdate_changes_a_zone_over_udp_and_tcp() {
    let port = start(US, US, &[UPDATE, "s._update.sub.example.org", "t._transfer.example.org"], true);
    let us = at(US, port);
    let ask = |question: &[&str], expect: &str| {
        assert_eq!(dig(us, &[&["+short"], question].concat()).trim(), expect);
    };
    nsupdate(us, UPDATE, &[], "update add new.example.org 60 A 192.0.2.7\n").unwrap();
    ask(&["new.example.org", "A"], "192.0.2.7");
    nsupdate(
        us,
        UPDATE,
        &["-v"],
        "update delete new.example.org\nupdate add n2.example.org 60 TXT \"a b\"\n",
    )
    .unwrap();
    ask(&["new.example.org", "A"], "");
    ask(&["n2.example.org", "TXT"], "\"a b\"");
    ask(&["example.org", "SOA"], "ns1.example.org. hostmaster.example.org. 3 3600 900 604800 300");
    let refused = |key: &str, lines: &str, expect: &str| {
        let said = nsupdate(us, key, &[], lines).expect_err("it is refused");
        assert!(said.contains(expect), "{said}");
    };
    refused(UPDATE, "prereq nxdomain www.example.org\nupdate add x.example.org 60 A 192.0.2.8\n", "YXDOMAIN");
    refused(
        UPDATE,
        "prereq yxrrset www.example.org MX\nupdate add x.example.org 60 A 192.0.2.8\n",
        "NXRRSET",
    );
    refused(UPDATE, "zone example.org\nupdate delete ns1.example.org A\n", "REFUSED");
    refused("t._transfer.example.org", "update add x.example.org 60 A 192.0.2.8\n", "REFUSED");
    refused(
        "s._update.sub.example.org",
        "zone example.org\nupdate add x.example.org 60 A 192.0.2.8\n",
        "REFUSED",
    );
    refused("z._update.example.org", "update add x.example.org 60 A 192.0.2.8\n", "BADKEY");
    nsupdate(
        us,
        "s._update.sub.example.org",
        &[],
        "zone example.org\nupdate add a.sub.example.org 60 A 192.0.2.8\n",
    )
    .unwrap();
    ask(&["a.sub.example.org", "A"], "192.0.2.8");
    let (is_good, text) =
        run("nsupdate", &[], &format!("server {US} {port}\nupdate add x.example.org 60 A 192.0.2.8\nsend\n"));
    assert!(!is_good && text.contains("REFUSED"), "{text}");
    let key = format!("hmac-sha256:{UPDATE}:{SECRET}");
    let changes = dig(us, &["-y", &key, "example.org", "IXFR=2"]);
    assert!(changes.contains("XFR size: 9 records") && changes.contains("a.sub.example.org."), "{changes}");
}

#[test]
fn without_anybody_to_hand_them_on_to_updates_are_refused() {
    let port = start(US, US, &[UPDATE], false);
    let said = nsupdate(at(US, port), UPDATE, &[], "update add x.example.org 60 A 192.0.2.8\n").unwrap_err();
    assert!(said.contains("REFUSED"), "{said}");
}

/// Ours and theirs. BIND listens on nothing but the addresses that an interface has.
fn addresses(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Bind => ("127.0.0.2", "127.0.0.1"),
        Kind::Nsd | Kind::Knot => (US, "127.0.0.2"),
    }
}

/// A server that gets the zone from us, and hears of each change. It is one of the zone's servers, so that NOTIFY goes there.
#[track_caller]
fn check_secondary(kind: Kind) {
    let (key, (us, them)) = ("x._transfer.example.org", addresses(kind));
    let port = start(us, them, &[key, UPDATE], true);
    let part = Part { role: Role::Secondary, zone: "example.org", ours: at(us, port), key };
    let peer = part.start(kind, at(them, port), &[]);
    wait_for(at(them, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    for number in 2..6 {
        let lines =
            format!("update delete www.example.org A\nupdate add www.example.org 60 A 192.0.2.{number}\n");
        nsupdate(at(us, port), UPDATE, &[], &lines).expect("it is carried out");
        wait_for(at(them, port), &["www.example.org", "A"], &format!("192.0.2.{number}"), &[&peer]);
    }
}

#[test]
fn nsd_is_a_secondary_of_ours() {
    check_secondary(Kind::Nsd);
}

#[test]
fn knot_is_a_secondary_of_ours() {
    check_secondary(Kind::Knot);
}

#[test]
fn bind_is_a_secondary_of_ours() {
    check_secondary(Kind::Bind);
}

/// A server that we get the zone from, knowing nothing but the key; and each change.
#[track_caller]
fn check_primary(kind: Kind) {
    let (us, them) = addresses(kind);
    let key_name = &format!("{them}.{us}._transfer.example.org");
    let port = free_port(&[us, them]);
    let part = Part { role: Role::Primary, zone: "example.org", ours: at(us, port), key: key_name };
    let peer = part.start(kind, at(them, port), &[("zone", &zone(1, them))]);
    wait_for(at(them, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    ours::start(at(us, port), Setup { keys: vec![key(key_name)], ..Setup::default() });
    wait_for(at(us, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    wait_for(at(us, port), &["x.wild.example.org", "MX"], "10 www.example.org.", &[&peer]);
    for number in 2..6 {
        match kind {
            Kind::Nsd => {
                let text = zone(number, them).replace("www A 192.0.2.1", &format!("www A 192.0.2.{number}"));
                peer.reload(&[("zone", &text)], None).expect("it reads the zone again");
            }
            Kind::Knot | Kind::Bind => {
                let lines = format!(
                    "update delete www.example.org A\nupdate add www.example.org 60 A 192.0.2.{number}\n"
                );
                nsupdate(at(them, port), key_name, &[], &lines).expect("it is carried out");
            }
        }
        wait_for(at(us, port), &["www.example.org", "A"], &format!("192.0.2.{number}"), &[&peer]);
    }
}

#[test]
fn nsd_is_a_primary_of_ours() {
    check_primary(Kind::Nsd);
}

#[test]
fn knot_is_a_primary_of_ours() {
    check_primary(Kind::Knot);
}

#[test]
fn bind_is_a_primary_of_ours() {
    check_primary(Kind::Bind);
}

#[test]
fn updates_at_a_secondary_go_to_bind_and_come_back() {
    let (us, them) = addresses(Kind::Bind);
    let key_name = &format!("{them}.{us}._transfer.example.org");
    let port = free_port(&[us, them]);
    let part = Part { role: Role::Primary, zone: "example.org", ours: at(us, port), key: key_name };
    let peer = part.start(Kind::Bind, at(them, port), &[("zone", &zone(1, them))]);
    wait_for(at(them, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    ours::start(at(us, port), Setup { keys: vec![key(key_name)], forwards: true, ..Setup::default() });
    wait_for(at(us, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    for (number, options) in [(7, &[][..]), (8, &["-v"][..])] {
        let lines =
            format!("update delete new.example.org\nupdate add new.example.org 60 A 192.0.2.{number}\n");
        nsupdate(at(us, port), key_name, options, &lines).expect("it is carried out");
        wait_for(at(us, port), &["new.example.org", "A"], &format!("192.0.2.{number}"), &[&peer]);
    }
    // What BIND says to a key that it does not know comes back too.
    let other = nsupdate(at(us, port), "other.example.org", &[], "update add x.example.org 60 A 192.0.2.8\n");
    assert!(other.as_ref().is_err_and(|said| said.contains("BADKEY")), "{other:?}");
    let unsigned = format!("server {us} {port}\nupdate add x.example.org 60 A 192.0.2.8\nsend\n");
    let (is_good, said) = run("nsupdate", &[], &unsigned);
    assert!(!is_good && said.contains("REFUSED"), "{said}");
}

/// A zone of some hundred messages.
fn large_zone(them: &str) -> String {
    let mut text = zone(1, them);
    for number in 0..30_000 {
        text.push_str(&format!("t{number} TXT \"{number:0>200}\"\n"));
    }
    text
}

#[test]
fn a_large_zone_goes_to_dig_in_many_signed_messages() {
    let (port, transfer) = (free_port(&[US]), "x._transfer.example.org");
    let zones = vec![("example.org", large_zone(US))];
    ours::start(at(US, port), Setup { zones, keys: vec![key(transfer)], ..Setup::default() });
    let whole =
        dig(at(US, port), &["-y", &format!("hmac-sha256:{transfer}:{SECRET}"), "example.org", "AXFR"]);
    let end = whole.lines().rfind(|line| line.contains("XFR size")).unwrap_or("no end");
    assert!(end.contains("30010 records (messages ") && !whole.contains("verify"), "{end}");
}

#[test]
fn a_large_zone_comes_from_nsd_which_signs_some_of_the_messages() {
    let (us, them) = (US, "127.0.0.3");
    let (port, key_name) = (free_port(&[us, them]), format!("{them}.{us}._transfer.example.org"));
    let part = Part { role: Role::Primary, zone: "example.org", ours: at(us, port), key: &key_name };
    let peer = part.start(Kind::Nsd, at(them, port), &[("zone", &large_zone(them))]);
    wait_for(at(them, port), &["www.example.org", "A"], "192.0.2.1", &[&peer]);
    ours::start(at(us, port), Setup { keys: vec![key(&key_name)], ..Setup::default() });
    wait_for(at(us, port), &["t29999.example.org", "TXT"], &format!("\"{:0>200}\"", 29_999), &[&peer]);
}
