//! The primary against a repository in memory that others push to as well, and that fails when it is told to. The real ones
//! are in tests/interop.

use super::*;
use crate::check;
use crate::keys::Keys;
use crate::name::Name;
use crate::record::Record;
use crate::types::RecordType;
use crate::update::Request;
use crate::zone::Zone;
use crate::zonefile::ZoneError;
use crate::zones::Zones;
use std::net::{IpAddr, Ipv4Addr};
use store::{Edits, Format, Identity, Limits, PackReceiver};

const APEX: &[u8] = b"\x07example\x03org\0";
const ZONE: &str =
    "; mine\n$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns.example.com.\nwww A 192.0.2.1 ; web\n";

/// The remote, shared by all that push to it.
struct Remote {
    repository: Repository,
    /// How many of the next calls fail.
    failures: usize,
    /// Somebody else pushes these, one before each of the next pushes.
    others: Vec<(&'static str, Option<String>)>,
}

impl Remote {
    fn new() -> Rc<RefCell<Remote>> {
        let repository = Repository::new(Format::Sha1, Limits::default());
        Rc::new(RefCell::new(Remote { repository, failures: 0, others: Vec::new() }))
    }

    fn head(&self) -> Option<ObjectId> {
        self.repository.branch("main")
    }

    /// A person's commit.
    fn write(&mut self, file: &str, text: Option<&str>) {
        let mut edits = Edits::default();
        match text {
            Some(text) => edits.write(file, text).unwrap(),
            None => edits.remove(file).unwrap(),
        }
        let head = self.head();
        let tree = self.repository.edit(head.as_ref(), &edits).unwrap();
        let author = Identity::new("a person", "person@example.org", 1);
        let parents: Vec<ObjectId> = head.into_iter().collect();
        let commit = self.repository.commit(tree, &parents, &author, "by hand\n").unwrap();
        self.repository.set_branch("main", Some(commit));
    }

    fn text(&self, file: &str) -> String {
        let tree = self.repository.tree(&self.head().unwrap()).unwrap();
        String::from_utf8(tree.read(file).unwrap().unwrap()).unwrap()
    }

    /// Author and message of the commits, the newest first.
    fn log(&self) -> Vec<(String, String)> {
        let (mut next, mut log) = (self.head(), Vec::new());
        while let Some(id) = next {
            let commit = self.repository.read_commit(&id).unwrap();
            log.push((commit.author.name().to_string(), String::from_utf8(commit.message).unwrap()));
            next = commit.parents.first().copied();
        }
        log
    }
}

struct Copy {
    repository: Repository,
    remote: Rc<RefCell<Remote>>,
}

fn carry(from: &Repository, to: &mut Repository, new: ObjectId, have: Option<ObjectId>) {
    let have: Vec<ObjectId> = have.into_iter().collect();
    let mut receiver = PackReceiver::new(to);
    receiver.push(&from.pack_for_push(&[new], &have).unwrap()).unwrap();
    receiver.finish(to).unwrap();
}

#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        Failure(error.to_string())
    }
}

impl Source for Copy {
    type Error = Failure;

    fn repository(&self) -> &Repository {
        &self.repository
    }

    fn head(&self) -> Option<ObjectId> {
        self.repository.branch("main")
    }

    async fn pull(&mut self) -> Result<(), Failure> {
        let remote = &mut *self.remote.borrow_mut();
        if remote.failures > 0 {
            remote.failures -= 1;
            return Err(Failure("git://remote/zones: connection refused".to_string()));
        }
        let (old, new) = (self.repository.branch("main"), remote.head());
        if let Some(new) = new.filter(|new| Some(*new) != old) {
            carry(&remote.repository, &mut self.repository, new, old);
            self.repository.set_branch("main", Some(new));
        }
        Ok(())
    }

    async fn transact(&mut self, make: &mut Make<'_>) -> Result<(), Failure> {
        loop {
            let base = self.head().unwrap();
            let head = make(&mut self.repository, Some(base))?.unwrap();
            let other = self.remote.borrow_mut().others.pop();
            if let Some((file, text)) = other {
                self.remote.borrow_mut().write(file, text.as_deref());
            }
            if self.remote.borrow().head() == Some(base) {
                let remote = &mut *self.remote.borrow_mut();
                if remote.failures > 0 {
                    remote.failures -= 1;
                    return Err(Failure("git://remote/zones: the connection broke".to_string()));
                }
                carry(&self.repository, &mut remote.repository, head, Some(base));
                remote.repository.set_branch("main", Some(head));
                self.repository.set_branch("main", Some(head));
                return Ok(());
            }
            self.pull().await?;
        }
    }
}

struct Served {
    zones: Zones,
    keys: Keys,
}

impl Server for Served {
    fn zone(&self, apex: &Name) -> Option<Rc<Zone>> {
        self.zones.get(apex)
    }

    fn zones(&self) -> usize {
        self.zones.count()
    }

    fn install(&mut self, apex: &Name, zone: Rc<Zone>) -> Result<(), String> {
        self.zones.replace(apex, zone)
    }

    fn remove(&mut self, apex: &Name) {
        assert!(self.zones.remove(apex));
    }

    fn load_keys(&mut self, file: &str, mut text: &[u8]) -> Result<Vec<String>, ZoneError> {
        self.keys.load(file, &mut text)
    }

    fn forget_keys(&mut self, file: &str) {
        self.keys.forget(file);
    }
}

fn key() -> HashKey {
    HashKey::new([6; 24])
}

/// One primary on the remote, before it runs.
struct Desk {
    served: Rc<RefCell<Served>>,
    primary: Primary<Copy>,
    handle: Handle,
}

impl Desk {
    async fn new(remote: &Rc<RefCell<Remote>>) -> Desk {
        let served = Rc::new(RefCell::new(Served { zones: Zones::new(key()), keys: Keys::default() }));
        let repository = Repository::new(Format::Sha1, Limits::default());
        let mut copy = Copy { repository, remote: remote.clone() };
        copy.pull().await.unwrap();
        let (primary, handle) = Primary::new(copy, served.clone(), key(), || 1_700_000_000);
        Desk { served, primary, handle }
    }

    /// Serial number and number of records of a zone, if it is served.
    fn zone(&self, file: &str) -> Option<(u32, u64)> {
        let zone = self.served.borrow().zone(&crate::zone_name(file, &key()).unwrap())?;
        Some((zone.serial(), zone.records()))
    }

    /// Sends updates and has the primary carry them out, all that wait at once.
    async fn update(&mut self, updates: &[Vec<u8>]) -> Vec<Rcode> {
        let mut answers = Vec::new();
        for message in updates {
            let (answer, answered) = oneshot::channel();
            self.handle.updates.try_send(Waiting { update: update(message), answer }).unwrap();
            answers.push(answered);
        }
        let first = self.primary.updates.recv().await.unwrap();
        self.primary.carry_out(first).await;
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }
}

fn update(message: &[u8]) -> Update {
    Update {
        zone: APEX.to_vec(),
        scope: APEX.to_vec(),
        key: "alice._update.example.org.".to_string(),
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        message: message.to_vec(),
    }
}

fn owner(label: &str) -> Vec<u8> {
    [&[label.len() as u8], label.as_bytes(), APEX].concat()
}

fn address(label: &str, last: u8) -> Record {
    Record { owner: owner(label), rtype: RecordType::A, ttl: 60, data: vec![192, 0, 2, last] }
}

fn add(label: &str, last: u8) -> Vec<u8> {
    Request::new(APEX).add(address(label, last)).message(1)
}

/// Adds the name if nobody has it.
fn claim(label: &str, last: u8) -> Vec<u8> {
    Request::new(APEX).if_absent(&owner(label), RecordType::ANY).add(address(label, last)).message(1)
}

#[tokio::test]
async fn updates_that_wait_together_are_a_commit_each_with_who_and_what() {
    let remote = Remote::new();
    remote.borrow_mut().write("example.org", Some(ZONE));
    let mut desk = Desk::new(&remote).await;
    assert_eq!(desk.zone("example.org"), Some((1, 3)));
    let nothing = add("www", 1);
    let rcodes = desk.update(&[add("a", 1), nothing, claim("a", 2), add("b", 2)]).await;
    assert_eq!(rcodes, [Rcode::NoError, Rcode::NoError, Rcode::YxDomain, Rcode::NoError]);
    let expect = ZONE.replace(" 1 2", " 3 2") + "a A 192.0.2.1\nb A 192.0.2.2\n";
    assert_eq!(remote.borrow().text("example.org"), expect);
    assert_eq!(desk.zone("example.org"), Some((3, 5)));
    let log = remote.borrow().log();
    assert_eq!(log.len(), 3);
    assert_eq!(log[0].0, "alice._update.example.org via primary git");
    assert_eq!(
        log[0].1,
        "example.org changed by 192.0.2.7\n\nserial 2 -> 3\n+ b.example.org. 60 A 192.0.2.2\n"
    );
}

#[tokio::test]
async fn after_a_lost_race_updates_are_judged_by_what_is_there_then() {
    let remote = Remote::new();
    remote.borrow_mut().write("example.org", Some(ZONE));
    let mut desk = Desk::new(&remote).await;
    // Two others are faster, one after the other; the second takes the name.
    let taken = ZONE.replace(" 1 2", " 9 2") + "a A 192.0.2.99 ; by hand\n";
    remote.borrow_mut().others =
        vec![("example.org", Some(taken.clone())), ("example.net", Some(ZONE.to_string()))];
    let rcodes = desk.update(&[claim("a", 1), claim("b", 2)]).await;
    assert_eq!(rcodes, [Rcode::YxDomain, Rcode::NoError]);
    assert_eq!(remote.borrow().text("example.org"), taken.replace(" 9 2", " 10 2") + "b A 192.0.2.2\n");
    assert_eq!((desk.zone("example.org"), desk.zone("example.net")), (Some((10, 5)), Some((1, 3))));
    assert_eq!(remote.borrow().log().len(), 4);
}

#[tokio::test]
async fn while_the_remote_is_away_zones_are_served_and_updates_are_not_acknowledged() {
    let remote = Remote::new();
    remote.borrow_mut().write("example.org", Some(ZONE));
    let mut desk = Desk::new(&remote).await;
    remote.borrow_mut().failures = 2;
    assert_eq!(desk.update(&[add("a", 1), add("b", 2)]).await, [Rcode::ServFail; 2]);
    desk.primary.pull().await;
    assert_eq!((desk.zone("example.org"), remote.borrow().log().len()), (Some((1, 3)), 1));
    assert_eq!(desk.update(&[add("a", 1)]).await, [Rcode::NoError]);
    assert_eq!((desk.zone("example.org"), remote.borrow().log().len()), (Some((2, 4)), 2));
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_zone_and_takes_no_update_until_it_is_repaired() {
    let remote = Remote::new();
    remote.borrow_mut().write("example.org", Some(ZONE));
    remote.borrow_mut().write("example.net", Some(ZONE));
    let mut desk = Desk::new(&remote).await;
    remote.borrow_mut().write("example.org", Some("nonsense\n"));
    remote.borrow_mut().write("example.net", Some(&ZONE.replace(" 1 2", " 2 2")));
    desk.primary.pull().await;
    assert_eq!((desk.zone("example.org"), desk.zone("example.net")), (Some((1, 3)), Some((2, 3))));
    assert_eq!(desk.update(&[add("a", 1)]).await, [Rcode::ServFail]);
    assert_eq!(remote.borrow().text("example.org"), "nonsense\n");
    remote.borrow_mut().write("example.org", Some(&ZONE.replace(" 1 2", " 7 2")));
    assert_eq!(desk.update(&[add("a", 1)]).await, [Rcode::NoError]);
    assert_eq!(desk.zone("example.org"), Some((8, 4)));
}

#[tokio::test]
async fn zones_and_keys_come_and_go_with_their_files_but_never_the_last_zone() {
    let remote = Remote::new();
    remote.borrow_mut().write("example.org", Some(ZONE));
    remote.borrow_mut().write("_keys", Some("a._update.example.org. DNSKEY 0 3 163 c2VjcmV0\n"));
    let mut desk = Desk::new(&remote).await;
    let alice = b"\x01a\x07_update\x07example\x03org\0";
    assert!(desk.served.borrow().keys.find(alice).is_some());
    remote.borrow_mut().write("Example.NET", Some(ZONE));
    remote.borrow_mut().write("_keys", None);
    remote.borrow_mut().write("folder/example.com", Some(ZONE));
    desk.primary.pull().await;
    assert!(desk.served.borrow().keys.find(alice).is_none());
    assert_eq!((desk.zone("example.net"), desk.zone("example.com")), (Some((1, 3)), None));
    // The file is renamed.
    remote.borrow_mut().write("Example.NET", None);
    remote.borrow_mut().write("example.net", Some(ZONE));
    desk.primary.pull().await;
    assert_eq!(desk.zone("example.net"), Some((1, 3)));
    remote.borrow_mut().write("example.net", None);
    desk.primary.pull().await;
    assert_eq!(desk.zone("example.net"), None);
    remote.borrow_mut().write("example.org", None);
    desk.primary.pull().await;
    assert_eq!(desk.zone("example.org"), Some((1, 3)));
}

#[tokio::test]
async fn a_change_that_would_leave_no_good_zone_is_refused() {
    let remote = Remote::new();
    let text = ZONE.replace("ns.example.com.", "ns") + "ns A 192.0.2.53\n";
    assert!(check::zone("example.org", text.as_bytes(), &key()).is_ok());
    remote.borrow_mut().write("example.org", Some(&text));
    let mut desk = Desk::new(&remote).await;
    let message = Request::new(APEX).remove_set(&owner("ns"), RecordType::A).message(1);
    assert_eq!(desk.update(&[message]).await, [Rcode::Refused]);
    assert_eq!(remote.borrow().text("example.org"), text);
}
