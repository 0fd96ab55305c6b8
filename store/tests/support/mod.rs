//! What the tests against git's own servers share: repositories on disk, git itself, the host's sockets.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod scenarios;

use runtime::{connect::Connect, tls::Trust};
use std::{
    fs,
    future::Future,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use store::{
    Identity, Options, Store,
    remote::{Location, Remote},
};
use tokio::net::TcpStream;

/// Connects over the host's sockets.
#[derive(Clone)]
pub struct HostConnector;

impl Connect for HostConnector {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot connect to {host} port {port}: {error}"))
        };
        TcpStream::connect((host, port)).await.map_err(failed)
    }
}

/// Runs a test on the one thread that a service has, for some minutes at most.
#[track_caller]
pub fn run(test: impl Future<Output = ()>) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(280);
    let test = async { tokio::time::timeout(limit, test).await.expect("the test does not hang") };
    tokio::task::LocalSet::new().block_on(&executor, test);
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A directory for one test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skerry-store-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and says where it is.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that is ended with the test.
pub struct Program(Child);

impl Program {
    /// Starts a server and waits until it listens on `port`.
    pub fn serving(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut program = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return program;
            }
            assert!(program.0.try_wait().unwrap().is_none(), "{command:?} ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{command:?} does not listen");
    }

    /// Starts a server and waits until its socket is there.
    pub fn with_socket(command: &mut Command, socket: &Path) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let program = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        for _ in 0..200 {
            if socket.exists() {
                return program;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{command:?} does not listen");
    }

    /// Ends it at once, with the processes that it has started.
    pub fn kill(&mut self) {
        let mut victims = vec![self.0.id()];
        let mut next = 0;
        while let Some(parent) = victims.get(next) {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            victims.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse::<u32>().ok()),
            );
            next += 1;
        }
        let victims: Vec<String> = victims.iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg("-9").args(&victims).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where a program is; servers lie where ordinary users do not look.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists())
}

/// git, with no configuration but what is here.
pub fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).stdin(Stdio::null());
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "Human"),
        ("GIT_AUTHOR_EMAIL", "human@example.org"),
        ("GIT_COMMITTER_NAME", "Human"),
        ("GIT_COMMITTER_EMAIL", "human@example.org"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ] {
        command.env(name, value);
    }
    command
}

/// What a command of git prints, which has to succeed.
#[track_caller]
pub fn git_output(directory: &Path, arguments: &[&str]) -> String {
    let output = git(directory).args(arguments).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "git {arguments:?}: {out}{error}");
    out.trim_end().to_owned()
}

/// A repository on disk that a server serves, and a working copy of it.
pub struct Origin {
    pub scratch: Scratch,
}

impl Origin {
    /// With a few files on the branch `main`, and the branch `other`.
    pub fn new(format: &str) -> Self {
        let origin = Self { scratch: Scratch::new() };
        let root = origin.scratch.path();
        let format = format!("--object-format={format}");
        git_output(root, &["init", "-q", "--bare", "-b", "main", &format, "origin.git"]);
        git_output(root, &["init", "-q", "-b", "main", &format, "copy"]);
        git_output(&origin.copy(), &["remote", "add", "origin", "../origin.git"]);
        fs::create_dir(origin.copy().join("zones")).unwrap();
        for number in 0..3 {
            origin.write("zones/example.org", &format!("serial {number}\n"));
            origin.write("readme", "what is here\n");
            origin.commit_all(&format!("commit {number}"));
        }
        git_output(&origin.copy(), &["push", "-q", "origin", "main", "main:other"]);
        origin
    }

    pub fn bare(&self) -> PathBuf {
        self.scratch.path().join("origin.git")
    }

    pub fn copy(&self) -> PathBuf {
        self.scratch.path().join("copy")
    }

    /// Writes a file in the working copy.
    pub fn write(&self, path: &str, content: &str) {
        fs::write(self.copy().join(path), content).unwrap();
    }

    pub fn commit_all(&self, message: &str) {
        git_output(&self.copy(), &["add", "-A"]);
        git_output(&self.copy(), &["commit", "-q", "-m", message]);
    }

    pub fn push(&self) {
        git_output(&self.copy(), &["push", "-q", "origin", "HEAD:main"]);
    }

    /// A hook of the served repository, as a shell script.
    pub fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.bare().join("hooks").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What is at a path on the branch.
    pub fn show(&self, path: &str) -> String {
        git_output(&self.bare(), &["show", &format!("main:{path}")])
    }

    pub fn head(&self) -> String {
        git_output(&self.bare(), &["rev-parse", "main"])
    }

    /// Nothing is wrong with the repository, by git's own word.
    #[track_caller]
    pub fn fsck(&self) {
        let output =
            git(&self.bare()).args(["fsck", "--full", "--strict", "--no-dangling"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let complaints = said.lines().filter(|line| !line.starts_with("notice:")).count();
        assert!(output.status.success() && complaints == 0, "git fsck: {said}");
    }
}

/// git daemon, serving an origin.
pub struct Daemon {
    pub port: u16,
    program: Option<Program>,
    root: PathBuf,
}

impl Daemon {
    pub fn new(origin: &Origin) -> Self {
        let mut daemon = Self { port: free_port(), program: None, root: origin.scratch.path().to_owned() };
        daemon.start();
        daemon
    }

    pub fn start(&mut self) {
        let programs = git_output(&self.root, &["--exec-path"]);
        let mut command = Command::new(Path::new(&programs).join("git-daemon"));
        command
            .args(["--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"])
            .arg(format!("--base-path={}", self.root.display()))
            .arg(format!("--port={}", self.port))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        self.program = Some(Program::serving(&mut command, self.port));
    }

    /// Ends it and everything that it is doing at once.
    pub fn kill(&mut self) {
        self.program = None;
    }

    pub fn url(&self) -> String {
        format!("git://127.0.0.1:{}/origin.git", self.port)
    }
}

/// A remote at a URL.
pub fn remote<C: Connect + Clone>(url: &str, connector: C) -> Remote<C> {
    Remote::new(url.parse::<Location>().unwrap(), connector, &Trust::web())
}

/// Clones by URL.
pub async fn clone(url: &str, options: Options) -> Result<Store<HostConnector>, store::remote::RemoteError> {
    Store::clone(remote(url, HostConnector), options).await
}

/// Who commits in these tests.
pub fn author() -> Identity {
    Identity::new("Service", "service@example.org", 1_700_000_000)
}
