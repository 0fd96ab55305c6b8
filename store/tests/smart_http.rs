//! Against git http-backend behind nginx, over TLS and with a password.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Origin, git_output, scenarios};
use std::{path::Path, process::Command};
use store::{
    Options, Store,
    remote::{Arguments, Problem, RemoteError, Secret},
};
use support::{HostConnector, Program, find_program, free_port, run};

/// nginx in front of git http-backend, which fcgiwrap runs.
struct Web {
    plain: u16,
    tls: u16,
    certificate: String,
    _programs: [Program; 2],
}

impl Web {
    fn new(origin: &Origin) -> Self {
        let (plain, tls) = (free_port(), free_port());
        let root = origin.scratch.path();
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        origin.scratch.file("certificate.pem", certified.cert.pem());
        origin.scratch.file("key.pem", certified.signing_key.serialize_pem());
        origin.scratch.file("users", "me:{PLAIN}pass@word\n");
        let configuration = origin.scratch.file("nginx.conf", configuration(root, plain, tls));
        let socket = root.join("fcgi.sock");
        let mut wrapper = Command::new(find_program("fcgiwrap").unwrap());
        wrapper.args(["-c", "4", "-s"]).arg(format!("unix:{}", socket.display()));
        wrapper.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        let wrapper = Program::with_socket(&mut wrapper, &socket);
        let mut nginx = Command::new(find_program("nginx").unwrap());
        nginx.arg("-e").arg(root.join("error.log")).arg("-c").arg(configuration);
        let nginx = Program::serving(&mut nginx, plain);
        Self { plain, tls, certificate: certified.cert.pem(), _programs: [nginx, wrapper] }
    }

    /// The address of a repository over TLS, for whoever knows the password.
    fn url(&self, path: &str) -> String {
        format!("https://me:pass%40word@127.0.0.1:{}/{path}", self.tls)
    }

    async fn clone(&self, url: &str, options: Options) -> Result<Store<HostConnector>, RemoteError> {
        // As a boot argument has it, which is one line.
        let base64: String = self.certificate.lines().filter(|line| !line.starts_with("---")).collect();
        let tls_ca = url.starts_with("https").then_some(base64);
        let arguments = Arguments { remote: Some(Secret::new(url)), tls_ca, ..Arguments::default() };
        Store::clone(arguments.remote(HostConnector).unwrap().unwrap(), options).await
    }
}

fn configuration(root: &Path, plain: u16, tls: u16) -> String {
    let programs = git_output(root, &["--exec-path"]);
    let root = root.display();
    let backend = |more: &str| {
        format!(
            "auth_basic git; auth_basic_user_file {root}/users; client_max_body_size 100k;
            fastcgi_pass unix:{root}/fcgi.sock;
            fastcgi_param SCRIPT_FILENAME {programs}/git-http-backend;
            fastcgi_param PATH_INFO /$1; fastcgi_param GIT_PROJECT_ROOT {root}; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param REMOTE_USER $remote_user; fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
            {more}"
        )
    };
    let (backend, old) = (backend(""), backend("fastcgi_param HTTP_GIT_PROTOCOL '';"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name}; "))
        .concat();
    let user = if Path::new("/root").metadata().is_ok() && whoami() == "0" { "user root;" } else { "" };
    format!(
        "{user} worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/error.log;
        events {{}}
        http {{
            access_log off; {temporary}
            server {{
                listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2;
                ssl_certificate {root}/certificate.pem; ssl_certificate_key {root}/key.pem;
                location ~ ^/git/(.*)$ {{ {backend} }}
                location ~ ^/old/(.*)$ {{ {old} }}
                location ~ ^/moved/(.*)$ {{ return 302 /git/$1$is_args$args; }}
                location ~ ^/away/(.*)$ {{ return 302 https://example.org/$1; }}
                location /files/ {{ return 200 'a page\\nof text'; }}
            }}
        }}"
    )
}

fn whoami() -> String {
    let output = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a scenario against repositories of both kinds.
#[track_caller]
fn check(path: &str, scenario: impl AsyncFn(&Origin, &Web, &str)) {
    for format in ["sha1", "sha256"] {
        let origin = Origin::new(format);
        let web = Web::new(&origin);
        let url = web.url(path);
        run(async { scenario(&origin, &web, &url).await });
    }
}

#[test]
#[ignore = "needs nginx and fcgiwrap"]
fn a_clone_is_changed_and_pulled() {
    for path in ["git/origin.git", "old/origin.git", "moved/origin.git"] {
        check(path, async |origin, web, url| {
            scenarios::clone_change_pull(origin, async |options| web.clone(url, options).await.unwrap())
                .await;
        });
    }
}

#[test]
#[ignore = "needs nginx and fcgiwrap"]
fn racing_writers_lose_nothing() {
    check("git/origin.git", async |origin, web, url| {
        scenarios::racing_writers(origin, 5, async |options| web.clone(url, options).await.unwrap()).await;
    });
}

#[test]
#[ignore = "needs nginx and fcgiwrap"]
fn a_hook_is_heard() {
    check("git/origin.git", async |origin, web, url| {
        scenarios::hook_declines(origin, async |options| web.clone(url, options).await.unwrap()).await;
    });
}

#[test]
#[ignore = "needs nginx and fcgiwrap"]
fn failures_say_what_to_do() {
    let origin = Origin::new("sha1");
    let web = Web::new(&origin);
    run(async {
        let (tls, plain) = (web.tls, web.plain);
        for (url, expected) in [
            (web.url("git/none.git"), "HTTP status 404: there is no such repository"),
            (web.url("git/origin.git#x"), "there is no branch 'x'; there are main, other"),
            (
                format!("https://me:wrong@127.0.0.1:{tls}/git/origin.git"),
                "does not let 'me' in with the password",
            ),
            (format!("http://127.0.0.1:{plain}/git/origin.git"), "give https://USER:PASSWORD@ in --remote"),
            (web.url("files/x"), "it says 'a page (content type text/plain)'"),
            (web.url("away/origin.git"), "sends us elsewhere, to https://example.org/origin.git/info/refs"),
        ] {
            let error = web.clone(&url, Options::default()).await.err().unwrap();
            let message = error.to_string();
            assert!(message.contains(expected) && !error.is_temporary(), "{message}");
            assert!(!message.contains("pass") || message.contains("--remote"), "{message}");
            assert!(!message.contains("pass@word") && !message.contains("pass%40"), "{message}");
        }
        let untrusted =
            Arguments { remote: Some(Secret::new(web.url("git/origin.git"))), ..Arguments::default() };
        let error = Store::clone(untrusted.remote(HostConnector).unwrap().unwrap(), Options::default()).await;
        let error = error.err().unwrap();
        assert!(matches!(error.problem, Problem::Connect(_)), "{error}");
        println!("{error}");
    });
}

#[test]
#[ignore = "needs nginx and fcgiwrap"]
fn a_push_that_is_too_large_is_refused() {
    let origin = Origin::new("sha1");
    let web = Web::new(&origin);
    run(async {
        let mut store = web.clone(&web.url("git/origin.git"), Options::default()).await.unwrap();
        let mut noise = vec![0; 200_000];
        platform::entropy::fill(&mut noise);
        let noise: String = noise.iter().map(|byte| format!("{byte:02x}")).collect();
        let error = scenarios::write(&mut store, "large", &noise).await.unwrap_err().to_string();
        assert!(error.contains("client_max_body_size"), "{error}");
        scenarios::write(&mut store, "small", "x\n").await.unwrap();
        origin.fsck();
    });
}
