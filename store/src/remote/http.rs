//! Smart HTTP: each request of the protocol is one of HTTP, and its answer the response's body.
//!
//! ```text
//!     GET  …/info/refs?service=git-upload-pack ─► advertisement      Git-Protocol: version=2
//!     POST …/git-upload-pack   request ─────────► packets
//! ```
//!
//! gitprotocol-http. Where the first request is redirected on the same host, the others go there too.

use super::{
    Location, Problem,
    advertisement::Service,
    limits::{HTTP_ERROR_BYTES, HTTP_REDIRECTIONS, READ_BYTES},
    packets::{Duplex, Packets},
    problem::printable,
};
use runtime::{
    connect::Connect,
    http::{self, Body, Client, HeaderValue, Method, Received, Request, Response, StatusCode, Uri, header},
};
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

/// A repository behind an HTTP server.
pub struct Exchange<C: Connect> {
    client: Rc<Client<C>>,
    /// The repository's URL, without user and password.
    base: String,
    location: Location,
}

impl<C: Connect> Exchange<C> {
    /// Asks for a service; gives what it says first.
    pub async fn open(
        client: Rc<Client<C>>,
        location: &Location,
        service: Service,
    ) -> Result<(Self, Packets), Problem> {
        let scheme = location.scheme.name();
        let base = format!("{scheme}://{}{}", location.authority(), location.path);
        let mut exchange = Self { client, base, location: location.clone() };
        for _ in 0..HTTP_REDIRECTIONS {
            let suffix = format!("/info/refs?service={}", service.name());
            let asked = exchange.url(&suffix)?;
            let request = exchange.request(asked.clone(), service, Body::empty());
            let response = exchange.client.request(request).await.map_err(problem)?;
            if !response.status().is_redirection() {
                let response = exchange.checked(response, service, "advertisement").await?;
                return Ok((exchange, packets(response)));
            }
            let to = http::redirection(&asked, &response).map(|to| to.to_string());
            let base = to.as_deref().and_then(|to| to.strip_suffix(&suffix)).map(str::to_owned);
            exchange.base = base.ok_or_else(|| elsewhere(&response))?;
        }
        Err(Problem::Http { status: 310, message: "the server redirects in circles".to_owned() })
    }

    /// Sends a request of the protocol; gives the answer.
    pub async fn post(&self, service: Service, message: Vec<u8>) -> Result<Packets, Problem> {
        let url = self.url(&format!("/{}", service.name()))?;
        let mut request = self.request(url, service, Body::from(message));
        *request.method_mut() = Method::POST;
        for (name, what) in [(header::CONTENT_TYPE, "request"), (header::ACCEPT, "result")] {
            let kind = HeaderValue::try_from(format!("application/x-{}-{what}", service.name()));
            request.headers_mut().extend(kind.ok().map(|kind| (name, kind)));
        }
        let response = self.client.request(request).await.map_err(problem)?;
        Ok(packets(self.checked(response, service, "result").await?))
    }

    fn url(&self, suffix: &str) -> Result<Uri, Problem> {
        let url = format!("{}{suffix}", self.base);
        url.parse().map_err(|_| {
            Problem::Argument("--remote: its path has characters that URLs do not have".to_owned())
        })
    }

    fn request(&self, url: Uri, service: Service, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        if service == Service::UploadPack {
            headers.insert("git-protocol", HeaderValue::from_static("version=2"));
        }
        if let Some(user) = &self.location.user {
            let password = self.location.password.as_ref().map_or("", |password| password.expose());
            headers.insert(
                header::AUTHORIZATION,
                http::basic_authorization(user.as_bytes(), password.as_bytes()),
            );
        }
        request
    }

    /// The response, if it is what was asked for.
    async fn checked(
        &self,
        response: Response<Received>,
        service: Service,
        what: &str,
    ) -> Result<Received, Problem> {
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            let (how, user) = match &self.location.user {
                Some(user) => ("the password of --remote", user.clone()),
                None => ("no password: give https://USER:PASSWORD@ in --remote", "anonymous".to_owned()),
            };
            return Err(Problem::Authentication { how, user });
        }
        if status != StatusCode::OK {
            let message = match status {
                StatusCode::NOT_FOUND => {
                    "there is no such repository, or it does not serve git; check the path of --remote"
                        .to_owned()
                }
                StatusCode::PAYLOAD_TOO_LARGE => {
                    "the server takes no pushes of this size (nginx: client_max_body_size)".to_owned()
                }
                _ => said(response.into_body()).await,
            };
            return Err(Problem::Http { status: status.as_u16(), message });
        }
        let expected = format!("application/x-{}-{what}", service.name());
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_none_or(|kind| !kind.eq_ignore_ascii_case(&expected)) {
            let kind = printable(kind.unwrap_or("nothing said").as_bytes());
            return Err(Problem::NotGit {
                seen: format!("{} (content type {kind})", said(response.into_body()).await),
            });
        }
        Ok(response.into_body())
    }
}

fn elsewhere(response: &Response<Received>) -> Problem {
    let to = response.headers().get(header::LOCATION).map(|to| printable(to.as_bytes())).unwrap_or_default();
    let message = format!("the server sends us elsewhere, to {to}; if that is right, give it as --remote");
    Problem::Http { status: response.status().as_u16(), message }
}

/// The first line of a body that is an error.
async fn said(mut body: Received) -> String {
    let piece = body.piece().await.ok().flatten().unwrap_or_default();
    let line =
        piece[..piece.len().min(HTTP_ERROR_BYTES)].split(|&byte| byte == b'\n').next().unwrap_or_default();
    printable(&line[..line.len().min(100)])
}

fn problem(error: http::Error) -> Problem {
    match error {
        http::Error::NotConnected(error) => Problem::Connect(error),
        http::Error::Silent(seconds) => Problem::Silent { seconds },
        http::Error::BadRequest(reason) => Problem::Argument(format!("--remote: {reason}")),
        error => Problem::Closed { complaint: None, cause: Some(io::Error::other(error.to_string())) },
    }
}

/// The packets of a body.
fn packets(mut body: Received) -> Packets {
    let (reader, mut writer) = tokio::io::duplex(READ_BYTES);
    let broken = Rc::new(RefCell::new(None));
    let why = broken.clone();
    // Ends when the body does, or when the packets are no longer wanted; the body's waits are bounded.
    runtime::spawn(async move {
        loop {
            match body.piece().await {
                Ok(Some(piece)) => {
                    if writer.write_all(&piece).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    *why.borrow_mut() = Some(error.to_string());
                    return;
                }
            }
        }
    });
    Packets::new(BodyStream { reader, broken })
}

/// A body as a stream, to which nothing is written.
struct BodyStream {
    reader: DuplexStream,
    broken: Rc<RefCell<Option<String>>>,
}

impl AsyncRead for BodyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.reader).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => {
                let broken = self.broken.borrow_mut().take();
                Poll::Ready(broken.map_or(Ok(()), |reason| Err(io::Error::other(reason))))
            }
            other => other,
        }
    }
}

impl AsyncWrite for BodyStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Duplex for BodyStream {}
