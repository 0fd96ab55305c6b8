//! Answers of signed zones that are kept: the same octets as put together anew, and none of them outlives what it says.

use dns::dnssec::{Denial, Seeds};
use dns::{Authority, HashKey, Transport, Zones};

const EDGE: &str = include_str!("../../../tests/conformance/zones/edge.test");
const DNAME: &str = include_str!("../../../tests/conformance/zones/dname.test");
const NAMES: &str = "@ ns1 nx a.b.nx c.ent foo.wild a.b.wild host.wild *.wild foo.cwild a.ent2.wild x.under c1 towild tonx toent \
    tomx mail UPPER.Case big1 big2 tobig glued x.glued secure x.secure many x.many www.old nx.old chain";
const TYPES: [u16; 14] = [1, 2, 5, 6, 15, 16, 28, 43, 46, 47, 48, 51, 251, 255];
const NOW: u64 = 1_800_000_000;

fn authority(zones: &[(&str, &str)], denial: Denial, kept: usize) -> Authority {
    let mut loaded = Zones::new(HashKey::new([7; 24]));
    for (name, text) in zones {
        loaded.load(name, &mut text.as_bytes()).expect("the zone is good");
    }
    let mut authority = Authority::new(loaded);
    let seeds = Seeds::new(&[vec![5; 32]], None).expect("it is long enough");
    authority.sign(seeds, denial, (kept, kept));
    authority.set_time(NOW);
    authority
}

/// A query with DO; `payload` octets fit over UDP.
fn query(name: &str, rtype: u16, class: u16, payload: u16) -> Vec<u8> {
    let mut query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    for label in name.split('.').filter(|label| *label != "@" && !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    [rtype, class].iter().for_each(|number| query.extend(number.to_be_bytes()));
    query.extend([0, 0, 41]);
    query.extend(payload.to_be_bytes());
    query.extend([0, 0, 0x80, 0, 0, 0]);
    query
}

fn ask(authority: &mut Authority, transport: Transport, query: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    buffer[..query.len()].copy_from_slice(query);
    let length = authority.answer(transport, &mut buffer, query.len()).expect("there is an answer");
    buffer.truncate(length);
    buffer
}

#[track_caller]
fn check(denial: Denial) {
    let zones = [("edge.test", EDGE), ("dname.test", DNAME)];
    let (mut keeps, mut forgets) = (authority(&zones, denial, 1 << 12), authority(&zones, denial, 0));
    for zone in ["edge.test", "dname.test"] {
        for name in NAMES.split_whitespace() {
            for rtype in TYPES {
                // What is kept by one of these must be right for all others.
                for payload in [4096, 512, 1232, 700, 4096] {
                    for (transport, class) in
                        [(Transport::Udp, 1), (Transport::Tcp, 1), (Transport::Udp, 255)]
                    {
                        for name in [format!("{name}.{zone}"), format!("{name}.{zone}").to_uppercase()] {
                            let query = query(&name, rtype, class, payload);
                            let answers = [&mut keeps, &mut forgets].map(|one| ask(one, transport, &query));
                            assert_eq!(answers[0], answers[1], "{name} {rtype} {transport:?} {payload}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn kept_answers_are_those_that_would_be_given_with_nsec() {
    check(Denial::Nsec);
}

#[test]
fn kept_answers_are_those_that_would_be_given_with_nsec3() {
    check(Denial::Nsec3);
}

const PARENT: &str = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

/// The octets after the change are those of a server that has never known anything else.
#[track_caller]
fn changes(name: &str, rtype: u16, change: impl Fn(&mut Authority)) {
    let mut keeps = authority(&[("parent.test", PARENT)], Denial::Nsec, 64);
    let query = query(name, rtype, 1, 1232);
    let before = [0; 3].map(|_| ask(&mut keeps, Transport::Udp, &query));
    change(&mut keeps);
    let mut forgets = authority(&[("parent.test", PARENT)], Denial::Nsec, 0);
    change(&mut forgets);
    let after = [0; 3].map(|_| ask(&mut keeps, Transport::Udp, &query));
    let expect = ask(&mut forgets, Transport::Udp, &query);
    assert!(before.iter().all(|answer| *answer == before[0] && *answer != expect), "it changes at all");
    assert!(after.iter().all(|answer| *answer == expect));
}

#[test]
fn no_answer_outlives_what_it_says() {
    let load = |name: &'static str, text: String| {
        move |authority: &mut Authority| {
            authority.zones_mut().load(name, &mut text.as_bytes()).expect("the zone is good");
        }
    };
    changes("ns.parent.test", 1, load("parent.test", PARENT.replace("192.0.2.1", "192.0.2.2")));
    changes("new.parent.test", 1, load("parent.test", format!("{PARENT}new A 192.0.2.3\n")));
    // A zone below, whose names the parent has denied until now.
    changes("www.child.parent.test", 1, load("child.parent.test", format!("{PARENT}www A 192.0.2.4\n")));
    // New signatures.
    changes("ns.parent.test", 1, |authority| assert!(authority.set_time(NOW + 8 * 86_400).is_none()));
    changes("ns.parent.test", 1, |authority| {
        let mut apex = dns::Name::root(authority.zones().key());
        let key = *authority.zones().key();
        apex.read(b"\x06parent\x04test\0", &key).expect("a name");
        assert!(authority.zones_mut().remove(&apex));
    });
}
