//! Answers over TLS: DNS over TLS (RFC 7858, transfers by RFC 9103) and DNS over HTTPS (RFC 8484).
//!
//! Both show the certificate that is in the file `_tls.pem` beside the zones, or that `--tls-acme` obtains, from whenever it is
//! there, and its successor from the next handshake on. Until then who connects is turned away.

use super::Server;
use super::connections::{answer_message, session};
use crate::limits::{MESSAGE_OCTETS, TCP_CONNECTIONS, TCP_RECEIVE_OCTETS, TCP_SEND_OCTETS, VALIDATIONS};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use runtime::certificate::Certificates;
use runtime::http::{self, Body, Method, Received, Request, Response, StatusCode, header};
use runtime::network::{Network, TcpListener, TcpOptions, TcpStream};
use runtime::tls::{self, BadIdentity, TlsAcceptor};
use runtime::{Argument, Stop};
use std::{cell::RefCell, net::IpAddr, rc::Rc};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// `--tls`
pub const TLS: Argument = Argument {
    name: "tls",
    value: "",
    help: "answers also over TLS (port 853) and HTTPS (port 443, /dns-query), with certificate and key from `_tls.pem`",
};

/// The port of DNS over TLS (RFC 7858 §3.1).
const TLS_PORT: u16 = 853;

/// The port of HTTP, for validations alone.
const HTTP_PORT: u16 = 80;

/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;

/// What both ends of DNS over TLS call it (RFC 7858 §8, RFC 9103 §7.1: transfers need it).
const DOT: &[&[u8]] = &[b"dot"];

/// Where questions are put, the usual path (RFC 8484 §4.1.1).
const PATH: &str = "/dns-query";

/// RFC 8484 §6
const MEDIA_TYPE: &str = "application/dns-message";

/// Who accepts, with the certificates that there are.
#[derive(Default)]
pub struct Encrypted {
    pub(super) certificates: Certificates,
    acceptors: Option<(TlsAcceptor, TlsAcceptor)>,
    /// Over QUIC, if that is wanted.
    over_quic: Option<TlsAcceptor>,
}

impl Encrypted {
    /// Shows the certificate in a PEM file from now on, which has its key too.
    pub fn load(&mut self, pem: &[u8]) -> Result<(), BadIdentity> {
        self.certificates.give(pem)
    }

    /// Who accepts over QUIC, once there is a certificate.
    pub fn over_quic(&mut self) -> Option<&TlsAcceptor> {
        if self.over_quic.is_none() {
            let certificates = &self.certificates;
            self.over_quic = certificates.is_ready().then(|| certificates.acceptor(super::quic::DOQ));
        }
        self.over_quic.as_ref()
    }

    /// Whether there is a certificate.
    pub fn is_ready(&self) -> bool {
        self.certificates.is_ready()
    }

    fn acceptor(&mut self, is_http: bool) -> TlsAcceptor {
        let made = || (self.certificates.acceptor(DOT), self.certificates.acceptor(http::PROTOCOLS));
        let (tls, https) = self.acceptors.get_or_insert_with(made);
        if is_http { https.clone() } else { tls.clone() }
    }
}

/// Tells proofs of HTTP-01 on port 80, where there is nothing else.
pub fn answer_validations(network: &Network, certificates: Certificates) -> Result<(), Stop> {
    let options = TcpOptions { connections: VALIDATIONS, ..TcpOptions::default() };
    let listener = TcpListener::bind(network, HTTP_PORT, options)?;
    runtime::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await;
            let certificates = certificates.clone();
            let handler = move |request: Request<Received>| {
                let proof = certificates.http_01(request.uri().path());
                async move { proof.map_or_else(|| status_only(StatusCode::NOT_FOUND), validation) }
            };
            runtime::spawn(async move { drop(http::serve(stream, None, handler).await) });
        }
    });
    Ok(())
}

/// RFC 8555 §8.3
fn validation(proof: String) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/octet-stream");
    response.body(proof.into()).unwrap_or_else(|_| status_only(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Listens on both ports.
pub fn start(server: &Rc<RefCell<Server>>, network: &Network) -> Result<(), Stop> {
    let options = || TcpOptions {
        receive_buffer: 4 * TCP_RECEIVE_OCTETS,
        send_buffer: 2 * TCP_SEND_OCTETS,
        connections: TCP_CONNECTIONS / 4,
        ..TcpOptions::default()
    };
    for port in [TLS_PORT, HTTPS_PORT] {
        let (listener, server) = (TcpListener::bind(network, port, options())?, server.clone());
        runtime::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await;
                let server = server.clone();
                if server.borrow_mut().room(0).is_ok() {
                    runtime::spawn(serve::<TcpStream>(stream, peer.ip(), port == HTTPS_PORT, server));
                }
            }
        });
    }
    Ok(())
}

/// Serves one connection, over TLS or HTTPS. What goes wrong is the peer's fault, and ends it.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    peer: IpAddr,
    is_http: bool,
    server: Rc<RefCell<Server>>,
) {
    let acceptor = server.borrow_mut().encrypted.acceptor(is_http);
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    if is_http {
        let protocol = tls::protocol(&stream).map(<[u8]>::to_vec);
        let handler = move |request| answer_request(request, peer, server.clone());
        let _ = http::serve(stream, protocol.as_deref(), handler).await;
    } else {
        let _ = session(&mut stream, peer, &server).await;
        let _ = stream.shutdown().await;
    }
}

/// RFC 8484 §4
async fn answer_request(
    request: Request<Received>,
    peer: IpAddr,
    server: Rc<RefCell<Server>>,
) -> Response<Body> {
    let query = match query_of(request).await {
        Ok(query) => query,
        Err(status) => return status_only(status),
    };
    let Some(answer) = answer_message(&server, peer, &query).await else {
        return status_only(StatusCode::BAD_REQUEST);
    };
    let age = format!("max-age={}", lowest_ttl(&answer));
    let response =
        Response::builder().header(header::CONTENT_TYPE, MEDIA_TYPE).header(header::CACHE_CONTROL, age);
    response.body(answer.into()).unwrap_or_else(|_| status_only(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn query_of(request: Request<Received>) -> Result<Vec<u8>, StatusCode> {
    if request.uri().path() != PATH {
        return Err(refuse(request, StatusCode::NOT_FOUND).await);
    }
    match *request.method() {
        Method::GET => {
            let parts = request.uri().query().unwrap_or_default().split('&');
            let text =
                parts.filter_map(|part| part.strip_prefix("dns=")).next().ok_or(StatusCode::BAD_REQUEST)?;
            let query =
                URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| StatusCode::BAD_REQUEST)?;
            if query.len() > MESSAGE_OCTETS { Err(StatusCode::URI_TOO_LONG) } else { Ok(query) }
        }
        Method::POST => {
            let media_type = request.headers().get(header::CONTENT_TYPE);
            if media_type.is_none_or(|value| value.as_bytes() != MEDIA_TYPE.as_bytes()) {
                return Err(refuse(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await);
            }
            let body = request.into_body().whole(MESSAGE_OCTETS).await;
            body.map(|octets| octets.to_vec()).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)
        }
        _ => Err(refuse(request, StatusCode::METHOD_NOT_ALLOWED).await),
    }
}

/// Reads the body first: clients take it for a failure of the connection if nobody does.
async fn refuse(request: Request<Received>, status: StatusCode) -> StatusCode {
    let _ = request.into_body().whole(MESSAGE_OCTETS).await;
    status
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The lowest TTL in an answer of ours, which is how long a cache of HTTP may keep it (RFC 8484 §5.1); 0 where there is none.
fn lowest_ttl(message: &[u8]) -> u32 {
    let count =
        |at: usize| message.get(at..at + 2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    let skip_name = |mut at: usize| loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            0xC0.. => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    };
    let mut at = if count(4) == 0 { 12 } else { skip_name(12).map_or(12, |at| at + 4) };
    let mut lowest = None::<u32>;
    for _ in 0..u32::from(count(6)) + u32::from(count(8)) {
        let Some(header) = skip_name(at).and_then(|end| Some((end, message.get(end..end + 10)?))) else {
            break;
        };
        let (end, [_, _, _, _, t3, t2, t1, t0, l1, l0]) = header else { break };
        let ttl = u32::from_be_bytes([*t3, *t2, *t1, *t0]);
        lowest = Some(lowest.map_or(ttl, |lowest| lowest.min(ttl)));
        at = end + 10 + usize::from(u16::from_be_bytes([*l1, *l0]));
    }
    lowest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_long_as_the_record_that_is_kept_least() {
        let mut message = b"\0\0\x84\0\0\x01\0\x02\0\0\0\x01\x01a\0\0\x01\0\x01".to_vec();
        message.extend(b"\xC0\x0C\0\x01\0\x01\0\0\0\x09\0\x04abcd\xC0\x0C\0\x01\0\x01\0\0\0\x07\0\x04abcd");
        message.extend(b"\0\0\x29\x04\xD0\0\0\0\0\0\0");
        assert_eq!(lowest_ttl(&message), 7);
        assert_eq!([lowest_ttl(&message[..22]), lowest_ttl(b"")], [0, 0]);
    }
}
