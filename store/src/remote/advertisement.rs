//! What a server says first: its version of the protocol, what it can do, and before version 2 its references.
//!
//! ```text
//!     version 0   1f…e2 HEAD\0 side-band-64k symref=HEAD:refs/heads/main … ─ 1f…e2 refs/heads/main ─ shallow 0a…5c ─ flush
//!     version 1   the same behind "version 1"
//!     version 2   version 2 ─ ls-refs=unborn ─ fetch=shallow … ─ object-format=sha1 ─ flush
//! ```
//!
//! gitprotocol-pack, "Reference Discovery"; gitprotocol-v2, "Capability Advertisement". Over HTTP a line with the service's
//! name and a flush come before it (gitprotocol-http).

use super::{
    limits::{CAPABILITIES, SHALLOWS},
    pkt_line::Packet,
    problem::Problem,
    references::References,
};
use crate::{Format, ObjectId};

/// Which of git's two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Fetching.
    UploadPack,
    /// Pushing.
    ReceivePack,
}

impl Service {
    /// Its program's name, as connections ask for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// What a server said first.
pub struct Advertisement {
    version: Version,
    state: State,
    capabilities: Vec<String>,
    /// Before version 2.
    references: References,
    shallow: Vec<ObjectId>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// References first; 1 differs in nothing else.
    Zero,
    /// Commands.
    Two,
}

/// What is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    ServiceEnd,
    Reference,
    Capability,
}

impl Advertisement {
    /// Nothing yet; `references` is what is looked for among those of version 0.
    pub fn new(references: References) -> Self {
        Self {
            version: Version::Zero,
            state: State::First,
            capabilities: Vec::new(),
            references,
            shallow: Vec::new(),
        }
    }

    /// Takes the next packet; true if it was the last.
    pub fn handle(&mut self, packet: Packet<'_>) -> Result<bool, Problem> {
        if packet == Packet::Flush {
            if self.state == State::ServiceEnd {
                self.state = State::First;
                return Ok(false);
            }
            return Ok(true);
        }
        let Packet::Data(data) = packet else {
            return Err(Problem::Protocol("a packet where a line belongs"));
        };
        match self.state {
            State::ServiceEnd => Err(Problem::Protocol("more than a service's name before the flush")),
            State::First => self.first(packet, data),
            State::Capability => self.capability(line(packet)?),
            State::Reference => self.reference(data),
        }
        .map(|()| false)
    }

    fn first(&mut self, packet: Packet<'_>, data: &[u8]) -> Result<(), Problem> {
        match packet.line() {
            Some("version 2") => {
                self.version = Version::Two;
                self.state = State::Capability;
                Ok(())
            }
            Some("version 1") => Ok(()),
            Some(line) if line.starts_with("# service=") => {
                self.state = State::ServiceEnd;
                Ok(())
            }
            _ => {
                self.state = State::Reference;
                self.first_reference(data)
            }
        }
    }

    /// The first reference has the capabilities behind it, and if there is none a stand-in has.
    fn first_reference(&mut self, data: &[u8]) -> Result<(), Problem> {
        let end = data.iter().position(|&byte| byte == 0);
        let (reference, capabilities) = match end {
            Some(end) => (&data[..end], &data[end + 1..]),
            None => (data, [].as_slice()),
        };
        for capability in line(Packet::Data(capabilities))?.split(' ').filter(|word| !word.is_empty()) {
            self.capability(capability)?;
        }
        let reference = line(Packet::Data(reference))?;
        if reference.ends_with(" capabilities^{}") { Ok(()) } else { self.reference(reference.as_bytes()) }
    }

    fn capability(&mut self, capability: &str) -> Result<(), Problem> {
        if self.capabilities.len() >= CAPABILITIES {
            return Err(Problem::Excess("capabilities"));
        }
        if let Some((_, target)) =
            capability.strip_prefix("symref=HEAD").and_then(|rest| rest.split_once(':'))
        {
            self.references.handle_symbolic("HEAD", target);
        }
        self.capabilities.push(capability.to_owned());
        Ok(())
    }

    fn reference(&mut self, data: &[u8]) -> Result<(), Problem> {
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        if let Some(id) = data.strip_prefix(b"shallow ") {
            if self.shallow.len() >= SHALLOWS {
                return Err(Problem::Excess("boundaries of a shallow history"));
            }
            self.shallow
                .push(ObjectId::from_hex(id).ok_or(Problem::Protocol("a name of an object that is none"))?);
            return Ok(());
        }
        let space = data.iter().position(|&byte| byte == b' ');
        let (id, name) = space.map(|space| (&data[..space], &data[space + 1..])).ok_or(NO_REFERENCE)?;
        let id = ObjectId::from_hex(id).filter(|id| id.format() == self.format()).ok_or(NO_REFERENCE)?;
        self.references.handle(Some(id), name)
    }

    /// The version that the server speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of a capability, or nothing behind it; `None` if the server does not have it.
    pub fn capability_value(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|capability| {
            let (known, value) = capability.split_once('=').unwrap_or((capability, ""));
            (known == name).then_some(value)
        })
    }

    /// Whether the server has a capability.
    pub fn can(&self, name: &str) -> bool {
        self.capability_value(name).is_some()
    }

    /// The hash that names objects there; SHA-1 where nothing is said.
    pub fn format(&self) -> Format {
        self.capability_value("object-format").and_then(Format::from_name).unwrap_or(Format::Sha1)
    }

    /// The references of version 0.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Where the history of the server itself ends, in version 0.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Whether the server can do what no fetch and no push goes without.
    pub fn check(&self, service: Service) -> Result<(), Problem> {
        if let Some(format) = self.capability_value("object-format")
            && Format::from_name(format).is_none()
        {
            return Err(Problem::Protocol("its objects are named by a hash that is neither sha1 nor sha256"));
        }
        let needed: &[&str] = match (service, self.version) {
            (Service::UploadPack, Version::Two) => &["ls-refs", "fetch"],
            (Service::UploadPack, Version::Zero) => &["side-band-64k"],
            (Service::ReceivePack, _) => &["report-status"],
        };
        // A repository without references may be advertised without capabilities.
        let silent = self.capabilities.is_empty() && service == Service::UploadPack;
        if silent || needed.iter().all(|name| self.can(name)) {
            Ok(())
        } else {
            Err(Problem::Protocol("it is older than git 1.6.6, or no git, and lacks what is needed"))
        }
    }
}

const NO_REFERENCE: Problem = Problem::Protocol("a reference that is none");

/// The text of a packet.
fn line(packet: Packet<'_>) -> Result<&str, Problem> {
    packet.line().ok_or(Problem::Protocol("a line that is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f";

    /// What comes of packets, where a flush is an empty one.
    fn read(packets: &[String], branch: Option<&str>) -> Result<Advertisement, Problem> {
        let mut advertisement = Advertisement::new(References::looking_for(branch));
        for (number, packet) in packets.iter().enumerate() {
            let packet = if packet.is_empty() { Packet::Flush } else { Packet::Data(packet.as_bytes()) };
            if advertisement.handle(packet)? {
                assert_eq!(number + 1, packets.len(), "it ended early");
            }
        }
        Ok(advertisement)
    }

    fn strings(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| line.replace("ID", ID)).collect()
    }

    #[track_caller]
    fn check(lines: &[&str], version: Version, has: &str, branch: &str, head: Option<&str>) {
        let advertisement = read(&strings(lines), None).unwrap();
        assert_eq!(advertisement.version(), version);
        assert!(advertisement.can(has));
        if version == Version::Zero {
            let found = advertisement.references().head().unwrap();
            assert_eq!((&*found.branch, found.id.map(|id| id.to_string()).as_deref()), (branch, head));
        }
    }

    #[test]
    fn all_versions_are_understood() {
        let head = "ID HEAD\0side-band-64k symref=HEAD:refs/heads/main agent=git/2\n";
        let main = "ID refs/heads/main\n";
        check(&[head, main, ""], Version::Zero, "side-band-64k", "main", Some(ID));
        check(&["version 1\n", head, main, ""], Version::Zero, "agent", "main", Some(ID));
        check(&["# service=git-upload-pack\n", "", head, main, ""], Version::Zero, "agent", "main", Some(ID));
        let two = ["version 2\n", "ls-refs=unborn\n", "fetch=shallow\n", "object-format=sha1\n", ""];
        check(&two, Version::Two, "fetch", "", None);
        let http = ["# service=git-upload-pack\n", "", "version 2\n", "ls-refs\n", "fetch\n", ""];
        check(&http, Version::Two, "ls-refs", "", None);
    }

    #[test]
    fn an_empty_repository_is_understood() {
        let none =
            "0000000000000000000000000000000000000000 capabilities^{}\0report-status object-format=sha1";
        let advertisement = read(&strings(&[none, ""]), Some("main")).unwrap();
        advertisement.check(Service::ReceivePack).unwrap();
        assert_eq!(advertisement.references().head().unwrap().id, None);
    }

    #[test]
    fn nonsense_is_refused() {
        for lines in [
            &["hello", ""][..],
            &["ID", ""],
            &["ID HEAD\0x", "zz refs/heads/main", ""],
            &["ID HEAD\0object-format=sha256", ""],
            &["# service=x", "more"],
        ] {
            assert!(matches!(read(&strings(lines), None), Err(Problem::Protocol(_))), "{lines:?}");
        }
    }

    #[test]
    fn capabilities_are_limited() {
        let mut lines = strings(&["version 2"]);
        lines.extend((0..=CAPABILITIES).map(|number| format!("c{number}")));
        assert!(matches!(read(&lines, None), Err(Problem::Excess(_))));
    }
}
