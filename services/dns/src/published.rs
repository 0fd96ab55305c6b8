//! What a zone does for certificates: it has requests, what was issued for them, and proofs of DNS-01 (RFC 8555 §8.4).
//!
//! The same for a zone at its primary, changed by UPDATE, and for one of our own.

use crate::limits::{CHALLENGE_TTL, REQUEST_TTL};
use crate::tlsa::{self, Content, TLSA};
use crate::{Record, RecordType, update};
use runtime::{
    acme::{Challenge, Proof, Prover, Step},
    certificate::Zone,
    tls::pki_types::CertificateDer,
};
use std::time::Duration;
use tokio::time::sleep;

/// A change, once it is told the zone's name.
pub type Change<'a> = Box<dyn FnOnce(&[u8]) -> update::Request + 'a>;

/// A zone that we may change. Names are on the wire; errors are one line.
pub trait Changeable {
    /// A host's name, as text, on the wire.
    fn name(&self, text: &str) -> Result<Vec<u8>, String>;

    /// The records of one type at a name; perhaps none.
    fn lookup<'a>(&'a self, owner: &'a [u8], rtype: RecordType) -> Step<'a, Vec<Record>>;

    /// Has a change carried out.
    fn change<'a>(&'a self, change: Change<'a>) -> Step<'a, ()>;
}

/// The records for the certificate of a host.
pub struct Published<Z> {
    zone: Z,
    owner: Vec<u8>,
    propagation: Duration,
}

impl<Z: Changeable> Published<Z> {
    /// Those for `host`, in text. Changes take `propagation` to reach all name servers. An error says that it is no name.
    pub fn new(zone: Z, host: &str, propagation: Duration) -> Result<Self, String> {
        let owner = tlsa::owner(&zone.name(host.strip_prefix("*.").unwrap_or(host))?);
        Ok(Self { zone, owner, propagation })
    }

    fn prover(&self) -> ByZone<'_, Z> {
        ByZone { zone: &self.zone, propagation: self.propagation }
    }

    async fn ask(&self, ours: &[u8]) -> Result<(), String> {
        let found = self.zone.lookup(&self.owner, TLSA).await?;
        let asked = tlsa::read_request(ours).map_err(|_| "the request is none")?;
        let is_ours = |der: &[u8]| tlsa::read_request(der).is_ok_and(|there| there == asked);
        let requests: Vec<_> =
            found.iter().filter(|record| matches!(tlsa::content(record), Content::Request(_))).collect();
        if let [record] = requests[..]
            && matches!(tlsa::content(record), Content::Request(der) if is_ours(der))
        {
            return Ok(());
        }
        let ttl = found.first().map_or(REQUEST_TTL, |record| record.ttl);
        let change = |zone: &[u8]| {
            let mut request = update::Request::new(zone);
            for record in requests {
                request.remove(record.clone());
            }
            request.add(tlsa::request_record(&self.owner, ours, ttl));
            request
        };
        self.zone.change(Box::new(change)).await
    }
}

impl<Z: Changeable> Zone for Published<Z> {
    fn chain(&self) -> Step<'_, Vec<CertificateDer<'static>>> {
        Box::pin(async move {
            let found = self.zone.lookup(&self.owner, TLSA).await?;
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
            let found = self.zone.lookup(&self.owner, TLSA).await?;
            let change = |zone: &[u8]| tlsa::publication(zone, &self.owner, &found, chain);
            self.zone.change(Box::new(change)).await
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
        Box::pin(self.ask(request))
    }
}

/// Shows proofs of DNS-01 in a zone.
pub struct ByZone<'z, Z> {
    /// The zone.
    pub zone: &'z Z,
    /// How long changes there take to reach all of its name servers.
    pub propagation: Duration,
}

impl<Z: Changeable> ByZone<'_, Z> {
    async fn replace(&self, proofs: &[Proof], is_shown: bool) -> Result<(), String> {
        let records = proofs.iter().map(|proof| self.record(proof)).collect::<Result<Vec<_>, _>>()?;
        let change = |zone: &[u8]| {
            let mut request = update::Request::new(zone);
            for record in &records {
                request.remove_set(&record.owner, RecordType::TXT); // perhaps of an earlier start
            }
            for record in records.iter().filter(|_| is_shown) {
                request.add(record.clone());
            }
            request
        };
        self.zone.change(Box::new(change)).await
    }

    fn record(&self, proof: &Proof) -> Result<Record, String> {
        let owner = self.zone.name(&format!("_acme-challenge.{}", proof.name));
        let owner = owner.map_err(|_| format!("{}: the name is too long for a proof", proof.name))?;
        let data = [&[proof.text.len() as u8], proof.text.as_bytes()].concat(); // 43 characters
        Ok(Record { owner, rtype: RecordType::TXT, ttl: CHALLENGE_TTL, data })
    }
}

impl<Z: Changeable> Prover for ByZone<'_, Z> {
    fn challenge(&self) -> Challenge {
        Challenge::Dns01
    }

    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        Box::pin(async move {
            self.replace(proofs, true).await?;
            sleep(self.propagation).await;
            Ok(())
        })
    }

    fn withdraw<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        Box::pin(self.replace(proofs, false))
    }
}
