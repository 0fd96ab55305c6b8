//! The client's end: a connector whose streams are TLS.

use super::{Identity, TlsStream, Trust, explain, provider};
use crate::{
    connect::Connect,
    limits::{TLS_HANDSHAKE_SECONDS, TLS_SESSIONS},
};
use rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    pki_types::ServerName,
    sign::CertifiedKey,
};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// Connects by another connector and speaks TLS there, with a server that proves to be the host that was asked for.
#[derive(Clone)]
pub struct TlsConnector<C> {
    connector: C,
    tls: tokio_rustls::TlsConnector,
}

impl<C> TlsConnector<C> {
    /// Trusts as `trust` says, and offers `protocols` (ALPN), the preferred first; with none the server is not asked.
    pub fn new(connector: C, trust: &Trust, protocols: &[&[u8]]) -> Self {
        Self::with_identity(connector, trust, protocols, None)
    }

    /// The same, and shows `identity` to servers that ask for one.
    pub fn with_identity(
        connector: C,
        trust: &Trust,
        protocols: &[&[u8]],
        identity: Option<Identity>,
    ) -> Self {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("ring has suites for both versions")
            .dangerous() // rustls's word for a verifier of one's own
            .with_custom_certificate_verifier(trust.verifier());
        let mut config = match identity {
            Some(identity) => config.with_client_cert_resolver(Arc::new(Own(identity.certified()))),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
        Self { connector, tls: Arc::new(config).into() }
    }
}

/// The one certificate that a client has.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl<C: Connect> Connect for TlsConnector<C> {
    type Stream = TlsStream<C::Stream>;

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        let failed = |kind, reason: &str| {
            io::Error::new(kind, format!("cannot speak TLS with {host} port {port}: {reason}"))
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(ErrorKind::InvalidInput, "it is not a host name"))?;
        let stream = self.connector.connect(host, port).await?;
        match timeout(Duration::from_secs(TLS_HANDSHAKE_SECONDS), self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream.into()),
            Ok(Err(error)) => Err(failed(error.kind(), &explain(&error))),
            Err(_) => Err(failed(ErrorKind::TimedOut, "it does not answer")),
        }
    }
}
