//! Any words in OpenMetrics: one line each, and a reader finds the words that are meant.
//!
//! tests/interop has the reader of Prometheus's own library read such words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::metrics::{Family, Kind, Sink, openmetrics};

/// A label's value in quotes, without its escapes, and what follows (OpenMetrics 1.0, ABNF: escaped-string).
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().expect("something is escaped").1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("{other:?} is escaped"),
            },
            other => value.push(other),
        }
    }
    panic!("the quotes do not close");
}

fuzz_target!(|words: (&str, &str)| {
    let (label, help) = words;
    let mut text = String::new();
    let mut families = openmetrics::Text::new(&mut text);
    families.family(Family { source: "s", name: "n", help, kind: Kind::Counter, label: Some("l") }, &[(label, 7)]);
    families.finish(label, "service");
    let lines: Vec<&str> = text.strip_suffix('\n').expect("a line ends").split('\n').collect();
    assert_eq!(lines.len(), 7, "{text:?}");
    let (found, rest) = value(lines[2].strip_prefix("skerry_s_n_total{l=\"").expect("the sample is third"));
    assert_eq!((found.as_str(), rest), (label, "} 7"));
    let (found, _) = value(lines[5].strip_prefix("skerry_info{vm=\"").expect("the image is last"));
    assert_eq!(found, label);
    assert_eq!(lines[6], "# EOF");
});
