//! Calls of the webhook: no head and no body makes a panic, however the body is cut, and only who knows the secret is let in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::http::{HeaderMap, HeaderName, HeaderValue};
use web::hook::Secret;

const NAMES: [&str; 8] = [
    "x-hub-signature-256",
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
    "x-gitlab-token",
    "webhook-signature",
    "webhook-id",
    "webhook-timestamp",
];

fuzz_target!(|input: (u8, Vec<(u8, Vec<u8>)>, Vec<u8>)| {
    let (cut, fields, body) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in fields.into_iter().take(16) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(HeaderName::from_static(NAMES[usize::from(name) % NAMES.len()]), value);
        }
    }
    let secret = Secret::new("a secret that no input is going to guess").unwrap();
    if let Some(mut call) = secret.begin(&headers, 1_700_000_000) {
        body.chunks(usize::from(cut) + 1).for_each(|octets| call.update(octets));
        assert!(!call.finish());
    }
});
