//! Fetching from a server: where the branch is, and what belongs to it.

use super::{
    Remote,
    advertisement::{Service, Version},
    fetch::{Event, Request, Response},
    limits::{FETCH_SECONDS, LIST_SECONDS},
    problem::Problem,
    references::{self, Head, References},
    session::{Session, limited},
};
use crate::{Format, ObjectId};
use runtime::connect::Connect;

/// A conversation with git-upload-pack.
pub struct Upload<'a, C: Connect> {
    session: Session<C>,
    branch: Option<&'a str>,
}

/// Boundaries of history that came with a pack.
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    /// Commits whose parents were not sent.
    pub shallow: Vec<ObjectId>,
    /// Commits whose parents are no longer missing.
    pub unshallow: Vec<ObjectId>,
}

impl<'a, C: Connect> Upload<'a, C> {
    /// Connects; `branch` is what will be asked about.
    pub async fn open(remote: &Remote<C>, branch: Option<&'a str>) -> Result<Self, Problem> {
        let session = Session::open(remote, Service::UploadPack, branch).await?;
        Ok(Self { session, branch })
    }

    /// The hash that the server's repository uses.
    pub fn format(&self) -> Format {
        self.session.server.format()
    }

    /// Where the branch is.
    pub async fn head(&mut self) -> Result<Head, Problem> {
        let head = limited("listing branches", LIST_SECONDS, self.list()).await?;
        match head.id {
            Some(id) if id.format() != self.format() => Err(Problem::Protocol("an id of another hash")),
            _ => Ok(head),
        }
    }

    async fn list(&mut self) -> Result<Head, Problem> {
        if self.session.server.version() == Version::Zero {
            return self.session.server.references().head();
        }
        let references = self.list_some(false).await?;
        if references.is_found() {
            return references.head();
        }
        self.list_some(true).await?.head()
    }

    async fn list_some(&mut self, all: bool) -> Result<References, Problem> {
        let request = references::request(&self.session.server, self.branch, all);
        self.session.request(request).await?;
        let mut references = References::looking_for(self.branch);
        while !references.handle_line(self.session.next().await?)? {}
        Ok(references)
    }

    /// Fetches; hands over the pack as it comes. What `take` refuses ends it.
    pub async fn fetch(
        mut self,
        request: &Request,
        mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<Boundaries, Problem> {
        limited("fetching", FETCH_SECONDS, async {
            let message = request.encode(&self.session.server)?;
            self.session.request(message).await?;
            let mut response = Response::new(&self.session.server, request);
            loop {
                match response.handle(self.session.next().await?)? {
                    Event::More => {}
                    Event::Pack(data) => take(data)?,
                    Event::End => break,
                }
            }
            let mut shallow = response.shallow().to_vec();
            // Of a server that is shallow itself.
            shallow.extend_from_slice(self.session.server.shallow());
            let unshallow = response.unshallow().to_vec();
            if self.session.server.version() == Version::Two {
                self.session.close().await;
            }
            Ok(Boundaries { shallow, unshallow })
        })
        .await
    }

    /// Ends the conversation without fetching.
    pub async fn close(self) {
        self.session.close().await;
    }
}
