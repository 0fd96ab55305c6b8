//! Servers in one process, joined by streams in memory, in virtual time: what takes a day there is over at once.

#![allow(dead_code, reason = "each test uses a part of it")]

use dns::keys::Keys;
use dns::packet::Packet;
use dns::primary;
use dns::service::{Policy, Server, secondaries, session};
use dns::{Authority, HashKey, Name, RecordType, Transport, Zone, Zones, check, transfer};
use runtime::connect::Connect;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::task::{LocalSet, spawn_local};

/// Addresses as keys name them.
pub const PRIMARY: &str = "192.0.2.1";
/// See [`PRIMARY`].
pub const SECONDARY: &str = "192.0.2.2";

/// A server, as all have it.
pub type Shared = Rc<RefCell<Server>>;

/// Who can be reached.
#[derive(Clone, Default)]
pub struct World {
    hosts: Rc<RefCell<HashMap<String, Shared>>>,
    connections: Rc<Cell<usize>>,
}

/// One end of all wires.
#[derive(Clone)]
pub struct Wire {
    world: World,
    from: IpAddr,
}

impl Connect for Wire {
    type Stream = DuplexStream;

    async fn connect(&self, host: &str, _port: u16) -> io::Result<DuplexStream> {
        let server = self.world.hosts.borrow().get(host).cloned().ok_or(ErrorKind::ConnectionRefused)?;
        self.world.connections.set(self.world.connections.get() + 1);
        let (ours, theirs) = tokio::io::duplex(4096);
        let from = self.from;
        spawn_local(async move { session(theirs, from, &server).await });
        Ok(ours)
    }
}

impl World {
    /// A server with these zones, which can be reached.
    pub fn primary(&self, address: &str, zones: &[(&str, String)], keys: &[&str]) -> Shared {
        let server = self.server(address, zones, keys);
        self.plug(address, server.clone());
        server
    }

    /// A server that has nothing but keys.
    pub fn secondary(&self, address: &str, keys: &[&str]) -> Shared {
        self.server(address, &[], keys)
    }

    fn server(&self, address: &str, files: &[(&str, String)], keys: &[&str]) -> Shared {
        let mut zones = Zones::new(hash_key());
        for (file, text) in files {
            zones.load(file, &mut text.as_bytes()).expect("the zone is good");
        }
        let mut known = Keys::default();
        keys.iter().for_each(|key| known.add(&format!("{key}:SHA256:c2VjcmV0")).expect("the key is good"));
        let policy = Policy { open_transfers: false, port: 53 };
        let server = Rc::new(RefCell::new(Server::new(Authority::new(zones), known, policy)));
        let wire = Wire { world: self.clone(), from: address.parse().expect("an address") };
        spawn_local(secondaries::run(server.clone(), wire));
        server
    }

    /// Connects a server.
    pub fn plug(&self, address: &str, server: Shared) {
        self.hosts.borrow_mut().insert(address.to_string(), server);
    }

    /// Nobody reaches the server any more.
    pub fn unplug(&self, address: &str) {
        self.hosts.borrow_mut().remove(address);
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }
}

/// Runs a test in virtual time.
pub fn run(test: impl AsyncFnOnce(World)) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&executor.expect("an executor"), test(World::default()));
}

/// Lets so many seconds pass.
pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn hash_key() -> HashKey {
    HashKey::new([3; 24])
}

/// A name that all servers here understand.
pub fn name(text: &str) -> Name {
    dns::zone_name(text, &hash_key()).expect("a name")
}

/// A zone that is asked for every ten minutes, and expires after an hour.
pub fn zone(serial: u32) -> String {
    format!("$TTL 60\n@ SOA ns h {serial} 600 600 3600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n")
}

/// A file of keys.
pub fn config(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key} DNSKEY 0 3 163 c2VjcmV0\n")).collect()
}

/// A zone file served from now on, as a push would have it.
pub fn install(server: &Shared, file: &str, text: &str) {
    let checked = check::zone(file, text.as_bytes(), &hash_key()).expect("the zone is good");
    let (zone, mut server): (Rc<Zone>, _) = (Rc::new(checked.zone), server.borrow_mut());
    primary::Server::install(&mut *server, &checked.apex, zone).expect("it is installed");
}

/// A zone file that is gone.
pub fn remove(server: &Shared, file: &str) {
    primary::Server::remove(&mut *server.borrow_mut(), &name(file));
}

/// The address in the answer to a question for one; or what went wrong, and the extended error (RFC 8914).
pub fn answer(server: &Shared, owner: &str) -> String {
    let mut query = transfer::question(name(owner).wire(), RecordType::A, 7);
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    query[11] = 1;
    let mut buffer = vec![0; 4096];
    buffer[..query.len()].copy_from_slice(&query);
    let length = server.borrow_mut().authority_mut().answer(Transport::Udp, &mut buffer, query.len());
    let message = &buffer[..length.expect("an answer")];
    let mut packet = Packet::new(message).expect("a message");
    packet.question().expect("a question");
    let error = message.last().expect("it is not empty");
    match (packet.rcode(), packet.count(1)) {
        (0, 0) => "nothing".to_string(),
        (0, _) => {
            let record = packet.record().expect("a record").record;
            let octets: [u8; 4] = record.data.try_into().expect("an address");
            IpAddr::from(octets).to_string()
        }
        (2, _) => format!("SERVFAIL {error}"),
        (5, _) => format!("REFUSED {error}"),
        (rcode, _) => rcode.to_string(),
    }
}
