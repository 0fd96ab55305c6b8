//! TLS with OpenSSL at the other end. `cargo xtask test` runs these where openssl is installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ring::digest::{SHA256, digest};
use runtime::{
    connect::Connect,
    tls::{self, Identity, TlsAcceptor, TlsConnector, Trust},
};
use std::{io, process::Stdio};
use support::{Authority, Certified, HostConnector, Program, Scratch, free_port, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

const NAME: &str = "server.example";

/// `openssl s_server` with a certificate; it sends back what it gets, each line turned around.
fn openssl_server(scratch: &Scratch, certified: &Certified, port: u16, options: &[&str]) -> Program {
    let certificate = scratch.file("server.pem", &certified.pem);
    let key = scratch.file("server.key", &certified.key_pem);
    let mut command = std::process::Command::new("openssl");
    command.args(["s_server", "-quiet", "-rev", "-accept", &format!("127.0.0.1:{port}")]);
    command.args(["-cert", &certificate, "-key", &key]).args(options);
    Program::serving(&mut command, port)
}

fn hexadecimal(octets: &[u8]) -> String {
    digest(&SHA256, octets).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What a line to the server comes back as, and the protocol that was agreed on.
async fn turned_around(trust: &Trust, name: &str, port: u16) -> io::Result<(String, Option<String>)> {
    let connector = TlsConnector::new(HostConnector, trust, &[b"dot", b"h2"]);
    let mut stream = connector.connect(name, port).await?;
    stream.write_all(b"abc\n").await?;
    let mut line = [0; 4];
    stream.read_exact(&mut line).await?;
    let protocol = tls::protocol(&stream).map(|protocol| String::from_utf8_lossy(protocol).into());
    Ok((String::from_utf8_lossy(&line).into(), protocol))
}

/// What comes of connecting to a server with a certificate for a name from one year to another.
#[track_caller]
fn check_client(
    (certified_name, from, to): (&str, i32, i32),
    options: &[&str],
    trust: impl Fn(&Authority, &Certified) -> Trust,
    expected: Result<Option<&str>, &str>,
) {
    let (authority, scratch, port) = (Authority::new(), Scratch::new(), free_port());
    let certified = authority.certify(certified_name, from, to);
    let _server = openssl_server(&scratch, &certified, port, options);
    run(async {
        match (turned_around(&trust(&authority, &certified), NAME, port).await, expected) {
            (Ok((line, protocol)), Ok(expected)) => {
                assert_eq!((line.as_str(), protocol.as_deref()), ("cba\n", expected));
            }
            (Err(error), Err(reason)) => {
                assert_eq!(error.to_string(), format!("cannot speak TLS with {NAME} port {port}: {reason}"));
            }
            (outcome, _) => panic!("{outcome:?}"),
        }
    });
}

fn by_authority(authority: &Authority, _: &Certified) -> Trust {
    Trust::parse(&authority.pem).unwrap()
}

#[test]
#[ignore = "needs openssl"]
fn both_versions_are_spoken() {
    check_client((NAME, 2000, 2100), &["-tls1_3"], by_authority, Ok(None));
    check_client((NAME, 2000, 2100), &["-tls1_2"], by_authority, Ok(None));
    check_client((NAME, 2000, 2100), &["-alpn", "h2"], by_authority, Ok(Some("h2")));
}

#[test]
#[ignore = "needs openssl"]
fn a_certificate_that_does_not_prove_it_is_refused() {
    let stranger = |_: &Authority, _: &Certified| Trust::parse(&Authority::new().pem).unwrap();
    let web = |_: &Authority, _: &Certified| Trust::web();
    let expired = Err("its certificate has expired; it has to renew it");
    let early = Err("its certificate is not valid yet; look at the host's clock");
    let other = Err("its certificate is for another name");
    let unknown =
        Err("its certificate is by nobody we trust; give its authority or its fingerprint (--tls-ca)");
    check_client((NAME, 2000, 2001), &[], by_authority, expired);
    check_client((NAME, 2099, 2100), &[], by_authority, early);
    check_client(("other.example", 2000, 2100), &[], by_authority, other);
    check_client((NAME, 2000, 2100), &[], stranger, unknown);
    check_client((NAME, 2000, 2100), &[], web, unknown);
}

#[test]
#[ignore = "needs openssl"]
fn a_fingerprint_is_enough_and_no_other_will_do() {
    let trust = |octets: &[u8]| Trust::parse(&format!("sha256:{}", hexadecimal(octets))).unwrap();
    check_client(("whoever", 2000, 2001), &[], |_, server| trust(&server.der), Ok(None));
    check_client(("whoever", 2000, 2001), &["-tls1_2"], |_, server| trust(&server.public_key), Ok(None));
    check_client(("whoever", 2000, 2001), &[], |_, server| Trust::parse(&server.pem).unwrap(), Ok(None));
    let other = Err("its certificate has not the fingerprint that was given (--tls-ca)");
    check_client((NAME, 2000, 2100), &[], |_, _| trust(b"another"), other);
}

#[test]
#[ignore = "needs openssl"]
fn what_is_no_tls_is_said() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime::spawn(async move {
            for greeting in ["220 mail.example ESMTP\r\n", ""] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(greeting.as_bytes()).await.unwrap();
            }
        });
        for reason in
            ["the peer does not speak TLS there", "the peer hung up; perhaps it does not speak TLS there"]
        {
            let error = turned_around(&Trust::web(), NAME, port).await.unwrap_err().to_string();
            assert_eq!(error, format!("cannot speak TLS with {NAME} port {port}: {reason}"));
        }
    });
}

/// What `openssl s_client` reads from our server, and whether it takes its certificate.
async fn openssl_client(authority: &str, port: u16, options: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-CAfile", authority]);
    command.args(["-servername", NAME, "-verify_hostname", NAME, "-connect", &format!("127.0.0.1:{port}")]);
    command.args(options).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
#[ignore = "needs openssl"]
fn openssl_takes_our_server_for_what_it_is() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let file = scratch.file("authority.pem", &authority.pem);
    let identity = |certified: Certified| {
        Identity::from_pem(certified.pem.as_bytes(), certified.key_pem.as_bytes()).unwrap()
    };
    run(async {
        let acceptor = TlsAcceptor::new(identity(authority.certify(NAME, 2000, 2100)), &[b"dot"]);
        let replacing = acceptor.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let protocol = tls::protocol(&stream).unwrap_or(b"none").to_vec();
                let _ = stream.write_all(&protocol).await;
                let _ = stream.shutdown().await;
            }
        });
        assert_eq!(openssl_client(&file, port, &["-tls1_3"]).await, (true, "none".into()));
        assert_eq!(openssl_client(&file, port, &["-tls1_2"]).await, (true, "none".into()));
        assert_eq!(openssl_client(&file, port, &["-alpn", "dot,h2"]).await, (true, "dot".into()));
        assert_eq!(openssl_client(&file, port, &["-alpn", "h2"]).await, (false, String::new()));
        assert_eq!(openssl_client(&file, port, &["-tls1_1"]).await, (false, String::new()));
        replacing.replace(identity(authority.certify("other.example", 2000, 2100)));
        assert_eq!(openssl_client(&file, port, &[]).await, (false, String::new()));
        replacing.replace(identity(authority.certify(NAME, 2001, 2100)));
        assert_eq!(openssl_client(&file, port, &[]).await, (true, "none".into()));
    });
}

#[test]
fn an_identity_is_checked() {
    use tls::BadIdentity::{NoChain, NoKey, OtherKey};
    let authority = Authority::new();
    let (one, other) = (authority.certify(NAME, 2000, 2100), authority.certify(NAME, 2000, 2100));
    let outcome = |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(|_| ());
    assert_eq!(outcome(&one.pem, &one.key_pem), Ok(()));
    assert_eq!(outcome(&one.pem, &other.key_pem), Err(OtherKey));
    assert_eq!(outcome(&one.pem, &one.pem), Err(NoKey));
    assert_eq!(outcome(&one.key_pem, &one.key_pem), Err(NoChain));
}
