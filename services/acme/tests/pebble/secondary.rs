//! From request to renewed certificate by the hidden secondary, on a server that then shows it to OpenSSL.

use crate::lab::{HOST, KEY, Lab, SEED, VALID_SECONDS, openssl_is_content, serve};
use acme::{Published, primary::Primary};
use runtime::{
    certificate::{Issued, Key, Seed, Zone},
    tls::{Identity, TlsAcceptor},
};
use std::{process::Command, time::Duration};
use support::{HostConnector, Program, free_port, run};
use tokio::time::sleep;

/// The identity that is published for `key`, once it is.
async fn obtain(published: &impl Zone, key: &Key) -> Identity {
    loop {
        let chain = published.chain().await.unwrap();
        if let Some(first) = chain.first()
            && Issued::read(first).unwrap().key == key.public()
        {
            return key.identity(chain).unwrap();
        }
        sleep(Duration::from_secs(1)).await;
    }
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn a_request_becomes_a_certificate_that_is_renewed() {
    let lab = Lab::start();
    run(async {
        let mut issuer = lab.issuer();
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let names = [HOST.to_owned()];
        let published = Published::new(lab.primary(), HOST, Duration::ZERO).unwrap();
        // Nobody asks: nothing is ordered.
        issuer.round().await.unwrap();
        assert!(issuer.authority.is_none());
        // The service asks, is told that nobody has issued it yet, and waits.
        published.request(&key.request(&names).unwrap()).await.unwrap();
        assert!(published.chain().await.unwrap().is_empty());
        issuer.round().await.unwrap();
        assert!(issuer.failed.is_empty());
        let identity = obtain(&published, &key).await;
        let acceptor = TlsAcceptor::new(identity.clone(), &[]);
        let (port, root) = (serve(acceptor.clone()).await, lab.root().await);
        assert!(openssl_is_content(&root, port).await);
        assert_eq!(lab.kdig(&format!("_acme-challenge.{HOST}"), "TXT"), "");
        // One that does is not ordered again.
        let next = issuer.round().await.unwrap();
        assert!(next <= VALID_SECONDS, "{next}");
        assert_eq!(obtain(&published, &key).await.certificate(), identity.certificate());
        // Until it is due: then the service finds another, for the same key.
        sleep(Duration::from_secs(next + 1)).await;
        issuer.round().await.unwrap();
        let renewed = obtain(&published, &key).await;
        assert_ne!(renewed.certificate(), identity.certificate());
        acceptor.replace(renewed.clone());
        assert!(openssl_is_content(&root, port).await);
        let (old, new) = (Issued::read(identity.certificate()), Issued::read(renewed.certificate()));
        assert_eq!(old.as_ref().unwrap().key, new.as_ref().unwrap().key);
        assert!(old.unwrap().until < new.unwrap().until);
        // After a start with the same seed request and account are the same, and nothing is ordered.
        let mut issuer = lab.issuer();
        issuer.round().await.unwrap();
        assert!(issuer.authority.is_none());
        assert_eq!(obtain(&published, &key).await.certificate(), renewed.certificate());
        // Another key is another request.
        let other = Seed::new(b"another seed that is long enough").unwrap().key(HOST);
        published.request(&other.request(&names).unwrap()).await.unwrap();
        issuer.round().await.unwrap();
        obtain(&published, &other).await;
    });
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn several_names_and_wildcards_are_proved_together() {
    let lab = Lab::start();
    run(async {
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let names = [HOST.to_owned(), format!("*.{HOST}"), "other.example.org".to_owned()];
        let published = Published::new(lab.primary(), HOST, Duration::ZERO).unwrap();
        published.request(&key.request(&names).unwrap()).await.unwrap();
        lab.issuer().round().await.unwrap();
        let identity = obtain(&published, &key).await;
        let mut expected = names.to_vec();
        expected.sort();
        assert_eq!(Issued::read(identity.certificate()).unwrap().names, expected);
    });
}

#[test]
#[ignore = "needs pebble, knot, openssl"]
fn what_fails_is_not_tried_all_the_time() {
    let lab = Lab::start();
    run(async {
        let key = Seed::new(SEED.as_bytes()).unwrap().key(HOST);
        let published = Published::new(lab.primary(), HOST, Duration::ZERO).unwrap();
        published.request(&key.request(&[HOST.to_owned()]).unwrap()).await.unwrap();
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
        let published = Published::new(lab.primary(), HOST, Duration::ZERO).unwrap();
        // It has looked at the zone and found nothing by the time that the request is there; then a NOTIFY wakes it.
        sleep(Duration::from_secs(3)).await;
        let identity = {
            published.request(&key.request(&[HOST.to_owned()]).unwrap()).await.unwrap();
            obtain(&published, &key).await
        };
        let (port, root) = (serve(TlsAcceptor::new(identity, &[])).await, lab.root().await);
        assert!(openssl_is_content(&root, port).await);
    });
}
