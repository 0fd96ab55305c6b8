//! `--remote`: zones and keys come from a git repository, and updates go there.
//!
//! At the start the service waits for the repository, longer from try to try, and says why; with `--start-timeout` it gives
//! up and ends with status 1. Later outages end nothing (`primary`).

use super::server::Server;
use super::updates::{Backend, VerifiedUpdate};
use crate::limits::{POLL_SECONDS, POLL_SECONDS_LEAST, POLL_SECONDS_MOST, START_PAUSE_SECONDS_MOST};
use crate::name::Name;
use crate::primary::{self, Handle, Primary, Source, Update};
use crate::query::Rcode;
use crate::zone::Zone;
use crate::zonefile::ZoneError;
use log::{info, warn};
use runtime::connect::Connect;
use runtime::{Argument, Stop};
use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc, time::Duration};
use store::remote::Remote;
use store::{ObjectId, Options, Repository, Store};
use tokio::time::Instant;

/// `--poll`
pub const POLL: Argument = Argument {
    name: "poll",
    value: "SECONDS",
    help: "between two looks at the remote, 1 to 86400; 60 if not given. A signed NOTIFY has it look at once",
};

/// `--start-timeout`
pub const START_TIMEOUT: Argument = Argument {
    name: "start-timeout",
    value: "SECONDS",
    help: "how long to wait for the remote at the start before ending with status 1; for ever if not given",
};

/// What `--poll` takes.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(try_from = "u64")]
pub struct PollSeconds(u64);

impl TryFrom<u64> for PollSeconds {
    type Error = String;

    fn try_from(seconds: u64) -> Result<PollSeconds, String> {
        match seconds {
            POLL_SECONDS_LEAST..=POLL_SECONDS_MOST => Ok(PollSeconds(seconds)),
            _ => Err(format!("{seconds} is not between {POLL_SECONDS_LEAST} and {POLL_SECONDS_MOST}")),
        }
    }
}

/// How the repository is followed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Between two looks at the remote.
    pub poll: Duration,
    /// How long to wait for it at the start.
    pub start_timeout: Option<Duration>,
}

impl Settings {
    /// What the arguments say.
    pub fn new(poll: Option<PollSeconds>, start_timeout: Option<u64>) -> Settings {
        Settings {
            poll: Duration::from_secs(poll.map_or(POLL_SECONDS, |PollSeconds(seconds)| seconds)),
            start_timeout: start_timeout.map(Duration::from_secs),
        }
    }
}

/// Clones the repository, serves what is in it, and has the server hand its updates on to it.
pub async fn start<C: Connect + Clone + 'static>(
    remote: Remote<C>,
    options: Options,
    settings: Settings,
    server: &Rc<RefCell<Server>>,
) -> Result<(), Stop> {
    if let Some(signers) = &options.signers {
        info!("{}: only commits signed by one of {} keys are taken", remote.location, signers.count());
    }
    if let Some(key) = &options.signing_key {
        info!("{}: updates are signed with the key {key}", remote.location);
    } else if options.signers.is_some() {
        warn!("{}: no update can be carried out without --signing-key", remote.location);
    }
    let store = clone(remote, options, settings.start_timeout).await?;
    let head = store.head().map_or_else(|| "no commit yet".to_string(), |head| format!("commit {head}"));
    info!("{}: branch {}, {head}", store.remote().location, store.branch());
    let key = *server.borrow().authority().zones().key();
    let clock = || (platform::clock::wall() / 1_000_000_000) as i64;
    let (primary, handle) = Primary::new(store, server.clone(), key, clock);
    if server.borrow().authority().zones().count() == 0 {
        warn!("no file of the repository is a zone that can be served; waiting for one");
    }
    server.borrow_mut().set_backend(Rc::new(Git(handle)));
    runtime::spawn(primary.run(settings.poll));
    Ok(())
}

async fn clone<C: Connect + Clone>(
    remote: Remote<C>,
    options: Options,
    timeout: Option<Duration>,
) -> Result<Store<C>, Stop> {
    let start = Instant::now();
    let mut pause = 1;
    loop {
        let error = match Store::clone(remote.clone(), options.clone()).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let seconds = start.elapsed().as_secs();
        if timeout.is_some_and(|timeout| start.elapsed() + Duration::from_secs(pause) > timeout) {
            return Err(Stop::Failed(format!("{error}; given up after {seconds} s (--start-timeout)")));
        }
        let advice =
            if error.is_temporary() { "" } else { ", which only helps if somebody repairs it there" };
        warn!("{error}; nothing is served yet, trying again in {pause} s{advice}");
        tokio::time::sleep(Duration::from_secs(pause)).await;
        pause = (2 * pause).min(START_PAUSE_SECONDS_MOST);
    }
}

/// Hands on what the server has checked.
struct Git(Handle);

impl Backend for Git {
    fn update(&self, update: VerifiedUpdate) -> Pin<Box<dyn Future<Output = Rcode>>> {
        let VerifiedUpdate { zone, scope, key, peer, message } = update;
        let handle = self.0.clone();
        Box::pin(async move { handle.update(Update { zone, scope, key, peer, message }).await })
    }

    fn pull(&self) {
        self.0.pull();
    }
}

impl primary::Server for Server {
    fn zone(&self, apex: &Name) -> Option<Rc<Zone>> {
        self.authority().zones().get(apex)
    }

    fn zones(&self) -> usize {
        self.own.len()
    }

    fn install(&mut self, apex: &Name, zone: Rc<Zone>) -> Result<(), String> {
        Server::install(self, apex, zone)?;
        if self.own.insert(apex.wire().to_vec()) {
            self.to_fetch.notify_one();
        }
        Ok(())
    }

    fn remove(&mut self, apex: &Name) {
        Server::remove(self, apex);
        self.own.remove(apex.wire());
        self.to_fetch.notify_one();
    }

    fn load_keys(&mut self, file: &str, text: &[u8]) -> Result<Vec<String>, ZoneError> {
        self.load_key_file(file, text)
    }

    fn forget_keys(&mut self, file: &str) {
        self.forget_key_file(file);
    }
}

impl<C: Connect> Source for Store<C> {
    type Error = String;

    fn repository(&self) -> &Repository {
        Store::repository(self)
    }

    fn head(&self) -> Option<ObjectId> {
        Store::head(self)
    }

    async fn pull(&mut self) -> Result<(), String> {
        Store::pull(self).await.map(drop).map_err(|error| error.to_string())
    }

    async fn transact(&mut self, make: &mut primary::Make<'_>) -> Result<(), String> {
        Store::transact(self, make).await.map(drop).map_err(|error| error.to_string())
    }
}
