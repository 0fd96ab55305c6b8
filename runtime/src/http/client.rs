//! The client: a few connections that are kept for the next request, and the wait for a response.

use super::{
    Body, Error, H2, HTTP_1_1, Local, Received, Request, Response, Uri,
    patient::Patient,
    url::{self, Origin},
};
use crate::{
    connect::Connect,
    limits::{
        HTTP_CONNECTIONS, HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_IDLE_SECONDS, HTTP_PATIENCE_SECONDS,
        HTTP_WINDOW_BYTES,
    },
    tls::{self, TlsConnector, Trust},
};
use bytes::Bytes;
use http::{HeaderValue, header, uri::PathAndQuery};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("skerry/", env!("CARGO_PKG_VERSION")));

/// An HTTP client. Clones share the connections.
#[derive(Clone)]
pub struct Client<C: Connect>(Rc<Inner<C>>);

struct Inner<C: Connect> {
    plain: C,
    tls: TlsConnector<C>,
    kept: RefCell<Vec<Kept>>,
}

/// A connection that was used, and can be again once its response was read.
struct Kept {
    origin: Origin,
    used: Instant,
    sender: Sender,
}

enum Sender {
    One(http1::SendRequest<Outgoing>),
    Two(http2::SendRequest<Outgoing>),
}

impl<C: Connect + Clone> Client<C> {
    /// A client that connects by `connector`, and over TLS trusts as `trust` says.
    pub fn new(connector: C, trust: &Trust) -> Self {
        let tls = TlsConnector::new(connector.clone(), trust, &[H2, HTTP_1_1]);
        Self(Rc::new(Inner { plain: connector, tls, kept: RefCell::default() }))
    }
}

impl<C: Connect> Client<C> {
    /// Sends a request to the server that its URL names, and waits for the head of the response; the body comes piece by
    /// piece. User and password in the URL become its `Authorization`. Redirections are responses like others.
    ///
    /// Waits as long as the peer takes the body or answers, with pauses of [`HTTP_PATIENCE_SECONDS`] at most. A request that
    /// failed is not repeated unless it surely never left.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Received>, Error> {
        let origin = Origin::of(request.uri())?;
        let mut request = prepared(request)?;
        while let Some(mut sender) = self.0.take(&origin) {
            match sender.send(request).await {
                Ok(response) => return Ok(self.0.keep(origin, sender, response)),
                // The server had closed the connection meanwhile, and the request did not leave.
                Err(Unsent { request: Some(again), .. }) => request = again,
                Err(Unsent { error, request: None }) => return Err(error),
            }
        }
        let mut sender = self.0.connect(&origin).await?;
        match sender.send(request).await {
            Ok(response) => Ok(self.0.keep(origin, sender, response)),
            Err(Unsent { error, .. }) => Err(error),
        }
    }

    /// Asks for what is at `url`.
    pub async fn get(&self, url: &Uri) -> Result<Response<Received>, Error> {
        let request = Request::get(url).body(Body::empty());
        self.request(request.map_err(|_| Error::BadRequest("the URL is none"))?).await
    }
}

/// What a peer is to see, whichever version it speaks: without user and password, with those as authorization.
fn prepared(mut request: Request<Body>) -> Result<Request<Outgoing>, Error> {
    let mut parts = request.uri().clone().into_parts();
    let authority = parts.authority.take().ok_or(Error::BadRequest("the URL has no host"))?;
    let (named, authorization) = (url::without_user(&authority)?, url::authorization(&authority));
    let headers = request.headers_mut();
    if let (Some(value), false) = (authorization, headers.contains_key(header::AUTHORIZATION)) {
        headers.insert(header::AUTHORIZATION, value);
    }
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    parts.authority = Some(named);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::BadRequest("the URL is none"))?;
    Ok(request.map(|body| Outgoing { body, taken: Rc::new(Cell::new(Instant::now())) }))
}

impl<C: Connect> Inner<C> {
    /// A kept connection that is free.
    fn take(&self, origin: &Origin) -> Option<Sender> {
        let oldest = Instant::now().checked_sub(Duration::from_secs(HTTP_IDLE_SECONDS));
        let mut kept = self.kept.borrow_mut();
        kept.retain(|kept| !kept.sender.is_closed() && oldest.is_none_or(|oldest| kept.used >= oldest));
        let found = kept.iter().position(|kept| kept.origin == *origin && kept.sender.is_ready())?;
        Some(kept.swap_remove(found).sender)
    }

    /// Keeps a connection, which is free once the response was read or dropped.
    fn keep(&self, origin: Origin, sender: Sender, response: Response<Incoming>) -> Response<Received> {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= HTTP_CONNECTIONS {
            kept.remove(0);
        }
        kept.push(Kept { origin, used: Instant::now(), sender });
        response.map(Received::new)
    }

    async fn connect(&self, origin: &Origin) -> Result<Sender, Error> {
        if !origin.tls {
            let stream = self.plain.connect(&origin.host, origin.port).await.map_err(Error::NotConnected)?;
            return Sender::one(Patient::new(stream)).await;
        }
        let stream = self.tls.connect(&origin.host, origin.port).await.map_err(Error::NotConnected)?;
        match tls::protocol(&stream) {
            Some(H2) => Sender::two(Patient::new(stream)).await,
            _ => Sender::one(Patient::new(stream)).await,
        }
    }
}

/// Why a request has no response, and the request if it never left.
struct Unsent {
    error: Error,
    request: Option<Request<Outgoing>>,
}

impl Sender {
    /// HTTP/1.1 on a new connection.
    async fn one(stream: Patient) -> Result<Self, Error> {
        let mut builder = http1::Builder::new();
        builder.max_headers(HTTP_HEADERS).max_header_size(HTTP_HEAD_BYTES).max_buf_size(HTTP_HEAD_BYTES);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        crate::spawn(connection);
        Ok(Self::One(sender))
    }

    /// HTTP/2 on a new connection.
    async fn two(stream: Patient) -> Result<Self, Error> {
        let patience = Duration::from_secs(HTTP_PATIENCE_SECONDS);
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).max_header_list_size(HTTP_HEAD_BYTES as u32);
        builder.keep_alive_interval(patience).keep_alive_timeout(patience);
        builder
            .initial_stream_window_size(HTTP_WINDOW_BYTES)
            .initial_connection_window_size(HTTP_WINDOW_BYTES);
        let handshake = timeout(patience, builder.handshake(TokioIo::new(stream)));
        let (sender, connection) = handshake.await.map_err(|_| Error::Silent(HTTP_PATIENCE_SECONDS))??;
        crate::spawn(connection);
        Ok(Self::Two(sender))
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_ready(),
            Self::Two(sender) => sender.is_ready(),
        }
    }

    async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, Unsent> {
        let taken = request.body().taken.clone();
        taken.set(Instant::now());
        match self {
            Self::One(sender) => {
                let url = request.uri().clone();
                let outcome = awaited(sender.try_send_request(with_host(request)), &taken).await;
                outcome.map_err(|mut unsent| {
                    if let Some(request) = &mut unsent.request {
                        *request.uri_mut() = url;
                    }
                    unsent
                })
            }
            Self::Two(sender) => awaited(sender.try_send_request(request), &taken).await,
        }
    }
}

/// As HTTP/1.1 has it: the host in a field, and a path where the URL was (RFC 9112 §3.2).
fn with_host(mut request: Request<Outgoing>) -> Request<Outgoing> {
    let host = request.uri().authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = path.into();
    request
}

/// Waits for a response while the peer gets on with taking the body, and for a while after.
async fn awaited(
    response: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>>,
    taken: &Cell<Instant>,
) -> Result<Response<Incoming>, Unsent> {
    let patience = Duration::from_secs(HTTP_PATIENCE_SECONDS);
    let mut response = pin!(response);
    loop {
        let until = taken.get() + patience;
        match timeout_at(until, &mut response).await {
            Ok(outcome) => {
                return outcome.map_err(|mut error| {
                    let request = error.take_message();
                    Unsent { error: error.into_error().into(), request }
                });
            }
            Err(_) if taken.get() + patience > until => {}
            Err(_) => return Err(Unsent { error: Error::Silent(HTTP_PATIENCE_SECONDS), request: None }),
        }
    }
}

/// A body that notes when a piece of it was last taken.
struct Outgoing {
    body: Body,
    taken: Rc<Cell<Instant>>,
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.taken.set(Instant::now());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
