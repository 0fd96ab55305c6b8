//! From request to renewed certificate, with Knot DNS as the primary and Pebble as the authority, on a server that then shows
//! it to OpenSSL. `cargo xtask test` runs this where they are installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../runtime/tests/support/mod.rs"]
mod support;

use acme::{Published, primary::Primary, service::Issuer, tlsa};
use runtime::{
    certificate::{Seed, Source, obtain},
    http::Client,
    tls::{TlsAcceptor, Trust},
};
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use support::{Authority, HostConnector, Program, Scratch, free_port, run};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::sleep};

const HOST: &str = "www.example.org";
const KEY: &str = "acme._update.example.org:SHA256:c2tlcnJ5IHNlY3JldCBmb3IgdGhlIHRlc3RzIDMyIG8=";
const SEED: &str = "correct-horse-battery-staple";

/// Seconds that a certificate of this Pebble is valid. It is renewed when a third is left.
const VALID_SECONDS: u64 = 30;

/// A primary and an authority that validates at it.
struct Lab {
    _programs: [Program; 2],
    scratch: Scratch,
    trust: Trust,
    /// The certificate of Pebble's server, in PEM.
    server: String,
    dns: u16,
    acme: u16,
    management: u16,
    /// Where Knot sends NOTIFY to.
    notify: u16,
}

impl Lab {
    fn start() -> Self {
        let (scratch, dns) = (Scratch::new(), free_port());
        let notify = free_port();
        let knot = knot(&scratch, dns, notify);
        let (acme, management) = (free_port(), free_port());
        let authority = Authority::new();
        let certified = authority.certify("localhost", 2000, 2100);
        let certificate = scratch.file("pebble.pem", &certified.pem);
        let key = scratch.file("pebble.key", &certified.key_pem);
        let configuration = scratch.file(
            "pebble.json",
            format!(
                r#"{{"pebble": {{
                    "listenAddress": "127.0.0.1:{acme}", "managementListenAddress": "127.0.0.1:{management}",
                    "certificate": "{certificate}", "privateKey": "{key}",
                    "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "",
                    "externalAccountBindingRequired": false, "certificateValidityPeriod": {VALID_SECONDS}
                }}}}"#
            ),
        );
        let mut pebble = Command::new("pebble");
        pebble.args(["-config", &configuration, "-strict", "-dnsserver", &format!("127.0.0.1:{dns}")]);
        // Nonces are refused now and then, as by default, and orders take their time.
        let pebble = Program::serving(pebble.env("PEBBLE_VA_NOSLEEP", "1"), acme);
        let trust = Trust::parse(&authority.pem).unwrap();
        Self {
            _programs: [knot, pebble],
            scratch,
            trust,
            server: certified.pem,
            dns,
            acme,
            management,
            notify,
        }
    }

    fn primary(&self) -> Primary<HostConnector> {
        Primary::new(HostConnector, "127.0.0.1", self.dns, KEY).unwrap()
    }

    fn issuer(&self) -> Issuer<HostConnector> {
        Issuer {
            client: Client::new(HostConnector, &self.trust),
            authority: None,
            primary: self.primary(),
            url: format!("https://localhost:{}/dir", self.acme),
            key: Seed::new(SEED.as_bytes())
                .map(|seed| seed.key("account"))
                .unwrap_or_else(|error| panic!("{error}")),
            email: Some("hostmaster@example.org".to_owned()),
            propagation: Duration::ZERO,
            failed: Default::default(),
        }
    }

    /// The certificate of Pebble's root, which it makes anew at each start.
    async fn root(&self) -> String {
        let client = Client::new(HostConnector, &self.trust);
        let url = format!("https://localhost:{}/roots/0", self.management).parse().unwrap();
        let root = client.get(&url).await.unwrap().into_body().whole(1 << 16).await.unwrap();
        self.scratch.file("root.pem", root)
    }

    /// The records at a name, as `kdig` shows them.
    fn kdig(&self, name: &str, kind: &str) -> String {
        let mut command = Command::new("kdig");
        command.args(["@127.0.0.1", "-p", &self.dns.to_string(), "+tcp", "+short", name, kind]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

/// Knot with a zone that our key may transfer and change.
fn knot(scratch: &Scratch, port: u16, notify: u16) -> Program {
    let place = scratch.path().display();
    let (name, rest) = KEY.split_once(':').unwrap();
    let secret = rest.split_once(':').unwrap().1;
    let zone =
        "@ 60 SOA ns hostmaster 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\nwww 60 A 127.0.0.1\n";
    scratch.file("example.org.zone", zone);
    let configuration = scratch.file(
        "knot.conf",
        format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: {place}\n\
             database:\n  storage: {place}\n\
             key:\n - id: {name}\n   algorithm: hmac-sha256\n   secret: {secret}\n\
             acl:\n - id: ours\n   key: {name}\n   action: [transfer, update]\n\
             remote:\n - id: image\n   address: 127.0.0.1@{notify}\n\
             zone:\n - domain: example.org\n   storage: {place}\n   file: example.org.zone\n   acl: ours\n   notify: image\n"
        ),
    );
    Program::serving(Command::new("/usr/sbin/knotd").args(["-c", &configuration]), port)
}

/// Shows the certificates of `acceptor`, and says so.
async fn serve(acceptor: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    port
}

/// Whether OpenSSL takes what is served on `port` for [`HOST`].
async fn openssl_is_content(root: &str, port: u16) -> bool {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-CAfile", root, "-verify_hostname", HOST]);
    command.args(["-connect", &format!("127.0.0.1:{port}")]).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    output.status.success() && output.stdout == b"hello"
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_request_becomes_a_certificate_that_is_renewed() {
    let lab = Lab::start();
    run(async {
        let mut issuer = lab.issuer();
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let names = [HOST.to_owned()];
        let published = Published::new(lab.primary(), HOST).unwrap();
        // Nobody asks: nothing is ordered.
        issuer.round().await.unwrap();
        assert!(issuer.authority.is_none());
        // The service asks, is told that nobody has issued it yet, and waits.
        assert!(published.exchange(&key.request(&names).unwrap()).await.unwrap().is_empty());
        issuer.round().await.unwrap();
        assert!(issuer.failed.is_empty());
        let identity = obtain(&published, &key, &names).await.unwrap();
        let acceptor = TlsAcceptor::new(identity.clone(), &[]);
        let (port, root) = (serve(acceptor.clone()).await, lab.root().await);
        assert!(openssl_is_content(&root, port).await);
        assert_eq!(lab.kdig(&format!("_acme-challenge.{HOST}"), "TXT"), "");
        // One that does is not ordered again.
        let next = issuer.round().await.unwrap();
        assert!(next <= VALID_SECONDS, "{next}");
        assert_eq!(obtain(&published, &key, &names).await.unwrap().certificate(), identity.certificate());
        // Until it is due: then the service finds another, for the same key.
        sleep(Duration::from_secs(next + 1)).await;
        issuer.round().await.unwrap();
        let renewed = obtain(&published, &key, &names).await.unwrap();
        assert_ne!(renewed.certificate(), identity.certificate());
        acceptor.replace(renewed.clone());
        assert!(openssl_is_content(&root, port).await);
        let (old, new) =
            (tlsa::read_certificate(identity.certificate()), tlsa::read_certificate(renewed.certificate()));
        assert_eq!(old.as_ref().unwrap().key, new.as_ref().unwrap().key);
        assert!(old.unwrap().until < new.unwrap().until);
        // After a start with the same seed request and account are the same, and nothing is ordered.
        let mut issuer = lab.issuer();
        issuer.round().await.unwrap();
        assert!(issuer.authority.is_none());
        assert_eq!(obtain(&published, &key, &names).await.unwrap().certificate(), renewed.certificate());
        // Another key is another request.
        let other = Seed::new(b"another seed that is long enough").unwrap().key(HOST);
        assert!(published.exchange(&other.request(&names).unwrap()).await.is_ok());
        issuer.round().await.unwrap();
        assert!(obtain(&published, &other, &names).await.is_ok());
    });
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn several_names_and_wildcards_are_proved_together() {
    let lab = Lab::start();
    run(async {
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let names = [HOST.to_owned(), format!("*.{HOST}"), "other.example.org".to_owned()];
        let published = Published::new(lab.primary(), HOST).unwrap();
        published.exchange(&key.request(&names).unwrap()).await.unwrap();
        lab.issuer().round().await.unwrap();
        let identity = obtain(&published, &key, &names).await.unwrap();
        let mut expected = names.to_vec();
        expected.sort();
        assert_eq!(tlsa::read_certificate(identity.certificate()).unwrap().names, expected);
    });
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn what_fails_is_not_tried_all_the_time() {
    let lab = Lab::start();
    run(async {
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let published = Published::new(lab.primary(), HOST).unwrap();
        published.exchange(&key.request(&[HOST.to_owned()]).unwrap()).await.unwrap();
        // The authority is not there: the round fails, and what it fails for is said.
        let mut issuer = lab.issuer();
        issuer.url = format!("https://localhost:{}/dir", free_port());
        let error = issuer.round().await.unwrap_err().to_string();
        assert!(error.contains("cannot") || error.contains("refused"), "{error}");
        // It has not our key: so does the primary.
        let stranger = KEY.replace("c2tlcnJ5", "d2hvZXZl");
        issuer.primary = Primary::new(HostConnector, "127.0.0.1", lab.dns, &stranger).unwrap();
        let error = issuer.round().await.unwrap_err().to_string();
        assert!(error.starts_with("the primary: "), "{error}");
    });
}

/// Our tender with the image, on a network from which it reaches this host.
fn image(lab: &Lab) -> Program {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by cargo xtask test"));
    let certificate: String = lab.server.lines().filter(|line| !line.starts_with('-')).collect();
    let mut command = Command::new(variable("SKERRY_TENDER"));
    command.args(["--mem=32", "--outbound", &format!("--publish=127.0.0.1:{}:53", lab.notify), "--"]);
    command.arg(format!("{}/acme.spt", variable("SKERRY_IMAGES")));
    command.args(["--dns-server=10.0.2.2", &format!("--port={}", lab.dns), &format!("--dns-key={KEY}")]);
    command.args([
        &format!("--account-key-seed={SEED}"),
        "--email=hostmaster@example.org",
        "--propagation=0",
    ]);
    command.args([
        &format!("--acme-server=https://10.0.2.2:{}/dir", lab.acme),
        &format!("--tls-ca={certificate}"),
    ]);
    Program::started(&mut command)
}

#[test]
#[ignore = "needs pebble, knot, openssl, the image"]
fn the_image_answers_a_notify_with_a_certificate() {
    let lab = Lab::start();
    let _image = image(&lab);
    run(async {
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let published = Published::new(lab.primary(), HOST).unwrap();
        // It has looked at the zone and found nothing by the time that the request is there; then a NOTIFY wakes it.
        sleep(Duration::from_secs(3)).await;
        let identity = obtain(&published, &key, &[HOST.to_owned()]).await.unwrap();
        let (port, root) = (serve(TlsAcceptor::new(identity, &[])).await, lab.root().await);
        assert!(openssl_is_content(&root, port).await);
    });
}
