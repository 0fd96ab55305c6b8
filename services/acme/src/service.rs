//! The service around it: arguments, one round after the other, and NOTIFY that starts one.

use crate::{
    limits::{
        FAILED_SECONDS, FAILED_SECONDS_MOST, NOTIFY_OCTETS, NOTIFY_SECONDS, PROPAGATION_SECONDS,
        PROPAGATION_SECONDS_MOST, RETRY_SECONDS, ROUND_SECONDS, ROUND_SECONDS_LEAST,
    },
    measured,
    plan::{self, Task},
    primary::{self, Primary},
};
use dns::{
    published::ByZone,
    tlsa::{self, Request},
};
use log::{info, warn};
use runtime::{
    Argument, Environment, Stop,
    acme::{self, Account, Authority, Order},
    certificate::{Key, Seed},
    connect::{Connect, NetworkConnector},
    http::Client,
    network::{Network, TcpListener, TcpOptions, TcpStream, UdpOptions, UdpSocket},
    tls::Trust,
};
use std::{collections::HashMap, fmt, io, net::IpAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

/// The port on which a primary tells of changes.
const PORT: u16 = 53;

/// Directories of Let's Encrypt.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The arguments that only this service has.
pub const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "dns-key",
        value: "NAME._update.ZONE:ALGORITHM:SECRET",
        help: "key that may transfer and change the zone",
    },
    Argument { name: "dns-server", value: "ADDRESS", help: "the zone's primary" },
    Argument { name: "port", value: "PORT", help: "the primary's port; 53 if not given" },
    Argument {
        name: "production",
        value: "",
        help: "certificates that browsers trust; those of Let's Encrypt's staging if not given",
    },
    Argument {
        name: "acme-server",
        value: "URL",
        help: "directory of another authority than Let's Encrypt; its terms are agreed to by using it",
    },
    Argument {
        name: "tls-ca",
        value: "sha256:FINGERPRINT|BASE64,...",
        help: "who vouches for the authority's server; the web's authorities if not given",
    },
    Argument {
        name: "account-key-seed",
        value: "SECRET",
        help: "what the account's key is made of; the same account after each start",
    },
    Argument {
        name: "account-key-type",
        value: "ecdsa",
        help: "kind of the account's key; there is no other",
    },
    Argument { name: "email", value: "ADDRESS", help: "where the authority writes to; nowhere if not given" },
    Argument {
        name: "propagation",
        value: "SECONDS",
        help: "time that changes take to reach the zone's other name servers; 10 if not given",
    },
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    dns_key: String,
    dns_server: IpAddr,
    #[serde(default = "port")]
    port: u16,
    #[serde(default)]
    production: bool,
    acme_server: Option<String>,
    tls_ca: Option<Trust>,
    account_key_seed: Seed,
    account_key_type: Option<KeyType>,
    email: Option<String>,
    #[serde(default = "propagation")]
    propagation: u64,
}

fn port() -> u16 {
    PORT
}

fn propagation() -> u64 {
    PROPAGATION_SECONDS
}

/// RSA is not made of a seed here: it would take a generator of primes that stays the same for ever.
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyType {
    Ecdsa,
}

/// Serves until the image ends.
pub async fn serve(mut environment: Environment) -> Result<(), Stop> {
    let options: Options = environment.configuration()?;
    let network = environment.network.clone();
    let connector = NetworkConnector::new(&network, TcpOptions::default());
    let primary =
        Primary::new(connector.clone(), &options.dns_server.to_string(), options.port, &options.dns_key)
            .map_err(|reason| Stop::Failed(format!("--dns-key: {reason}")))?;
    let _: Option<KeyType> = options.account_key_type;
    let trust = options.tls_ca.unwrap_or_else(Trust::web);
    let letsencrypt = if options.production { PRODUCTION } else { STAGING };
    let url = options.acme_server.unwrap_or_else(|| letsencrypt.to_owned());
    let woken = Rc::new(Notify::new());
    runtime::spawn(listen(network.clone(), options.dns_server, woken.clone()));
    runtime::spawn(listen_over_tcp(network.clone(), options.dns_server, woken.clone()));
    measured::start();
    network.addressed().await;
    info!("looking after {} at {}, certificates by {url}", dns::to_text(primary.zone()), options.dns_server);
    let mut issuer = Issuer {
        client: Client::new(connector, &trust),
        authority: None,
        primary,
        url,
        key: options.account_key_seed.key("ACME account"),
        email: options.email,
        propagation: Duration::from_secs(options.propagation.min(PROPAGATION_SECONDS_MOST)),
        failed: HashMap::new(),
    };
    loop {
        let rest = sleep(Duration::from_secs(ROUND_SECONDS_LEAST));
        let round = issuer.round().await;
        measured::round(round.is_ok(), issuer.failed.len());
        let next = match round {
            Ok(seconds) => seconds,
            Err(error) => {
                warn!("{error}");
                RETRY_SECONDS
            }
        };
        rest.await;
        let _ = timeout_at(Instant::now() + Duration::from_secs(next), woken.notified()).await;
    }
}

/// Answers NOTIFY (RFC 1996) and passes on that there was one. That of somebody else does no harm: rounds are far enough apart.
async fn listen(network: Network, primary: IpAddr, woken: Rc<Notify>) {
    let socket = match UdpSocket::bind(&network, PORT, UdpOptions { datagrams: 16, bytes: 4_096 }) {
        Ok(socket) => socket,
        Err(error) => return warn!("changes are only seen every {ROUND_SECONDS} s: {error}"),
    };
    let mut buffer = [0; NOTIFY_OCTETS];
    loop {
        let (length, from) = socket.receive_from(&mut buffer).await;
        if let Some(answer) = notified(&buffer[..length]).filter(|_| from.ip() == primary) {
            woken.notify_one();
            let _ = socket.send_to(&answer, from).await; // it asks again
        }
    }
}

/// The same over TCP, which Knot prefers.
async fn listen_over_tcp(network: Network, primary: IpAddr, woken: Rc<Notify>) {
    let options = TcpOptions {
        backlog: 4,
        connections: 4,
        receive_buffer: 2_048,
        send_buffer: 2_048,
        ..TcpOptions::default()
    };
    let listener = match TcpListener::bind(&network, PORT, options) {
        Ok(listener) => listener,
        Err(error) => return warn!("changes that are told over TCP are not seen: {error}"),
    };
    loop {
        let (stream, peer) = listener.accept().await;
        if peer.ip() == primary {
            let session = timeout(Duration::from_secs(NOTIFY_SECONDS), told(stream, woken.clone()));
            runtime::spawn(async move { drop(session.await) });
        }
    }
}

/// Answers the messages of a connection, each behind its length (RFC 1035 §4.2.2), as long as they are NOTIFYs.
async fn told(mut stream: TcpStream, woken: Rc<Notify>) -> io::Result<()> {
    loop {
        let length = usize::from(stream.read_u16().await?);
        let mut message = [0; NOTIFY_OCTETS];
        let message = message.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(message).await?;
        let answer = notified(message).ok_or(io::ErrorKind::InvalidData)?;
        woken.notify_one();
        stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).await?;
    }
}

/// The answer to a NOTIFY; `None` to anything else. Its signature is not looked at: what it says is only that we may look, and
/// the zone that we then look at is signed.
fn notified(message: &[u8]) -> Option<Vec<u8>> {
    let packet = dns::packet::Packet::new(message).ok()?;
    let is_notify = packet.opcode() == dns::notify::OPCODE && !packet.is_answer();
    dns::packet::bare_answer(message, 0).filter(|_| is_notify)
}

/// Everything that a round needs.
pub struct Issuer<C: Connect> {
    /// How the authority is spoken to.
    pub client: Client<C>,
    /// The authority, once it was.
    pub authority: Option<Authority>,
    /// The zone.
    pub primary: Primary<C>,
    /// The authority's directory.
    pub url: String,
    /// The account's key.
    pub key: Key,
    /// Where the authority writes to.
    pub email: Option<String>,
    /// Time that a challenge takes to reach all name servers.
    pub propagation: Duration,
    /// Requests that failed, by host.
    pub failed: HashMap<String, Failed>,
}

/// A request that failed before.
pub struct Failed {
    request: Vec<u8>,
    wait: Duration,
    until: Instant,
}

/// Why a round did not come to its end.
#[derive(Debug)]
pub enum RoundError {
    /// The zone cannot be had.
    Primary(primary::Error),
    /// There is no account.
    Authority(acme::Error),
}

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(error) => error.fmt(f),
            Self::Authority(error) => write!(f, "there is no account: {error}"),
        }
    }
}

impl std::error::Error for RoundError {}

impl<C: Connect + Clone + 'static> Issuer<C> {
    /// Looks at the zone and orders what is due. Seconds until there is something to do again.
    pub async fn round(&mut self) -> Result<u64, RoundError> {
        let zone = self.primary.transfer().await.map_err(RoundError::Primary)?;
        let plan = plan::plan(self.primary.zone(), zone.iter(), dns::client::unix_seconds());
        drop(zone);
        for (host, reason) in &plan.skipped {
            warn!("{host}: skipped: {reason}");
        }
        self.failed.retain(|host, failed| {
            plan.tasks.iter().any(|task| task.host == *host && task.request == failed.request)
        });
        let mut next = plan.next.unwrap_or(ROUND_SECONDS);
        for task in plan.tasks {
            let now = Instant::now();
            let wait = self.failed.get(&task.host).map_or(Duration::ZERO, |failed| failed.until - now);
            if wait.is_zero() && self.served(&task).await? {
                next = next.min(ROUND_SECONDS_LEAST); // when it is due again stands in the zone
            }
            if let Some(failed) = self.failed.get(&task.host) {
                next = next.min((failed.until - now).as_secs());
            }
        }
        Ok(next.clamp(1, ROUND_SECONDS))
    }

    /// Orders a certificate and writes it. Whether it is done; an error only if nothing else can be done either.
    async fn served(&mut self, task: &Task) -> Result<bool, RoundError> {
        if self.authority.is_none() {
            let account = Account { url: &self.url, key: &self.key, email: self.email.as_deref() };
            let open = Authority::open(self.client.clone(), &account);
            self.authority = Some(open.await.map_err(RoundError::Authority)?);
        }
        let Some(authority) = &self.authority else { return Ok(false) };
        info!("{}: {}, ordering one for {}", task.host, task.reason, task.names.join(", "));
        let issued = self.issued(authority, task).await;
        measured::order(issued.is_ok());
        match issued {
            Ok(until) => {
                let hours = until.saturating_sub(dns::client::unix_seconds()) / 3_600;
                info!("{}: has a certificate for {hours} h", task.host);
                self.failed.remove(&task.host);
                Ok(true)
            }
            Err(reason) => {
                let told = authority.told_to_wait().unwrap_or_default();
                let wait =
                    self.failed.get(&task.host).map_or(FAILED_SECONDS, |failed| 2 * failed.wait.as_secs());
                let wait = Duration::from_secs(wait.min(FAILED_SECONDS_MOST)).max(told);
                warn!("{}: no certificate, next try in {} s: {reason}", task.host, wait.as_secs());
                let failed = Failed { request: task.request.clone(), wait, until: Instant::now() + wait };
                self.failed.insert(task.host.clone(), failed);
                Ok(false)
            }
        }
    }

    /// When the certificate ends that was issued and written, in seconds since 1970.
    async fn issued(&self, authority: &Authority, task: &Task) -> Result<u64, String> {
        let Request { key, .. } =
            tlsa::read_request(&task.request).map_err(|_| "the request is unreadable")?;
        let order =
            Order { names: &task.names, request: &task.request, key: &key, profile: None, replaces: None };
        let prover = ByZone { zone: &self.primary, propagation: self.propagation };
        let chain = authority.issue(&order, &prover).await.map_err(|error| error.to_string())?;
        let zone = self.primary.zone();
        let publication = tlsa::publication(zone, &task.owner, &task.found, &chain.certificates);
        self.primary.update(&publication).await.map_err(|error| error.to_string())?;
        Ok(chain.issued.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], expected: Option<&[u8]>) {
        assert_eq!(notified(message).as_deref(), expected);
    }

    #[test]
    fn only_notifications_are_answered() {
        const QUESTION: &[u8] = b"\x07example\x03org\x00\x00\x06\x00\x01";
        let message = |flags: u8| [&[7, 7, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat();
        check(&message(0x24), Some(&[&[7, 7, 0xa0, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat()));
        check(&message(0x00), None);
        check(&message(0xa4), None);
        check(b"\x07\x07\x24", None);
    }
}
