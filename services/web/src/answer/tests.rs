//! Requests and what they are answered, on a small site.

use super::*;
use crate::site::{Loader, Settings, Sites, compress::Compressor};
use runtime::http::HeaderName;
use std::rc::Rc;
use store::{Edits, Existing, Format, Identity, Kind, Limits, Mode, Repository, TreePath};

/// 2023-11-14 22:13:20, a minute before the requests.
const MODIFIED: i64 = 1_700_000_000;

/// The sites of a repository with these files and links.
fn sites(files: &[(&str, &str)], links: &[(&str, &str)], settings: Settings) -> Sites {
    let mut repository = Repository::new(Format::Sha1, Limits::default());
    let mut edits = Edits::default();
    for (path, text) in files {
        edits.write(*path, *text).unwrap();
    }
    for (path, target) in links {
        let id = repository.write(Kind::Blob, target.as_bytes()).unwrap();
        edits.set(TreePath::new(path).unwrap(), Existing { mode: Mode::Link, id });
    }
    let tree = repository.edit(None, &edits).unwrap();
    let commit = repository.commit(tree, &[], &Identity::new("a", "a@b", MODIFIED), "all\n").unwrap();
    let mut loader = Loader::new(&repository, commit, &Rc::new(settings), &Sites::default()).unwrap();
    while !loader.step(&repository, &|_| true).unwrap() {}
    let (sites, _) = loader.finish().unwrap();
    let mut compressor = Compressor::new(&sites);
    while !compressor.step(&|_| true) {}
    sites
}

const PAGE: &str = "<!doctype html><title>Home</title>\n";
const REDIRECTS: &str = "/was /a/ 302\n/forced / 307!\n/app/* /a/page.html 200\n/a/data.bin /never\n";

/// A site with everything.
fn site() -> Sites {
    let long = "0123456789 words to be compressed, again and again\n".repeat(40);
    let files = [
        ("index.html", PAGE),
        ("404.html", "no such page\n"),
        ("_redirects", REDIRECTS),
        ("forced", "hidden by a rule"),
        ("a/index.html", "A"),
        ("a/page.html", &long),
        ("a/data.bin", "0123456789"),
        ("a/empty", ""),
        ("b c/\u{fc}.txt", "umlaut"),
        ("dir/file.txt", "in a directory without an index"),
        (".git-blame-ignore-revs", "secret"),
        ("a/.hidden/x", "secret"),
        (".well-known/security.txt", "Contact: mailto:a@b"),
    ];
    let links = [
        ("link", "a/page.html"),
        ("latest", "a"),
        ("out", "../../etc/passwd"),
        ("web", "https://example.org/x"),
    ];
    sites(&files, &links, Settings::default())
}

/// A request as it is written, and its answer in the same way: status, fields that are asked for, body.
#[track_caller]
fn ask(request: &str) -> Response<Payload> {
    let mut lines = request.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let sites = site();
    let site = sites.of("any").unwrap();
    let response =
        answer(site, &Policy::default(), &method, &target.parse().unwrap(), &headers, MODIFIED + 60);
    let length =
        response.headers().get(header::CONTENT_LENGTH).map(|it| it.to_str().unwrap().parse::<u64>().unwrap());
    if !response.body().is_empty() {
        assert_eq!(length, Some(response.body().len()), "{request}");
    }
    response
}

fn body(response: &Response<Payload>) -> String {
    match response.body() {
        Payload::Empty => String::new(),
        Payload::Whole(octets) => String::from_utf8_lossy(octets).into_owned(),
        Payload::Pieces(pieces) => String::from_utf8_lossy(&pieces.concat()).into_owned(),
    }
}

fn field<'r>(response: &'r Response<Payload>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The status; behind it the location, if there is one, or the body.
#[track_caller]
fn check(request: &str, expected: &str) {
    let response = ask(request);
    let mut text = response.status().as_u16().to_string();
    for more in [field(&response, "location"), &body(&response)] {
        if !more.is_empty() {
            text = format!("{text} {more}");
            break;
        }
    }
    assert_eq!(text.trim_end(), expected, "{request}");
}

#[test]
fn paths_lead_to_files_and_directories_to_their_index() {
    check("GET /", &format!("200 {}", PAGE.trim_end()));
    check("GET /index.html?x=1", &format!("200 {}", PAGE.trim_end()));
    check("GET /a/", "200 A");
    check("GET /a", "301 /a/");
    check("GET /a?x=1", "301 /a/?x=1");
    check("GET /b%20c/%C3%BC.txt", "200 umlaut");
    check("GET /b%20c", "301 /b%20c/");
    check("GET /%2E/a/../a/data.bin", "200 0123456789");
    check("GET /a/empty/", "404 no such page");
    check("GET /dir", "301 /dir/");
    check("GET /dir/", "404 no such page");
    check("GET /.well-known/security.txt", "200 Contact: mailto:a@b");
}

#[test]
fn what_is_not_there_is_answered_with_the_sites_own_page() {
    for path in ["/gone", "/out", "//a/", "/a//data.bin", "/_redirects", "/a%2Fdata.bin", "/../../etc/passwd"]
    {
        check(&format!("GET {path}"), "404 no such page");
    }
    for path in ["/.git-blame-ignore-revs", "/a/.hidden/x", "/a/.hidden/", "/.git/config"] {
        check(&format!("GET {path}"), "404 no such page");
    }
    check("GET /%", "400 400 Bad Request");
    check("GET /%00", "400 400 Bad Request");
    check(&format!("GET /{}", "x".repeat(5_000)), "414 414 URI Too Long");
    let response = ask("GET /gone\nif-none-match: *\nrange: bytes=0-0");
    assert_eq!((response.status(), field(&response, "etag")), (StatusCode::NOT_FOUND, ""));
}

#[test]
fn links_are_redirections() {
    check("GET /link", "301 /a/page.html");
    check("GET /link?x", "301 /a/page.html?x");
    check("GET /latest", "301 /a/");
    check("GET /latest/page.html", "301 /a/page.html");
    check("GET /web", "301 https://example.org/x");
}

#[test]
fn rules_of_the_repository_count() {
    check("GET /was", "302 /a/");
    check("GET /forced", "307 /");
    check("GET /a/data.bin", "200 0123456789");
    let response = ask("GET /app/any/thing");
    assert_eq!(
        (response.status(), field(&response, "content-type")),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
}

#[test]
fn methods_that_change_something_are_refused() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"] {
        let response = ask(&format!("{method} /"));
        assert_eq!(
            (response.status(), field(&response, "allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
        );
    }
    let response = ask("OPTIONS /");
    assert_eq!(
        (response.status(), field(&response, "allow")),
        (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS")
    );
}

#[test]
fn a_head_is_that_of_the_page() {
    for path in ["/", "/a/page.html", "/gone", "/a", "/a/empty"] {
        let (mut get, head) = (ask(&format!("GET {path}")), ask(&format!("HEAD {path}\nrange: bytes=0-0")));
        *get.body_mut() = Payload::Empty;
        assert_eq!((get.status(), get.headers()), (head.status(), head.headers()), "{path}");
        assert_eq!(head.body(), &Payload::Empty);
    }
}

#[test]
fn files_say_what_they_are_and_since_when() {
    let response = ask("GET /a/data.bin");
    let expected = [
        ("content-type", "application/octet-stream"),
        ("content-length", "10"),
        ("etag", "\"ad471007bd7f5983d273b9584e5629230150fd54\""),
        ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("cache-control", "no-cache"),
        ("accept-ranges", "bytes"),
        ("vary", ""),
        ("content-encoding", ""),
    ];
    for (name, value) in expected {
        assert_eq!(field(&response, name), value, "{name}");
    }
}

#[test]
fn compressed_forms_are_sent_to_who_takes_them() {
    let plain = ask("GET /a/page.html");
    let gzip = ask("GET /a/page.html\naccept-encoding: gzip");
    assert_eq!((field(&plain, "vary"), field(&gzip, "vary")), ("accept-encoding", "accept-encoding"));
    assert_eq!((field(&plain, "content-encoding"), field(&gzip, "content-encoding")), ("", "gzip"));
    let tag = field(&plain, "etag").trim_matches('"');
    assert_eq!(field(&gzip, "etag"), format!("\"{tag}-gz\""));
    assert!(gzip.body().len() < plain.body().len() / 4);
    // Too small, or of a type that does not get smaller.
    for path in ["/", "/a/data.bin"] {
        assert_eq!(field(&ask(&format!("GET {path}\naccept-encoding: gzip")), "content-encoding"), "");
    }
    check("GET /a/data.bin\naccept-encoding: identity;q=0", "406 406 Not Acceptable");
}

#[test]
fn who_has_it_is_not_sent_it_again() {
    let tag = field(&ask("GET /a/data.bin"), "etag").to_owned();
    let response = ask(&format!("GET /a/data.bin\nif-none-match: {tag}"));
    assert_eq!((response.status(), body(&response)), (StatusCode::NOT_MODIFIED, String::new()));
    assert_eq!((field(&response, "etag"), field(&response, "content-length")), (&*tag, ""));
    check("GET /a/data.bin\nif-match: \"x\"", "412 412 Precondition Failed");
    check(
        "GET /a/data.bin\nif-none-match: \"x\"\nif-modified-since: Wed, 15 Nov 2023 00:00:00 GMT",
        "200 0123456789",
    );
    check("GET /a/data.bin\nif-modified-since: Tue, 14 Nov 2023 22:13:20 GMT", "304");
    check(
        "GET /a/data.bin\nif-unmodified-since: Tue, 14 Nov 2023 22:13:19 GMT",
        "412 412 Precondition Failed",
    );
}

#[test]
fn parts_of_files_are_sent() {
    let response = ask("GET /a/data.bin\nrange: bytes=2-4");
    assert_eq!((response.status(), &*body(&response)), (StatusCode::PARTIAL_CONTENT, "234"));
    assert_eq!(field(&response, "content-range"), "bytes 2-4/10");
    let response = ask("GET /a/data.bin\nrange: bytes=10-");
    assert_eq!(
        (response.status(), field(&response, "content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10")
    );
    let response = ask("GET /a/page.html\nrange: bytes=0-1,1000-1001");
    let boundary = field(&response, "content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(body(&response).matches(&format!("--{boundary}")).count(), 3);
    check("GET /a/data.bin\nrange: bytes=0-1\nif-range: \"x\"", "200 0123456789");
    check("GET /a/empty\nrange: bytes=0-", "416 416 Range Not Satisfiable");
}

#[test]
fn directories_can_be_hosts() {
    let files = [("a.example/index.html", "A"), ("B.example/index.html", "B"), ("README", "none's")];
    let settings = || Settings { by_host: true, ..Settings::default() };
    let with_default = [&files[..], &[("default/index.html", "D")]].concat();
    let links = [("www.a.example", "a.example"), ("bad.example", "../x")];
    let page = |sites: &Sites, host: &str| {
        let site = sites.of(host)?;
        let headers = HeaderMap::new();
        Some(body(&answer(site, &Policy::default(), &Method::GET, &"/".parse().unwrap(), &headers, MODIFIED)))
    };
    let sites = sites(&with_default, &links, settings());
    for (host, expected) in [
        ("a.example", "A"),
        ("www.a.example", "A"),
        ("b.example", "B"),
        ("other.example", "D"),
        ("bad.example", "D"),
    ] {
        assert_eq!(page(&sites, host).as_deref(), Some(expected), "{host}");
    }
    let sites = self::sites(&files, &[], settings());
    assert_eq!(page(&sites, "other.example"), None);
}

#[test]
fn a_date_is_never_later_than_the_response() {
    let sites = site();
    let site = sites.of("").unwrap();
    let headers = HeaderMap::new();
    let response =
        answer(site, &Policy::default(), &Method::GET, &"/".parse().unwrap(), &headers, MODIFIED - 1);
    assert_eq!(field(&response, "last-modified"), "Tue, 14 Nov 2023 22:13:19 GMT");
}
