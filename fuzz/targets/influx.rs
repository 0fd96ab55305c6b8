//! Any words in influx lines: one line each, and a reader of the protocol finds the words that are meant.
//!
//! The reader is by InfluxDB's reference of the protocol; tests/interop has InfluxDB itself read such words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::metrics::{Family, Kind, Sink, influx};

/// A measurement or a tag's word up to one of `ends`, without its escapes, and what follows.
fn word<'a>(text: &'a str, ends: &[char]) -> (String, &'a str) {
    let mut word = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.clone().next() {
                Some((_, escaped @ (',' | ' ' | '='))) => {
                    word.push(escaped);
                    characters.next();
                }
                _ => word.push('\\'),
            },
            end if ends.contains(&end) => return (word, &text[at..]),
            other => word.push(other),
        }
    }
    (word, "")
}

fn meant(word: &str) -> String {
    word.chars().map(|c| if c == '\\' { '/' } else if c.is_control() { '_' } else { c }).collect()
}

fuzz_target!(|words: (&str, &str, u64)| {
    let (vm, label, value) = words;
    let mut text = String::new();
    let mut lines = influx::Lines::new(&mut text, vm, Some(7));
    let family = Family { source: "s", name: "n", help: "", kind: Kind::Gauge, label: Some("l") };
    lines.family(family, &[(label, value)]);
    lines.finish();
    let line = text.strip_suffix('\n').expect("a line ends");
    assert!(!line.contains('\n'), "{line:?}");
    let rest = line.strip_prefix("s,vm=").expect("it begins with measurement and tag");
    let (found, rest) = word(rest, &[',', ' ']);
    assert_eq!(found, meant(vm));
    let rest = match label {
        "" => rest,
        label => {
            let (found, rest) = word(rest.strip_prefix(",l=").expect("the label follows"), &[' ']);
            assert_eq!(found, meant(label));
            rest
        }
    };
    assert_eq!(rest, format!(" n={}i 7", value & i64::MAX as u64));
});
