//! `--metrics-port`: measurements for whoever asks, as OpenMetrics over HTTP.
//!
//! One request a connection, and of the request only its first line means anything: an image need not be linked with all of
//! HTTP for this. What is not a plain question for `/metrics` is answered with a status, and that is the end of it.

use crate::{
    configuration::{Argument, FromConfiguration},
    limits::{MANAGEMENT_CONNECTIONS, SCRAPE_LINGER_SECONDS, SCRAPE_REQUEST_BYTES, SCRAPE_SECONDS},
    metrics::{self, openmetrics},
    network::{Network, Refused, TcpListener, TcpOptions},
};
use std::{fmt::Write as _, io, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// `--metrics-port`
pub(super) const METRICS_PORT: Argument = Argument {
    name: "metrics-port",
    value: "PORT",
    help: "where http://.../metrics has measurements for Prometheus, on the management interface if there is one; nowhere if not given",
};

/// What `--metrics-port` takes.
#[derive(Clone, Copy)]
pub(super) struct Port(pub u16);

impl FromConfiguration for Port {
    const IS_NUMBER: bool = true;

    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().ok().filter(|port| *port != 0).map(Self).ok_or("that is not a port")
    }
}

/// What the image is called.
pub(super) struct Names {
    pub vm: String,
    pub service: String,
}

/// Answers, for ever. Fails only if the port cannot be had.
pub(super) fn start(network: &Network, Port(port): Port, names: Rc<Names>) -> Result<(), Refused> {
    let options = TcpOptions {
        backlog: MANAGEMENT_CONNECTIONS,
        connections: MANAGEMENT_CONNECTIONS,
        receive_buffer: SCRAPE_REQUEST_BYTES,
        ..TcpOptions::default()
    };
    let listener = TcpListener::bind(network, port, options)?;
    crate::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await;
            let names = names.clone();
            // What goes wrong is the client's fault, and ends its connection.
            crate::spawn(async move {
                timeout(Duration::from_secs(SCRAPE_SECONDS), answer(stream, &names)).await
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, names: &Names) -> io::Result<()> {
    let request = head(&mut stream).await?;
    let response = respond(&request, names);
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // Until the client has it all and closes: what it still sends would have it all reset. Some take their time.
    let linger = async {
        while stream.read(&mut [0; 256]).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(Duration::from_secs(SCRAPE_LINGER_SECONDS), linger).await?
}

/// A request up to its empty line, or as much as may be read of it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; 512];
    loop {
        let length = stream.read(&mut piece).await?;
        request.extend(&piece[..length]);
        if request.windows(4).any(|end| end == b"\r\n\r\n") || request.len() >= SCRAPE_REQUEST_BYTES {
            return Ok(request);
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn respond(request: &[u8], names: &Names) -> String {
    let line = request.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|octet| *octet == b' ').collect();
    let (status, media_type, body) = match *words {
        _ if !request.windows(4).any(|end| end == b"\r\n\r\n") => {
            ("431 Request Header Fields Too Large", "text/plain", String::new())
        }
        [b"GET" | b"HEAD", path, b"HTTP/1.1" | b"HTTP/1.0"] => {
            match path.split(|octet| *octet == b'?').next() {
                Some(b"/metrics") => ("200 OK", openmetrics::MEDIA_TYPE, gather(names)),
                _ => ("404 Not Found", "text/plain", "there is only /metrics\n".to_owned()),
            }
        }
        [_, _, b"HTTP/1.1" | b"HTTP/1.0"] => ("405 Method Not Allowed", "text/plain", String::new()),
        _ => ("400 Bad Request", "text/plain", String::new()),
    };
    let mut response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nallow: GET, HEAD\r\nconnection: close\r\n\r\n",
        body.len()
    );
    if words.first() != Some(&&b"HEAD"[..]) {
        let _ = response.write_str(&body);
    }
    response
}

fn gather(names: &Names) -> String {
    let mut body = String::new();
    let mut text = openmetrics::Text::new(&mut body);
    metrics::collect(&mut text);
    text.finish(&names.vm, &names.service);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, status: &str, end: &str) {
        let names = Names { vm: "ns1".into(), service: "dns".into() };
        let response = respond(request.as_bytes(), &names);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.ends_with(end), "{response}");
    }

    #[test]
    fn only_metrics_are_there() {
        check("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n", "200", "# EOF\n");
        check("GET /metrics?x HTTP/1.0\r\n\r\n", "200", "# EOF\n");
        check("HEAD /metrics HTTP/1.1\r\n\r\n", "200", "\r\n\r\n");
        check("GET / HTTP/1.1\r\n\r\n", "404", "/metrics\n");
        check("POST /metrics HTTP/1.1\r\n\r\n", "405", "\r\n\r\n");
        check("GET /metrics\r\n\r\n", "400", "\r\n\r\n");
        check("\r\n\r\n", "400", "\r\n\r\n");
        check(&"x".repeat(SCRAPE_REQUEST_BYTES), "431", "\r\n\r\n");
    }
}
