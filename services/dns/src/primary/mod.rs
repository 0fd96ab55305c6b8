//! The primary: zones and keys live in a git repository, and so does every change to them.
//!
//! ```text
//!            ┌── polling, signed NOTIFY ──► pull ───────────────┐
//!   remote ──┤                                                  ├─► what changed ─► zones, keys, served
//!            └── push ◄── a commit each ◄── updates that wait ──┘         └─► then the updates are answered
//! ```
//!
//! **An update is answered when its commit is in the remote's branch, not before.** Updates that come while a push is under
//! way wait and go together: a commit each, one push. Where somebody else pushed first, they are carried out anew on what is
//! there now. While the remote cannot be reached, zones are served as they are and updates are answered with SERVFAIL.

mod execute;
mod files;
mod message;
mod outage;
mod source;

pub use execute::Update;
pub use files::Server;
pub use source::{Make, Source};

use crate::limits::UPDATES_TOGETHER;
use crate::name::HashKey;
use crate::query::Rcode;
use execute::{Answer, Context, Outcome, execute};
use files::Files;
use log::{debug, info, warn};
use outage::Outage;
use std::{cell::RefCell, rc::Rc, time::Duration};
use store::{ObjectId, Repository};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

/// An update that waits, and where its answer goes.
#[derive(Debug)]
pub struct Waiting {
    /// The update.
    pub update: Update,
    /// Takes the answer.
    pub answer: oneshot::Sender<Rcode>,
}

/// How others reach the primary.
#[derive(Clone, Debug)]
pub struct Handle {
    updates: mpsc::Sender<Waiting>,
    notified: Rc<Notify>,
}

impl Handle {
    /// Carries an update out, and returns when it is in the repository, or why it is not.
    pub async fn update(&self, update: Update) -> Rcode {
        let (answer, answered) = oneshot::channel();
        // Full: the client tries again, and those that wait keep their turn.
        if self.updates.try_send(Waiting { update, answer }).is_err() {
            return Rcode::ServFail;
        }
        answered.await.unwrap_or(Rcode::ServFail)
    }

    /// Has the primary pull soon. Several calls in a row are one pull.
    pub fn pull(&self) {
        self.notified.notify_one();
    }
}

/// See the module.
pub struct Primary<S> {
    source: S,
    server: Rc<RefCell<dyn Server>>,
    key: HashKey,
    files: Files,
    /// The commit that is served.
    loaded: Option<ObjectId>,
    outage: Outage,
    updates: mpsc::Receiver<Waiting>,
    notified: Rc<Notify>,
    /// Seconds since 1970.
    clock: fn() -> i64,
}

impl<S: Source> Primary<S> {
    /// Serves what `source` has now.
    pub fn new(
        source: S,
        server: Rc<RefCell<dyn Server>>,
        key: HashKey,
        clock: fn() -> i64,
    ) -> (Primary<S>, Handle) {
        let (sender, updates) = mpsc::channel(UPDATES_TOGETHER);
        let notified = Rc::new(Notify::new());
        let handle = Handle { updates: sender, notified: notified.clone() };
        let (files, outage) = (Files::default(), Outage::default());
        let mut primary =
            Primary { source, server, key, files, loaded: None, outage, updates, notified, clock };
        primary.load(&[]);
        (primary, handle)
    }

    /// Pulls every `poll` and when told to, and carries out updates; for ever.
    pub async fn run(mut self, poll: Duration) {
        let mut next_pull = Instant::now() + poll;
        let notified = self.notified.clone();
        loop {
            tokio::select! {
                waiting = self.updates.recv() => match waiting {
                    Some(first) => self.carry_out(first).await,
                    // Nobody can send one any more; zones are still polled.
                    None => tokio::time::sleep_until(next_pull).await,
                },
                () = notified.notified() => self.pull().await,
                () = tokio::time::sleep_until(next_pull) => {
                    next_pull = Instant::now() + poll;
                    self.pull().await;
                }
            }
        }
    }

    async fn pull(&mut self) {
        match self.source.pull().await {
            Ok(()) => {
                self.outage.over();
                self.load(&[]);
            }
            Err(error) => self.outage.failed(&error, self.server.borrow().zones()),
        }
    }

    /// Carries out the first update and all that wait with it.
    async fn carry_out(&mut self, first: Waiting) {
        let mut waiting = vec![first];
        while waiting.len() < UPDATES_TOGETHER
            && let Ok(more) = self.updates.try_recv()
        {
            waiting.push(more);
        }
        let (updates, answers): (Vec<Update>, Vec<oneshot::Sender<Rcode>>) =
            waiting.into_iter().map(|waiting| (waiting.update, waiting.answer)).unzip();
        let mut outcome: Option<Outcome> = None;
        let result = {
            let Primary { source, server, key, files, clock, .. } = self;
            let known = |file: &str, version: &ObjectId| {
                let served = files.version(file) == Some(*version);
                let apex = served.then(|| crate::zone_name(file, key).ok()).flatten()?;
                server.borrow().zone(&apex)
            };
            let mut make = |repository: &mut Repository, base: Option<ObjectId>| {
                let Some(base) = base else { return Ok(None) };
                let context = Context { key, now: clock(), known: &known };
                let outcome = outcome.insert(execute(repository, base, &updates, context)?);
                Ok(Some(outcome.head))
            };
            source.transact(&mut make).await
        };
        match (result, outcome) {
            (Ok(()), Some(outcome)) => {
                self.outage.over();
                self.load(&outcome.zones);
                tell(outcome.answers, answers);
            }
            (Ok(()), None) => tell_all(&updates, answers, &"the branch has no commit yet"),
            (Err(error), _) => {
                self.outage.failed(&error, self.server.borrow().zones());
                tell_all(&updates, answers, &error);
                // The copy may have seen what others pushed before it failed.
                self.load(&[]);
            }
        }
    }

    /// Serves the head that the copy has now; `prepared` are zones of it that were read already.
    fn load(&mut self, prepared: &files::Prepared) {
        let head = self.source.head();
        let Some(head) = head.filter(|head| self.loaded != Some(*head)) else { return };
        let server = &mut *self.server.borrow_mut();
        match self.files.apply(self.source.repository(), &head, prepared, &self.key, server) {
            Ok(changed) => {
                debug!("commit {head}: {changed} files differ");
                self.loaded = Some(head);
            }
            Err(error) => warn!("commit {head} cannot be read: {error}; what was served before stays"),
        }
    }
}

fn tell(outcome: Vec<Answer>, answers: Vec<oneshot::Sender<Rcode>>) {
    for (Answer { rcode, note }, answer) in outcome.into_iter().zip(answers) {
        if rcode == Rcode::NoError {
            info!("{note}");
        } else {
            warn!("{note}");
        }
        // The client may have gone; what it asked for is done all the same.
        let _ = answer.send(rcode);
    }
}

fn tell_all(updates: &[Update], answers: Vec<oneshot::Sender<Rcode>>, reason: &dyn std::fmt::Display) {
    for (update, answer) in updates.iter().zip(answers) {
        let Update { zone, key, peer, .. } = update;
        let zone = crate::to_text(zone);
        warn!(
            "{zone}: update by {peer} with key {key} is not carried out and answered with SERVFAIL: {reason}"
        );
        let _ = answer.send(Rcode::ServFail);
    }
}

#[cfg(test)]
mod tests;
