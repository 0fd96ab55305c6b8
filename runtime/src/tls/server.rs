//! The server's end: who we are, and handshakes with whoever connects.

use super::{
    TlsStream, Trust, explain, provider,
    shown::{ACME_TLS_1, Shown},
};
use crate::{
    limits::{TLS_CHAIN, TLS_HANDSHAKE_SECONDS},
    metrics::counted::{self, Handshake},
};
use rustls::{
    HandshakeKind, ServerConfig,
    crypto::ring::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
    sign::CertifiedKey,
};
use std::{
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// What a server proves itself with: its certificate, those between it and an authority, and its key.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<CertifiedKey>);

/// Why there is no identity; all are the configuration's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIdentity {
    /// There is no certificate, or more than limits.rs allows.
    NoChain,
    /// There is no private key, or it is of no kind that ring signs with: ECDSA P-256 and P-384, Ed25519, RSA from 2048 bits.
    NoKey,
    /// The key is not that of the certificate.
    OtherKey,
    /// One of several certificates has no host names that can be read, so that nobody could be shown it.
    NoNames,
}

impl fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChain => write!(f, "there are no certificates in PEM, or more than {TLS_CHAIN}"),
            Self::NoKey => {
                f.write_str("there is no private key (ECDSA P-256 or P-384, Ed25519, RSA from 2048 bits)")
            }
            Self::OtherKey => f.write_str("the private key is not the certificate's"),
            Self::NoNames => f.write_str("one of the certificates is for no host name"),
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
        let identity = Self::unchecked(chain, key)?;
        identity.0.keys_match().map_err(|_| BadIdentity::OtherKey)?;
        Ok(identity)
    }

    /// From a certificate that was made right here, perhaps with extensions that rustls would refuse.
    pub(crate) fn unchecked(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, BadIdentity> {
        let key = provider().key_provider.load_private_key(key).map_err(|_| BadIdentity::NoKey)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
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

/// Whether clients show certificates.
#[derive(Clone, Debug)]
pub enum Clients {
    /// They are not asked for one.
    Nobody,
    /// They are asked; whoever shows one has to be trusted.
    Allowed(Trust),
    /// Only those are served who show one that is trusted.
    Required(Trust),
}

/// Accepts TLS connections. Clones share what is shown: replaced in one, it is replaced in all.
#[derive(Clone)]
pub struct TlsAcceptor {
    tls: tokio_rustls::TlsAcceptor,
    shown: Arc<Shown>,
}

impl TlsAcceptor {
    /// Shows `identity`, and agrees on one of `protocols` (ALPN), the preferred first.
    pub fn new(identity: Identity, protocols: &[&[u8]]) -> Self {
        Self::for_clients(identity, protocols, &Clients::Nobody)
    }

    /// The same, for clients that may or must show a certificate.
    pub fn for_clients(identity: Identity, protocols: &[&[u8]], clients: &Clients) -> Self {
        let shown = Arc::new(Shown::default());
        shown.show(identity);
        Self::showing(shown, protocols, clients)
    }

    /// Shows what `shown` has at the moment of each handshake.
    pub(crate) fn showing(shown: Arc<Shown>, protocols: &[&[u8]], clients: &Clients) -> Self {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("ring has suites for both versions");
        let builder = match clients {
            Clients::Nobody => builder.with_no_client_auth(),
            Clients::Allowed(trust) => builder.with_client_cert_verifier(trust.client_verifier(false)),
            Clients::Required(trust) => builder.with_client_cert_verifier(trust.client_verifier(true)),
        };
        let mut config = builder.with_cert_resolver(shown.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        if !protocols.is_empty() {
            // Behind all others: whoever speaks one of ours gets it.
            config.alpn_protocols.push(ACME_TLS_1.to_vec());
        }
        // Sessions are in the clients' hands, encrypted (RFC 8446 §4.6.1), with another key every six hours, which only this
        // acceptor has: a session without a client's certificate is of no use where one is required.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => log::warn!("TLS sessions cannot be resumed: {error}"),
        }
        Self { tls: Arc::new(config).into(), shown }
    }

    /// Shows another identity from the next handshake on. Connections that there are go on.
    pub fn replace(&self, identity: Identity) {
        self.shown.show(identity);
    }

    /// For who drives rustls alone. A connection whose protocol is then `acme-tls/1` is to be ended (RFC 8737 §3).
    pub fn config(&self) -> &Arc<ServerConfig> {
        self.tls.config()
    }

    /// Shakes hands on an accepted stream. The time is limited. An error is the client's fault: count it, do not log it. A
    /// validation of TLS-ALPN-01 ends here too, with [`ErrorKind::ConnectionAborted`].
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let handshake = async {
            let mut stream = self.tls.accept(stream).await?;
            if stream.get_ref().1.alpn_protocol() == Some(ACME_TLS_1) {
                // RFC 8737 §3: nothing is said beyond the handshake.
                stream.shutdown().await?;
                return Err(io::Error::from(ErrorKind::ConnectionAborted));
            }
            Ok(stream)
        };
        match timeout(Duration::from_secs(TLS_HANDSHAKE_SECONDS), handshake).await {
            Ok(Ok(stream)) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                counted::handshake(if resumed { Handshake::Resumed } else { Handshake::Full });
                Ok(stream.into())
            }
            Ok(Err(error)) => {
                counted::handshake(Handshake::Failed);
                Err(io::Error::new(error.kind(), explain(&error)))
            }
            Err(_) => {
                counted::handshake(Handshake::Failed);
                Err(ErrorKind::TimedOut.into())
            }
        }
    }
}
