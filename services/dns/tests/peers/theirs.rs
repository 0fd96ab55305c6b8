//! Other people's programs: NSD, Knot and BIND as primaries and secondaries, nsupdate, dig and kdig as clients.
//!
//! One that is not installed fails the test and says which Debian package has it.

use peers::find_program;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use peers::{Kind, Peer};

/// The secret of all keys here, in base 64.
pub const SECRET: &str = "c29tZSBzZWNyZXQgb2YgMzIgb2N0ZXRzLCByb3VnaGx5";

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the server gets the zone from, or gives it to.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// It has the zone from the file `zone`.
    Primary,
    /// It gets the zone from us.
    Secondary,
    /// The zone is a catalog of these zones, and it has each of them from the file `member`; BIND the catalog from `catalog`.
    Producer(&'a [&'a str]),
    /// The zone is a catalog that it gets from us, and so it does those that the catalog lists.
    Consumer,
}

/// A server and its part.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What it does.
    pub role: Role<'a>,
    /// The zone.
    pub zone: &'a str,
    /// Where we are.
    pub ours: SocketAddr,
    /// The key's name.
    pub key: &'a str,
}

impl Part<'_> {
    /// Starts such a server, which has these files.
    #[track_caller]
    pub fn start(&self, kind: Kind, address: SocketAddr, files: &[(&str, &str)]) -> Peer {
        let peer = Peer::start(kind, address, files, |folder| self.configuration(kind, folder));
        peer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Gives a server another part.
    #[track_caller]
    pub fn take_over(&self, peer: &Peer, files: &[(&str, &str)]) {
        let rest = |folder: &Path| self.configuration(peer.kind, folder);
        peer.reload(files, Some(&rest)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn configuration(&self, kind: Kind, folder: &Path) -> String {
        match kind {
            Kind::Nsd => self.nsd(),
            Kind::Knot => self.knot(folder),
            Kind::Bind => self.bind(),
        }
    }

    /// NSD 4.6 has no catalogs.
    fn nsd(&self) -> String {
        let Part { zone, key, .. } = self;
        let (us, port) = (self.ours.ip(), self.ours.port());
        let transfers = match self.role {
            Role::Primary => format!(" provide-xfr: {us} {key}\n notify: {us}@{port} {key}\n"),
            Role::Secondary => {
                format!(
                    " request-xfr: {us}@{port} {key}\n allow-notify: {us} NOKEY\n allow-notify: {us} {key}\n"
                )
            }
            Role::Producer(_) | Role::Consumer => panic!("NSD has no catalogs"),
        };
        format!(
            "key:\n name: \"{key}\"\n algorithm: hmac-sha256\n secret: \"{SECRET}\"\n\
             zone:\n name: \"{zone}\"\n zonefile: \"zone\"\n{transfers}"
        )
    }

    fn knot(&self, folder: &Path) -> String {
        let Part { zone, key, .. } = self;
        let (us, port, folder) = (self.ours.ip(), self.ours.port(), folder.display());
        let (primary, secondary) =
            ("    acl: us-xfr\n    notify: us\n", "    master: us\n    acl: [us-notify, us-notify-key]\n");
        let common =
            format!("    storage: \"{folder}\"\n    zonefile-sync: -1\n    journal-content: changes\n");
        let zones = match self.role {
            Role::Primary => format!("  - domain: {zone}\n    file: \"zone\"\n{primary}"),
            Role::Secondary => format!("  - domain: {zone}\n    file: \"zone\"\n{secondary}"),
            Role::Consumer => format!(
                "  - domain: {zone}\n{secondary}    catalog-role: interpret\n    catalog-template: member\n"
            ),
            Role::Producer(members) => {
                let catalog = format!("  - domain: {zone}\n{primary}    catalog-role: generate\n");
                members.iter().fold(catalog, |text, member| {
                    format!(
                        "{text}  - domain: {member}\n    file: \"member\"\n{primary}    catalog-role: member\n    \
                         catalog-zone: {zone}\n"
                    )
                })
            }
        };
        format!(
            "key:\n  - id: {key}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             remote:\n  - id: us\n    address: {us}@{port}\n    key: {key}\n\
             acl:\n  - id: us-xfr\n    key: {key}\n    action: [transfer, update]\n  - id: us-notify\n    address: {us}\n    \
             action: notify\n  - id: us-notify-key\n    key: {key}\n    action: notify\n\
             template:\n  - id: default\n{common}  - id: member\n{common}{secondary}zone:\n{zones}"
        )
    }

    fn bind(&self) -> String {
        let Part { zone, key, .. } = self;
        let us = format!("{} port {} key \"{key}\"", self.ours.ip(), self.ours.port());
        let primary = |zone: &str, file: &str, more: &str| {
            format!(
                "zone \"{zone}\" {{ type primary; file \"{file}\"; allow-transfer {{ key \"{key}\"; }}; \
                 also-notify {{ {us}; }}; {more}}};\n"
            )
        };
        let secondary = format!(
            "zone \"{zone}\" {{ type secondary; file \"zone\"; primaries {{ {us}; }}; allow-notify {{ {}; }}; }};\n",
            self.ours.ip()
        );
        let zones = match self.role {
            Role::Primary => primary(zone, "zone", &format!("allow-update {{ key \"{key}\"; }}; ")),
            Role::Secondary => secondary,
            Role::Consumer => format!(
                "view all {{ catalog-zones {{ zone \"{zone}\" default-primaries {{ {us}; }}; }}; {secondary}}};\n"
            ),
            Role::Producer(members) => members
                .iter()
                .fold(primary(zone, "catalog", ""), |text, member| text + &primary(member, "member", "")),
        };
        format!("key \"{key}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n{zones}")
    }
}

/// A port that is free on these addresses.
pub fn free_port(addresses: &[&str]) -> u16 {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    peers::free_port(&addresses).expect("loopback has ports")
}

fn program(name: &str, package: &str) -> Command {
    Command::new(find_program(name).unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}")))
}

/// Runs a client; what it says, and whether it is content.
pub fn run(name: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let package = if name == "kdig" { "knot-dnsutils" } else { "bind9-dnsutils" };
    let mut child = program(name, package)
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
