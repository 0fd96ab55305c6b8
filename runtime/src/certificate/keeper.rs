//! Sees to it that there is a certificate, from the first start on and for ever.
//!
//! ```text
//!     start ─► published in the zone? ──┬─► shown ─► two thirds of its time, or when the authority says (RFC 9773)
//!                                       └─► order ─► shown, published ─┘      │
//!                                             ▲ failed: wait, twice as long ──┤
//!                                             └───────────────────────────────┘
//! ```
//! What an operator may count on: a start costs the authority nothing as long as the zone has the certificate; without a zone
//! each start is an order, of which authorities issue few a week for the same names (Let's Encrypt five), and the refusal is
//! told and waited out. While a renewal fails the certificate that there is stays, even beyond its end: what clients then say of
//! it is more than what they would say of none. Nothing is ordered twice at a time, and names, key and account are the same
//! after each start.

use super::{BadNames, Certificates, Issued, Key, Zone, prover::Ourselves};
use crate::{
    acme::{Account, Authority, Chain, Challenge, Error, Order, Proof, Prover, Step},
    connect::Connect,
    http::Client,
    limits::{ACME_ATTEMPT_SECONDS, ACME_ATTEMPT_SECONDS_MOST, ACME_LOOK_SECONDS, CERTIFICATE_WAIT_SECONDS},
    tls::pki_types::CertificateDer,
};
use std::{
    fmt,
    rc::Rc,
    time::{Duration, SystemTime},
};
use tokio::time::sleep;

/// How a service comes by its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It orders it, and proves its names on port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// It orders it, and proves its names in TLS handshakes.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// It orders it, and proves its names in their zone.
    #[serde(rename = "dns-01")]
    Dns01,
    /// It publishes a request in the zone, and somebody else (services/acme) has it issued.
    Tlsa,
}

/// Everything about a certificate but whom to ask for it.
pub struct Wanted {
    /// Host names, in lower case.
    pub names: Vec<String>,
    /// Its key.
    pub key: Key,
    /// How to come by it.
    pub way: Way,
    /// The zone of the names.
    pub zone: Option<Rc<dyn Zone>>,
}

/// Where certificates are ordered, and as whom.
pub struct Issuer<C: Connect> {
    /// How the authority is spoken to.
    pub client: Client<C>,
    /// Its directory.
    pub url: String,
    /// The account's key.
    pub key: Key,
    /// Where the authority writes to.
    pub email: Option<String>,
    /// Which of its kinds of certificates.
    pub profile: Option<String>,
}

/// Keeps a service's certificate.
pub struct Keeper<C: Connect> {
    certificates: Certificates,
    wanted: Wanted,
    request: Vec<u8>,
    issuer: Issuer<C>,
    authority: Option<Authority>,
    shown: Option<Issued>,
    /// When the next is due, in seconds since 1970.
    due: u64,
    failures: u32,
    is_requested: bool,
}

impl<C: Connect + Clone + 'static> Keeper<C> {
    /// Fails if the names cannot be a certificate's.
    pub fn new(certificates: Certificates, wanted: Wanted, issuer: Issuer<C>) -> Result<Self, BadNames> {
        let request = wanted.key.request(&wanted.names)?;
        let (authority, shown, is_requested) = (None, None, false);
        Ok(Self {
            certificates,
            wanted,
            request,
            issuer,
            authority,
            shown,
            due: 0,
            failures: 0,
            is_requested,
        })
    }

    /// Never ends. The network has to be up, and port 80 or 443 open where names are proved there.
    pub async fn run(mut self) {
        loop {
            sleep(self.step().await).await;
        }
    }

    /// Does what there is to do. How long to wait until there may be something again.
    pub async fn step(&mut self) -> Duration {
        let now = unix_seconds();
        if now < self.due {
            return Duration::from_secs((self.due - now).min(ACME_LOOK_SECONDS));
        }
        match self.renewed().await {
            Ok(true) => {
                self.failures = 0;
                Duration::from_secs(1)
            }
            Ok(false) => self.patience(),
            Err(reason) => self.failed(&reason),
        }
    }

    /// Between two looks for what somebody else issues, who may think that it is due later than we do.
    fn patience(&self) -> Duration {
        let part = |shown: &Issued| shown.until.saturating_sub(shown.from) / 60;
        let seconds = self.shown.as_ref().map_or(CERTIFICATE_WAIT_SECONDS, part);
        Duration::from_secs(seconds.clamp(1, ACME_LOOK_SECONDS))
    }

    /// Finds or orders a certificate. Whether there is one that is not due.
    async fn renewed(&mut self) -> Result<bool, String> {
        if let Some(zone) = self.wanted.zone.clone() {
            match zone.chain().await {
                Ok(chain) => {
                    if self.take(chain, "found in the zone") {
                        return Ok(true);
                    }
                }
                Err(reason) if self.wanted.way == Way::Tlsa => return Err(reason),
                Err(reason) => log::warn!("{self}: it was not looked for in the zone: {reason}"),
            }
            if self.wanted.way == Way::Tlsa {
                zone.request(&self.request).await?;
                if self.shown.is_none() && !self.is_requested {
                    log::info!("{self}: requested in the zone, nobody has issued it yet");
                }
                self.is_requested = true;
                return Ok(false);
            }
        }
        let chain = self.order().await.map_err(|error| error.to_string())?;
        if let Some(zone) = &self.wanted.zone
            && let Err(reason) = zone.publish(&chain.certificates).await
        {
            log::warn!("{self}: it is not published, and ordered anew at the next start: {reason}");
        }
        if self.take(chain.certificates, "issued") {
            Ok(true)
        } else {
            Err("the authority's certificates are due as soon as they are issued; look at the clock"
                .to_owned())
        }
    }

    /// Shows a chain if it is ours and better than what is shown. Whether it is not due yet.
    fn take(&mut self, chain: Vec<CertificateDer<'static>>, how: &str) -> bool {
        let now = unix_seconds();
        let Some(issued) = chain.first().and_then(|first| Issued::read(first).ok()) else { return false };
        let is_ours = issued.key == self.wanted.key.public() && issued.is_for(&self.wanted.names);
        let is_later = self.shown.as_ref().is_none_or(|shown| shown.until < issued.until);
        if !is_ours || !is_later || issued.until <= now {
            return false;
        }
        let Ok(identity) = self.wanted.key.identity(chain) else { return false };
        self.certificates.show(identity);
        self.due = issued.renewal();
        log::info!(
            "{self}: {how}, good for {}, the next is due in {}",
            Span(issued.until.saturating_sub(now)),
            Span(self.due.saturating_sub(now))
        );
        self.shown = Some(issued);
        self.due > now
    }

    async fn order(&mut self) -> Result<Chain, Error> {
        let authority = match self.authority.take() {
            Some(authority) => authority,
            None => {
                let issuer = &self.issuer;
                let account = Account { url: &issuer.url, key: &issuer.key, email: issuer.email.as_deref() };
                Authority::open(issuer.client.clone(), &account).await?
            }
        };
        let key = self.wanted.key.public();
        let order = Order {
            names: &self.wanted.names,
            request: &self.request,
            key: &key,
            profile: self.issuer.profile.as_deref(),
            replaces: None,
        };
        let challenge = match self.wanted.way {
            Way::Http01 => Challenge::Http01,
            Way::TlsAlpn01 => Challenge::TlsAlpn01,
            Way::Dns01 | Way::Tlsa => Challenge::Dns01,
        };
        log::info!("{self}: ordering it from {}, by {challenge}", self.issuer.url);
        let issued = match &self.wanted.zone {
            Some(zone) if challenge == Challenge::Dns01 => authority.issue(&order, &InZone(&**zone)).await,
            _ => {
                let ourselves = Ourselves { certificates: self.certificates.clone(), challenge };
                authority.issue(&order, &ourselves).await
            }
        };
        self.authority = Some(authority);
        issued
    }

    /// Tells why there is none, and how long to wait.
    fn failed(&mut self, reason: &str) -> Duration {
        let told = self.authority.as_ref().and_then(Authority::told_to_wait).unwrap_or_default();
        let ours = (ACME_ATTEMPT_SECONDS << self.failures.min(16)).min(ACME_ATTEMPT_SECONDS_MOST);
        self.failures += 1;
        let wait = Duration::from_secs(ours).max(told);
        let left = self.shown.as_ref().map_or(0, |shown| shown.until.saturating_sub(unix_seconds()));
        let state = match (&self.shown, left) {
            (None, _) => "there is none yet".to_owned(),
            (Some(_), 0) => "the one that is shown HAS ENDED".to_owned(),
            (Some(_), left) => format!("the one that is shown is good for {}", Span(left)),
        };
        log::warn!("{self}: {state}; next attempt in {}: {reason}", Span(wait.as_secs()));
        wait
    }
}

impl<C: Connect> fmt::Display for Keeper<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate for {}", self.wanted.names.join(", "))
    }
}

/// A zone where names are proved.
struct InZone<'z>(&'z dyn Zone);

impl Prover for InZone<'_> {
    fn challenge(&self) -> Challenge {
        Challenge::Dns01
    }

    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        self.0.show(proofs)
    }

    fn withdraw<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        self.0.withdraw(proofs)
    }
}

/// A time in seconds, told as a person would.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ ..120 => write!(f, "{seconds} s"),
            seconds @ ..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ ..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
