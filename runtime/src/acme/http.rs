//! The HTTP that instant-acme speaks: our client, which stays on its thread, behind a handle that could leave it.
//!
//! What the authority says is looked at before instant-acme gets it: that takes some of it for well-formed (docs/decisions/tls.md).

use crate::{
    connect::Connect,
    http::{Body, Bytes, Client, HeaderMap, HeaderValue, Request, Response, Uri, header::RETRY_AFTER},
    limits::{ACME_ANSWER_OCTETS, ACME_WAIT_SECONDS, ACME_WAIT_SECONDS_ORDER},
};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::sync::{mpsc, oneshot};

/// What the authority's last answer said about when to come again; 0 if it said nothing.
#[derive(Clone, Default)]
pub struct Told(Arc<AtomicU64>);

impl Told {
    /// How long to wait, if it said so (RFC 9110 §10.2.3), as far as limits.rs allows.
    pub fn wait(&self) -> Option<Duration> {
        let seconds = self.0.load(Ordering::Relaxed).min(ACME_WAIT_SECONDS);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}

/// A handle on a client.
pub struct Handle(mpsc::Sender<Job>);

struct Job {
    request: Request<Bytes>,
    answer: oneshot::Sender<Result<Response<Bytes>, String>>,
}

impl Handle {
    /// Serves the handle by `client`, until it is dropped.
    pub fn new<C: Connect + 'static>(client: Client<C>, told: Told) -> Self {
        let (sender, mut jobs) = mpsc::channel::<Job>(1);
        crate::spawn(async move {
            while let Some(Job { request, answer }) = jobs.recv().await {
                let _ = answer.send(exchange(&client, request, &told).await); // whoever asked may have given up
            }
        });
        Self(sender)
    }
}

impl HttpClient for Handle {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let jobs = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| failed("the request has no body"))?.to_bytes();
            let (answer, answered) = oneshot::channel();
            let job = Job { request: Request::from_parts(head, body), answer };
            jobs.send(job).await.map_err(|_| failed("the client has ended"))?;
            let response = answered.await.map_err(|_| failed("the client has ended"))?.map_err(failed)?;
            Ok(response.map(Full::new).into())
        })
    }
}

fn failed(reason: impl Into<String>) -> Error {
    Error::Other(reason.into().into())
}

pub async fn exchange<C: Connect>(
    client: &Client<C>,
    request: Request<Bytes>,
    told: &Told,
) -> Result<Response<Bytes>, String> {
    told.0.store(0, Ordering::Relaxed);
    // RFC 8555 §6.1
    if request.uri().scheme_str() != Some("https") {
        return Err("the authority's URLs have to begin with https://".to_owned());
    }
    let response = client.request(request.map(Body::from)).await.map_err(|error| error.to_string())?;
    let (mut head, body) = response.into_parts();
    let body = body.whole(ACME_ANSWER_OCTETS).await.map_err(|error| error.to_string())?;
    check_directory(&body)?;
    let wait = limit_wait(&mut head.headers, SystemTime::now());
    told.0.store(wait.unwrap_or(0), Ordering::Relaxed);
    Ok(Response::from_parts(head, body))
}

/// How many seconds the authority wants us to wait; leaves in the headers only as many as an order may take.
fn limit_wait(headers: &mut HeaderMap, now: SystemTime) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok().map(str::trim).map(str::to_owned);
    let wait = value.as_deref().and_then(|value| {
        let date =
            || httpdate::parse_http_date(value).ok()?.duration_since(now).ok().map(|wait| wait.as_secs());
        value.parse().ok().or_else(date)
    });
    match wait.filter(|seconds| *seconds <= ACME_WAIT_SECONDS_ORDER) {
        Some(seconds) => headers.insert(RETRY_AFTER, HeaderValue::from(seconds)),
        None => headers.insert(RETRY_AFTER, HeaderValue::from(ACME_WAIT_SECONDS_ORDER)),
    };
    wait
}

/// If it is a directory (RFC 8555 §7.1.1): that it says where nonces come from, and does it in a URL.
fn check_directory(body: &[u8]) -> Result<(), String> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) else { return Ok(()) };
    let url = object.get("newNonce").and_then(|value| value.as_str());
    match url.map(str::parse::<Uri>) {
        Some(Err(_)) => Err("the authority's directory has no URL for nonces".to_owned()),
        Some(Ok(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_url(body: &str, expected: bool) {
        assert_eq!(check_directory(body.as_bytes()).is_ok(), expected);
    }

    #[test]
    fn a_directory_has_urls() {
        check_url(r#"{"newNonce": "https://a.example/nonce"}"#, true);
        check_url(r#"{"newNonce": "https://a b"}"#, false);
        check_url(r#"{"newNonce": ""}"#, false);
        check_url(r#"{"status": "valid"}"#, true);
        check_url("-----BEGIN CERTIFICATE-----", true);
        check_url(&"[".repeat(10_000), true);
    }

    #[track_caller]
    fn check_wait(value: &'static str, expected: Option<u64>, left: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_000);
        assert_eq!(limit_wait(&mut headers, now), expected, "{value}");
        assert_eq!(headers[RETRY_AFTER], left);
    }

    #[test]
    fn waits_are_read_and_short_ones_left() {
        check_wait("3", Some(3), "3");
        check_wait("3600", Some(3_600), "3600");
        check_wait("86400", Some(86_400), "3600");
        check_wait("18446744073709551615", Some(u64::MAX), "3600");
        check_wait("Sat, 01 Jan 2000 00:00:00 GMT", Some(800), "800");
        check_wait("Fri, 31 Dec 9999 23:59:59 GMT", Some(252_455_616_799), "3600");
        check_wait("Fri, 31 Dec 1999 00:00:00 GMT", None, "3600");
        check_wait("soon", None, "3600");
    }
}
