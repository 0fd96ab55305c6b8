//! The server's end of one connection: requests to a handler, its responses back.

use super::{Body, Error, H2, HTTP_1_1, Local, Received, Request, Response, patient::Patient};
use crate::limits::{
    HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_IDLE_SECONDS, HTTP_PATIENCE_SECONDS, HTTP_STREAMS, HTTP_WINDOW_BYTES,
};
use crate::metrics::counted;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a server of HTTP offers in ALPN, to be given to its [`TlsAcceptor`](crate::tls::TlsAcceptor).
pub const PROTOCOLS: &[&[u8]] = &[H2, HTTP_1_1];

/// Serves a connection until it ends. `protocol` is what both ends agreed on ([`tls::protocol`](crate::tls::protocol)), if
/// they did.
///
/// The handler gets the requests, over HTTP/2 several at a time, and has to bound what it waits for. An error is the peer's
/// fault: count it, do not log it.
pub async fn serve<S, H, F>(stream: S, protocol: Option<&[u8]>, handler: H) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request<Received>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let patience = Duration::from_secs(HTTP_PATIENCE_SECONDS);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = handler(request.map(Received::new));
        async move {
            let response = response.await;
            counted::response(response.status().as_u16());
            Ok::<_, Infallible>(response)
        }
    });
    let stream = TokioIo::new(Patient::new(stream));
    if protocol == Some(H2) {
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).max_header_list_size(HTTP_HEAD_BYTES as u32);
        builder.max_concurrent_streams(HTTP_STREAMS).max_send_buf_size(HTTP_WINDOW_BYTES as usize);
        builder
            .initial_stream_window_size(HTTP_WINDOW_BYTES)
            .initial_connection_window_size(HTTP_WINDOW_BYTES);
        builder.keep_alive_interval(patience).keep_alive_timeout(patience);
        return Ok(builder.serve_connection(stream, service).await?);
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HTTP_IDLE_SECONDS));
    builder.max_headers(HTTP_HEADERS).max_header_size(HTTP_HEAD_BYTES).max_buf_size(HTTP_HEAD_BYTES);
    Ok(builder.serve_connection(stream, service).await?)
}
