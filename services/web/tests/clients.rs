//! Real clients: curl over HTTP/1.1 and 2, and what git hosts send.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;

use desk::{Desk, SECRET, program, run};
use std::time::{Duration, Instant};

const LONG: &str = "0123456789 words to be compressed, again and again\n";

fn desk() -> Desk {
    let page = LONG.repeat(100);
    Desk::new(&[
        ("index.html", "<h1>Home</h1>\n"),
        ("page.html", &page),
        ("404.html", "no such page\n"),
        ("data.bin", "0123456789"),
        ("a/index.html", "A\n"),
        ("link", "-> page.html"),
    ])
}

#[test]
#[ignore = "needs git and curl: cargo xtask test"]
fn curl_gets_pages_over_both_versions() {
    let desk = desk();
    for (version, scheme) in [("--http1.1", "http"), ("--http1.1", "https"), ("--http2", "https")] {
        let url = |path: &str| if scheme == "http" { desk.url(path) } else { desk.secure(path) };
        let page = desk.curl(&[version, &url("/")]);
        assert!(page.contains(if version == "--http2" { "HTTP/2 200" } else { "HTTP/1.1 200 OK" }), "{page}");
        assert!(
            page.to_lowercase().contains("content-length: 14") && page.ends_with("<h1>Home</h1>\n"),
            "{page}"
        );
        let head = desk.curl(&[version, "--head", &url("/page.html")]);
        assert!(head.to_lowercase().contains("content-length: 5100") && head.ends_with("\r\n\r\n"), "{head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let again = desk.curl(&[version, "-H", &format!("if-none-match: {tag}"), &url("/page.html")]);
        assert!(again.contains(" 304") && !again.to_lowercase().contains("content-length"), "{again}");
        let missing = desk.curl(&[version, &url("/gone")]);
        assert!(missing.contains(" 404") && missing.ends_with("no such page\n"), "{missing}");
        let part = desk.curl(&[version, "-r", "2-4", &url("/data.bin")]);
        assert!(part.contains(" 206") && part.ends_with("\r\n\r\n234"), "{part}");
        let parts = desk.curl(&[version, "-r", "0-1,500-501", &url("/page.html")]);
        assert!(parts.contains("multipart/byteranges") && parts.contains("bytes 500-501/5100"), "{parts}");
        let moved = desk.curl(&[version, "-L", &url("/link")]);
        assert!(moved.contains(" 301") && moved.ends_with(LONG), "{moved}");
        let refused = desk.curl(&[version, "-d", "x=1", &url("/")]);
        assert!(refused.contains(" 405") && refused.contains("llow: GET, HEAD, OPTIONS"), "{refused}");
    }
}

#[test]
#[ignore = "needs git, wget and nghttp2-client: cargo xtask test"]
fn wget_and_nghttp_are_served() {
    let desk = desk();
    let ca = format!("--ca-certificate={}", desk.ca().display());
    let mut wget = program("wget", "wget");
    let page = run(wget.args(["-q", "-S", "-O", "-", &ca, "--no-proxy", &desk.secure("/data.bin")]));
    assert!(page.contains("HTTP/1.1 200 OK") && page.contains("0123456789"), "{page}");
    let several = [desk.secure("/"), desk.secure("/page.html"), desk.secure("/a/")];
    let frames = run(program("nghttp", "nghttp2-client").args(["-nv", "--no-verify-peer"]).args(&several));
    assert_eq!(frames.matches(":status: 200").count(), 3, "{frames}");
    let mut h2load = program("h2load", "nghttp2-client");
    let load = run(h2load.args(["-n", "1000", "-c", "10", "-m", "10", &desk.secure("/data.bin")]));
    assert!(load.contains("1000 succeeded") && load.contains("1000 2xx"), "{load}");
}

#[test]
#[ignore = "needs git and curl: cargo xtask test"]
fn compressed_pages_are_what_they_were() {
    let desk = desk();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let page = desk.curl(&["--compressed", &desk.url("/page.html")]);
        assert!(page.ends_with(&LONG.repeat(100)), "{page}");
        if page.contains("content-encoding: ") {
            break;
        }
        assert!(Instant::now() < until, "never compressed: {page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs git and curl: cargo xtask test"]
fn a_push_shows_as_soon_as_its_webhook_has_called() {
    let desk = desk();
    let call = |body: &str, signature: &str| {
        let field = format!("x-hub-signature-256: sha256={signature}");
        desk.curl(&["-H", &field, "--data-binary", body, &desk.url("/hook")])
    };
    let sign = |body: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = ring::hmac::sign(&key, body.as_bytes());
        tag.as_ref().iter().map(|octet| format!("{octet:02x}")).collect::<String>()
    };
    let body = r#"{"ref":"refs/heads/main"}"#;
    let unchanged = call(body, &sign(body));
    assert!(unchanged.contains("200 OK") && unchanged.contains("pulled, no changes"), "{unchanged}");
    let commit = desk.push(&[("index.html", "<h1>New</h1>\n"), ("added", "x")], "news");
    let refused = call(body, &sign("another body"));
    assert!(refused.contains("403 Forbidden"), "{refused}");
    assert!(desk.curl(&[&desk.url("/")]).ends_with("<h1>Home</h1>\n"));
    let pulled = call(body, &sign(body));
    assert!(pulled.contains("200 OK") && pulled.contains(&format!("pulled {commit}: 6 files")), "{pulled}");
    assert!(desk.curl(&[&desk.url("/")]).ends_with("<h1>New</h1>\n"));

    desk.push(&[("_redirects", "/a\n"), ("index.html", "<h1>Broken</h1>\n")], "broken");
    let broken = call(body, &sign(body));
    assert!(broken.contains("422 ") && broken.contains("_redirects: line 1: there is no target"), "{broken}");
    assert!(desk.curl(&[&desk.url("/")]).ends_with("<h1>New</h1>\n"));
    assert!(desk.curl(&[&desk.url("/hook")]).contains("405 "));
    assert!(desk.curl(&["-d", body, &desk.url("/hook")]).contains("403 "));
}
