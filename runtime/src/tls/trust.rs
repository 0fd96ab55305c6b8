//! Whom a client trusts: the web's authorities, authorities of one's own, or exactly one certificate or key.

use super::provider;
use crate::limits::TRUST_ANCHORS;
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{fmt, sync::Arc};

type Fingerprint = [u8; 32];

/// Whom to trust. Without anything added: nobody.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Trust {
    anchors: RootCertStore,
    fingerprints: Vec<Fingerprint>,
}

/// Why something is no trust anchor; all are the configuration's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTrust {
    /// It is neither a fingerprint nor a certificate.
    Unreadable,
    /// A fingerprint is 64 hexadecimal digits after `sha256:`, with or without colons.
    BadFingerprint,
    /// More than limits.rs allows.
    TooMany,
}

impl fmt::Display for BadTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => {
                f.write_str("it is neither 'sha256:…' nor a certificate (PEM, or DER in base64)")
            }
            Self::BadFingerprint => f.write_str("'sha256:' is followed by 64 hexadecimal digits"),
            Self::TooMany => write!(f, "there are more than {TRUST_ANCHORS} certificates and fingerprints"),
        }
    }
}

impl std::error::Error for BadTrust {}

impl TryFrom<String> for Trust {
    type Error = BadTrust;

    fn try_from(text: String) -> Result<Self, BadTrust> {
        Self::parse(&text)
    }
}

impl Trust {
    /// Nobody.
    pub fn nobody() -> Self {
        Self { anchors: RootCertStore::empty(), fingerprints: Vec::new() }
    }

    /// The certificate authorities of the web: Mozilla's, as of the build.
    pub fn web() -> Self {
        Self { anchors: webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), fingerprints: Vec::new() }
    }

    /// From a configuration value, items separated by commas: `sha256:` and the fingerprint of a certificate or of its public
    /// key, certificates in base64, or PEM, which a configuration document can have and boot arguments cannot.
    pub fn parse(text: &str) -> Result<Self, BadTrust> {
        let mut trust = Self::nobody();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if let Some(digits) = item.strip_prefix("sha256:") {
                trust.add_fingerprint(parse_fingerprint(digits).ok_or(BadTrust::BadFingerprint)?)?;
            } else if item.starts_with("-----BEGIN") {
                trust.add_file(item.as_bytes())?;
            } else {
                let pem = format!("-----BEGIN CERTIFICATE-----\n{item}\n-----END CERTIFICATE-----\n");
                trust.add_file(pem.as_bytes())?;
            }
        }
        if trust.is_nobody() { Err(BadTrust::Unreadable) } else { Ok(trust) }
    }

    /// Adds the certificates of a file: PEM with any number of them, or DER with one.
    ///
    /// They are trusted as authorities, and each also for itself: a server may show just this certificate, whatever its name,
    /// dates and issuer.
    pub fn add_file(&mut self, file: &[u8]) -> Result<(), BadTrust> {
        let mut found: Vec<_> = CertificateDer::pem_slice_iter(file)
            .take(TRUST_ANCHORS + 1)
            .collect::<Result<_, _>>()
            .map_err(|_| BadTrust::Unreadable)?;
        if found.is_empty() {
            found.push(CertificateDer::from_slice(file));
        }
        for certificate in found {
            self.add_fingerprint(fingerprint(&certificate))?;
            self.anchors.add(certificate.into_owned()).map_err(|_| BadTrust::Unreadable)?;
        }
        Ok(())
    }

    fn add_fingerprint(&mut self, fingerprint: Fingerprint) -> Result<(), BadTrust> {
        if self.fingerprints.len() >= TRUST_ANCHORS {
            return Err(BadTrust::TooMany);
        }
        self.fingerprints.push(fingerprint);
        Ok(())
    }

    fn is_nobody(&self) -> bool {
        self.anchors.is_empty() && self.fingerprints.is_empty()
    }

    /// What rustls asks about a server's certificate.
    pub(super) fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        let provider = provider();
        let anchors = Arc::new(self.anchors.clone());
        let authorities = WebPkiServerVerifier::builder_with_provider(anchors, provider.clone()).build().ok();
        Arc::new(Verifier { authorities, fingerprints: self.fingerprints.clone(), provider })
    }

    /// What rustls asks about a client's certificate.
    pub(super) fn client_verifier(&self, is_required: bool) -> Arc<dyn ClientCertVerifier> {
        let provider = provider();
        let anchors = Arc::new(self.anchors.clone());
        let authorities = WebPkiClientVerifier::builder_with_provider(anchors, provider.clone()).build().ok();
        let pinned = Verifier { authorities: None, fingerprints: self.fingerprints.clone(), provider };
        Arc::new(ClientVerifier { authorities, pinned, is_required })
    }
}

fn parse_fingerprint(digits: &str) -> Option<Fingerprint> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| *digit != b':').collect();
    let mut fingerprint = [0; 32];
    if digits.len() != 2 * fingerprint.len() {
        return None;
    }
    for (octet, pair) in fingerprint.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *octet = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Some(fingerprint)
}

fn fingerprint(octets: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, octets).as_ref());
    fingerprint
}

/// A certificate or key that was pinned is taken as it is; any other has to be by an authority.
#[derive(Debug)]
struct Verifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    fingerprints: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let known = |octets: &[u8]| self.fingerprints.contains(&fingerprint(octets));
        if self.fingerprints.is_empty() {
            return false;
        }
        known(certificate)
            || ParsedCertificate::try_from(certificate)
                .is_ok_and(|parsed| known(&parsed.subject_public_key_info()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_pinned(certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    // That the peer has the certificate's key is checked always.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The same for the certificates of clients, whose names are not looked at.
#[derive(Debug)]
struct ClientVerifier {
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    pinned: Verifier,
    is_required: bool,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    /// None is named, since pinned certificates have any issuer: a client shows what it has (RFC 8446 §4.2.4).
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.pinned.is_pinned(certificate) {
            return Ok(ClientCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_client_cert(certificate, intermediates, now),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.pinned.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.pinned.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.pinned.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, BadTrust>) {
        assert_eq!(Trust::parse(text).map(|trust| trust.fingerprints.len()), expected);
    }

    #[test]
    fn fingerprints_come_with_and_without_colons() {
        check(&format!("sha256:{}", "aB".repeat(32)), Ok(1));
        check(&format!("sha256:{}", ["0f"; 32].join(":")), Ok(1));
        check(&format!("sha256:{0}, sha256:{0}", "00".repeat(32)), Ok(2));
    }

    #[test]
    fn what_is_no_anchor_is_refused() {
        check("", Err(BadTrust::Unreadable));
        check("sha256:", Err(BadTrust::BadFingerprint));
        check(&format!("sha256:{}", "0g".repeat(32)), Err(BadTrust::BadFingerprint));
        check(&format!("sha256:{}", "00".repeat(33)), Err(BadTrust::BadFingerprint));
        check("bm9uc2Vuc2U=", Err(BadTrust::Unreadable));
        check(
            "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----",
            Err(BadTrust::Unreadable),
        );
        check(
            &vec![format!("sha256:{}", "00".repeat(32)); TRUST_ANCHORS + 1].join(","),
            Err(BadTrust::TooMany),
        );
    }
}
