//! The other end: a service that asks for its certificate in the DNS and finds it there.

use crate::{
    limits::REQUEST_TTL,
    primary::Primary,
    proofs::AtPrimary,
    tlsa::{self, Content, TLSA},
};
use dns::{Record, update};
use runtime::{
    acme::{Proof, Prover, Step},
    certificate::Zone,
    connect::Connect,
    tls::pki_types::CertificateDer,
};
use std::time::Duration;

/// The records for a host, at its zone's primary.
pub struct Published<C> {
    primary: Primary<C>,
    owner: Vec<u8>,
    propagation: Duration,
}

impl<C: Connect> Published<C> {
    /// Those for `host`, in text. Changes take `propagation` to reach all name servers. An error says that it is no name.
    pub fn new(primary: Primary<C>, host: &str, propagation: Duration) -> Result<Self, String> {
        let owner = tlsa::owner(&primary.name(host)?);
        Ok(Self { primary, owner, propagation })
    }

    fn prover(&self) -> AtPrimary<'_, C> {
        AtPrimary { primary: &self.primary, propagation: self.propagation }
    }

    async fn found(&self) -> Result<Vec<Record>, String> {
        self.primary.lookup(&self.owner, TLSA).await.map_err(|error| error.to_string())
    }

    async fn ask(&self, ours: &[u8], found: &[Record]) -> Result<(), String> {
        let asked = tlsa::read_request(ours).map_err(|_| "the request is none")?;
        let is_ours = |der: &[u8]| tlsa::read_request(der).is_ok_and(|there| there == asked);
        let requests: Vec<_> =
            found.iter().filter(|record| matches!(tlsa::content(record), Content::Request(_))).collect();
        if let [record] = requests[..]
            && matches!(tlsa::content(record), Content::Request(der) if is_ours(der))
        {
            return Ok(());
        }
        let mut request = update::Request::new(self.primary.zone());
        for record in requests {
            request.remove(record.clone());
        }
        let ttl = found.first().map_or(REQUEST_TTL, |record| record.ttl);
        request.add(tlsa::request_record(&self.owner, ours, ttl));
        self.primary.update(&request).await.map_err(|error| error.to_string())
    }
}

impl<C: Connect> Zone for Published<C> {
    fn chain(&self) -> Step<'_, Vec<CertificateDer<'static>>> {
        Box::pin(async move {
            let found = self.found().await?;
            let (mut certificates, mut intermediates) = (Vec::new(), Vec::new());
            for record in &found {
                match tlsa::content(record) {
                    Content::Certificate(der) => certificates.push(der),
                    Content::Intermediate(der) => intermediates.push(der),
                    Content::Request(_) | Content::Other => {}
                }
            }
            match certificates[..] {
                [] => Ok(Vec::new()),
                [certificate] => {
                    let chain = tlsa::chain(certificate, &intermediates);
                    Ok(chain.into_iter().map(|der| der.to_vec().into()).collect())
                }
                _ => Err("there is more than one certificate".to_owned()),
            }
        })
    }

    fn publish<'a>(&'a self, chain: &'a [CertificateDer<'static>]) -> Step<'a, ()> {
        Box::pin(async move {
            let found = self.found().await?;
            let request = tlsa::publication(self.primary.zone(), &self.owner, &found, chain);
            self.primary.update(&request).await.map_err(|error| error.to_string())
        })
    }

    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        Box::pin(async move { self.prover().show(proofs).await })
    }

    fn withdraw<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        Box::pin(async move { self.prover().withdraw(proofs).await })
    }

    /// Writes our request, unless one for the same key and names is there: no two of them are the same, octet by octet.
    fn request<'a>(&'a self, request: &'a [u8]) -> Step<'a, ()> {
        Box::pin(async move { self.ask(request, &self.found().await?).await })
    }
}
