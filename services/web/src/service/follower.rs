//! The one task that has the copy of the repository: pulls, loads, swaps, compresses.
//!
//! ```text
//!     poll ─┐
//!     call ─┴─► pull ─► another head? ─► load ─┬─ complete ─► swapped in ─► callers told ─► compressed
//!                                              └─ broken ─► the version before goes on ─► callers told
//! ```

use super::server::Server;
use crate::{
    limits::{FREE_BYTES, FREE_PART, START_PAUSE_SECONDS_MOST},
    site::{
        Broken, Loader, Settings,
        compress::{Compressor, compressed_bytes},
        load::Warnings,
    },
};
use log::{info, warn};
use runtime::{Stop, connect::Connect};
use std::{fmt, rc::Rc, time::Duration};
use store::{ObjectId, Store, remote::Remote};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

/// How a repository is followed.
pub struct Options {
    /// What of it is served.
    pub settings: Rc<Settings>,
    /// How much of it is fetched, and whose commits are taken.
    pub store: store::Options,
    /// Between two looks at the remote.
    pub poll: Duration,
    /// How long to wait for it at the start.
    pub start_timeout: Option<Duration>,
}

/// What came of a pull; what callers of the webhook are told.
#[derive(Clone, Debug)]
pub enum Pulled {
    /// A version is served that was not before, with so many files.
    New(ObjectId, usize),
    /// There is nothing new.
    Same(Option<ObjectId>),
    /// The new version cannot be served, so the one before still is.
    Broken(ObjectId, Broken),
    /// The remote cannot be reached.
    Unreachable(String),
}

impl fmt::Display for Pulled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(commit, files) => write!(formatter, "pulled {commit}: {files} files"),
            Self::Same(Some(commit)) => write!(formatter, "pulled, no changes: {commit}"),
            Self::Same(None) => formatter.write_str("pulled, no commit yet"),
            Self::Broken(commit, reason) => {
                write!(formatter, "{commit} is not served, the version before still is: {reason}")
            }
            Self::Unreachable(reason) => {
                write!(formatter, "not pulled, the version before is still served: {reason}")
            }
        }
    }
}

/// How long loading goes on before others get their turn.
const LOAD_STEP: Duration = Duration::from_millis(2);

/// Whether there is memory for so many octets more.
pub type Room = fn(usize) -> bool;

/// That of the image: what connections need stays free. On the host there always is.
fn room(octets: usize) -> bool {
    let platform::Memory { total, used } = platform::memory();
    let reserve = FREE_BYTES.max(total / FREE_PART);
    total == 0 || used.saturating_add(octets).saturating_add(reserve) <= total
}

/// Clones the repository, and serves what is on its branch from then on.
pub async fn follow<C: Connect + Clone>(
    remote: Remote<C>,
    options: Options,
    server: Rc<Server>,
) -> Result<(), Stop> {
    let store = clone(remote, &options).await?;
    let poll = options.poll;
    let mut follower = Follower::new(store, options.settings, server, room);
    let outcome = follower.load().await;
    follower.report(&outcome);
    follower.run(poll).await
}

async fn clone<C: Connect + Clone>(remote: Remote<C>, options: &Options) -> Result<Store<C>, Stop> {
    let start = Instant::now();
    let mut pause = 1;
    loop {
        let error = match Store::clone(remote.clone(), options.store.clone()).await {
            Ok(store) => {
                let milliseconds = start.elapsed().as_millis();
                info!("{}: branch {}, cloned in {milliseconds} ms", store.remote().location, store.branch());
                return Ok(store);
            }
            Err(error) => error,
        };
        let seconds = start.elapsed().as_secs();
        if options.start_timeout.is_some_and(|timeout| start.elapsed() + Duration::from_secs(pause) > timeout)
        {
            return Err(Stop::Failed(format!("{error}; given up after {seconds} s (--start-timeout)")));
        }
        let advice =
            if error.is_temporary() { "" } else { ", which only helps if somebody repairs it there" };
        warn!("{error}; nothing is served yet, trying again in {pause} s{advice}");
        sleep(Duration::from_secs(pause)).await;
        pause = (2 * pause).min(START_PAUSE_SECONDS_MOST);
    }
}

/// A copy of the repository, and whom it is for.
pub struct Follower<C: Connect> {
    store: Store<C>,
    settings: Rc<Settings>,
    server: Rc<Server>,
    room: Room,
    /// The last version that could not be served.
    refused: Option<ObjectId>,
    /// Why the last pull failed, if it did: told once.
    outage: Option<String>,
    compressor: Option<Compressor>,
}

impl<C: Connect> Follower<C> {
    /// Follows the branch of `store`.
    pub fn new(store: Store<C>, settings: Rc<Settings>, server: Rc<Server>, room: Room) -> Self {
        Self { store, settings, server, room, refused: None, outage: None, compressor: None }
    }

    /// Pulls every now and then, and whenever somebody calls. Never ends.
    pub async fn run(mut self, poll: Duration) -> Result<(), Stop> {
        loop {
            let due = Instant::now() + poll;
            let mut is_called = false;
            // As long as there is something to compress, that; a call comes first.
            while let Some(compressor) = &mut self.compressor {
                if compressor.step(&self.room) {
                    self.compressor = None;
                    info!("compressed forms take {} KiB", compressed_bytes(&self.server.sites()) / 1024);
                }
                is_called = timeout(Duration::ZERO, self.server.called()).await.is_ok();
                if is_called || Instant::now() >= due {
                    break;
                }
                yield_now().await;
            }
            if !is_called {
                is_called = timeout(due.saturating_duration_since(Instant::now()), self.server.called())
                    .await
                    .is_ok();
            }
            let waiting = self.server.take_waiting();
            let outcome = self.pull(is_called).await;
            self.report(&outcome);
            for sender in waiting {
                let _ = sender.send(outcome.clone()); // who no longer waits is told by the log
            }
        }
    }

    /// Pulls, and loads what is new. What was refused before is tried again if somebody calls: memory may be free by now.
    async fn pull(&mut self, is_called: bool) -> Pulled {
        if let Err(error) = self.store.pull().await {
            return Pulled::Unreachable(error.to_string());
        }
        let head = self.store.head();
        if head == self.server.sites().commit() || (head == self.refused && !is_called) {
            return Pulled::Same(head);
        }
        self.load().await
    }

    /// Loads the version that the copy has, and swaps it in if it is complete.
    pub async fn load(&mut self) -> Pulled {
        let Some(head) = self.store.head() else { return Pulled::Same(None) };
        match self.try_load(head).await {
            Ok(files) => {
                self.refused = None;
                Pulled::New(head, files)
            }
            Err(reason) => {
                self.refused = Some(head);
                Pulled::Broken(head, reason)
            }
        }
    }

    async fn try_load(&mut self, head: ObjectId) -> Result<usize, Broken> {
        // What is not compressed yet of the version before may be gone.
        self.compressor = None;
        let old = self.server.sites();
        let mut loader = Loader::new(self.store.repository(), head, &self.settings, &old)?;
        drop(old);
        let mut turn = Instant::now();
        while !loader.step(self.store.repository(), &self.room)? {
            if turn.elapsed() >= LOAD_STEP {
                yield_now().await;
                turn = Instant::now();
            }
        }
        let (sites, Warnings { first, count }) = loader.finish()?;
        for warning in &first {
            warn!("{warning}");
        }
        if count > first.len() {
            warn!("{} more warnings", count - first.len());
        }
        let files = sites.files();
        self.compressor = Some(Compressor::new(&sites));
        self.server.swap(Rc::new(sites));
        Ok(files)
    }

    /// Logs what came of a pull, unless it is what it was.
    pub fn report(&mut self, outcome: &Pulled) {
        let was = self.outage.take();
        match outcome {
            Pulled::Unreachable(reason) => {
                if was.as_ref() != Some(reason) {
                    warn!("{outcome}");
                }
                self.outage = Some(reason.clone());
                return;
            }
            Pulled::New(..) => {
                let after = platform::clock::since_entry() / 1_000;
                info!("{outcome}, {after} us after entry");
            }
            Pulled::Broken(..) => warn!("{outcome}"),
            Pulled::Same(None) => warn!("{outcome}"),
            Pulled::Same(_) => {}
        }
        if was.is_some() {
            info!("the remote answers again");
        }
    }
}
