//! What the tests against git's own servers share: repositories on disk, and git itself.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod scenarios;

use runtime::{connect::Connect, tls::Trust};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use store::{
    Identity, Options, Store,
    remote::{Location, Remote},
};
use support::{HostConnector, Program, Scratch, free_port};

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
