//! TLS 1.3 and 1.2 (rustls, with ring) over any stream: client, server, and whom to trust.
//!
//! ```text
//!     Connect ─► TlsConnector ─► TlsStream        Trust: the web's authorities │ authorities of one's own │ fingerprints
//!     accepted stream ─► TlsAcceptor ─► TlsStream  Identity: certificate chain and key, by name; replaced while serving
//! ```
//! [`TlsConnector`] is itself a [`Connect`](crate::connect::Connect): what speaks over TCP speaks over TLS.
//!
//! Time is the wall clock of the host, by which certificates begin and end. Not here: a client's own certificate, revocation lists,
//! early data (a peer could repeat it), secrets in a log.

mod client;
mod given;
mod hybrid;
mod server;
mod shown;
mod trust;

pub use client::TlsConnector;
pub use rustls::pki_types;
pub use server::{BadIdentity, Clients, Identity, TlsAcceptor};
pub(crate) use shown::Shown;
pub use trust::{BadTrust, Trust};

use rustls::crypto::CryptoProvider;
use std::{io, sync::Arc};

/// A TLS connection.
pub type TlsStream<S> = tokio_rustls::TlsStream<S>;

/// The protocol that both ends agreed on (RFC 7301), if they did.
pub fn protocol<S>(stream: &TlsStream<S>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

/// The one crypto library of an image.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.kx_groups.insert(0, hybrid::X25519_MLKEM768);
    Arc::new(provider)
}

/// What went wrong in TLS: whose fault, and what to do.
fn explain(error: &io::Error) -> String {
    use rustls::{CertificateError as Certificate, Error};
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the peer hung up; perhaps it does not speak TLS there".to_owned()
            }
            _ => error.to_string(),
        };
    };
    match tls {
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired; it has to renew it".to_owned()
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet; look at the host's clock".to_owned()
        }
        Error::InvalidCertificate(
            Certificate::UnknownIssuer | Certificate::BadSignature | Certificate::Other(_),
        ) => "its certificate is by nobody we trust; give its authority or its fingerprint (--tls-ca)"
            .to_owned(),
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name".to_owned(),
        Error::InvalidCertificate(Certificate::ApplicationVerificationFailure) => {
            "its certificate has not the fingerprint that was given (--tls-ca)".to_owned()
        }
        Error::InvalidMessage(_) => "the peer does not speak TLS there".to_owned(),
        other => other.to_string(),
    }
}
