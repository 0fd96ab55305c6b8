//! The certificates of a service: given or obtained, shown to clients, replaced under running connections.

use super::Issued;
use crate::{
    limits::CERTIFICATES,
    tls::{BadIdentity, Clients, Identity, Shown, TlsAcceptor},
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Notify;

/// Where a validation by HTTP-01 asks (RFC 8555 §8.3).
const HTTP_01: &str = "/.well-known/acme-challenge/";

/// What a service shows to its clients, and to an authority that validates its names. Clones are the same.
///
/// There need not be anything yet: handshakes fail until there is.
#[derive(Clone, Default)]
pub struct Certificates(Arc<Shared>);

#[derive(Default)]
struct Shared {
    shown: Arc<Shown>,
    /// Proofs of HTTP-01, by their token.
    tokens: RwLock<HashMap<String, String>>,
    changed: Notify,
}

impl Certificates {
    /// Nothing to show yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows what stands in a PEM file, chain and key, from the next handshake on. If it is of no use, all stays as it was.
    pub fn give(&self, pem: &[u8]) -> Result<(), BadIdentity> {
        self.show(Identity::from_pem(pem, pem)?);
        Ok(())
    }

    /// The same with several files: clients get that for the name which they ask for, or the first.
    pub fn give_all(&self, files: &[impl AsRef<[u8]>]) -> Result<(), BadIdentity> {
        if files.is_empty() || files.len() > CERTIFICATES {
            return Err(BadIdentity::NoChain);
        }
        let (mut identities, mut names) = (Vec::new(), HashMap::new());
        for (number, pem) in files.iter().map(AsRef::as_ref).enumerate() {
            let identity = Identity::from_pem(pem, pem)?;
            let issued = Issued::read(identity.certificate()).map_err(|_| BadIdentity::NoNames)?;
            if issued.names.is_empty() {
                return Err(BadIdentity::NoNames);
            }
            for name in issued.names {
                names.entry(name).or_insert(number);
            }
            identities.push(identity);
        }
        self.0.shown.show_by_name(identities, names);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Shows an identity from the next handshake on.
    pub fn show(&self, identity: Identity) {
        self.0.shown.show(identity);
        self.0.changed.notify_waiters();
    }

    /// Whether there is a certificate.
    pub fn is_ready(&self) -> bool {
        self.0.shown.is_ready()
    }

    /// Waits until there is a certificate.
    pub async fn ready(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// Accepts connections, with one of `protocols` (ALPN), the preferred first. Made once for each port.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        self.acceptor_for(protocols, &Clients::Nobody)
    }

    /// The same from clients that show certificates, or may.
    pub fn acceptor_for(&self, protocols: &[&[u8]], clients: &Clients) -> TlsAcceptor {
        TlsAcceptor::showing(self.0.shown.clone(), protocols, clients)
    }

    /// What a validation by HTTP-01 is told at a path on port 80, as `application/octet-stream`; `None` if this is not one.
    pub fn http_01(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(HTTP_01)?;
        self.0.tokens.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Shows `proof` to whoever validates `name` by TLS-ALPN-01.
    pub(super) fn prove_by_tls(&self, name: &str, proof: Identity) {
        self.0.shown.prove(name, proof);
    }

    /// Tells `proof` to whoever validates by HTTP-01 and knows `token`.
    pub(super) fn prove_by_http(&self, token: String, proof: String) {
        self.0.tokens.write().unwrap_or_else(PoisonError::into_inner).insert(token, proof);
    }

    /// Ends all proofs.
    pub(super) fn forget_proofs(&self) {
        self.0.shown.forget_proofs();
        self.0.tokens.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", if self.is_ready() { "ready" } else { "none yet" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_to_be_proved_is_told_and_only_at_its_path() {
        let certificates = Certificates::new();
        assert_eq!(certificates.http_01("/.well-known/acme-challenge/token"), None);
        certificates.prove_by_http("token".to_owned(), "token.thumbprint".to_owned());
        let told = certificates.http_01("/.well-known/acme-challenge/token");
        assert_eq!(told.as_deref(), Some("token.thumbprint"));
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/token/", "/token", "token"]
        {
            assert_eq!(certificates.http_01(path), None, "{path}");
        }
        certificates.forget_proofs();
        assert_eq!(certificates.http_01("/.well-known/acme-challenge/token"), None);
    }
}
