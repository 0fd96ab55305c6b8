//! HTTP/1.1 and HTTP/2 (hyper) as client and server, in the clear and over TLS.
//!
//! ```text
//!     Client: Request<Body> ─► a connection that is idle, or a new one (Connect, TlsConnector) ─► Response<Received>
//!     serve:  stream ─► Request<Received> ─► the service's handler ─► Response<Body>
//! ```
//! Which version is spoken over TLS is agreed on in its handshake (RFC 7301); in the clear it is HTTP/1.1. Bodies are streams
//! of pieces and are held back when the other side is slow. Every wait has an end, and every size a limit (limits.rs).
//!
//! Not here: redirects (the caller decides, see [`redirection`]), cookies, proxies, compression, upgrades.

mod body;
mod client;
mod error;
mod one;
mod patient;
mod server;
mod url;

pub use body::{Body, BodySender, Received};
pub use bytes::Bytes;
pub use client::Client;
pub use error::Error;
pub use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
pub use server::{PROTOCOLS, serve};
pub use url::{basic_authorization, redirection};

use std::future::Future;

/// HTTP/2 in ALPN (RFC 9113 §3.2).
const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN (RFC 7301 §6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// hyper's tasks on our one thread.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        crate::spawn(future);
    }
}
