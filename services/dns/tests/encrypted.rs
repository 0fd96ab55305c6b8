//! DNS over TLS and HTTPS, cookies and rates, asked by kdig, dig and curl.

mod desk;

use desk::{Folder, Ports, program, run, start};
use dns::cookies::Secrets;
use std::time::Duration;

const ZONE: &str =
    "$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\nwww 20 TXT \"x\"\n";

fn serve(name: &str, limit: Option<u16>) -> (Ports, Folder, String) {
    let key = rcgen::generate_simple_self_signed(["ns.example.org".to_string()]).expect("a certificate");
    let certificate = key.cert.pem();
    let folder = Folder::new(name);
    let ca = folder.write("ca.pem", &certificate).display().to_string();
    let pem = format!("{certificate}{}", key.signing_key.serialize_pem());
    let zones = [("example.org", ZONE.to_string())];
    let ports = start(&zones, vec![("_tls.pem".to_string(), pem)], move |authority| {
        authority.set_cookie_secrets(Secrets::new(vec![[9; 16]]).expect("it is one"));
        if let Some(limit) = limit {
            authority.set_rate_limit(limit).expect("there is memory");
        }
    });
    (ports, folder, ca)
}

fn ask(program_name: &str, package: &str, port: u16, arguments: &[&str]) -> String {
    let mut command = program(program_name, package);
    run(command.args(["@127.0.0.1", "-p", &port.to_string()]).args(arguments))
}

#[test]
#[ignore = "needs knot-dnsutils, bind9-dnsutils and curl: cargo xtask test"]
fn kdig_asks_and_transfers_over_tls() {
    let (ports, _folder, ca) = serve("tls", None);
    let (ca, name) = (format!("+tls-ca={ca}"), "+tls-hostname=ns.example.org");
    let kdig = |arguments: &[&str]| ask("kdig", "knot-dnsutils", ports.tls, arguments);
    let answer = kdig(&[&ca, name, "www.example.org"]);
    assert!(answer.contains("TLS1.3") && answer.contains("192.0.2.2"), "{answer}");
    let several = kdig(&[&ca, name, "+keepopen", "www.example.org", "A", "www.example.org", "TXT"]);
    assert!(several.contains("192.0.2.2") && several.contains("\"x\""), "{several}");
    let other = kdig(&[&ca, "+tls-hostname=other.example.org", "www.example.org"]);
    assert!(!other.contains("192.0.2.2"), "{other}");
    // RFC 9103
    let transfer = kdig(&[&ca, name, "example.org", "AXFR"]);
    assert!(transfer.contains("6 records"), "{transfer}");
}

#[test]
#[ignore = "needs knot-dnsutils, bind9-dnsutils and curl: cargo xtask test"]
fn kdig_and_curl_ask_over_https() {
    let (ports, folder, ca) = serve("https", None);
    let kdig = |arguments: &[&str]| ask("kdig", "knot-dnsutils", ports.https, arguments);
    let (trust, name) = (format!("+tls-ca={ca}"), "+tls-hostname=ns.example.org");
    for option in ["+https", "+https-get"] {
        let answer = kdig(&[option, &trust, name, "www.example.org"]);
        assert!(answer.contains("HTTP/2") && answer.contains("192.0.2.2"), "{option}: {answer}");
    }
    let query = folder.0.join("query");
    std::fs::write(&query, b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x10\0\x01")
        .expect("room");
    let curl = |version: &str, path: &str, media_type: &str| {
        run(program("curl", "curl")
            .args(["-sS", version, "--cacert", &ca, "-D", "-", "-o", "/dev/null"])
            .args(["--resolve", &format!("ns.example.org:{}:127.0.0.1", ports.https)])
            .args(["-H", &format!("content-type: {media_type}"), "--data-binary"])
            .arg(format!("@{}", query.display()))
            .arg(format!("https://ns.example.org:{}{path}", ports.https)))
    };
    for version in ["--http1.1", "--http2"] {
        let answer = curl(version, "/dns-query", "application/dns-message").to_lowercase();
        let expect = ["200", "content-type: application/dns-message", "cache-control: max-age=20"];
        assert!(expect.iter().all(|line| answer.contains(line)), "{answer}");
    }
    let other = curl("--http2", "/other", "application/dns-message");
    assert!(other.contains("404"), "{other}");
    let text = curl("--http2", "/dns-query", "text/plain");
    assert!(text.contains("415"), "{text}");
}

#[test]
#[ignore = "needs knot-dnsutils, bind9-dnsutils and curl: cargo xtask test"]
fn a_client_with_its_cookie_is_not_limited_and_others_are() {
    let (ports, folder, _) = serve("rate", Some(10));
    let dig = |arguments: &[&str]| {
        ask("dig", "bind9-dnsutils", ports.plain, &[&["+tries=1", "+time=1", "+ignore"], arguments].concat())
    };
    let first = dig(&["+cookie=0102030405060708", "www.example.org"]);
    let cookie = first.lines().find_map(|line| line.strip_prefix("; COOKIE: ")).expect("a cookie");
    let cookie = cookie.split(' ').next().expect("a word").to_string();
    assert_eq!(cookie.len(), 48, "{first}");
    let many = folder.write("many", &"www.example.org A\n".repeat(60)).display().to_string();
    let count = |text: &str, what: &str| text.matches(what).count();
    let with = dig(&[&format!("+cookie={cookie}"), "-f", &many]);
    assert_eq!(count(&with, "ANSWER: 1,"), 60, "{with}");
    std::thread::sleep(Duration::from_millis(10));
    let without = dig(&["+nocookie", "+time=1", "-f", &many]);
    assert!(count(&without, "flags: qr aa tc") > 0 && count(&without, "ANSWER: 1,") < 60, "{without}");
    let over_tcp = dig(&["+nocookie", "+tcp", "-f", &many]);
    assert_eq!(count(&over_tcp, "ANSWER: 1,"), 60, "{over_tcp}");
}
