//! Knot DNS as a zone's primary, Pebble as the authority that validates there, and a server whose certificate OpenSSL looks at.

use acme::{primary::Primary, service::Issuer};
use runtime::{
    certificate::Seed,
    http::Client,
    tls::{
        TlsAcceptor, Trust,
        pki_types::{CertificateDer, pem::PemObject},
    },
};
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use support::{Authority, HostConnector, Program, Scratch, free_port};
use tokio::{io::AsyncWriteExt, net::TcpListener};

pub const HOST: &str = "www.example.org";
pub const KEY: &str = "acme._update.example.org:SHA256:c2tlcnJ5IHNlY3JldCBmb3IgdGhlIHRlc3RzIDMyIG8=";
pub const SEED: &str = "correct-horse-battery-staple";

/// Seconds that a certificate of this Pebble is valid. It is renewed when a third is left.
pub const VALID_SECONDS: u64 = 20;

/// A primary and an authority that validates at it.
pub struct Lab {
    _programs: [Program; 2],
    pub scratch: Scratch,
    pub trust: Trust,
    /// The certificate of Pebble's server, in PEM.
    pub server: String,
    pub dns: u16,
    pub acme: u16,
    management: u16,
    /// Where it validates by HTTP-01.
    pub http: u16,
    /// Where it validates by TLS-ALPN-01.
    pub tls: u16,
    /// Where Knot sends NOTIFY to.
    pub notify: u16,
}

impl Lab {
    pub fn start() -> Self {
        let (scratch, dns) = (Scratch::new(), free_port());
        let notify = free_port();
        let knot = knot(&scratch, dns, notify);
        let (acme, management, http, tls) = (free_port(), free_port(), free_port(), free_port());
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
                    "httpPort": {http}, "tlsPort": {tls}, "ocspResponderURL": "",
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
            http,
            tls,
            notify,
        }
    }

    pub fn primary(&self) -> Primary<HostConnector> {
        Primary::new(HostConnector, "127.0.0.1", self.dns, KEY).unwrap()
    }

    pub fn issuer(&self) -> Issuer<HostConnector> {
        Issuer {
            client: Client::new(HostConnector, &self.trust),
            authority: None,
            primary: self.primary(),
            url: self.url(),
            key: Seed::new(SEED.as_bytes())
                .map(|seed| seed.key("account"))
                .unwrap_or_else(|error| panic!("{error}")),
            email: Some("hostmaster@example.org".to_owned()),
            propagation: Duration::ZERO,
            failed: Default::default(),
        }
    }

    /// The authority's directory.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/dir", self.acme)
    }

    /// The certificate of Pebble's root, which it makes anew at each start.
    pub async fn root(&self) -> String {
        let client = Client::new(HostConnector, &self.trust);
        let url = format!("https://localhost:{}/roots/0", self.management).parse().unwrap();
        let root = client.get(&url).await.unwrap().into_body().whole(1 << 16).await.unwrap();
        self.scratch.file("root.pem", root)
    }

    /// The records at a name, as `kdig` shows them.
    pub fn kdig(&self, name: &str, kind: &str) -> String {
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
pub async fn serve(acceptor: TlsAcceptor) -> u16 {
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
pub async fn openssl_is_content(root: &str, port: u16) -> bool {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-verify_return_error", "-CAfile", root, "-verify_hostname", HOST]);
    command.args(["-connect", &format!("127.0.0.1:{port}")]).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("Verify return code: 0 (ok)")
}

/// The certificate that OpenSSL is shown on `port` for [`HOST`], in DER, whoever signed it.
pub async fn openssl_certificate(port: u16) -> Option<Vec<u8>> {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-servername", HOST, "-connect", &format!("127.0.0.1:{port}")]);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    CertificateDer::from_pem_slice(&output.stdout).ok().map(|certificate| certificate.to_vec())
}
