//! Conditions, ranges and accepted codings: no value makes a panic, parts are in order and within the file, and what does not hold
//! for a tag does not hold for a weak one either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::http::{HeaderMap, HeaderName, HeaderValue, header};
use web::{
    answer::{
        coding::Accepted,
        conditions::{Outcome, evaluate},
        ranges::Ranges,
    },
    limits::RANGES,
    site::Coding,
};

const FIELDS: [HeaderName; 7] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
    header::ACCEPT_ENCODING,
];

fuzz_target!(|input: (u16, Vec<(u8, Vec<u8>)>)| {
    let (length, fields) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in fields.into_iter().take(16) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(FIELDS[usize::from(name) % FIELDS.len()].clone(), value);
        }
    }
    let outcome = evaluate(&headers, b"\"tag\"", 784_111_777);
    if let Outcome::Proceed { with_range: true } = outcome {
        assert!(headers.contains_key(header::RANGE));
    }
    if outcome == Outcome::NotModified {
        assert!(headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE));
    }
    if let Ranges::Parts(parts) = Ranges::of(&headers, length.into()) {
        assert!(!parts.is_empty() && parts.len() <= RANGES);
        assert!(parts.iter().all(|part| part.first <= part.last && part.last < length.into()));
        let total: u64 = parts.iter().map(|part| part.last - part.first + 1).sum();
        assert!(total <= u64::from(length), "no octet twice");
    }
    let accepted = Accepted::of(&headers);
    for coding in [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        assert!(accepted.weight(coding) <= 1_000);
    }
});
