//! How it is proved that a name is ours.

use instant_acme::{ChallengeType, KeyAuthorization};
use std::{fmt, future::Future, pin::Pin};

/// Where an authority looks for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// On port 80 of the name (RFC 8555 §8.3).
    Http01,
    /// In a TLS handshake on port 443 of the name (RFC 8737).
    TlsAlpn01,
    /// In the DNS, at `_acme-challenge` and the name (RFC 8555 §8.4).
    Dns01,
}

impl Challenge {
    pub(super) fn kind(self) -> ChallengeType {
        match self {
            Self::Http01 => ChallengeType::Http01,
            Self::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Self::Dns01 => ChallengeType::Dns01,
        }
    }

    /// What to look at if it did not find the proof.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Http01 => "it did not find the proof; check that port 80 of every name leads here",
            Self::TlsAlpn01 => "it did not find the proof; check that port 443 of every name leads here",
            Self::Dns01 => {
                "it did not find the proof's record; check that all name servers of the zone have it"
            }
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "HTTP-01",
            Self::TlsAlpn01 => "TLS-ALPN-01",
            Self::Dns01 => "DNS-01",
        })
    }
}

/// What has to be seen at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The name, without `*.`.
    pub name: String,
    /// HTTP-01: what is asked for.
    pub token: String,
    /// HTTP-01: what is answered.
    pub authorization: String,
    /// TLS-ALPN-01: what stands in the certificate.
    pub digest: Vec<u8>,
    /// DNS-01: what stands in the TXT record.
    pub text: String,
}

impl Proof {
    pub(super) fn new(name: &str, token: &str, authorization: &KeyAuthorization) -> Self {
        Self {
            name: name.to_owned(),
            token: token.to_owned(),
            authorization: authorization.as_str().to_owned(),
            digest: authorization.digest().as_ref().to_vec(),
            text: authorization.dns_value(),
        }
    }
}

/// Something that takes its time, which is limited, and can fail for a reason that is told in one line.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// Whoever can show proofs.
pub trait Prover {
    /// Where it shows them.
    fn challenge(&self) -> Challenge;

    /// Shows all of these, and no others, once it has returned.
    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()>;

    /// Shows them no longer.
    fn withdraw<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()>;
}
