//! Pushing to a server, which moves a branch only from where it is known to be.

use super::{
    Remote,
    advertisement::Service,
    limits::PUSH_SECONDS,
    problem::Problem,
    push::{Command, Report, Verdict},
    references::Head,
    session::{Session, limited},
};
use crate::Format;
use runtime::connect::Connect;

/// A conversation with git-receive-pack.
pub struct Receive<C: Connect> {
    session: Session<C>,
}

/// A push of which no verdict came.
#[derive(Debug)]
pub struct PushProblem {
    /// What went wrong.
    pub problem: Problem,
    /// Whether the command may have reached the server, which may then have carried it out.
    pub sent: bool,
}

impl<C: Connect> Receive<C> {
    /// Connects; `branch` is what will be moved.
    pub async fn open(remote: &Remote<C>, branch: &str) -> Result<Self, Problem> {
        let session = Session::open(remote, Service::ReceivePack, Some(branch)).await?;
        Ok(Self { session })
    }

    /// The hash that the server's repository uses.
    pub fn format(&self) -> Format {
        self.session.server.format()
    }

    /// Where the branch is now; without an id if it does not exist.
    pub fn head(&self) -> Result<Head, Problem> {
        match self.session.server.references().head() {
            Err(Problem::NoBranch { branch, .. }) => Ok(Head { branch, id: None }),
            head => head,
        }
    }

    /// Moves the branch.
    pub async fn push(mut self, command: &Command, pack: &[u8]) -> Result<Verdict, PushProblem> {
        limited("pushing", PUSH_SECONDS, async {
            let message = command.encode(&self.session.server, pack);
            self.session.request(message).await?;
            let mut report = Report::new(&self.session.server);
            loop {
                if let Some(verdict) = report.handle(self.session.next().await?)? {
                    return Ok(verdict);
                }
            }
        })
        .await
        .map_err(|problem| {
            // These are answers too: the command was not carried out.
            let answered = matches!(
                problem,
                Problem::Http { status: 400..500, .. } | Problem::Authentication { .. } | Problem::Connect(_)
            );
            PushProblem { problem, sent: !answered }
        })
    }

    /// Ends the conversation without pushing.
    pub async fn close(self) {
        self.session.close().await;
    }
}
