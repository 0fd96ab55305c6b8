//! The HTTP that instant-acme speaks: our client, which stays on its thread, behind a handle that could leave it.
//!
//! What the authority says is looked at before instant-acme gets it: that takes some of it for well-formed (docs/decisions/tls.md).

use crate::limits::ANSWER_OCTETS;
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use runtime::{
    connect::Connect,
    http::{Body, Bytes, Client, HeaderMap, Request, Response, Uri, header::RETRY_AFTER},
};
use std::{future::Future, pin::Pin};
use tokio::sync::{mpsc, oneshot};

/// Seconds that the authority may tell us to wait; if it wants more we wait as we see fit.
const RETRY_AFTER_MOST: u64 = 3_600;

/// A handle on a client.
pub struct Handle(mpsc::Sender<Job>);

struct Job {
    request: Request<Bytes>,
    answer: oneshot::Sender<Result<Response<Bytes>, String>>,
}

impl Handle {
    /// Serves the handle by `client`, until it is dropped.
    pub fn new<C: Connect + 'static>(client: Client<C>) -> Self {
        let (sender, mut jobs) = mpsc::channel::<Job>(1);
        runtime::spawn(async move {
            while let Some(Job { request, answer }) = jobs.recv().await {
                let _ = answer.send(exchange(&client, request).await); // whoever asked may have given up
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

async fn exchange<C: Connect>(
    client: &Client<C>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, String> {
    // RFC 8555 §6.1
    if request.uri().scheme_str() != Some("https") {
        return Err("the authority's URLs have to begin with https://".to_owned());
    }
    let response = client.request(request.map(Body::from)).await.map_err(|error| error.to_string())?;
    let (mut head, body) = response.into_parts();
    let body = body.whole(ANSWER_OCTETS).await.map_err(|error| error.to_string())?;
    check_directory(&body)?;
    limit_wait(&mut head.headers);
    Ok(Response::from_parts(head, body))
}

/// Leaves only a wait that can be waited for.
fn limit_wait(headers: &mut HeaderMap) {
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if wait.is_none_or(|seconds| seconds > RETRY_AFTER_MOST) {
        headers.remove(RETRY_AFTER);
    }
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
    use runtime::http::HeaderValue;

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
    fn check_wait(value: &'static str, kept: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        limit_wait(&mut headers);
        assert_eq!(headers.contains_key(RETRY_AFTER), kept, "{value}");
    }

    #[test]
    fn waits_are_short() {
        check_wait("3", true);
        check_wait("3600", true);
        check_wait("3601", false);
        check_wait("18446744073709551615", false);
        check_wait("Fri, 31 Dec 9999 23:59:59 GMT", false);
    }
}
