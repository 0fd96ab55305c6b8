//! An authority, our account there, and one certificate after the other.

use super::{
    Challenge, Error, Proof, Prover,
    http::{Handle, Told},
};
use crate::{
    certificate::{Issued, Key},
    connect::Connect,
    http::Client,
    limits::{ACME_ORDER_SECONDS, ACME_TASK_SECONDS, TLS_CHAIN},
};
use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, Identifier, NewOrder, OrderStatus, RetryPolicy,
};
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer, pem::PemObject};
use std::time::Duration;
use tokio::time::timeout;

/// How often the authority is asked whether it is done: after a second, then more and more seldom.
const ASKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_secs(1))
    .backoff(1.5)
    .timeout(Duration::from_secs(ACME_ORDER_SECONDS));

/// Who we are at an authority.
pub struct Account<'a> {
    /// The authority's directory.
    pub url: &'a str,
    /// The account's key.
    pub key: &'a Key,
    /// Where the authority writes to if something is wrong.
    pub email: Option<&'a str>,
}

/// An authority with our account there.
pub struct Authority {
    account: instant_acme::Account,
    told: Told,
}

/// What is to be issued.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Host names, in lower case, perhaps with `*` as the first label.
    pub names: &'a [String],
    /// The request, in DER (RFC 2986).
    pub request: &'a [u8],
    /// The request's public key, in DER.
    pub key: &'a [u8],
    /// Which of its kinds of certificates the authority is to issue, where it has several.
    pub profile: Option<&'a str>,
    /// The certificate in whose place it comes (RFC 9773 §5).
    pub replaces: Option<&'a Issued>,
}

/// A certificate that was issued, and those between it and an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The certificate and what it says.
    pub issued: Issued,
    /// All of them, ours first.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Finds the account of a key, or opens one, which says that the authority's terms are agreed to.
    pub async fn open<C: Connect + 'static>(client: Client<C>, account: &Account<'_>) -> Result<Self, Error> {
        let told = Told::default();
        let open = async {
            let pkcs8 = account.key.pkcs8();
            let key = instant_acme::Key::from_pkcs8_der(pkcs8.clone_key())?;
            let handle = Box::new(Handle::new(client, told.clone()));
            let builder = instant_acme::Account::builder_with_http(handle);
            let pair = (key, PrivateKeyDer::Pkcs8(pkcs8));
            let (opened, _) = builder.create_from_key(pair, account.url.to_owned()).await?;
            if let Some(email) = account.email {
                opened.update_contacts(&[&format!("mailto:{email}")]).await?;
            }
            Ok::<_, instant_acme::Error>(opened)
        };
        let limit = Duration::from_secs(ACME_ORDER_SECONDS);
        let account = timeout(limit, open).await.map_err(|_| Error::Silent)??;
        Ok(Self { account, told })
    }

    /// How long the authority wants to be left alone, by its last answer.
    pub fn told_to_wait(&self) -> Option<Duration> {
        self.told.wait()
    }

    /// Has a certificate issued. No proof is left behind, whatever happens; the prover's own time is not counted.
    pub async fn issue(&self, order: &Order<'_>, prover: &dyn Prover) -> Result<Chain, Error> {
        let limit = Duration::from_secs(ACME_TASK_SECONDS);
        let mut proofs = Vec::new();
        let issued = self.ordered(order, prover, &mut proofs);
        let outcome = timeout(limit, issued).await.unwrap_or(Err(Error::Silent));
        if !proofs.is_empty()
            && let Err(reason) = prover.withdraw(&proofs).await
        {
            log::warn!("a proof for {} stays where it is: {reason}", order.names.join(", "));
        }
        outcome
    }

    async fn ordered(
        &self,
        order: &Order<'_>,
        prover: &dyn Prover,
        proofs: &mut Vec<Proof>,
    ) -> Result<Chain, Error> {
        let names: Vec<_> = order.names.iter().cloned().map(Identifier::Dns).collect();
        let mut new = NewOrder::new(&names);
        if let Some(profile) = order.profile {
            new = new.profile(profile);
        }
        if let Some(identifier) = order.replaces.and_then(identifier) {
            new = new.replaces(identifier);
        }
        let challenge = prover.challenge();
        let mut ordered = self.account.new_order(&new).await?;
        proofs.extend(needed(&mut ordered, order.names, challenge).await?);
        if !proofs.is_empty() {
            prover.show(proofs).await.map_err(Error::Proof)?;
        }
        let mut authorizations = ordered.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(challenge.kind())
            {
                challenge.set_ready().await?;
            }
        }
        if ordered.poll_ready(&ASKING).await? != OrderStatus::Ready {
            return Err(Error::Nonsense(refusal(&mut ordered, challenge).await));
        }
        ordered.finalize_csr(order.request).await?;
        read_chain(&ordered.poll_certificate(&ASKING).await?, order)
    }
}

/// What is still to be proved. Only names that we asked for: the authority has no say in what we show.
async fn needed(
    ordered: &mut instant_acme::Order,
    names: &[String],
    challenge: Challenge,
) -> Result<Vec<Proof>, Error> {
    let mut needed = Vec::new();
    let mut authorizations = ordered.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Error::Nonsense("it has given up on one of the names")),
        }
        let offered = authorization.challenge(challenge.kind());
        let offered =
            offered.ok_or(Error::Nonsense("it does not offer this challenge for all of the names"))?;
        let name = offered.identifier().to_string();
        if !names.contains(&name) {
            return Err(Error::Nonsense("it wants proof for a name that nobody asked for"));
        }
        let name = name.strip_prefix("*.").unwrap_or(&name);
        needed.push(Proof::new(name, &offered.token, &offered.key_authorization()));
    }
    Ok(needed)
}

/// What the authority did not like, as far as it can be told without trusting its words.
async fn refusal(ordered: &mut instant_acme::Order, challenge: Challenge) -> &'static str {
    let mut authorizations = ordered.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_ok_and(|state| state.status == AuthorizationStatus::Invalid) {
            return challenge.advice();
        }
    }
    "it refuses the order"
}

/// What the authority sent, if it is what was asked for.
fn read_chain(pem: &str, order: &Order<'_>) -> Result<Chain, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).take(TLS_CHAIN + 1);
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|_| Error::Nonsense("it sent no certificates"))?;
    if certificates.len() > TLS_CHAIN {
        return Err(Error::Nonsense("it sent more certificates than a chain has"));
    }
    let first = certificates.first().ok_or(Error::Nonsense("it sent no certificate"))?;
    match Issued::read(first) {
        Ok(issued) if issued.key == order.key && issued.is_for(order.names) => {
            Ok(Chain { issued, certificates })
        }
        _ => Err(Error::Nonsense("it sent a certificate that nobody asked for")),
    }
}

/// What RFC 9773 §4.1 calls a certificate, if it says who issued it.
fn identifier(issued: &Issued) -> Option<CertificateIdentifier<'_>> {
    let authority = issued.authority.as_deref()?;
    Some(CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(&issued.serial)))
}
