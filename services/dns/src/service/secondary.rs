//! The secondary role: a zone fetched from its primary, kept fresh, and given up once it is too old (RFC 1034 §4.3.5).
//!
//! ```text
//! fetch ─► SOA record, newer? ─► IXFR, AXFR where that fails ─► served
//!   ▲                                                             │
//!   └── refresh (no answer: retry), or a NOTIFY (RFC 1996) ◄──────┘   expire without an answer: SERVFAIL
//! ```

use super::Server;
use crate::client::{self, ClientError};
use crate::limits;
use crate::name::{Name, to_text};
use crate::record::{is_later, soa_field};
use crate::transfer::{Outcome, TransferError};
use crate::tsig::Key;
use crate::zone::Zone;
use log::{info, warn};
use runtime::connect::Connect;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// Who has a zone, and the key that gets it.
pub type Primary = (IpAddr, Rc<Key>);

/// A zone that comes from others.
pub struct Secondary {
    apex: Name,
    /// Where from, and with which key, in the order they are asked.
    primaries: Vec<Primary>,
    wake: Notify,
}

impl Secondary {
    /// The zone called `apex`, which one of these has.
    pub fn new(apex: Name, primaries: Vec<Primary>) -> Secondary {
        Secondary { apex, primaries, wake: Notify::new() }
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Whether this is one of those that we get the zone from.
    pub fn is_primary(&self, address: IpAddr) -> bool {
        self.primaries.iter().any(|(primary, _)| *primary == address)
    }

    /// Where the primaries are, in the order they are asked.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.primaries.iter().map(|(primary, _)| *primary)
    }

    /// Asks the primaries now.
    pub fn refresh(&self) {
        self.wake.notify_one();
    }
}

/// How long until the next attempt, and how old the zone may become; from its SOA record.
#[derive(Clone, Copy, Debug)]
struct Timers {
    refresh: Duration,
    retry: Duration,
    expire: Duration,
}

impl Timers {
    fn of(zone: &Zone) -> Timers {
        let data = zone.soa().map(|soa| soa.data).unwrap_or_default();
        let field = |number, most| {
            let seconds = u64::from(soa_field(&data, number).unwrap_or(0));
            Duration::from_secs(seconds.clamp(limits::REFRESH_SECONDS_LEAST, most))
        };
        let most = limits::REFRESH_SECONDS_MOST;
        Timers { refresh: field(1, most), retry: field(2, most), expire: field(3, u64::from(u32::MAX)) }
    }
}

/// Keeps the zone as it is with its primaries; for ever.
pub(super) async fn run(server: Rc<RefCell<Server>>, connector: impl Connect, secondary: Rc<Secondary>) {
    let shown = to_text(secondary.apex.wire());
    let mut failures = 0;
    let mut good_until: Option<Instant> = None;
    let places = server.borrow().fetches.clone();
    loop {
        let outcome = {
            let _place = places.acquire().await;
            // In a box: most zones wait most of the time, and there may be thousands.
            Box::pin(refresh(&server, &connector, &secondary)).await
        };
        let zone = server.borrow().authority.zones().get(&secondary.apex);
        let timers = zone.as_deref().map(Timers::of);
        let wait = match (outcome, timers) {
            (Ok(()), Some(timers)) => {
                failures = 0;
                good_until = Some(Instant::now() + timers.expire);
                timers.refresh
            }
            (outcome, timers) => {
                failures += 1;
                if let Err(error) = outcome {
                    warn!("zone {shown}: cannot be refreshed: {error}");
                }
                // Without a zone: soon at first, then less and less often.
                timers.map_or(first_retry(failures), |timers| timers.retry)
            }
        };
        let until = Instant::now() + jittered(wait);
        let next = good_until.map_or(until, |expiry| until.min(expiry));
        // Whoever can send notifications does not make us ask all the time.
        sleep(Duration::from_millis(limits::REFRESH_PAUSE_MS)).await;
        // Woken or not: the next thing to do is the same.
        let _ = timeout(next.saturating_duration_since(Instant::now()), secondary.wake.notified()).await;
        if good_until.is_some_and(|expiry| expiry <= Instant::now()) {
            warn!(
                "zone {shown}: no primary has answered for as long as its SOA record allows; it is answered with SERVFAIL"
            );
            server.borrow_mut().expire(&secondary.apex);
            good_until = None;
        }
    }
}

/// Seconds after so many failures at the beginning.
fn first_retry(failures: u32) -> Duration {
    let seconds = limits::FIRST_RETRY_SECONDS << failures.saturating_sub(1).min(8);
    Duration::from_secs(seconds.min(limits::FIRST_RETRY_SECONDS_MOST))
}

/// A tenth less at most, so that many zones do not ask at once.
fn jittered(wait: Duration) -> Duration {
    wait - wait.mul_f64(f64::from(client::random_id()) / 65_536.0 / 10.0)
}

/// Asks the primaries until one answers.
async fn refresh(
    server: &Rc<RefCell<Server>>,
    connector: &impl Connect,
    secondary: &Secondary,
) -> Result<(), String> {
    let mut reasons = Vec::new();
    for (primary, key) in &secondary.primaries {
        let work = refresh_from(server, connector, &secondary.apex, *primary, key);
        match timeout(Duration::from_secs(limits::TRANSFER_SECONDS), work).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => reasons.push(format!("{primary}: {error}")),
            Err(_) => reasons.push(format!("{primary}: the transfer takes too long")),
        }
    }
    Err(reasons.join("; "))
}

async fn refresh_from(
    server: &Rc<RefCell<Server>>,
    connector: &impl Connect,
    apex: &Name,
    primary: IpAddr,
    key: &Rc<Key>,
) -> Result<(), ClientError> {
    let port = server.borrow().policy.port;
    let host = primary.to_string();
    let connect = || connector.connect(&host, port);
    let mut stream = connect().await?;
    let soa = client::soa(&mut stream, apex.wire(), Some(key)).await?;
    let (old, hash_key) = {
        let server = server.borrow();
        (server.authority.zones().get(apex), *server.authority.zones().key())
    };
    let old_soa = old.as_deref().and_then(Zone::soa);
    if let (Some(new), Some(Some(ours))) = (soa.serial(), old_soa.as_ref().map(crate::Record::serial))
        && !is_later(new, ours)
    {
        return Ok(());
    }
    let room = free_octets();
    let since = old_soa.as_ref();
    let incremental = match since {
        Some(_) => client::transfer(&mut stream, apex, since, Some(key), room, &hash_key).await.ok(),
        None => None,
    };
    let is_whole = matches!(incremental, Some(Outcome::Whole(_)));
    let zone = incremental.and_then(|outcome| applied(outcome, old.as_ref(), &hash_key));
    let (zone, how) = match zone {
        Some(zone) => (zone, if is_whole { "whole" } else { "changes" }),
        None => {
            // Whatever was wrong with the changes (RFC 1995 §4): everything, over a new connection.
            let mut fresh = if since.is_some() { connect().await? } else { stream };
            match client::transfer(&mut fresh, apex, None, Some(key), room, &hash_key).await? {
                Outcome::Whole(zone) => (Rc::from(zone), "whole"),
                _ => return Err(TransferError::Order.into()),
            }
        }
    };
    if old.as_ref().is_some_and(|old| Rc::ptr_eq(old, &zone)) {
        return Ok(());
    }
    let (serial, records) = (zone.serial(), zone.records());
    server.borrow_mut().install(apex, zone).map_err(TransferError::Zone)?;
    info!("zone {}: serial {serial} from {primary}, {how}, {records} records", to_text(apex.wire()));
    Ok(())
}

/// The zone that an incremental transfer makes; `None` where it does not fit to ours.
fn applied(outcome: Outcome, old: Option<&Rc<Zone>>, key: &crate::HashKey) -> Option<Rc<Zone>> {
    match outcome {
        Outcome::UpToDate => old.cloned(),
        Outcome::Whole(zone) => Some(Rc::from(zone)),
        Outcome::Differences(differences) => {
            let mut zone = old?.clone();
            for difference in &differences {
                zone = Rc::new(zone.with(difference, false, key).ok()?.0);
            }
            Some(zone)
        }
    }
}

/// Octets that a zone on its way may take: half of what is free.
fn free_octets() -> usize {
    let platform::Memory { total, used } = platform::memory();
    match total {
        0 => usize::MAX, // the host does not say
        _ => total.saturating_sub(used).saturating_sub(limits::SPARE_OCTETS) / 2,
    }
}
