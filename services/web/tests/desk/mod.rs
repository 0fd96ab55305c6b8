//! Our service on the host's loopback, on a repository of `git daemon`, for other people's programs to ask.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and one that cannot go on has failed"
)]

use runtime::{certificate::Certificates, connect::Connect, http, tls::Trust};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use store::{Options, Store, remote::Remote};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};
use web::{
    answer::Policy,
    hook,
    service::{
        Follower, Server, Setup,
        connections::{self, Front},
    },
    site::Settings,
};

/// What callers of the webhook know.
pub const SECRET: &str = "a secret for the hook of the desk";

/// Connects over the host's sockets.
#[derive(Clone)]
pub struct HostConnector;

impl Connect for HostConnector {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect((host, port)).await
    }
}

/// A folder that is gone at the end of the test.
pub struct Folder(pub PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skerry-web-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A site in a repository, its server, and ours.
pub struct Desk {
    pub folder: Folder,
    daemon: Child,
    /// Our ports, in the clear and over TLS.
    pub http: u16,
    pub https: u16,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-P", &self.daemon.id().to_string()]).status();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs git, which has to succeed, and returns what it prints.
#[track_caller]
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let settings = ["-c", "user.name=a person", "-c", "user.email=person@example.org"];
    let mut git = Command::new("git");
    git.current_dir(directory).args(settings).args(arguments);
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

impl Desk {
    /// Serves these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        git(&folder.0, &["init", "-q", "--bare", "-b", "main", "site.git"]);
        git(&folder.0, &["init", "-q", "-b", "main", "copy"]);
        let port = free_port();
        let mut daemon = Command::new("git");
        daemon.args([
            "daemon",
            "--reuseaddr",
            "--export-all",
            "--listen=127.0.0.1",
            &format!("--port={port}"),
        ]);
        daemon.arg(format!("--base-path={}", folder.0.display())).stdin(Stdio::null());
        let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut desk = Self { folder, daemon, http: 0, https: 0 };
        desk.push(files, "the first");
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        fs::write(desk.ca(), certificate.cert.pem()).unwrap();
        let pem = format!("{}{}", certificate.cert.pem(), certificate.signing_key.serialize_pem());
        let url = format!("git://127.0.0.1:{port}/site.git#main");
        let (ready, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&executor, async move {
                let remote = Remote::new(url.parse().unwrap(), HostConnector, &Trust::web());
                let store =
                    Store::clone(remote, Options { depth: None, ..Options::default() }).await.unwrap();
                let certificates = Certificates::new();
                certificates.give(pem.as_bytes()).unwrap();
                let fronts = [Front::Clear, Front::Tls(certificates.acceptor(http::PROTOCOLS))];
                let server = Rc::new(Server::new(Setup {
                    policy: Policy::default(),
                    certificates,
                    hook: Some(hook::Secret::new(SECRET).unwrap()),
                    hook_path: "/hook".into(),
                    redirection: None,
                    is_logging: true,
                }));
                let mut follower =
                    Follower::new(store, Rc::new(Settings::default()), server.clone(), |_| true);
                follower.load().await;
                let mut ports = Vec::new();
                for front in fronts {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    ports.push(listener.local_addr().unwrap().port());
                    spawn_local(accept(listener, server.clone(), front));
                }
                ready.send((ports[0], ports[1])).unwrap();
                let _ = follower.run(Duration::from_secs(3_600)).await;
            });
        });
        (desk.http, desk.https) = started.recv().unwrap();
        desk
    }

    /// The authority of our certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.0.join("ca.pem")
    }

    /// Commits these files and pushes them; returns the commit.
    pub fn push(&self, files: &[(&str, &str)], message: &str) -> String {
        let copy = self.folder.0.join("copy");
        for (path, text) in files {
            let path = copy.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }
        git(&copy, &["add", "--all"]);
        git(&copy, &["commit", "-q", "-m", message]);
        git(&copy, &["push", "-q", "../site.git", "main"]);
        git(&copy, &["rev-parse", "HEAD"])
    }

    /// A URL of ours in the clear.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.http)
    }

    /// The same over TLS.
    pub fn secure(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https)
    }

    /// What curl prints, head and body.
    #[track_caller]
    pub fn curl(&self, arguments: &[&str]) -> String {
        run(program("curl", "curl")
            .args(["-sS", "-i", "--noproxy", "*", "--cacert"])
            .arg(self.ca())
            .args(arguments))
    }
}

async fn accept(listener: TcpListener, server: Rc<Server>, front: Front) {
    loop {
        let (stream, peer): (TcpStream, SocketAddr) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        spawn_local(connections::serve(stream, peer.ip(), server.clone(), front.clone()));
    }
}

/// A program of the given Debian package; the test fails where it is missing.
pub fn program(name: &str, package: &str) -> Command {
    let folders = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    let mut command =
        Command::new(found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}")));
    command.stdin(Stdio::null());
    command
}

/// What a program prints.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
