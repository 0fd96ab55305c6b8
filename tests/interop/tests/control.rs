//! The control port: who shows a certificate of ours changes what is logged and measured, and nobody else gets a word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interop::{Image, Scratch, collectors::make_certificates, databases::curl, free_port, wait_for};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

/// A file's PEM as a boot argument has it.
fn word(directory: &Path, file: &str) -> String {
    let text = fs::read_to_string(directory.join(file)).unwrap();
    text.lines().filter(|line| !line.starts_with("---")).collect()
}

/// What `openssl s_client` hears to these lines.
fn say(directory: &Path, port: u16, client: Option<&str>, lines: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_client",
        "-quiet",
        "-no_ign_eof",
        "-verify_return_error",
        "-verify_ip",
        "10.0.2.2",
        "-connect",
    ]);
    openssl.arg(format!("127.0.0.1:{port}")).arg("-CAfile").arg(directory.join("ca.pem"));
    if let Some(client) = client {
        openssl.arg("-cert").arg(directory.join(format!("{client}.pem")));
        openssl.arg("-key").arg(directory.join(format!("{client}.key")));
    }
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = openssl.spawn().expect("openssl is installed");
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(lines.as_bytes()); // it may have been hung up on
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        drop(stdin);
    });
    let output = child.wait_with_output().unwrap();
    ends.join().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn levels_and_sources_are_changed_by_who_proves_who_they_are() {
    let (scratch, stranger) = (Scratch::new(), Scratch::new());
    let directory = scratch.path();
    make_certificates(directory);
    make_certificates(stranger.path()); // another authority
    for file in ["client.pem", "client.key"] {
        fs::copy(stranger.path().join(file), directory.join(file.replace("client", "stranger"))).unwrap();
    }
    let (control, metrics) = (free_port(), free_port());
    let arguments = [
        format!("--control-identity={},{}", word(directory, "server.pem"), word(directory, "server.key")),
        format!("--control-ca={}", word(directory, "ca.pem")),
        "--metrics-port=9100".to_owned(),
    ];
    let mut image = Image::start_example(directory, &[(control, 2_323), (metrics, 9_100)], &arguments);
    image.wait_for("serving");
    let line = || {
        let mut stream = TcpStream::connect(("127.0.0.1", image.port)).unwrap();
        stream.write_all(&[0, 5, 1]).unwrap();
    };
    // Nobody without a certificate, and nobody with another authority's.
    for client in [None, Some("stranger")] {
        assert_eq!(say(directory, control, client, "L*:trace\nl\n"), "", "{client:?}");
    }
    assert_eq!(say(directory, control, Some("client"), "l\n"), "*:info\nok\n");
    assert_eq!(
        say(directory, control, Some("client"), "L*:warn,dns:debug\nl\n"),
        "ok\n*:warn,dns:debug\nok\n"
    );
    line();
    wait_for("the level holds", || image.said().contains(" DEBUG dns::service: "));
    let sources = say(directory, control, Some("client"), "l*\n");
    assert!(sources.contains("\ndns::service:debug\n"), "{sources}");
    assert!(curl(metrics, "/metrics", &[]).contains("skerry_memory_used_bytes "));
    assert_eq!(say(directory, control, Some("client"), "M*:disable,dns:enable\n"), "ok\n");
    let text = curl(metrics, "/metrics", &[]);
    assert!(!text.contains("skerry_memory") && text.contains("skerry_dns_queries_total "), "{text}");
    assert_eq!(say(directory, control, Some("client"), "Mmemory:enable\n"), "ok\n");
    assert!(curl(metrics, "/metrics", &[]).contains("skerry_memory_used_bytes "));
    assert!(say(directory, control, Some("client"), "m*\n").contains("tcp:disable\n"));
}
