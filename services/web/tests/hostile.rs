//! Clients that mean no good: shapes of request smuggling, floods of HTTP/2, heads without end. Each is refused or bounded, and
//! whoever asks meanwhile is served.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;

use desk::Desk;
use runtime::{
    connect::Connect,
    tls::{TlsConnector, TlsStream, Trust},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

fn desk() -> Desk {
    Desk::new(&[("index.html", "Home\n"), ("smuggled", "smuggled\n")])
}

/// Statuses of the responses to what is sent, until the server closes or is silent.
fn talk(desk: &Desk, octets: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", desk.http)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(octets).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all); // silence ends it too
    let text = String::from_utf8_lossy(&all).into_owned();
    text.split("HTTP/1.").skip(1).map(|response| response[2..5].to_owned()).collect()
}

#[track_caller]
fn check(desk: &Desk, head: &str, expected: &[&str]) {
    const NEXT: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let statuses = talk(desk, format!("{head}{NEXT}").as_bytes());
    assert_eq!(statuses, expected, "{head:?}");
}

#[test]
#[ignore = "needs git: cargo xtask test"]
fn a_request_ends_where_it_says_or_is_refused() {
    let desk = desk();
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{body}");
    check(&desk, &post("Content-Length: 5", "12345"), &["405", "200"]);
    check(&desk, &post("Transfer-Encoding: chunked", "5\r\n12345\r\n0\r\n\r\n"), &["405", "200"]);
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5, 6",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "X: a\0b",
        "X y: z",
    ] {
        check(&desk, &post(fields, "12345"), &["400"]);
    }
    for body in ["5\r\n12345x\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\n", "5;\0\r\n", "zz\r\n"] {
        let statuses = talk(&desk, post("Transfer-Encoding: chunked", body).as_bytes());
        assert!(statuses.len() <= 1, "{body:?}: {statuses:?}");
    }
    // One of both has to be wrong (RFC 9112 §6.1): nothing behind it may be taken for a request that a proxy has not seen.
    let both = post("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n");
    let statuses = talk(&desk, both.as_bytes());
    assert!(statuses == ["400"] || statuses == ["405"], "{statuses:?}");
}

#[test]
#[ignore = "needs git: cargo xtask test"]
fn requests_without_a_host_or_with_two_are_refused() {
    let desk = desk();
    check(&desk, "GET / HTTP/1.1\r\n\r\n", &["400", "200"]);
    check(&desk, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &["400", "200"]);
    check(&desk, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &["400", "200"]);
    check(&desk, "GET / HTTP/1.0\r\n\r\n", &["200"]);
    check(&desk, "GET http://localhost/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", &["200", "200"]);
    assert_eq!(talk(&desk, &[b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &[b'x'; 40_000][..]].concat()), ["431"]);
    let many = "X: y\r\n".repeat(200);
    assert_eq!(talk(&desk, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes()), ["431"]);
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://localhost/` in HPACK: `:method GET`, `:scheme https`, `:path /`, `:authority localhost`.
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";

/// Sends frames over HTTP/2 until the server closes the connection; whether it did before all had been sent.
fn flood(desk: &Desk, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let pem = std::fs::read_to_string(desk.ca()).unwrap();
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(async {
        let connector = TlsConnector::new(desk::HostConnector, &Trust::parse(&pem).unwrap(), &[b"h2"]);
        let stream: TlsStream<_> = connector.connect("localhost", desk.https).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let reading = tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
        });
        writer.write_all(PREFACE).await.unwrap();
        writer.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        for frame in frames {
            let written = timeout(Duration::from_secs(5), writer.write_all(&frame)).await;
            if !matches!(written, Ok(Ok(()))) {
                return true;
            }
        }
        let _ = writer.flush().await;
        timeout(Duration::from_secs(2), reading).await.is_ok()
    })
}

#[test]
#[ignore = "needs git and curl: cargo xtask test"]
fn floods_of_http2_end_their_connection_and_nobody_elses() {
    let desk = desk();
    // CVE-2023-44487: requests that are reset at once.
    let rapid = (0..20_000).flat_map(|number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, GET), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
    });
    flood(&desk, rapid);
    assert!(desk.curl(&["--http2", &desk.secure("/")]).ends_with("Home\n"));
    // CVE-2024-27983 and its like: a head that never ends.
    let continued = std::iter::once(frame(HEADERS, END_STREAM, 1, GET)).chain(
        (0..20_000).map(|_| frame(CONTINUATION, 0, 1, b"\x00\x01x\x7Fyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")),
    );
    assert!(flood(&desk, continued), "a head without end was read to its end");
    flood(&desk, (0..20_000).map(|_| frame(PING, 0, 0, &[7; 8])));
    flood(&desk, (0..20_000).map(|_| frame(SETTINGS, 0, 0, &[])));
    assert!(desk.curl(&["--http2", &desk.secure("/")]).ends_with("Home\n"));
}
