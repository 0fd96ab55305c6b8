//! What a server shows whom: an identity by the name that the client asks for, and the proofs of TLS-ALPN-01.

use super::Identity;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The protocol of a validation (RFC 8737 §6.2), in ALPN.
pub const ACME_TLS_1: &[u8] = b"acme-tls/1";

/// What is shown from the next handshake on.
#[derive(Default)]
pub struct Shown(RwLock<State>);

#[derive(Default)]
struct State {
    /// The first is for whoever asks for no name, or for one that nobody has.
    identities: Vec<Identity>,
    /// Which of them is for a name, in lower case, perhaps with `*` as the first label.
    names: HashMap<String, usize>,
    /// Self-signed certificates that prove a name (RFC 8737 §3), by it.
    proofs: HashMap<String, Arc<CertifiedKey>>,
}

impl Shown {
    /// Shows one identity, whatever name is asked for.
    pub fn show(&self, identity: Identity) {
        self.show_by_name(vec![identity], HashMap::new());
    }

    /// Shows the identity that `names` say, or else the first.
    pub fn show_by_name(&self, identities: Vec<Identity>, names: HashMap<String, usize>) {
        let mut state = self.write();
        (state.identities, state.names) = (identities, names);
    }

    /// Whether there is anything to show.
    pub fn is_ready(&self) -> bool {
        !self.read().identities.is_empty()
    }

    /// Shows `proof` to whoever validates `name`.
    pub fn prove(&self, name: &str, proof: Identity) {
        self.write().proofs.insert(name.to_ascii_lowercase(), proof.0);
    }

    /// Ends all proofs.
    pub fn forget_proofs(&self) {
        self.write().proofs.clear();
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn for_name(&self, name: &str) -> Option<&Identity> {
        let wildcard = || self.names.get(&format!("*.{}", name.split_once('.')?.1));
        let found = self.names.get(name).or_else(wildcard);
        self.identities.get(found.copied().unwrap_or(0))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let state = self.read();
        // RFC 8737 §3: a validation offers this one protocol.
        if hello.alpn().is_some_and(|offered| offered.eq([ACME_TLS_1])) {
            return state.proofs.get(&hello.server_name()?.to_ascii_lowercase()).cloned();
        }
        let identity = match hello.server_name() {
            Some(name) if state.identities.len() > 1 => state.for_name(&name.to_ascii_lowercase()),
            _ => state.identities.first(),
        };
        identity.map(|identity| identity.0.clone())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}
