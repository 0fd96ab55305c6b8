//! NSD and Knot, started on free ports of the loopback interface with the same zones.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::generate::ZoneFile;

/// How long a peer may take to serve all zones, seconds.
const START_SECONDS: u64 = 20;

/// What NSD makes its cookies of (RFC 9018 4.5); what is in them is not compared.
const COOKIE_SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NSD, by NLnet Labs.
    Nsd,
    /// Knot DNS, by CZ.NIC.
    Knot,
}

impl Kind {
    /// The name of the Debian package.
    pub fn package(self) -> &'static str {
        match self {
            Kind::Nsd => "nsd",
            Kind::Knot => "knot",
        }
    }

    /// Whether it knows all types of the zone that `text` is about.
    pub fn reads(self, text: &str) -> bool {
        self == Kind::Nsd || !text.contains("nsd-types.test")
    }

    fn program(self) -> &'static str {
        match self {
            Kind::Nsd => "nsd",
            Kind::Knot => "knotd",
        }
    }
}

/// A peer that runs; it ends with this value.
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// Where it listens, on UDP and TCP.
    pub address: SocketAddr,
    process: Child,
    folder: PathBuf,
}

impl Peer {
    /// Starts a peer; an error says what is missing.
    pub fn start(kind: Kind, zones: &[ZoneFile]) -> Result<Peer, String> {
        let zones: Vec<ZoneFile> = zones.iter().filter(|zone| kind.reads(&zone.name)).cloned().collect();
        let zones = zones.as_slice();
        let program = find_program(kind.program()).ok_or_else(|| {
            format!("{} is not installed: apt-get install {}", kind.program(), kind.package())
        })?;
        let address = free_address().map_err(|error| format!("no free port: {error}"))?;
        let folder =
            std::env::temp_dir().join(format!("conformance-{}-{}", kind.package(), std::process::id()));
        write_folder(kind, &folder, address, zones)
            .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        let configuration = folder.join("configuration");
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        match kind {
            Kind::Nsd => command.arg("-d").arg("-c").arg(&configuration),
            Kind::Knot => command.arg("-c").arg(&configuration),
        };
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let process = command.spawn().map_err(|error| format!("cannot start {}: {error}", kind.program()))?;
        let mut peer = Peer { kind, address, process, folder };
        wait_for(&mut peer.process, address, zones).map_err(|reason| {
            let log = fs::read_to_string(peer.folder.join("log")).unwrap_or_default();
            format!("{} {reason}:\n{log}", kind.program())
        })?;
        Ok(peer)
    }
}

/// Waits until a server answers for all zones; an error if it ends before, or takes too long.
pub fn wait_for(process: &mut Child, address: SocketAddr, zones: &[ZoneFile]) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS);
    for zone in zones {
        while !answers_with_authority(address, &zone.name) {
            if Instant::now() > deadline || process.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(format!("does not serve {}", zone.name));
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

impl Drop for Peer {
    fn drop(&mut self) {
        // NSD's children end when their parent is asked to; a kill would leave them.
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        if asked.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders =
        path.split(':').map(Path::new).chain([Path::new("/usr/sbin"), Path::new("/usr/local/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A port that is free for both UDP and TCP at the moment of asking.
pub fn free_address() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    UdpSocket::bind(address)?;
    Ok(address)
}

fn write_folder(kind: Kind, folder: &Path, address: SocketAddr, zones: &[ZoneFile]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for zone in zones {
        fs::write(folder.join(&zone.name), &zone.text)?;
    }
    let text = match kind {
        Kind::Nsd => nsd_configuration(folder, address, zones),
        Kind::Knot => knot_configuration(folder, address, zones),
    };
    fs::write(folder.join("configuration"), text)
}

fn nsd_configuration(folder: &Path, address: SocketAddr, zones: &[ZoneFile]) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    let mut text = format!(
        "server:\n ip-address: {ip}@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n \
         database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n \
         zonelistfile: \"{folder}/zone.list\"\n answer-cookie: yes\n cookie-secret: \"{COOKIE_SECRET}\"\n \
         cookie-secret-file: \"\"\n hide-version: yes\n hide-identity: yes\n \
         rrl-ratelimit: 0\n verbosity: 1\nremote-control:\n control-enable: no\n"
    );
    for zone in zones {
        text += &format!("zone:\n name: \"{0}\"\n zonefile: \"{0}\"\n", zone.name);
    }
    text
}

fn knot_configuration(folder: &Path, address: SocketAddr, zones: &[ZoneFile]) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    let mut text = format!(
        "server:\n  rundir: \"{folder}\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n\
         database:\n  storage: \"{folder}\"\nlog:\n  - target: stderr\n    any: warning\n\
         template:\n  - id: default\n    storage: \"{folder}\"\n    zonefile-sync: -1\n    journal-content: none\n    \
         semantic-checks: off\nzone:\n"
    );
    for zone in zones {
        text += &format!("  - domain: {0}\n    file: \"{0}\"\n", zone.name);
    }
    text
}

/// Asks for the zone's SOA record.
fn answers_with_authority(address: SocketAddr, zone: &str) -> bool {
    let query = crate::questions::simple(zone, 6);
    let socket = match UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(socket) => socket,
        Err(_) => return false,
    };
    let mut answer = [0; 512];
    let sent = socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .and_then(|()| socket.send_to(&query, address));
    sent.is_ok()
        && socket.recv(&mut answer).is_ok_and(|length| length > 12 && answer[2] & 4 != 0 && answer[7] == 1)
}
