//! The server's end of one connection: requests to a handler, its responses back.

use super::{Body, Error, H2, HTTP_1_1, Local, Received, Request, Response, one, patient::Patient};
use crate::{
    limits::{HTTP_HEAD_BYTES, HTTP_PATIENCE_SECONDS, HTTP_STREAMS, HTTP_WINDOW_BYTES},
    metrics::counted,
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
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
    let answer = move |request: Request<Incoming>| {
        let response = handler(request.map(Received::new));
        async move {
            let response = response.await;
            counted::response(response.status().as_u16());
            response
        }
    };
    let stream = Patient::new(stream);
    if protocol == Some(H2) {
        let service = service_fn(move |request| {
            let response = answer(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let patience = Duration::from_secs(HTTP_PATIENCE_SECONDS);
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).max_header_list_size(HTTP_HEAD_BYTES as u32);
        builder.max_concurrent_streams(HTTP_STREAMS).max_send_buf_size(HTTP_WINDOW_BYTES as usize);
        builder
            .initial_stream_window_size(HTTP_WINDOW_BYTES)
            .initial_connection_window_size(HTTP_WINDOW_BYTES);
        builder.keep_alive_interval(patience).keep_alive_timeout(patience);
        return Ok(Box::pin(builder.serve_connection(TokioIo::new(stream), service)).await?);
    }
    one::serve(stream, move |request| Box::pin(answer(request))).await
}
