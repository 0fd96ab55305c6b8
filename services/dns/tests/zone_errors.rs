//! What an operator reads about a zone file that is refused, or served with a warning: file, line, reason.

use dns::{HashKey, Zones};

/// Three good lines, so that what follows is line 4.
const START: &str = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns.example.com.\n";

fn load(text: &str) -> Result<dns::Loaded, String> {
    let mut zones = Zones::new(HashKey::new([1; 24]));
    zones.load("example.org", &mut text.as_bytes()).map_err(|error| error.to_string())
}

/// Refused with this reason for line 4.
#[track_caller]
fn check(line: &str, expect: &str) {
    let text = format!("{START}{line}\n");
    assert_eq!(load(&text).map(|loaded| loaded.records), Err(format!("example.org:4: {expect}")), "{line}");
}

/// Refused with this reason, the text being all of the file.
#[track_caller]
fn check_file(text: &str, expect: &str) {
    assert_eq!(load(text).map(|loaded| loaded.records), Err(format!("example.org{expect}")), "{text}");
}

/// Served, with this warning and no other.
#[track_caller]
fn check_warning(lines: &str, expect: (u32, &str)) {
    let loaded = load(&format!("{START}{lines}\n")).expect("it is served");
    let warnings: Vec<_> =
        loaded.warnings.first.iter().map(|(line, reason)| (*line, reason.as_str())).collect();
    assert_eq!(warnings, [expect], "{lines}");
}

#[test]
fn syntax() {
    check("a A \"192.0.2.1", "the quotation mark is not closed on its line");
    check("a A ( 192.0.2.1", "the parenthesis opened here is not closed");
    check("a A 192.0.2.1 )", "`)` without `(`");
    check("a..b A 192.0.2.1", "`a..b` is no domain name: a label is empty");
    check("a\\256 A 192.0.2.1", "`a\\256` is no domain name: `\\256` is no octet");
    check("a", "the record ends too early");
    check("a 60", "the record ends too early");
    check("a B 192.0.2.1", "`B` is no record type");
    check("a 60 60 A 192.0.2.1", "`60` is no record type");
    check("a CH A 192.0.2.1", "only records of class IN are served, not `CH`");
    check("a 1y A 192.0.2.1", "`1y` is no period of time");
    check(
        "a 2147483648 A 192.0.2.1",
        "the TTL 2147483648 is negative: more than 2147483647 (RFC 2181 section 8)",
    );
    check("a TYPE255 x", "TYPE255 is a type for questions, not for records");
    check_file(" A 192.0.2.1\n", ":1: the first record has no name before it");
    check_file("@ NS ns\n", ":1: the record has no TTL, and no $TTL or other TTL stands before it");
}

#[test]
fn directives() {
    check("$INCLUDE more.zone", "$INCLUDE is not served: put the records into this file");
    check("$include more.zone", "$INCLUDE is not served: put the records into this file");
    check("$GENERATE 1-9 a$ A 192.0.2.$", "`$GENERATE` is no directive: $ORIGIN and $TTL are");
    check("$ORIGIN", "the record ends too early");
    check("$ORIGIN a b", "`b` is too much");
    check("$TTL -1", "`-1` is no period of time");
}

#[test]
fn data() {
    check("a A 192.0.2", "`192.0.2` is no IPv4 address");
    check("a A 192.0.2.1 x", "`x` is more than a record of type A has");
    check("a AAAA 192.0.2.1", "`192.0.2.1` is no IPv6 address");
    check("a MX mail", "`mail` is not a number from 0 to 65535");
    check("a MX 65536 mail", "`65536` is not a number from 0 to 65535");
    check("a SOA a b 1 2 3 4", "the record ends too early");
    check("a DS 1 8 2 abc", "the number of hexadecimal digits is odd");
    check("a DNSKEY 256 3 8 AQ=", "the base 64 data is not complete");
    check("a TYPE65280 \\# 2 00", "1 octets follow, not 2");
    check("a A \\# 3 000000", "the data is none of type A: it is too short");
    check("a NULL x", "the data of type NULL is written as `\\# LENGTH HEXADECIMAL` (RFC 3597)");
    check("a CAA 0 is-sue x", "`is-sue` is no tag: letters and digits only");
    check("a HTTPS 1 . port=1 port=2", "a service parameter is given twice");
    check(
        &format!("a TXT {}", "x".repeat(256)),
        &format!("the string `{}` is longer than 255 octets", "x".repeat(64)),
    );
}

#[test]
fn the_line_is_that_of_the_wrong_word() {
    check_file(
        &format!("{START}a SOA (\n a\n b\n x 2 3 4 5 )\n"),
        ":7: `x` is not a number from 0 to 4294967295",
    );
}

#[test]
fn what_a_zone_may_not_hold() {
    check("www.example.com. A 192.0.2.1", "www.example.com. is not in the zone example.org.");
    check("a SOA ns h 1 2 3 4 5", "an SOA record at a.example.org., which is not the zone's name");
    check("@ SOA ns h 2 2 3 4 5", "a second SOA record at example.org.");
    check("*.a NS ns", "NS records at the wildcard *.a.example.org. have no meaning (RFC 4592 section 4)");
    let beside =
        |other: &str| format!(":5: a.example.org. has CNAME and {other} records (RFC 2181 section 10.1)");
    check_file(&format!("{START}a CNAME b\na A 192.0.2.1\n"), &beside("A"));
    check_file(&format!("{START}a TXT x\na CNAME b\n"), &beside("TXT"));
    check_file(&format!("{START}a CNAME b\na CNAME c\n"), ":5: a second CNAME record at a.example.org.");
    check("@ CNAME b", "example.org. has CNAME and SOA records (RFC 2181 section 10.1)");
}

#[test]
fn what_a_zone_must_hold() {
    check_file("", ": the zone has no SOA record at example.org.");
    check_file("; nothing\n", ": the zone has no SOA record at example.org.");
    check_file("@ 60 SOA ns h 1 2 3 4 5\n", ": the zone has no NS record at example.org.");
    let server = ": the NS record of example.org. names ns.example.org., which has no address";
    check_file("@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n", server);
}

#[test]
fn what_is_only_odd_is_served() {
    check_warning(
        "a MX 1 b",
        (0, "the MX record of a.example.org. names b.example.org., which has no address"),
    );
    check_warning(
        "a NS b.a",
        (0, "the NS record of a.example.org. names b.a.example.org., which has no address"),
    );
    check_warning(
        "a 1 A 192.0.2.1\na 2 A 192.0.2.2",
        (5, "the TTLs of the A records differ; 1, the lowest, is used"),
    );
}

#[test]
fn a_file_is_named_like_its_zone() {
    let mut zones = Zones::new(HashKey::new([1; 24]));
    let mut reason = |file: &str| {
        zones.load(file, &mut START.as_bytes()).map(|loaded| loaded.name).map_err(|error| error.to_string())
    };
    assert_eq!(reason("Example.NET"), Ok("example.net.".to_string()));
    assert_eq!(reason("a..b"), Err("a..b: `a..b` is no domain name: a label is empty".to_string()));
    assert_eq!(
        reason(&"a.".repeat(128)),
        Err(format!(
            "{}: `{}` is no domain name: it is longer than 255 octets",
            "a.".repeat(128),
            "a.".repeat(32)
        ))
    );
}
