//! What tests with real peers share: a git repository and its server, images in our tender, and DNS clients.
//!
//! ```text
//!     nsupdate, dig ─► published port ─► tender's user-mode network ─► image ─► 10.0.2.2 ─► git daemon ─► bare repository
//! ```
//!
//! Everything listens on 127.0.0.1 and is gone with the test. Images are found by `SKERRY_IMAGES`, the tender by
//! `SKERRY_TENDER`; `cargo xtask test` sets both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod collectors;
pub mod databases;
pub mod servers;

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, Signal, kill_process_group},
};
use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything may take before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A directory for one test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skerry-interop-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs git in a directory, with nobody's configuration.
pub fn git(directory: &Path, arguments: &[&str]) -> Output {
    let settings = ["-c", "user.name=a person", "-c", "user.email=person@example.org"];
    let mut git = Command::new("git");
    git.current_dir(directory).args(settings).args(arguments);
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
    git.output().expect("git is installed")
}

/// Runs git, which must succeed, and returns what it prints.
#[track_caller]
pub fn git_output(directory: &Path, arguments: &[&str]) -> String {
    let output = git(directory, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_string()
}

/// A port that was free a moment ago, for TCP and UDP.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "still waiting: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Where Debian has servers, which is not on an ordinary user's path.
pub fn server(name: &str) -> PathBuf {
    let directories = ["/usr/sbin", "/usr/bin", "/sbin"];
    let found =
        directories.map(|directory| Path::new(directory).join(name)).into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed"))
}

/// What a command prints; it must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A process and all that it starts, killed at the end.
pub struct Group(Child);

impl Group {
    /// Starts it as a process group of its own.
    pub fn start(command: &mut Command) -> Group {
        Group(command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// SIGKILL to all of it, at once.
    pub fn kill(&mut self) {
        let group = Pid::from_raw(self.0.id() as i32).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A bare repository with one branch, `main`.
pub struct Origin {
    scratch: Scratch,
}

impl Origin {
    /// With these files in its first commit.
    pub fn new(files: &[(&str, &str)]) -> Origin {
        let origin = Origin { scratch: Scratch::new() };
        git_output(
            origin.scratch.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", "zones.git"],
        );
        git_output(origin.scratch.path(), &["init", "--quiet", "--initial-branch=main", "first"]);
        let first = origin.scratch.path().join("first");
        for (name, text) in files {
            fs::write(first.join(name), text).unwrap();
        }
        git_output(&first, &["add", "--all"]);
        git_output(&first, &["commit", "--quiet", "--message", "the first"]);
        git_output(&first, &["push", "--quiet", "../zones.git", "main"]);
        origin
    }

    /// The directory that its server serves.
    pub fn root(&self) -> &Path {
        self.scratch.path()
    }

    /// The repository.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("zones.git")
    }

    /// A file of the branch's head.
    #[track_caller]
    pub fn text(&self, file: &str) -> String {
        git_output(&self.path(), &["show", &format!("main:{file}")])
    }

    /// Commits of the branch.
    #[track_caller]
    pub fn commits(&self) -> usize {
        git_output(&self.path(), &["rev-list", "--count", "main"]).parse().unwrap()
    }

    /// git's own judgement of every object.
    #[track_caller]
    pub fn fsck(&self) {
        git_output(&self.path(), &["fsck", "--full", "--strict", "--no-dangling"]);
    }

    /// A person with a working copy.
    pub fn person(&self, name: &str) -> Person {
        git_output(self.root(), &["clone", "--quiet", "zones.git", name]);
        Person { copy: self.root().join(name) }
    }
}

/// Somebody who changes files by hand.
pub struct Person {
    copy: PathBuf,
}

impl Person {
    /// Changes a file, commits and pushes; whoever was faster is fetched and the change is made again. The number of tries.
    #[track_caller]
    pub fn change(&self, file: &str, mut change: impl FnMut(&str) -> String) -> usize {
        for attempt in 1..=200 {
            git_output(&self.copy, &["fetch", "--quiet", "origin"]);
            git_output(&self.copy, &["reset", "--quiet", "--hard", "origin/main"]);
            let path = self.copy.join(file);
            let text = fs::read_to_string(&path).unwrap_or_default();
            fs::write(&path, change(&text)).unwrap();
            git_output(&self.copy, &["add", "--all"]);
            git_output(&self.copy, &["commit", "--quiet", "--message", "by hand"]);
            if git(&self.copy, &["push", "--quiet", "origin", "HEAD:main"]).status.success() {
                return attempt;
            }
        }
        panic!("200 pushes were refused");
    }
}

/// The zone's text with a serial number that is higher by one, and this line at the end.
pub fn with_line(text: &str, line: &str) -> String {
    let serial: u32 = serial(text);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!(
        "{}{end}{line}\n",
        text.replace(&format!("{serial} ; serial"), &format!("{} ; serial", serial + 1))
    )
}

/// The number before `; serial`.
#[track_caller]
pub fn serial(text: &str) -> u32 {
    let before = text.split(" ; serial").next().unwrap();
    before.split_whitespace().next_back().unwrap().parse().unwrap()
}

/// git daemon for an origin.
pub struct Daemon {
    /// Where it listens.
    pub port: u16,
    group: Option<Group>,
    root: PathBuf,
}

impl Daemon {
    /// Not started yet.
    pub fn new(origin: &Origin) -> Daemon {
        Daemon { port: free_port(), group: None, root: origin.root().to_path_buf() }
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(&mut self) {
        let programs = git_output(&self.root, &["--exec-path"]);
        let mut command = Command::new(Path::new(&programs).join("git-daemon"));
        command.args(["--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"]);
        command.arg(format!("--base-path={}", self.root.display())).arg(format!("--port={}", self.port));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        self.group = Some(Group::start(command.stderr(Stdio::null())));
        wait_for("git daemon listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// SIGKILL to it and to every push and fetch that is under way.
    pub fn kill(&mut self) {
        self.group = None;
    }

    /// What an image calls the repository.
    pub fn url(&self) -> String {
        format!("git://10.0.2.2:{}/zones.git#main", self.port)
    }
}

/// The DNS image, its log in a file.
pub struct Image {
    /// Where its port 53 is published.
    pub port: u16,
    group: Group,
    log: PathBuf,
    /// Both ends of a cable that leads nowhere.
    no_cable: Option<(OwnedFd, OwnedFd)>,
}

impl Image {
    /// Starts the one that follows a repository, with these arguments.
    #[track_caller]
    pub fn start(origin: &Origin, name: &str, arguments: &[String]) -> Image {
        Image::start_in(origin.root(), Path::new("dns-git.spt"), name, &[], arguments)
    }

    /// Starts the one with the zones of the example in it; its log is in `directory`. More ports of it are published over TCP:
    /// pairs of the host's and its own.
    #[track_caller]
    pub fn start_example(directory: &Path, published: &[(u16, u16)], arguments: &[String]) -> Image {
        Image::start_in(directory, Path::new("example/dns.spt"), "example", published, arguments)
    }

    /// The same, of an image that was built with the interface `management`, which is what this host is behind; `service` has
    /// no cable.
    #[track_caller]
    pub fn start_managed(directory: &Path, published: &[(u16, u16)], arguments: &[String]) -> Image {
        let no_cable =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
        let option = format!("--net:service=@{}", no_cable.0.as_raw_fd());
        let all =
            [vec!["--ipv4=192.0.2.1/24".to_owned(), "--ipv6=none".to_owned()], arguments.to_vec()].concat();
        let mut image =
            Image::start_with(directory, Path::new("managed/dns.spt"), "managed", published, &[option], &all);
        image.no_cable = Some(no_cable);
        image
    }

    fn start_in(
        directory: &Path,
        image: &Path,
        name: &str,
        published: &[(u16, u16)],
        arguments: &[String],
    ) -> Image {
        Image::start_with(directory, image, name, published, &[], arguments)
    }

    fn start_with(
        directory: &Path,
        image: &Path,
        name: &str,
        published: &[(u16, u16)],
        options: &[String],
        arguments: &[String],
    ) -> Image {
        let port = free_port();
        let log = directory.join(format!("{name}-{port}.log"));
        let file = fs::File::create(&log).unwrap();
        let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set"));
        let mut tender = Command::new(variable("SKERRY_TENDER"));
        tender.args(["--mem=64", "--outbound"]);
        for protocol in ["udp", "tcp"] {
            tender.arg(format!("--publish=127.0.0.1:{port}:53/{protocol}"));
        }
        for (here, there) in published {
            tender.arg(format!("--publish=127.0.0.1:{here}:{there}/tcp"));
        }
        tender.args(options);
        tender.arg(Path::new(&variable("SKERRY_IMAGES")).join(image)).args(arguments);
        tender.stdin(Stdio::null()).stderr(file.try_clone().unwrap()).stdout(file);
        Image { port, group: Group::start(&mut tender), log, no_cable: None }
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The last of what it has said.
    pub fn end(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn wait_for(&mut self, words: &str) {
        let start = Instant::now();
        while !self.said().contains(words) {
            let is_over = start.elapsed() > PATIENCE || self.group.status().is_some();
            assert!(!is_over, "it did not say '{words}':\n{}", self.said());
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn status(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the image ends", || {
            status = self.group.status();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.group.kill();
    }

    /// One line of data from `dig +short`.
    pub fn dig(&self, arguments: &[&str]) -> String {
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &self.port.to_string(), "+short", "+time=2", "+tries=2"])
            .args(arguments);
        let output = dig.output().expect("dig is installed");
        String::from_utf8_lossy(&output.stdout).trim_end().to_string()
    }

    /// What it takes to send it updates, even while it is replaced.
    pub fn client(&self) -> Client {
        Client { port: self.port }
    }

    /// One update; see [`Client::update`].
    pub fn update(&self, key: &str, script: &str) -> (bool, String) {
        self.client().update(key, script)
    }
}

/// Where updates go.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The port on 127.0.0.1.
    pub port: u16,
}

/// A port whose datagrams reach the image twice, the second time later: what a network may do. For one client, for ever.
pub fn duplicating(port: u16, later: Duration) -> u16 {
    let (here, there) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    there.connect(("127.0.0.1", port)).unwrap();
    let own = here.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_535];
        loop {
            let (length, client) = here.recv_from(&mut buffer).unwrap();
            let question = buffer[..length].to_vec();
            there.send(&question).unwrap();
            let (again, question) = (there.try_clone().unwrap(), question);
            std::thread::spawn(move || {
                sleep(later);
                let _ = again.send(&question);
            });
            if let Ok(length) = there.recv(&mut buffer) {
                here.send_to(&buffer[..length], client).unwrap();
            }
        }
    });
    own
}

impl Client {
    /// One update by nsupdate, signed with `key` (`ALGORITHM:NAME:SECRET`): whether it was acknowledged, and what was said.
    pub fn update(&self, key: &str, script: &str) -> (bool, String) {
        let text = format!("server 127.0.0.1 {}\nzone example.org\n{script}\nsend\n", self.port);
        let mut nsupdate = Command::new("nsupdate");
        nsupdate.args(["-y", key, "-t", "60", "-u", "10", "-r", "3"]);
        nsupdate.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nsupdate.spawn().expect("nsupdate is installed");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim_end().to_string())
    }
}
