//! Signed messages: whatever their octets are, nothing panics, and nothing that was changed is taken for genuine.
#![no_main]

use dns::keys::is_at_or_below;
use dns::packet::Packet;
use dns::tsig::{Algorithm, Key, sign_request, verify};
use dns::{HashKey, Zones, update};
use libfuzzer_sys::fuzz_target;
use std::rc::Rc;

const NOW: u64 = 1_800_000_000;
const APEX: &[u8] = b"\x07example\x03org\0";

fuzz_target!(|input: &[u8]| {
    let key = Rc::new(Key::new(b"\x01k\0", Algorithm::Sha256, b"secret"));
    let find = |name: &[u8]| Some(key.clone()).filter(|key| key.name() == name);
    // As it comes: nobody without the secret signs anything.
    assert!(!matches!(verify(input, find, NOW), Ok(Some(_))));
    walk(input);
    evaluate(input);
    // What was signed verifies and comes back as it was; with an octet changed it does not, or is the same.
    if Packet::new(input).is_err() || input.len() > 60_000 || input[10..12] == [0xFF, 0xFF] {
        return;
    }
    let mut message = input.to_vec();
    let mut answers = sign_request(&mut message, &key, NOW);
    let Ok(Some(signed)) = verify(&message, find, NOW) else { return };
    assert_eq!(signed.message, input);
    let at = usize::from(input[0]) * 256 + usize::from(input[1]);
    let mut changed = message.clone();
    let length = changed.len();
    changed[2 + at % (length - 2)] ^= input[2] | 1;
    if let Ok(Some(signed)) = verify(&changed, find, NOW) {
        assert_eq!(signed.message, input);
    }
    let _ = answers.check(&mut changed, NOW);
});

/// Every record there is, until one is wrong.
fn walk(input: &[u8]) {
    let Ok(mut packet) = Packet::new(input) else { return };
    for _ in 0..packet.count(0) {
        if packet.question().is_err() {
            return;
        }
    }
    while let Ok(entry) = packet.record() {
        assert!(entry.record.owner.len() <= 255 && entry.record.data.len() <= 65_535);
    }
}

/// What an update makes of a zone is a zone again, or is refused.
fn evaluate(input: &[u8]) {
    let key = HashKey::new([7; 24]);
    let mut zones = Zones::new(key);
    let text = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww CNAME ns\n*.w TXT x\n";
    zones.load("example.org", &mut text.as_bytes()).expect("the zone is good");
    let zone = zones.iter().next().expect("it is served").clone();
    let Ok(difference) = update::evaluate(input, &zone, APEX, &key) else { return };
    let names = difference.removed.iter().chain(&difference.added);
    assert!(names.clone().all(|record| is_at_or_below(&record.owner, APEX)));
    if let Ok((next, _)) = zone.with(&difference, true, &key) {
        assert_eq!(difference.is_empty(), next.serial() == zone.serial());
    }
}
