//! NSD and Knot, started on free ports of the loopback interface with the same zones.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::generate::ZoneFile;

pub use peers::{Kind, Peer};

/// How long a peer may take to serve all zones, seconds.
const START_SECONDS: u64 = 20;

/// What NSD makes its cookies of (RFC 9018 4.5); what is in them is not compared.
const COOKIE_SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

/// Whether a server knows all types of the zone that `text` is about.
pub fn reads(kind: Kind, text: &str) -> bool {
    kind == Kind::Nsd || !text.contains("nsd-types.test")
}

/// Starts a peer; an error says what is missing.
pub fn start(kind: Kind, zones: &[ZoneFile]) -> Result<Peer, String> {
    let zones: Vec<ZoneFile> = zones.iter().filter(|zone| reads(kind, &zone.name)).cloned().collect();
    let files: Vec<(&str, &str)> = zones.iter().map(|zone| (&zone.name[..], &zone.text[..])).collect();
    let address = free_address().map_err(|error| format!("no free port: {error}"))?;
    let mut peer = Peer::start(kind, address, &files, |folder| configuration(kind, folder, &zones))?;
    wait_for(address, &zones, || peer.has_ended())
        .map_err(|reason| format!("{} {reason}:\n{}", kind.program(), peer.log()))?;
    Ok(peer)
}

/// Waits until a server answers for all zones; an error if it ends before, or takes too long.
pub fn wait_for(
    address: SocketAddr,
    zones: &[ZoneFile],
    mut has_ended: impl FnMut() -> bool,
) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS);
    for zone in zones {
        while !answers_with_authority(address, &zone.name) {
            if Instant::now() > deadline || has_ended() {
                return Err(format!("does not serve {}", zone.name));
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// A port that is free for both UDP and TCP at the moment of asking.
pub fn free_address() -> std::io::Result<SocketAddr> {
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    Ok(SocketAddr::new(address, peers::free_port(&[address])?))
}

/// What makes the peer one to compare with, and its zones.
fn configuration(kind: Kind, folder: &Path, zones: &[ZoneFile]) -> String {
    let (start, zone): (String, fn(&str) -> String) = match kind {
        Kind::Nsd => (
            format!(
                "server:\n answer-cookie: yes\n cookie-secret: \"{COOKIE_SECRET}\"\n hide-version: yes\n \
                 hide-identity: yes\n"
            ),
            |name| format!("zone:\n name: \"{name}\"\n zonefile: \"{name}\"\n"),
        ),
        Kind::Knot => (
            format!(
                "template:\n  - id: default\n    storage: \"{}\"\n    zonefile-sync: -1\n    journal-content: none\n    \
                 semantic-checks: off\nzone:\n",
                folder.display()
            ),
            |name| format!("  - domain: {name}\n    file: \"{name}\"\n"),
        ),
        Kind::Bind => {
            (String::new(), |name| format!("zone \"{name}\" {{ type primary; file \"{name}\"; }};\n"))
        }
    };
    zones.iter().fold(start, |text, file| text + &zone(&file.name))
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
