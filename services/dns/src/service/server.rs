//! What all ways into the service share: zones, keys, and who is to be told of changes.

use super::catalogs::Offered;
use super::encrypted::Encrypted;
use super::forwarding::Forwarder;
use super::replays::Replays;
use super::secondary::Secondary;
use super::updates::Backend;
use crate::catalog::Catalogs;
use crate::dnssec::limits::{CHAIN_OCTETS_PER_NAME, EDITIONS};
use crate::dnssec::{Edition, SignedZone};
use crate::keys::{Keys, is_at_or_below};
use crate::limits;
use crate::name::Name;
use crate::notify::Notifier;
use crate::record::{Record, is_later};
use crate::transfer::{History, between};
use crate::tsig::Key;
use crate::types::RecordType;
use crate::zone::Zone;
use crate::zones::Absence;
use crate::{Authority, client};
use log::warn;
use runtime::network::Endpoints;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use tokio::sync::{Notify, Semaphore};

/// What is allowed, and where others listen.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whoever asks gets whole zones (`--axfr`); otherwise whoever has a key for it.
    pub open_transfers: bool,
    /// The port of other servers: 53, but for tests.
    pub port: u16,
}

/// The state of the service.
pub struct Server {
    pub(super) authority: Authority,
    pub(super) scratch: Vec<u8>,
    /// The keys.
    pub keys: Keys,
    pub(super) policy: Policy,
    histories: HashMap<Vec<u8>, History>,
    pub(super) replays: Replays,
    pub(super) notifier: Notifier,
    pub(super) to_notify: Rc<Notify>,
    /// Who asked for the SOA record of a zone with a key that may transfer it: a secondary that no record names.
    asked: HashMap<Vec<u8>, VecDeque<(IpAddr, Rc<Key>)>>,
    pub(super) backend: Option<Rc<dyn Backend>>,
    pub(super) forwarder: Option<Forwarder>,
    /// Zones that are ours by a file, and not by a transfer.
    pub(super) own: BTreeSet<Vec<u8>>,
    pub(super) catalogs: Catalogs,
    pub(super) offered: Option<Offered>,
    pub(super) secondaries: HashMap<Vec<u8>, Rc<Secondary>>,
    /// Other zones are to come from others than before, or may be.
    pub(super) to_fetch: Rc<Notify>,
    pub(super) fetches: Rc<Semaphore>,
    /// Datagrams that are answered by a task, with who sent them.
    pub(super) late: VecDeque<(Endpoints, Vec<u8>)>,
    pub(super) to_answer: Rc<Notify>,
    /// Answers over TLS.
    pub(super) encrypted: Encrypted,
    /// There are other signing keys, or others who fetch zones.
    pub(super) to_sign: Rc<Notify>,
    /// Signed zones that were fetched last, by name.
    editions: HashMap<Vec<u8>, Rc<Edition>>,
    pub(super) transfers: usize,
}

impl Server {
    /// Serves the zones of `authority`, to whoever these keys allow what.
    pub fn new(authority: Authority, keys: Keys, policy: Policy) -> Server {
        let own = authority.zones().iter().map(|zone| zone.apex().to_vec()).collect();
        Server {
            authority,
            scratch: vec![0; limits::MESSAGE_OCTETS],
            keys,
            policy,
            histories: HashMap::new(),
            replays: Replays::default(),
            notifier: Notifier::default(),
            to_notify: Rc::default(),
            asked: HashMap::new(),
            backend: None,
            forwarder: None,
            own,
            catalogs: Catalogs::default(),
            offered: None,
            secondaries: HashMap::new(),
            to_fetch: Rc::default(),
            fetches: Rc::new(Semaphore::new(limits::FETCHES)),
            late: VecDeque::new(),
            to_answer: Rc::default(),
            encrypted: Encrypted::default(),
            to_sign: Rc::default(),
            editions: HashMap::new(),
            transfers: 0,
        }
    }

    /// Hands updates and signed notifications on to `backend`.
    pub fn set_backend(&mut self, backend: Rc<dyn Backend>) {
        self.backend = Some(backend);
    }

    /// The core.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The core, to be set up.
    pub fn authority_mut(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// Serves `zone`, which is called `apex`, from now on; keeps what it changes for IXFR, and tells secondaries.
    pub fn install(&mut self, apex: &Name, zone: Rc<Zone>) -> Result<(), String> {
        let old = self.authority.zones().get(apex);
        self.authority.zones_mut().replace(apex, zone.clone())?;
        let serial = zone.serial();
        if let Some(old) = &old {
            let history = self.histories.entry(apex.wire().to_vec()).or_default();
            match is_later(serial, old.serial()) {
                true => history.push(between(old, &zone, self.authority.zones().key())),
                // Whatever it was: nobody can ask for what changed since a version that has the same number.
                false => history.clear(),
            }
        }
        if old.is_none_or(|old| old.serial() != serial) {
            self.tell(&zone);
        }
        self.follow(&zone);
        Ok(())
    }

    /// The zone called `apex` is too old to be served.
    pub fn expire(&mut self, apex: &Name) {
        self.remove(apex);
        self.authority.zones_mut().set_absent(apex, Some(Absence::Expired));
    }

    /// Serves the zone called `apex` no longer.
    pub fn remove(&mut self, apex: &Name) {
        self.authority.zones_mut().remove(apex);
        self.histories.remove(apex.wire());
        self.asked.remove(apex.wire());
        self.editions.remove(apex.wire());
        self.notifier.forget(apex.wire());
    }

    /// The differences that lead from the version `serial` to the one that is served.
    pub(super) fn history_of(&self, zone: &Zone) -> Option<&History> {
        self.histories.get(zone.apex())
    }

    /// Whether anybody may fetch zones.
    pub(super) fn has_fetchers(&self) -> bool {
        self.policy.open_transfers || self.keys.iter().next().is_some()
    }

    /// The signed zone as secondaries get it, with the signatures that were made for the last of them. None where there is no memory
    /// for it.
    pub(super) fn edition_of(&mut self, zone: &Rc<Zone>, signed: &Rc<SignedZone>) -> Option<Rc<Edition>> {
        if let Some(edition) = self.editions.get(zone.apex()).filter(|edition| edition.is_of(zone, signed)) {
            return Some(edition.clone());
        }
        self.editions.remove(zone.apex());
        if self.editions.len() >= EDITIONS {
            self.editions.clear();
        }
        self.room(zone.nodes_in_order().len() * CHAIN_OCTETS_PER_NAME).ok()?;
        let edition = Rc::new(Edition::new(zone.clone(), signed.clone(), client::unix_seconds()));
        self.editions.insert(zone.apex().to_vec(), edition.clone());
        Some(edition)
    }

    /// Tells everybody that serves the zone besides us that it has changed; nobody where nobody may fetch it.
    pub fn tell(&mut self, zone: &Zone) {
        let soa = self.authority.zones().soa(zone);
        let Some(soa) = soa.filter(|_| self.has_fetchers()) else { return };
        let now_ms = platform::clock::monotonic() / 1_000_000;
        for (address, key) in self.secondaries_of(zone, &soa) {
            let target = SocketAddr::new(address, self.policy.port);
            self.notifier.notify(target, zone.apex(), soa.clone(), key, client::random_id(), now_ms);
        }
        self.to_notify.notify_one();
    }

    /// The next notification that is due, and for whom.
    pub fn poll_notification(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let now_ms = platform::clock::monotonic() / 1_000_000;
        self.notifier.poll_send(now_ms, client::unix_seconds())
    }

    /// Takes what may be the answer to one.
    pub fn handle_notified(&mut self, source: SocketAddr, answer: &[u8]) {
        self.notifier.handle_answer(source, answer, client::unix_seconds());
    }

    /// Remembers a secondary that asked with a key; the one that was silent the longest is forgotten.
    pub(super) fn remember(&mut self, zone: &[u8], peer: IpAddr, key: &Rc<Key>) {
        let asked = self.asked.entry(zone.to_vec()).or_default();
        asked.retain(|(address, _)| *address != peer);
        asked.push_back((peer, key.clone()));
        if asked.len() > limits::SECONDARIES_REMEMBERED {
            asked.pop_front();
        }
    }

    /// The addresses of the zone's servers, but for the primary that its SOA record names (RFC 1996 §2); those in the names of
    /// transfer keys; and those that asked.
    fn secondaries_of(&self, zone: &Zone, soa: &Record) -> Vec<(IpAddr, Option<Rc<Key>>)> {
        let mut all: Vec<(IpAddr, Option<Rc<Key>>)> = Vec::new();
        let mut add = |address: IpAddr, key: Option<Rc<Key>>| {
            if all.len() < limits::SECONDARIES && !all.iter().any(|(other, _)| *other == address) {
                all.push((address, key));
            }
        };
        let catalog = self.catalog_of(zone);
        let is_about = |domain: &[u8]| {
            is_at_or_below(zone.apex(), domain)
                || catalog.is_some_and(|catalog| is_at_or_below(catalog, domain))
        };
        for entry in self.keys.iter().filter(|entry| is_about(&entry.domain)) {
            if let Some(address) = entry.secondary {
                add(address, Some(entry.key.clone()));
            }
        }
        for (address, key) in self.asked.get(zone.apex()).into_iter().flatten() {
            add(*address, Some(key.clone()));
        }
        let mut name = Name::root(self.authority.zones().key());
        let apex = zone.apex();
        let of = |name: &mut Name, wire: &[u8]| match name.read(wire, self.authority.zones().key()) {
            Ok(_) => self.authority.zones().find(name, 0).map_or_else(Vec::new, |zone| zone.records_at(name)),
            Err(_) => Vec::new(),
        };
        for server in of(&mut name, apex).iter().filter(|record| record.rtype == RecordType::NS) {
            if soa.data.get(..server.data.len()).is_some_and(|first| first.eq_ignore_ascii_case(&server.data))
            {
                continue;
            }
            for address in of(&mut name, &server.data).iter().filter_map(address_of) {
                add(address, None);
            }
        }
        all
    }

    /// An empty vector with room for `octets`. Not where memory is nearly full: then the query or connection is dropped
    /// and counted, and what the executor and the network need is left to them.
    pub(super) fn room(&mut self, octets: usize) -> std::io::Result<Vec<u8>> {
        let platform::Memory { total, used } = platform::memory();
        let mut room = Vec::new();
        let full = total != 0 && total.saturating_sub(used) < octets + limits::SPARE_OCTETS;
        if !full && room.try_reserve_exact(octets).is_ok() {
            return Ok(room);
        }
        let dropped = self.authority.count_out_of_memory();
        if dropped.is_power_of_two() {
            warn!(
                "memory is full: {dropped} queries and connections over TCP dropped; give the guest more (--mem)"
            );
        }
        Err(ErrorKind::OutOfMemory.into())
    }
}

/// The address in an A or AAAA record.
fn address_of(record: &Record) -> Option<IpAddr> {
    match record.rtype {
        RecordType::A => record.data[..].try_into().ok().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into()),
        RecordType::AAAA => {
            record.data[..].try_into().ok().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}
