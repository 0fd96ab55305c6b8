//! A call of the webhook: read for its signature, counted against the rate, and told what came of it.

use super::{
    follower::Pulled,
    server::{Server, drain, now},
};
use crate::{
    answer::{self, Payload},
    limits::{HOOK_BYTES, HOOK_CALLS, HOOK_WAIT_SECONDS},
};
use runtime::http::{HeaderValue, Method, Received, Request, Response, StatusCode, header};
use std::time::Duration;
use tokio::time::timeout;

/// What a webhook takes.
const ALLOW: HeaderValue = HeaderValue::from_static("POST");

impl Server {
    pub(super) async fn called_by(&self, request: Request<Received>, is_tls: bool) -> Response<Payload> {
        let is_head = *request.method() == Method::HEAD;
        if *request.method() != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return answer::with_allow(answer::text(status, is_head), status, ALLOW);
        }
        if self.calls.get() >= HOOK_CALLS {
            self.count_refused_call();
            return later(StatusCode::SERVICE_UNAVAILABLE, 1);
        }
        let reading = Reading::new(self);
        let is_known = self.is_known(request, is_tls).await;
        drop(reading);
        if let Err(status) = is_known {
            self.count_refused_call();
            return answer::text(status, false);
        }
        let mut rate = self.rate.get();
        let taken = rate.take(platform::clock::monotonic() / 1_000_000);
        self.rate.set(rate);
        if let Err(seconds) = taken {
            self.count_refused_call();
            return later(StatusCode::TOO_MANY_REQUESTS, seconds);
        }
        match timeout(Duration::from_secs(HOOK_WAIT_SECONDS), self.pull()).await {
            Ok(Ok(pulled)) => {
                let status = match pulled {
                    Pulled::New(..) | Pulled::Same(_) => StatusCode::OK,
                    // The call was right, so that the git host does not switch it off; the version is not.
                    Pulled::Broken(..) => StatusCode::UNPROCESSABLE_ENTITY,
                    Pulled::Unreachable(_) => StatusCode::BAD_GATEWAY,
                };
                answer::line(status, format!("{pulled}\n"), false)
            }
            _ => {
                answer::line(StatusCode::ACCEPTED, "pulling; what comes of it is in the log\n".into(), false)
            }
        }
    }

    /// Whether a caller knows the secret.
    async fn is_known(&self, request: Request<Received>, is_tls: bool) -> Result<(), StatusCode> {
        let secret = self.setup.hook.as_ref().ok_or(StatusCode::NOT_FOUND)?;
        let (head, mut body) = request.into_parts();
        // A token in the clear is for everybody on the way.
        let is_token =
            !is_tls && self.setup.redirection.is_some() && head.headers.contains_key("x-gitlab-token");
        let call = secret.begin(&head.headers, now()).filter(|_| !is_token);
        let Some(mut call) = call else {
            drain(body).await;
            return Err(StatusCode::FORBIDDEN);
        };
        let mut left = HOOK_BYTES;
        while let Some(octets) = body.piece().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            left = left.checked_sub(octets.len()).ok_or(StatusCode::PAYLOAD_TOO_LARGE)?;
            call.update(&octets);
        }
        if call.finish() { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }
}

/// A refusal that says when to come again.
fn later(status: StatusCode, seconds: u64) -> Response<Payload> {
    let mut response = answer::text(status, false);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// A call being read, as long as it lives.
struct Reading<'s>(&'s Server);

impl<'s> Reading<'s> {
    fn new(server: &'s Server) -> Self {
        server.calls.set(server.calls.get() + 1);
        Self(server)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
    }
}
