//! The DNS zone of a service's names, as far as certificates go.

use crate::{
    acme::{Proof, Step},
    tls::pki_types::CertificateDer,
};

/// A zone that a service may change: there it proves its names, and there its certificate is found again after a start. The
/// ones there are: that of a primary that takes RFC 2136 updates (services/acme), and a DNS server's own.
pub trait Zone {
    /// The certificate that is published for the names, and those that signed it; none if there is none.
    fn chain(&self) -> Step<'_, Vec<CertificateDer<'static>>>;

    /// Publishes a chain in place of the one that is there.
    fn publish<'a>(&'a self, chain: &'a [CertificateDer<'static>]) -> Step<'a, ()>;

    /// Shows proofs of DNS-01, and returns once all name servers have them.
    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()>;

    /// Shows them no longer.
    fn withdraw<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()>;

    /// Sees to it that a request (RFC 2986, DER) is published, for whoever has certificates issued.
    fn request<'a>(&'a self, request: &'a [u8]) -> Step<'a, ()>;
}
