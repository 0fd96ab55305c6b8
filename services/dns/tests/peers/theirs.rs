//! Other people's programs: NSD, Knot and BIND as primaries and secondaries, nsupdate, dig and kdig as clients.
//!
//! One that is not installed fails the test and says which Debian package has it.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The secret of all keys here, in base 64.
pub const SECRET: &str = "c29tZSBzZWNyZXQgb2YgMzIgb2N0ZXRzLCByb3VnaGx5";

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "they are names")]
pub enum Kind {
    Nsd,
    Knot,
    Bind,
}

/// Whom the server gets the zone from, or gives it to.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// It has the zone from a file.
    Primary,
    /// It gets the zone from us.
    Secondary,
}

/// A server that runs; it ends with this value.
pub struct Peer {
    process: Child,
    folder: PathBuf,
    kind: Kind,
}

/// A port that is free on these addresses.
pub fn free_port(addresses: &[&str]) -> u16 {
    for _ in 0..100 {
        let listener = TcpListener::bind((addresses[0], 0)).expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let is_free = |address: &str| {
            TcpListener::bind((address, port)).is_ok() && UdpSocket::bind((address, port)).is_ok()
        };
        if addresses.iter().all(|address| is_free(address)) {
            return port;
        }
    }
    panic!("no port is free on {addresses:?}");
}

fn program(name: &str, package: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

impl Peer {
    /// Starts a server at `address` that has or gets `zone`; we are at `ours`, and the key is `key` (its name).
    pub fn start(
        kind: Kind,
        role: Role,
        address: SocketAddr,
        ours: SocketAddr,
        zone: (&str, &str),
        key: &str,
    ) -> Peer {
        let folder = std::env::temp_dir().join(format!(
            "dns-peers-{}-{}-{}",
            std::process::id(),
            address.ip(),
            address.port()
        ));
        fs::create_dir_all(&folder).expect("a folder");
        if let Role::Primary = role {
            fs::write(folder.join("zone"), zone.1).expect("the zone is written");
        }
        let (name, package, text) = match kind {
            Kind::Nsd => ("nsd", "nsd", nsd(role, &folder, address, ours, zone.0, key)),
            Kind::Knot => ("knotd", "knot", knot(role, &folder, address, ours, zone.0, key)),
            Kind::Bind => ("named", "bind9", bind(role, &folder, address, ours, zone.0, key)),
        };
        let configuration = folder.join("configuration");
        fs::write(&configuration, text).expect("the configuration is written");
        let log = fs::File::create(folder.join("log")).expect("the log is made");
        let mut command = Command::new(program(name, package));
        match kind {
            Kind::Nsd => command.arg("-d").arg("-c").arg(&configuration),
            Kind::Knot => command.arg("-c").arg(&configuration),
            Kind::Bind => command.args(["-g", "-n", "1", "-c"]).arg(&configuration),
        };
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("it is open")).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Peer { process, folder, kind }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Has a primary read its zone again from this text.
    pub fn reload(&self, text: &str) {
        fs::write(self.folder.join("zone"), text).expect("the zone is written");
        let signal = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(signal.is_ok_and(|status| status.success()), "{:?} takes no signal", self.kind);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        if asked.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn nsd(
    role: Role,
    folder: &std::path::Path,
    address: SocketAddr,
    ours: SocketAddr,
    zone: &str,
    key: &str,
) -> String {
    let (folder, ip, port, us) = (folder.display(), address.ip(), address.port(), ours.ip());
    let mut text = format!(
        "server:\n ip-address: {ip}@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n \
         database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n \
         zonelistfile: \"{folder}/zone.list\"\n cookie-secret-file: \"\"\n rrl-ratelimit: 0\n verbosity: 2\n\
         remote-control:\n control-enable: no\n\
         key:\n name: \"{key}\"\n algorithm: hmac-sha256\n secret: \"{SECRET}\"\n\
         zone:\n name: \"{zone}\"\n zonefile: \"zone\"\n"
    );
    text += &match role {
        Role::Primary => format!(" provide-xfr: {us} {key}\n notify: {us}@{port} {key}\n"),
        Role::Secondary => {
            format!(" request-xfr: {us}@{port} {key}\n allow-notify: {us} NOKEY\n allow-notify: {us} {key}\n")
        }
    };
    text
}

fn knot(
    role: Role,
    folder: &std::path::Path,
    address: SocketAddr,
    ours: SocketAddr,
    zone: &str,
    key: &str,
) -> String {
    let (folder, ip, port, us) = (folder.display(), address.ip(), address.port(), ours.ip());
    let mut text = format!(
        "server:\n  rundir: \"{folder}\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         database:\n  storage: \"{folder}\"\nlog:\n  - target: stderr\n    any: info\n\
         key:\n  - id: {key}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
         remote:\n  - id: us\n    address: {us}@{port}\n    key: {key}\n\
         acl:\n  - id: us-xfr\n    key: {key}\n    action: [transfer, update]\n  - id: us-notify\n    address: {us}\n    action: notify\n  \
         - id: us-notify-key\n    key: {key}\n    action: notify\n\
         template:\n  - id: default\n    storage: \"{folder}\"\n    zonefile-sync: -1\n    journal-content: changes\n\
         zone:\n  - domain: {zone}\n    file: \"zone\"\n"
    );
    text += match role {
        Role::Primary => "    acl: us-xfr\n    notify: us\n",
        Role::Secondary => "    master: us\n    acl: [us-notify, us-notify-key]\n",
    };
    text
}

fn bind(
    role: Role,
    folder: &std::path::Path,
    address: SocketAddr,
    ours: SocketAddr,
    zone: &str,
    key: &str,
) -> String {
    let (folder, ip, port, us) = (folder.display(), address.ip(), address.port(), ours.ip());
    let mut text = format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; \
         pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/session.key\"; recursion no; dnssec-validation no; \
         notify explicit; notify-source {ip}; transfer-source {ip}; query-source address {ip}; }};\n\
         controls {{ }};\nkey \"{key}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n"
    );
    text += &match role {
        Role::Primary => format!(
            "zone \"{zone}\" {{ type primary; file \"zone\"; allow-transfer {{ key \"{key}\"; }}; allow-update {{ key \"{key}\"; }}; \
             also-notify {{ {us} port {port} key \"{key}\"; }}; }};\n"
        ),
        Role::Secondary => format!(
            "zone \"{zone}\" {{ type secondary; file \"zone\"; primaries {{ {us} port {port} key \"{key}\"; }}; \
             allow-notify {{ {us}; }}; }};\n"
        ),
    };
    text
}

/// Runs a client; what it says, and whether it is content.
pub fn run(name: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let package = if name == "kdig" { "knot-dnsutils" } else { "bind9-dnsutils" };
    let mut child = Command::new(program(name, package))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    use std::io::Write;
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// An update by nsupdate; what it says if it is refused.
pub fn nsupdate(address: SocketAddr, key: &str, options: &[&str], lines: &str) -> Result<(), String> {
    let input = format!("server {} {}\n{lines}send\n", address.ip(), address.port());
    let key = format!("hmac-sha256:{key}:{SECRET}");
    let arguments = [&["-y", key.as_str()], options].concat();
    match run("nsupdate", &arguments, &input) {
        (true, _) => Ok(()),
        (false, text) => Err(text),
    }
}

/// The answer to a question that dig asks, in its short form.
pub fn dig(address: SocketAddr, arguments: &[&str]) -> String {
    let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
    let arguments = [&[at.as_str(), "-p", port.as_str(), "+time=2", "+tries=1"], arguments].concat();
    run("dig", &arguments, "").1
}

/// Waits until dig's short answer is what is expected.
#[track_caller]
pub fn wait_for(address: SocketAddr, question: &[&str], expect: &str, peers: &[&Peer]) {
    let deadline = Instant::now() + PATIENCE;
    let arguments = [&["+short"], question].concat();
    loop {
        let answer = dig(address, &arguments);
        if answer.trim() == expect {
            return;
        }
        if Instant::now() > deadline {
            let logs: Vec<String> = peers.iter().map(|peer| peer.log()).collect();
            panic!("{question:?} at {address}: {answer:?}, not {expect:?}\n{}", logs.join("\n"));
        }
        sleep(Duration::from_millis(100));
    }
}

/// An address of the loopback network.
pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port)
}
