//! What tests of clients and services against other people's programs share: the host's sockets, those programs, and
//! certificates for them. Names of hosts are not looked up: all are this one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authority;

pub use authority::{Authority, Certified};
pub use peers::find_program;

use runtime::connect::Connect;
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
use tokio::net::TcpStream;

/// How long a test may take before it is said to hang.
const PATIENCE: Duration = Duration::from_secs(280);

/// Connects over the host's sockets, and takes every name for this host.
#[derive(Clone)]
pub struct HostConnector;

impl Connect for HostConnector {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot connect to {host} port {port}: {error}"))
        };
        TcpStream::connect(("127.0.0.1", port)).await.map_err(failed)
    }
}

/// Runs a test on the one thread that a service has, for some minutes at most.
#[track_caller]
pub fn run(test: impl Future<Output = ()>) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { tokio::time::timeout(PATIENCE, test).await.expect("the test does not hang") };
    tokio::task::LocalSet::new().block_on(&executor, test);
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A directory for one test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    #[expect(clippy::new_without_default, reason = "it makes something outside")]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skerry-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Writes a file and says where it is.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
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
    /// Starts a program that is not waited for; what it prints is shown if the test fails.
    pub fn started(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Starts a server and waits until it listens on `port`.
    pub fn serving(command: &mut Command, port: u16) -> Self {
        // `s_server` ends with its input.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
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
