//! The server's end: who we are, and handshakes with whoever connects.

use super::{TlsStream, explain, provider};
use crate::limits::{TLS_CHAIN, TLS_HANDSHAKE_SECONDS, TLS_SESSIONS};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
};
use std::{
    fmt,
    io::{self, ErrorKind},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// What a server proves itself with: its certificate, those between it and an authority, and its key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// Why there is no identity; all are the configuration's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIdentity {
    /// There is no certificate, or more than limits.rs allows.
    NoChain,
    /// There is no private key, or it is of no kind that ring signs with: ECDSA P-256 and P-384, Ed25519, RSA from 2048 bits.
    NoKey,
    /// The key is not that of the certificate.
    OtherKey,
}

impl fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChain => write!(f, "there are no certificates in PEM, or more than {TLS_CHAIN}"),
            Self::NoKey => {
                f.write_str("there is no private key (ECDSA P-256 or P-384, Ed25519, RSA from 2048 bits)")
            }
            Self::OtherKey => f.write_str("the private key is not the certificate's"),
        }
    }
}

impl std::error::Error for BadIdentity {}

impl Identity {
    /// From PEM: the chain, the server's own certificate first, and the private key. Both may be in one text.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, BadIdentity> {
        let chain = CertificateDer::pem_slice_iter(chain).take(TLS_CHAIN + 1).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadIdentity::NoKey)?;
        Self::new(chain.map_err(|_| BadIdentity::NoChain)?, key)
    }

    /// From DER: the chain, the server's own certificate first, and the private key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, BadIdentity> {
        if chain.is_empty() || chain.len() > TLS_CHAIN {
            return Err(BadIdentity::NoChain);
        }
        let key = provider().key_provider.load_private_key(key).map_err(|_| BadIdentity::NoKey)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| BadIdentity::OtherKey)?;
        Ok(Self(Arc::new(certified)))
    }

    /// As rustls has it.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }

    /// The certificate that clients are shown first.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.cert[0]
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.0.cert.len())
    }
}

/// Accepts TLS connections. Clones share the identity: replaced in one, it is replaced in all.
#[derive(Clone)]
pub struct TlsAcceptor {
    tls: tokio_rustls::TlsAcceptor,
    shown: Arc<Shown>,
}

/// The identity that is shown at the moment.
struct Shown(RwLock<Identity>);

impl TlsAcceptor {
    /// Shows `identity`, and agrees on one of `protocols` (ALPN), the preferred first.
    pub fn new(identity: Identity, protocols: &[&[u8]]) -> Self {
        let shown = Arc::new(Shown(RwLock::new(identity)));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS);
        Self { tls: Arc::new(config).into(), shown }
    }

    /// Shows another identity from the next handshake on. Connections that there are go on.
    pub fn replace(&self, identity: Identity) {
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Shakes hands on an accepted stream. The time is limited. An error is the client's fault: count it, do not log it.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        match timeout(Duration::from_secs(TLS_HANDSHAKE_SECONDS), self.tls.accept(stream)).await {
            Ok(Ok(stream)) => Ok(stream.into()),
            Ok(Err(error)) => Err(io::Error::new(error.kind(), explain(&error))),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}
