//! HTTP with nginx and curl at the other end. `cargo xtask test` runs these where they are installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runtime::{
    http::{self, Body, Bytes, Client, Error, PROTOCOLS, Request, Response, StatusCode, Uri, redirection},
    tls::{self, Identity, TlsAcceptor, Trust},
};
use std::time::Duration;
use support::{Authority, HostConnector, Program, Scratch, free_port, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

const NAME: &str = "server.example";

/// nginx, in the clear and over TLS, with a place for files behind a password.
struct Nginx {
    _program: Program,
    _scratch: Scratch,
    trust: Trust,
    plain: u16,
    tls: u16,
}

impl Nginx {
    fn start(versions: &str) -> Self {
        let (authority, scratch, plain, tls) = (Authority::new(), Scratch::new(), free_port(), free_port());
        let certified = authority.certify(NAME, 2000, 2100);
        let certificate = scratch.file("server.pem", &certified.pem);
        let key = scratch.file("server.key", &certified.key_pem);
        let users = scratch.file("users", "user:{PLAIN}pass word\n");
        let place = scratch.path().display();
        let configuration = scratch.file(
            "nginx.conf",
            format!(
                "daemon off; master_process off; user root; pid {place}/pid; error_log {place}/error.log;
                events {{}}
                http {{
                    access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
                    fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
                    server {{
                        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl {versions};
                        ssl_certificate {certificate}; ssl_certificate_key {key};
                        root {place}/files; client_max_body_size 64m; keepalive_requests 3;
                        location / {{ dav_methods PUT; create_full_put_path on; auth_basic a; auth_basic_user_file {users}; }}
                        location /moved {{ return 302 https://{NAME}:{tls}/; }}
                        location /version {{ return 200 $server_protocol; }}
                        location /long {{ {long} return 200; }}
                    }}
                }}",
                long = format!("add_header x-long {};", "x".repeat(3_000)).repeat(12),
            ),
        );
        let mut command = std::process::Command::new("/usr/sbin/nginx");
        let program = Program::serving(command.args(["-c", &configuration]), plain);
        Self {
            _program: program,
            _scratch: scratch,
            trust: Trust::parse(&authority.pem).unwrap(),
            plain,
            tls,
        }
    }

    fn client(&self) -> Client<HostConnector> {
        Client::new(HostConnector, &self.trust)
    }

    fn plain(&self, rest: &str) -> Uri {
        format!("http://user:pass%20word@{NAME}:{}{rest}", self.plain).parse().unwrap()
    }

    fn tls(&self, rest: &str) -> Uri {
        format!("https://user:pass%20word@{NAME}:{}{rest}", self.tls).parse().unwrap()
    }
}

async fn text(client: &Client<HostConnector>, url: &Uri) -> Result<(u16, String), Error> {
    let response = client.get(url).await?;
    let status = response.status().as_u16();
    let body = response.into_body().whole(1 << 20).await?;
    Ok((status, String::from_utf8_lossy(&body).into()))
}

/// Puts pieces to a URL, and gets them again.
async fn check_put_and_get(client: &Client<HostConnector>, url: &Uri, pieces: usize) {
    let piece = Bytes::from(vec![b'x'; 70_000]);
    let (mut sender, body) = Body::pieces();
    let given = piece.clone();
    runtime::spawn(async move {
        for _ in 0..pieces {
            sender.send(given.clone()).await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    let response = client.request(Request::put(url).body(body).unwrap()).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    drop(response);
    let mut body = client.get(url).await.unwrap().into_body();
    let mut left = pieces * piece.len();
    while let Some(piece) = body.piece().await.unwrap() {
        assert!(piece.iter().all(|octet| *octet == b'x'));
        left -= piece.len();
    }
    assert_eq!(left, 0);
}

#[test]
#[ignore = "needs nginx"]
fn nginx_is_spoken_to_in_every_version() {
    for (versions, spoken) in [("", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let nginx = Nginx::start(versions);
        run(async {
            let client = nginx.client();
            // More than a connection has: nginx closes it after three.
            for _ in 0..8 {
                assert_eq!(text(&client, &nginx.tls("/version")).await.unwrap(), (200, spoken.into()));
            }
            if versions.is_empty() {
                assert_eq!(text(&client, &nginx.plain("/version")).await.unwrap(), (200, spoken.into()));
            }
        });
    }
}

#[test]
#[ignore = "needs nginx"]
fn bodies_go_both_ways_in_pieces() {
    for versions in ["", "http2"] {
        let nginx = Nginx::start(versions);
        run(async {
            let client = nginx.client();
            for pieces in [1, 100] {
                check_put_and_get(&client, &nginx.tls(&format!("/{pieces}")), pieces).await;
            }
            if versions.is_empty() {
                check_put_and_get(&client, &nginx.plain("/plain"), 10).await;
            }
        });
    }
}

#[test]
#[ignore = "needs nginx"]
fn what_is_not_allowed_is_said() {
    let nginx = Nginx::start("http2");
    run(async {
        let client = nginx.client();
        let url: Uri = format!("https://user:wrong@{NAME}:{}/", nginx.tls).parse().unwrap();
        assert_eq!(text(&client, &url).await.unwrap().0, 401);
        assert_eq!(text(&client, &nginx.tls("/nothing")).await.unwrap().0, 404);
        let response = client.get(&nginx.tls("/moved")).await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(redirection(&nginx.tls("/moved"), &response), Some(nginx.tls("/")));
        let long = client.get(&nginx.tls("/version")).await.unwrap();
        assert!(matches!(long.into_body().whole(7).await, Err(Error::TooLarge(7))));
        let stranger = Client::new(HostConnector, &Trust::web());
        assert!(matches!(text(&stranger, &nginx.tls("/")).await, Err(Error::NotConnected(_))));
        let nowhere = format!("http://{NAME}:{}/", free_port()).parse().unwrap();
        assert!(matches!(text(&client, &nowhere).await, Err(Error::NotConnected(_))));
    });
}

#[test]
#[ignore = "needs nginx"]
fn a_head_without_end_is_refused() {
    for versions in ["", "http2"] {
        let nginx = Nginx::start(versions);
        run(async {
            let outcome = text(&nginx.client(), &nginx.tls("/long")).await;
            assert!(matches!(outcome, Err(Error::Broken(_))), "{versions} {outcome:?}");
        });
    }
}

/// A server that takes one connection after the other, reads, answers with `response`, and hangs up.
async fn crude_server(response: &'static str) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    format!("http://{NAME}:{port}/").parse().unwrap()
}

#[test]
fn a_peer_that_breaks_off_is_no_success() {
    run(async {
        let client = Client::new(HostConnector, &Trust::nobody());
        for response in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcd", "nonsense\r\n\r\n"] {
            let url = crude_server(response).await;
            assert!(matches!(text(&client, &url).await, Err(Error::Broken(_))), "{response}");
        }
        let url = crude_server("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n").await;
        assert!(matches!(text(&client, &url).await, Err(Error::Broken(_))));
    });
}

#[test]
fn half_a_body_is_never_sent_as_a_whole_one() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{NAME}:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let seen = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = String::new();
            stream.read_to_string(&mut seen).await.unwrap();
            seen
        };
        let (mut sender, body) = Body::pieces();
        runtime::spawn(async move { sender.send("half").await.unwrap() });
        let client = Client::new(HostConnector, &Trust::nobody());
        let (seen, outcome) = tokio::join!(seen, client.request(Request::put(&url).body(body).unwrap()));
        assert!(matches!(outcome, Err(Error::Broken(_))));
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    });
}

#[test]
fn what_is_no_url_goes_nowhere() {
    run(async {
        let client = Client::new(HostConnector, &Trust::nobody());
        for url in ["/path", "ftp://host.example/", "example"] {
            assert!(matches!(client.get(&url.parse().unwrap()).await, Err(Error::BadRequest(_))), "{url}");
        }
    });
}

/// Our server, in the clear and over TLS: gives back what it is sent.
async fn serve(acceptor: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            runtime::spawn(async move {
                let Some(acceptor) = acceptor else { return drop(http::serve(stream, None, echo).await) };
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let protocol = tls::protocol(&stream).map(<[u8]>::to_vec);
                let _ = http::serve(stream, protocol.as_deref(), echo).await;
            });
        }
    });
    port
}

async fn echo(request: Request<http::Received>) -> Response<Body> {
    let version = format!("{:?}", request.version());
    let body = match request.into_body().whole(8 << 20).await {
        Ok(octets) => Body::from(octets),
        Err(Error::TooLarge(_)) => {
            return Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE).body(Body::empty()).unwrap();
        }
        Err(_) => Body::empty(),
    };
    Response::builder().header("x-version", version).body(body).unwrap()
}

/// What curl says of a request to our server: status, and what it got.
async fn curl(options: &[&str], url: &str, scratch: &Scratch) -> (String, Vec<u8>) {
    let got = scratch.path().join("got");
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-w", "%{http_code} %header{x-version}", "-o"]).arg(&got);
    let output = command.args(options).arg(url).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), std::fs::read(got).unwrap_or_default())
}

#[test]
#[ignore = "needs curl"]
fn curl_is_served_in_every_version() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let file = scratch.file("authority.pem", &authority.pem);
    let certified = authority.certify(NAME, 2000, 2100);
    let identity = Identity::from_pem(certified.pem.as_bytes(), certified.key_pem.as_bytes()).unwrap();
    let content = vec![b'y'; 3_000_000];
    let upload = format!("@{}", scratch.file("content", &content));
    let too_much = format!("@{}", scratch.file("too-much", vec![b'z'; 9 << 20]));
    run(async {
        let plain = serve(None).await;
        let tls = serve(Some(TlsAcceptor::new(identity, PROTOCOLS))).await;
        let resolve = format!("{NAME}:{tls}:127.0.0.1");
        let secure = ["--cacert", &file, "--resolve", &resolve];
        let (plain, tls) = (format!("http://127.0.0.1:{plain}/"), format!("https://{NAME}:{tls}/"));
        assert_eq!(curl(&[], &plain, &scratch).await, ("200 HTTP/1.1".into(), vec![]));
        for (version, url, spoken) in [
            ("--http1.1", &plain, "200 HTTP/1.1"),
            ("--http1.0", &plain, "200 HTTP/1.0"),
            ("--http1.1", &tls, "200 HTTP/1.1"),
            ("--http2", &tls, "200 HTTP/2.0"),
        ] {
            let options = [&secure[..], &[version, "--data-binary", &upload]].concat();
            assert_eq!(curl(&options, url, &scratch).await, (spoken.into(), content.clone()));
        }
        let options = [&secure[..], &["--http1.1", "--data-binary", &too_much]].concat();
        assert_eq!(curl(&options, &tls, &scratch).await.0, "413 ");
        let heavy = format!("x-heavy: {}", "h".repeat(70_000));
        assert_eq!(curl(&["-H", &heavy], &plain, &scratch).await.0, "431 ");
    });
}

#[test]
fn a_client_that_says_nothing_is_let_go_of() {
    let executor =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&executor, async {
        let (mut client, server) = tokio::io::duplex(1024);
        let start = tokio::time::Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        assert!(http::serve(server, None, echo).await.is_err());
        assert_eq!(start.elapsed().as_secs(), runtime::limits::HTTP_IDLE_SECONDS);
    });
}

#[test]
fn a_client_that_takes_nothing_is_let_go_of() {
    let executor =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&executor, async {
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let much = |_| async { Response::new(Body::from(vec![0; 100_000])) };
        let start = tokio::time::Instant::now();
        assert!(http::serve(server, None, much).await.is_err());
        assert!(start.elapsed() >= Duration::from_secs(runtime::limits::HTTP_PATIENCE_SECONDS));
    });
}
