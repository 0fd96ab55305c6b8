//! Proofs of DNS-01 at a primary (RFC 8555 §8.4).

use crate::{limits::CHALLENGE_TTL, primary::Primary};
use dns::{Record, RecordType, update};
use runtime::{
    acme::{Challenge, Proof, Prover, Step},
    connect::Connect,
};
use std::time::Duration;
use tokio::time::sleep;

const TXT: RecordType = RecordType(16);

/// A primary, and how long a change there takes to reach all name servers of its zone.
pub struct AtPrimary<'p, C: Connect> {
    /// The primary.
    pub primary: &'p Primary<C>,
    /// The time.
    pub propagation: Duration,
}

impl<C: Connect> AtPrimary<'_, C> {
    async fn replace(&self, proofs: &[Proof], is_shown: bool) -> Result<(), String> {
        let records: Vec<_> =
            proofs.iter().map(|proof| record(proof, self.primary)).collect::<Result<_, _>>()?;
        let mut request = update::Request::new(self.primary.zone());
        for record in &records {
            request.remove_set(&record.owner, TXT); // perhaps of an earlier start
        }
        for record in records.into_iter().filter(|_| is_shown) {
            request.add(record);
        }
        self.primary.update(&request).await.map_err(|error| error.to_string())
    }
}

impl<C: Connect> Prover for AtPrimary<'_, C> {
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

fn record<C: Connect>(proof: &Proof, primary: &Primary<C>) -> Result<Record, String> {
    let owner = primary.name(&format!("_acme-challenge.{}", proof.name));
    let owner = owner.map_err(|_| format!("{}: the name is too long for a proof", proof.name))?;
    let data = [&[proof.text.len() as u8], proof.text.as_bytes()].concat(); // 43 characters
    Ok(Record { owner, rtype: TXT, ttl: CHALLENGE_TTL, data })
}
