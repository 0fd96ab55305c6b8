//! A service that keeps its own certificate, by each of the ways there are: from none to a renewed one, shown under running
//! connections, and found again or issued again after a start with the same seed.

use crate::lab::{HOST, Lab, SEED, openssl_certificate, openssl_is_content};
use acme::Published;
use runtime::{
    certificate::{Arguments, Certificates, Issued, Keeper, Names, Seed, Way, Zone},
    http::{self, Body, Response, StatusCode},
    tls::{TlsConnector, Trust},
};
use std::{rc::Rc, time::Duration};
use support::{HostConnector, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};

/// What a service has: certificates, whoever keeps them, and two ports.
struct Service {
    certificates: Certificates,
    tasks: Vec<JoinHandle<()>>,
}

impl Service {
    async fn start(lab: &Lab, way: Way, zone: bool) -> Self {
        let certificates = Certificates::new();
        let keeper = keeper(lab, &certificates, way, zone).unwrap();
        let (http, tls) = (
            TcpListener::bind(("127.0.0.1", lab.http)).await,
            TcpListener::bind(("127.0.0.1", lab.tls)).await,
        );
        let tasks = vec![
            runtime::spawn(keeper.run()),
            runtime::spawn(redirect(http.unwrap(), certificates.clone())),
            runtime::spawn(echo(tls.unwrap(), certificates.clone())),
        ];
        Self { certificates, tasks }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn keeper(lab: &Lab, certificates: &Certificates, way: Way, zone: bool) -> Option<Keeper<HostConnector>> {
    let arguments = Arguments {
        tls_acme: Some(way),
        hostname: Some(Names::try_from(HOST.to_owned()).unwrap()),
        cert_seed: Some(Seed::new(SEED.as_bytes()).unwrap()),
        acme_server: Some(lab.url()),
        acme_ca: Some(lab.trust.clone()),
        email: Some("hostmaster@example.org".to_owned()),
        ..Arguments::default()
    };
    let published = || Published::new(lab.primary(), HOST, Duration::ZERO).unwrap();
    let zone = zone.then(|| Rc::new(published()) as Rc<dyn Zone>);
    arguments.keeper(certificates, HostConnector, zone).unwrap()
}

/// Port 80 of a site that is served over TLS only.
async fn redirect(listener: TcpListener, certificates: Certificates) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let certificates = certificates.clone();
        runtime::spawn(async move {
            let handler = move |request: http::Request<http::Received>| {
                let proof = certificates.http_01(request.uri().path());
                async move {
                    proof.map_or_else(
                        || {
                            let mut response = Response::new(Body::empty());
                            *response.status_mut() = StatusCode::NOT_FOUND;
                            response
                        },
                        |proof| Response::new(proof.into()),
                    )
                }
            };
            let _ = http::serve(stream, None, handler).await;
        });
    }
}

/// Port 443: a greeting, then everything comes back.
async fn echo(listener: TcpListener, certificates: Certificates) {
    let acceptor = certificates.acceptor(&[b"http/1.1"]);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        runtime::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.write_all(b"hello").await; // who only looks at the certificate has gone
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
    }
}

/// From none to a renewed certificate, and a start after it.
#[track_caller]
fn check(way: Way, zone: bool) {
    let lab = Lab::start();
    run(async {
        let service = Service::start(&lab, way, zone).await;
        assert!(!service.certificates.is_ready());
        assert!(openssl_certificate(lab.tls).await.is_none());
        service.certificates.ready().await;
        let root = lab.root().await;
        assert!(openssl_is_content(&root, lab.tls).await);
        let first = openssl_certificate(lab.tls).await.unwrap();
        // A connection that outlives the certificate.
        let trust = Trust::parse(&std::fs::read_to_string(&root).unwrap()).unwrap();
        let connector = TlsConnector::new(HostConnector, &trust, &[b"http/1.1"]);
        let mut connection = runtime::connect::Connect::connect(&connector, HOST, lab.tls).await.unwrap();
        let mut renewed = first.clone();
        while renewed == first {
            sleep(Duration::from_secs(1)).await;
            renewed = openssl_certificate(lab.tls).await.unwrap();
        }
        assert!(openssl_is_content(&root, lab.tls).await);
        connection.write_all(b" and again").await.unwrap();
        let mut back = [0; 15];
        connection.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello and again");
        let (old, new) = (Issued::read(&first).unwrap(), Issued::read(&renewed).unwrap());
        assert!(old.key == new.key && old.until < new.until);
        assert_eq!(new.names, [HOST]);
        // Nothing of it is left where strangers look.
        assert_eq!(lab.kdig(&format!("_acme-challenge.{HOST}"), "TXT"), "");
        drop(service);
        sleep(Duration::from_millis(100)).await; // its tasks end
        let again = Service::start(&lab, way, zone).await;
        again.certificates.ready().await;
        let found = openssl_certificate(lab.tls).await.unwrap();
        assert_eq!(found == renewed, zone, "what a zone has is not ordered again");
        assert_eq!(Issued::read(&found).unwrap().key, old.key);
    });
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_certificate_is_kept_by_http_01() {
    check(Way::Http01, false);
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_certificate_is_kept_by_tls_alpn_01() {
    check(Way::TlsAlpn01, false);
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_certificate_is_kept_by_dns_01_and_found_again() {
    check(Way::Dns01, true);
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_certificate_by_http_01_is_found_again_in_the_zone() {
    check(Way::Http01, true);
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_certificate_is_kept_by_whoever_reads_the_zone() {
    let lab = Lab::start();
    run(async {
        let service = Service::start(&lab, Way::Tlsa, true).await;
        let issuer = async {
            let mut issuer = lab.issuer();
            loop {
                let next = issuer.round().await.unwrap();
                sleep(Duration::from_secs(next.min(2))).await;
            }
        };
        let shown = async {
            service.certificates.ready().await;
            let first = openssl_certificate(lab.tls).await.unwrap();
            while openssl_certificate(lab.tls).await.unwrap() == first {
                sleep(Duration::from_secs(1)).await;
            }
            assert!(openssl_is_content(&lab.root().await, lab.tls).await);
        };
        tokio::select! {
            () = shown => {}
            () = issuer => {}
        }
    });
}
