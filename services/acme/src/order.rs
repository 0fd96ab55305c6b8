//! One certificate: order, challenges in the DNS, request, chain (RFC 8555).

use crate::{
    http::Handle,
    limits::{CHALLENGE_TTL, INTERMEDIATES, ORDER_SECONDS, TASK_SECONDS},
    plan::Task,
    primary::{self, Primary},
    tlsa,
};
use dns::{Record, RecordType, update};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, Key, NewOrder, Order, OrderStatus, RetryPolicy,
};
use runtime::{
    certificate,
    connect::Connect,
    http::Client,
    tls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fmt, time::Duration};
use tokio::time::{sleep, timeout};

const TXT: RecordType = RecordType(16);

/// How often the authority is asked whether it is done: after a second, then more and more seldom.
const ASKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_secs(1))
    .backoff(1.5)
    .timeout(Duration::from_secs(ORDER_SECONDS));

/// Why there is no certificate.
#[derive(Debug)]
pub enum Error {
    /// The authority does not issue, or does not answer as it should.
    Authority(instant_acme::Error),
    /// What it says makes no sense: the authority's fault.
    Nonsense(&'static str),
    /// The challenge or the certificate cannot be written.
    Primary(primary::Error),
    /// It took longer than limits.rs allows.
    Silent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may contain what the authority says: that goes no further than one line.
            Self::Authority(error) => write!(f, "the authority: {}", error.to_string().escape_debug()),
            Self::Nonsense(what) => write!(f, "the authority: {what}"),
            Self::Primary(error) => error.fmt(f),
            Self::Silent => f.write_str("the authority takes too long"),
        }
    }
}

impl std::error::Error for Error {}

impl From<instant_acme::Error> for Error {
    fn from(error: instant_acme::Error) -> Self {
        Self::Authority(error)
    }
}

impl From<primary::Error> for Error {
    fn from(error: primary::Error) -> Self {
        Self::Primary(error)
    }
}

/// An authority with our account there.
pub struct Authority {
    account: Account,
}

/// A certificate that was issued, and those between it and the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// The others, in DER.
    pub intermediates: Vec<Vec<u8>>,
    /// When it ends, in seconds since 1970.
    pub until: u64,
}

impl Authority {
    /// Finds the account of `key` at the authority whose directory is at `url`, or opens one, which says that its terms are
    /// agreed to. The authority writes to `email` if something is wrong.
    pub async fn open<C: Connect + 'static>(
        client: Client<C>,
        url: &str,
        key: &certificate::Key,
        email: Option<&str>,
    ) -> Result<Self, Error> {
        let open = async {
            let pkcs8 = key.pkcs8();
            let pair = (Key::from_pkcs8_der(pkcs8.clone_key())?, PrivateKeyDer::Pkcs8(pkcs8));
            let builder = Account::builder_with_http(Box::new(Handle::new(client)));
            let (account, _) = builder.create_from_key(pair, url.to_owned()).await?;
            if let Some(email) = email {
                account.update_contacts(&[&format!("mailto:{email}")]).await?;
            }
            Ok(Self { account })
        };
        timeout(Duration::from_secs(ORDER_SECONDS), open).await.map_err(|_| Error::Silent)?
    }

    /// Has a certificate issued, with challenges at `primary`, which have `propagation` to reach all name servers. No
    /// challenge is left behind, whatever happens.
    pub async fn issue<C: Connect>(
        &self,
        task: &Task,
        primary: &Primary<C>,
        propagation: Duration,
    ) -> Result<Chain, Error> {
        let mut challenges = Vec::new();
        let limit = Duration::from_secs(TASK_SECONDS) + propagation;
        let outcome = timeout(limit, self.ordered(task, primary, propagation, &mut challenges)).await;
        if !challenges.is_empty()
            && let Err(error) = primary.update(&removal(&challenges, primary.zone())).await
        {
            log::warn!("{}: the challenge's record stays where it is: {error}", task.host);
        }
        outcome.map_err(|_| Error::Silent)?
    }

    async fn ordered<C: Connect>(
        &self,
        task: &Task,
        primary: &Primary<C>,
        propagation: Duration,
        challenges: &mut Vec<Record>,
    ) -> Result<Chain, Error> {
        let names: Vec<_> = task.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = self.account.new_order(&NewOrder::new(&names)).await?;
        let needed = needed(&mut order, task, primary).await?;
        if !needed.is_empty() {
            challenges.extend(needed);
            primary.update(&addition(challenges, primary.zone())).await?;
            sleep(propagation).await;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01)
            {
                challenge.set_ready().await?;
            }
        }
        if order.poll_ready(&ASKING).await? != OrderStatus::Ready {
            return Err(Error::Nonsense(refusal(&mut order).await));
        }
        order.finalize_csr(&task.request).await?;
        read_chain(&order.poll_certificate(&ASKING).await?, task)
    }
}

/// The records of the challenges that are still to be met. Only for names that we asked for: the authority has no say in
/// what we write into the zone.
async fn needed<C: Connect>(
    order: &mut Order,
    task: &Task,
    primary: &Primary<C>,
) -> Result<Vec<Record>, Error> {
    let mut needed = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Error::Nonsense("it has given up on one of the names")),
        }
        let challenge = authorization.challenge(ChallengeType::Dns01);
        let challenge = challenge.ok_or(Error::Nonsense("it does not offer DNS-01"))?;
        let name = challenge.identifier().to_string();
        if !task.names.contains(&name) {
            return Err(Error::Nonsense("it wants proof for a name that nobody asked for"));
        }
        let value = challenge.key_authorization().dns_value();
        needed.push(challenge_record(&name, &value, primary)?);
    }
    Ok(needed)
}

/// RFC 8555 §8.4
fn challenge_record<C: Connect>(name: &str, value: &str, primary: &Primary<C>) -> Result<Record, Error> {
    let owner = format!("_acme-challenge.{}", name.strip_prefix("*.").unwrap_or(name));
    let owner = primary.name(&owner).map_err(|_| Error::Nonsense("a name is too long for a challenge"))?;
    let data = [&[value.len() as u8], value.as_bytes()].concat(); // 43 characters
    Ok(Record { owner, rtype: TXT, ttl: CHALLENGE_TTL, data })
}

/// Writes the challenges, instead of what an earlier start may have left.
fn addition(challenges: &[Record], zone: &[u8]) -> update::Request {
    let mut request = removal(challenges, zone);
    for record in challenges {
        request.add(record.clone());
    }
    request
}

fn removal(challenges: &[Record], zone: &[u8]) -> update::Request {
    let mut request = update::Request::new(zone);
    for record in challenges {
        request.remove_set(&record.owner, TXT);
    }
    request
}

/// What the authority did not like, as far as it can be told without trusting its words.
async fn refusal(order: &mut Order) -> &'static str {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_ok_and(|state| state.status == AuthorizationStatus::Invalid) {
            return "it did not find the challenge's record; check that all name servers of the zone have it";
        }
    }
    "it refuses the order"
}

/// What the authority sent, if it is what was asked for.
fn read_chain(pem: &str, task: &Task) -> Result<Chain, Error> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::Nonsense("it sent no certificates"))?;
        if chain.len() > INTERMEDIATES {
            return Err(Error::Nonsense("it sent more certificates than a chain has"));
        }
        chain.push(certificate.to_vec());
    }
    if chain.is_empty() {
        return Err(Error::Nonsense("it sent no certificate"));
    }
    let certificate = chain.remove(0);
    let (issued, asked) = (tlsa::read_certificate(&certificate), tlsa::read_request(&task.request));
    match (issued, asked) {
        (Ok(issued), Ok(asked)) if issued.key == asked.key => {
            Ok(Chain { certificate, intermediates: chain, until: issued.until })
        }
        _ => Err(Error::Nonsense("it sent a certificate that nobody asked for")),
    }
}

/// The update that puts a chain where its request stands, if that and all beside it is still there as it was found.
pub fn publication(task: &Task, chain: &Chain, zone: &[u8]) -> update::Request {
    let mut request = update::Request::new(zone);
    for record in &task.found {
        request.if_is(record.clone());
    }
    for record in &task.found {
        if matches!(tlsa::content(record), tlsa::Content::Certificate(_) | tlsa::Content::Intermediate(_)) {
            request.remove(record.clone());
        }
    }
    // RFC 2181 §5.2: all records of a set have the same.
    let ttl = task.found.first().map_or(0, |record| record.ttl);
    request.add(tlsa::certificate_record(&task.owner, &chain.certificate, ttl));
    for certificate in &chain.intermediates {
        request.add(tlsa::intermediate_record(&task.owner, certificate, ttl));
    }
    request
}
