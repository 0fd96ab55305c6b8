//! Requests of any kind to a site with everything in it: method, target and fields, one a line. Never a panic, and never a response
//! that contradicts itself: lengths are right, parts are parts of the file, locations stay on the host unless a rule says otherwise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::rc::Rc;
use store::{Edits, Existing, Format, Identity, Kind, Limits, Mode, Repository, TreePath};
use web::{
    answer::{Payload, Policy, answer, host::host},
    site::{Loader, Settings, Sites, compress::Compressor},
};

thread_local! {
    static SITES: Sites = sites();
}

const NOW: i64 = 1_700_000_000;

fn sites() -> Sites {
    let mut repository = Repository::new(Format::Sha1, Limits::default());
    let mut edits = Edits::default();
    let long = "0123456789 words to be compressed, again and again\n".repeat(40);
    for (path, text) in [
        ("index.html", "<h1>Home</h1>"),
        ("404.html", "no such page"),
        ("_redirects", "/was /a/ 302\n/u/:name/x https://example.org/:name\n/app/* /a/page.html 200\n/s/* /t/:splat 301!\n"),
        ("a/page.html", &long),
        ("a/data.bin", "0123456789"),
        ("a/empty", ""),
        ("b c/\u{fc}.txt", "umlaut"),
        (".hidden", "secret"),
    ] {
        edits.write(path, text).unwrap();
    }
    for (path, target) in [("link", "a/page.html"), ("latest", "a"), ("out", "../../etc/passwd")] {
        let id = repository.write(Kind::Blob, target.as_bytes()).unwrap();
        edits.set(TreePath::new(path).unwrap(), Existing { mode: Mode::Link, id });
    }
    let tree = repository.edit(None, &edits).unwrap();
    let commit = repository.commit(tree, &[], &Identity::new("a", "a@b", NOW - 60), "all\n").unwrap();
    let mut loader = Loader::new(&repository, commit, &Rc::new(Settings::default()), &Sites::default()).unwrap();
    while !loader.step(&repository, &|_| true).unwrap() {}
    let (sites, _) = loader.finish().unwrap();
    let mut compressor = Compressor::new(&sites);
    while !compressor.step(&|_| true) {}
    sites
}

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|&octet| octet == b'\n');
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_at(first.iter().position(|&octet| octet == b' ').unwrap_or(0));
    let Ok(uri) = std::str::from_utf8(target).unwrap_or_default().trim_start().parse() else { return };
    let method = Method::from_bytes(method).unwrap_or(Method::GET);
    let mut headers = HeaderMap::new();
    for line in lines.take(32) {
        let Some(colon) = line.iter().position(|&octet| octet == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let _ = host(&uri, &headers, true);
    SITES.with(|sites| {
        let response = answer(sites.of("any").unwrap(), &Policy::default(), &method, &uri, &headers, NOW);
        let field = |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap());
        let length = field(header::CONTENT_LENGTH).map(|digits| digits.parse::<u64>().unwrap());
        let body = match response.body() {
            Payload::Empty => Vec::new(),
            Payload::Whole(octets) => octets.to_vec(),
            Payload::Pieces(pieces) => pieces.concat(),
        };
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
        if !body.is_empty() {
            assert_eq!(length, Some(body.len() as u64));
            assert_ne!(method, Method::HEAD);
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            assert!(body.is_empty() && length.is_none() && field(header::ETAG).is_some());
        }
        if let Some(location) = field(header::LOCATION) {
            let is_ours = location.starts_with('/') && !location.starts_with("//");
            assert!(is_ours || location.starts_with("https://example.org/"), "{location}");
        }
        if let Some(range) = field(header::CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")) {
            let (part, whole) = range.split_once('/').unwrap();
            if let Some((first, last)) = part.split_once('-') {
                let [first, last, whole] = [first, last, whole].map(|number| number.parse::<u64>().unwrap());
                assert!(first <= last && last < whole && length == Some(last - first + 1));
            }
        }
    });
});
