//! What answers requests: the version that is served at the moment, the webhook, and what was counted.

use crate::{
    answer::{self, Payload, Policy, host::host},
    hook::{Rate, Secret},
    limits::{LOGGED_BYTES, UNWANTED_BYTES},
    site::Sites,
};
use log::info;
use runtime::certificate::Certificates;
use runtime::http::{
    Body, HeaderMap, HeaderValue, Method, Received, Request, Response, StatusCode, Uri, Version, header,
};
use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    net::IpAddr,
    rc::Rc,
};
use tokio::sync::{Notify, oneshot};

use super::follower::Pulled;

/// What a server does, by its arguments.
pub struct Setup {
    /// What is the same for all pages.
    pub policy: Policy,
    /// What is shown over TLS, and to an authority that validates our names.
    pub certificates: Certificates,
    /// What callers of the webhook know; without it there is none.
    pub hook: Option<Secret>,
    /// Where they call.
    pub hook_path: String,
    /// Where requests in the clear are sent, if they are; once there is a certificate.
    pub redirection: Option<Redirection>,
    /// Whether each request is logged.
    pub is_logging: bool,
}

/// To HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// On this port.
    pub port: u16,
}

/// The server.
pub struct Server {
    pub(super) setup: Setup,
    sites: RefCell<Rc<Sites>>,
    counters: Counters,
    /// Calls of the webhook that are being read.
    pub(super) calls: Cell<usize>,
    pub(super) rate: Cell<Rate>,
    /// Who waits for what comes of the next pull, and that somebody does.
    waiting: RefCell<Vec<oneshot::Sender<Pulled>>>,
    called: Notify,
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Since boot.
#[derive(Debug, Default)]
struct Counters {
    /// By the first digit of their status.
    responses: [Cell<u64>; 5],
    octets: Cell<u64>,
    handshakes_failed: Cell<u64>,
    broken: Cell<u64>,
    calls_refused: Cell<u64>,
}

fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get().wrapping_add(more));
}

impl Server {
    /// Without any version yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            sites: RefCell::default(),
            counters: Counters::default(),
            calls: Cell::default(),
            rate: Cell::default(),
            waiting: RefCell::default(),
            called: Notify::new(),
        }
    }

    /// The version that is served.
    pub fn sites(&self) -> Rc<Sites> {
        self.sites.borrow().clone()
    }

    /// Serves another version from the next request on.
    pub fn swap(&self, sites: Rc<Sites>) {
        *self.sites.borrow_mut() = sites;
    }

    /// Has the follower pull, and says what comes of it.
    pub(super) fn pull(&self) -> oneshot::Receiver<Pulled> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|sender| !sender.is_closed());
        waiting.push(sender);
        self.called.notify_one();
        receiver
    }

    /// Until somebody wants a pull.
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }

    /// Whoever has called by now.
    pub(super) fn take_waiting(&self) -> Vec<oneshot::Sender<Pulled>> {
        self.waiting.take()
    }

    pub(super) fn count_handshake_failure(&self) {
        count(&self.counters.handshakes_failed, 1);
    }

    pub(super) fn count_broken(&self) {
        count(&self.counters.broken, 1);
    }

    pub(super) fn count_refused_call(&self) {
        count(&self.counters.calls_refused, 1);
    }

    /// What was counted, in words.
    pub fn counters(&self) -> String {
        let Counters { responses, octets, handshakes_failed, broken, calls_refused } = &self.counters;
        let mut text = String::from("http");
        for (number, counter) in responses.iter().enumerate() {
            let _ = write!(text, " {}xx {}", number + 1, counter.get()); // a string takes everything
        }
        let [octets, handshakes_failed, broken, calls_refused] =
            [octets, handshakes_failed, broken, calls_refused].map(Cell::get);
        let _ = write!(
            text,
            "; body octets {octets}; handshakes failed {handshakes_failed}; connections broken {broken}; calls refused {calls_refused}"
        );
        text
    }

    /// Answers a request.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Received>,
        peer: IpAddr,
        is_tls: bool,
    ) -> Response<Body> {
        let (method, uri, version) = (request.method().clone(), request.uri().clone(), request.version());
        let line = self.setup.is_logging.then(|| Line::new(&request, peer));
        let response = if self.setup.hook.is_some() && uri.path() == self.setup.hook_path {
            self.called_by(request, is_tls).await
        } else {
            let response = self.answer(&method, &uri, version, request.headers(), is_tls);
            if method != Method::GET && method != Method::HEAD {
                drain(request.into_body()).await;
            }
            response
        };
        let length = response.body().len();
        let status = response.status();
        if let Some(class) = self.counters.responses.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count(class, 1);
        }
        count(&self.counters.octets, length);
        if let Some(line) = line {
            line.log(&method, &uri, version, status, length);
        }
        response.map(|payload| match payload {
            Payload::Empty => Body::empty(),
            Payload::Whole(octets) => octets.into(),
            Payload::Pieces(pieces) => Body::several(pieces),
        })
    }

    /// Everything but calls of the webhook.
    fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        is_tls: bool,
    ) -> Response<Payload> {
        let is_head = *method == Method::HEAD;
        // RFC 8555 §8.3: before all that would send the authority elsewhere.
        if let Some(proof) = self.setup.certificates.http_01(uri.path()) {
            let mut response = answer::line(StatusCode::OK, proof, is_head);
            response.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
            return response;
        }
        let Some(host) = host(uri, headers, version >= Version::HTTP_11) else {
            return answer::text(StatusCode::BAD_REQUEST, is_head);
        };
        if let (Some(redirection), false, true) =
            (self.setup.redirection, is_tls, self.setup.certificates.is_ready())
        {
            return redirection.response(&host, uri, is_head);
        }
        let sites = self.sites();
        if sites.commit().is_none() {
            let mut response = answer::text(StatusCode::SERVICE_UNAVAILABLE, is_head);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        if *method == Method::OPTIONS && uri.path() == "*" {
            return answer::with_allow(Response::new(Payload::Empty), StatusCode::NO_CONTENT, answer::ALLOW);
        }
        match sites.of(&host) {
            Some(site) => answer::answer(site, &self.setup.policy, method, uri, headers, now()),
            None => answer::text(StatusCode::MISDIRECTED_REQUEST, is_head),
        }
    }
}

impl Redirection {
    fn response(self, host: &str, uri: &Uri, is_head: bool) -> Response<Payload> {
        if host.is_empty() {
            return answer::text(StatusCode::BAD_REQUEST, is_head);
        }
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        answer::redirection(StatusCode::MOVED_PERMANENTLY, &format!("https://{host}{port}{path}"), is_head)
    }
}

/// Reads a body that nobody wants, if it is small: over HTTP/2 clients take an answer before its end for a failure.
pub(super) async fn drain(mut body: Received) {
    let mut left = UNWANTED_BYTES;
    while let Ok(Some(octets)) = body.piece().await {
        match left.checked_sub(octets.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The host's clock, in seconds since 1970.
pub(super) fn now() -> i64 {
    i64::try_from(platform::clock::wall() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// A line of the access log: what a request said of itself. Of its target the path alone, since queries have secrets in them.
struct Line {
    peer: IpAddr,
    host: String,
    referrer: String,
    agent: String,
}

impl Line {
    fn new(request: &Request<Received>, peer: IpAddr) -> Self {
        let field = |name| {
            let value = request.headers().get(name).map_or(&b"-"[..], HeaderValue::as_bytes);
            quoted(value)
        };
        let authority = request.uri().authority().map(|authority| quoted(authority.as_str().as_bytes()));
        let referrer = field(header::REFERER);
        Self {
            peer,
            host: authority.unwrap_or_else(|| field(header::HOST)),
            referrer: referrer.split('?').next().unwrap_or_default().to_owned(),
            agent: field(header::USER_AGENT),
        }
    }

    fn log(self, method: &Method, uri: &Uri, version: Version, status: StatusCode, length: u64) {
        let Self { peer, host, referrer, agent } = self;
        let (method, path) = (quoted(method.as_str().as_bytes()), quoted(uri.path().as_bytes()));
        info!(
            target: "web::access",
            "{peer} {host} \"{method} {path} {version:?}\" {} {length} \"{referrer}\" \"{agent}\"",
            status.as_u16()
        );
    }
}

/// What a client chose, so that it cannot look like anything else: printable, without quotes, not too long.
fn quoted(octets: &[u8]) -> String {
    let cut = &octets[..octets.len().min(LOGGED_BYTES)];
    cut.iter()
        .map(|&octet| if matches!(octet, b'!'..=b'~' | b' ') && octet != b'"' { octet as char } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_chose_cannot_forge_a_line() {
        for (octets, expected) in
            [(&b"curl/7.88"[..], "curl/7.88"), (b"a\" 200 \"b\r\nx\x1B[0m\xFF", "a? 200 ?b??x?[0m?")]
        {
            assert_eq!(quoted(octets), expected);
        }
        assert_eq!(quoted(&[b'a'; 1000]).len(), LOGGED_BYTES);
    }
}
