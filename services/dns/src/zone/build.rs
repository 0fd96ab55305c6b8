//! Building a zone: records in, one by one, in any order; the checks of a zone on the way and at the end.

use super::arena::{OutOfMemory, Place};
use super::{FRAGMENT_HEADER, Flags, Found, NODE_HEADER, Node, RECORD_HEADER, Set, Zone, u16_at, u32_at};
use crate::limits::RRSET_OCTETS;
use crate::name::{HashKey, Name, to_text};
use crate::types::RecordType;

const CLASS_IN: u16 = 1;

/// A record to be added.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// Its data, names in it uncompressed; checked by whoever parsed it.
    pub data: &'a [u8],
}

/// A zone being built.
pub struct Builder<'k> {
    zone: Zone,
    key: &'k HashKey,
    apex_hash: u64,
    /// The set and its fragment that lie at the end of the arena and can grow in place.
    last: Option<(Place, Place)>,
    /// There is a cut or DNAME, so that names can be occluded.
    has_cuts: bool,
    /// There are NSEC3 records.
    has_hashes: bool,
}

impl From<OutOfMemory> for String {
    fn from(_: OutOfMemory) -> String {
        "the memory is full; give the guest more (--mem)".to_string()
    }
}

impl<'k> Builder<'k> {
    /// An empty zone called `apex`.
    pub fn new(apex: &Name, key: &'k HashKey) -> Builder<'k> {
        let zone = Zone {
            apex: apex.wire().into(),
            labels: apex.labels(),
            arena: Default::default(),
            index: Default::default(),
            depth: 0,
            records: 0,
            negative_ttl: 0,
            signed: Default::default(),
            hidden: Default::default(),
        };
        Builder { zone, key, apex_hash: apex.hash(0), last: None, has_cuts: false, has_hashes: false }
    }

    /// Adds a record. An error refuses the zone; `Ok(Some(..))` is a warning. A record that is there is left alone.
    pub fn add(&mut self, owner: &Name, record: Record<'_>) -> Result<Option<String>, String> {
        let apex = owner.labels().checked_sub(self.zone.labels);
        let Some(apex) = apex
            .filter(|apex| owner.hash(*apex) == self.apex_hash && owner.suffix(*apex) == &*self.zone.apex)
        else {
            return Err(format!("{} is not in the zone {}", to_text(owner.wire()), to_text(&self.zone.apex)));
        };
        let node = self.node(owner, apex)?;
        let flags = self.check_neighbours(owner, apex, self.zone.node(node), record)?;
        self.has_cuts |= flags.0 != 0;
        self.has_hashes |= record.rtype == RecordType::NSEC3;
        self.zone.arena.get_mut(node)[4] |= flags.0;
        match self.zone.node(node).set(record.rtype).map(|set| set.place) {
            Some(set) => self.add_to_set(set, record),
            None => self.add_set(node, record).map(|()| None),
        }
    }

    /// The zone, if it is complete; and warnings.
    pub fn finish(self, apex: &Name) -> Result<(Zone, Vec<String>), String> {
        self.close(apex, true)
    }

    /// The same for a zone that another server vouches for: its own servers may lack addresses, which is a warning then.
    pub fn finish_lenient(self, apex: &Name) -> Result<(Zone, Vec<String>), String> {
        self.close(apex, false)
    }

    fn close(mut self, apex: &Name, strict: bool) -> Result<(Zone, Vec<String>), String> {
        let missing = |what: &str| format!("the zone has no {what} at {}", to_text(apex.wire()));
        let soa = self.zone.at_apex(apex, RecordType::SOA).ok_or_else(|| missing("SOA record"))?;
        let record = soa.records().next().unwrap_or_default();
        let minimum = record.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
        self.zone.negative_ttl = minimum.min(ttl_of(record));
        if self.zone.at_apex(apex, RecordType::NS).is_none() {
            return Err(missing("NS record"));
        }
        if self.has_cuts {
            self.mark_occluded();
        }
        if self.has_hashes {
            self.mark_hashes();
        }
        self.zone.arena.seal();
        let warnings = self.check_targets(apex, strict)?;
        Ok((self.zone, warnings))
    }

    /// What has been added so far, whatever is missing: for records that are kept beside a zone.
    pub fn finish_unchecked(mut self) -> Zone {
        self.zone.arena.seal();
        self.zone
    }

    /// The node of this name, made if it is not there, and with it the names between it and the apex.
    fn node(&mut self, owner: &Name, apex: usize) -> Result<Place, String> {
        let mut missing = 0;
        let found = loop {
            let relative = owner.between(missing, apex);
            let is_it = |place| self.zone.node(place).name() == relative;
            let found = self.zone.index.find(owner.hash(missing), is_it);
            if found.is_some() || missing == apex {
                break found;
            }
            missing += 1;
        };
        // From the right to the left, so that the owner's records come to lie behind the owner.
        let mut node = found;
        let mut from = if found.is_some() { missing } else { missing + 1 };
        while from > 0 {
            from -= 1;
            if owner.between(from, apex).starts_with(b"\x01*")
                && let Some(parent) = node
            {
                self.zone.arena.get_mut(parent)[4] |= Flags::WILDCARD_PARENT.0;
            }
            node = Some(self.new_node(owner, from, apex)?);
        }
        self.zone.depth = self.zone.depth.max(apex);
        node.ok_or_else(|| String::from(OutOfMemory))
    }

    fn new_node(&mut self, owner: &Name, label: usize, apex: usize) -> Result<Place, OutOfMemory> {
        let relative = owner.between(label, apex);
        let place = self.zone.arena.allocate(NODE_HEADER + relative.len())?;
        self.last = None;
        let octets = self.zone.arena.get_mut(place);
        octets[5] = relative.len() as u8;
        octets[NODE_HEADER..][..relative.len()].copy_from_slice(relative);
        self.zone.index.insert(owner.hash(label), place)?;
        Ok(place)
    }

    /// What may not stand beside what, and where. Returns the flags that the node gets.
    fn check_neighbours(
        &self,
        owner: &Name,
        apex: usize,
        node: Node<'_>,
        record: Record<'_>,
    ) -> Result<Flags, String> {
        let (rtype, at) = (record.rtype, || to_text(owner.wire()));
        for set in node.sets() {
            let other = set.rtype();
            if rtype == RecordType::CNAME && !may_join_cname(other)
                || other == RecordType::CNAME && !may_join_cname(rtype)
            {
                let beside = if rtype == RecordType::CNAME { other } else { rtype };
                return Err(format!("{} has CNAME and {beside} records (RFC 2181 section 10.1)", at()));
            }
            // RFC 1034 §3.6.2 and §4.2.1, RFC 6672 §2.4
            let single = matches!(rtype, RecordType::CNAME | RecordType::DNAME | RecordType::SOA);
            if single && other == rtype && !rtype.same_data(set.first_data(), record.data) {
                return Err(format!("a second {rtype} record at {}", at()));
            }
        }
        match rtype {
            RecordType::SOA if apex != 0 => {
                Err(format!("an SOA record at {}, which is not the zone's name", at()))
            }
            RecordType::NS | RecordType::DNAME if owner.wire().starts_with(b"\x01*") => {
                Err(format!("{rtype} records at the wildcard {} have no meaning (RFC 4592 section 4)", at()))
            }
            RecordType::NS if apex != 0 => Ok(Flags::CUT),
            RecordType::DNAME => Ok(Flags::DNAME),
            _ => Ok(Flags(0)),
        }
    }

    /// A new set, the first of the node's.
    fn add_set(&mut self, node: Place, record: Record<'_>) -> Result<(), String> {
        let length = RECORD_HEADER + record.data.len();
        if length > RRSET_OCTETS {
            return Err(format!("the record's {length} octets do not fit into a message"));
        }
        let place = self.new_fragment(record)?;
        // Behind the others, so that an answer to ANY has the order of the file.
        let last = self.zone.node(node).sets().last().map(|set| set.place);
        let link = self.zone.arena.get_mut(last.unwrap_or(node));
        link[..4].copy_from_slice(&place.0.to_le_bytes());
        self.last = Some((place, place));
        self.zone.records += 1;
        Ok(())
    }

    fn add_to_set(&mut self, place: Place, record: Record<'_>) -> Result<Option<String>, String> {
        let set = Set { arena: &self.zone.arena, octets: self.zone.arena.get(place), place };
        let (mut octets, mut ttl) = (RECORD_HEADER + record.data.len(), record.ttl);
        // RFC 4034 §3: each has the TTL of the set that it covers.
        let is_signature = record.rtype == RecordType::RRSIG;
        for other in set.records() {
            if record.rtype.same_data(&other[RECORD_HEADER..], record.data) {
                return Ok(None);
            }
            octets += other.len();
            ttl = if is_signature { ttl } else { ttl.min(ttl_of(other)) };
        }
        let old_ttl = set.records().next().map_or(ttl, ttl_of);
        if octets > RRSET_OCTETS {
            return Err(format!("the {} records of this name do not fit into a message", record.rtype));
        }
        self.append(place, Record { ttl, ..record })?;
        self.zone.records += 1;
        if old_ttl == record.ttl || is_signature {
            return Ok(None);
        }
        self.lower_ttls(place, ttl);
        // RFC 2181 §5.2
        Ok(Some(format!("the TTLs of the {} records differ; {ttl}, the lowest, is used", record.rtype)))
    }

    /// Puts the record behind the set's last where the arena allows, otherwise in a fragment of its own.
    fn append(&mut self, set: Place, record: Record<'_>) -> Result<(), OutOfMemory> {
        let arena = &mut self.zone.arena;
        if let Some((_, fragment)) = self.last.filter(|(last, _)| *last == set) {
            let header = arena.get(fragment);
            let (count, length) = (u16_at(header, 10), usize::from(u16_at(header, 12)));
            let end = FRAGMENT_HEADER + length + RECORD_HEADER + record.data.len();
            if arena.extend(fragment, end)? {
                let octets = arena.get_mut(fragment);
                write_record(&mut octets[FRAGMENT_HEADER + length..], record);
                octets[10..12].copy_from_slice(&(count + 1).to_le_bytes());
                octets[12..14].copy_from_slice(&((end - FRAGMENT_HEADER) as u16).to_le_bytes());
                return Ok(());
            }
        }
        let place = self.new_fragment(record)?;
        // Behind the first: to look for the last would take ever longer.
        let following = u32_at(self.zone.arena.get(set), 4);
        self.zone.arena.get_mut(place)[4..8].copy_from_slice(&following.to_le_bytes());
        self.zone.arena.get_mut(set)[4..8].copy_from_slice(&place.0.to_le_bytes());
        self.last = Some((set, place));
        Ok(())
    }

    fn new_fragment(&mut self, record: Record<'_>) -> Result<Place, OutOfMemory> {
        let length = RECORD_HEADER + record.data.len();
        let place = self.zone.arena.allocate(FRAGMENT_HEADER + length)?;
        let octets = self.zone.arena.get_mut(place);
        octets[8..10].copy_from_slice(&record.rtype.0.to_le_bytes());
        octets[10..12].copy_from_slice(&1u16.to_le_bytes());
        octets[12..14].copy_from_slice(&(length as u16).to_le_bytes());
        write_record(&mut octets[FRAGMENT_HEADER..], record);
        Ok(place)
    }

    fn lower_ttls(&mut self, set: Place, ttl: u32) {
        let mut place = set;
        while place != Place::NONE {
            let octets = self.zone.arena.get_mut(place);
            place = Place(u32_at(octets, 4));
            let (mut at, end) = (FRAGMENT_HEADER, FRAGMENT_HEADER + usize::from(u16_at(octets, 12)));
            while at < end {
                octets[at + 6..at + 10].copy_from_slice(&ttl.to_be_bytes());
                at += RECORD_HEADER + usize::from(u16::from_be_bytes([octets[at + 10], octets[at + 11]]));
            }
        }
    }

    /// Flags all nodes below cuts and DNAMEs, so that a search sees it at the node itself.
    fn mark_occluded(&mut self) {
        let mut name = Name::root(self.key);
        let nodes: Vec<Place> = self.zone.index.nodes().collect();
        for place in nodes {
            self.read_name(place, &mut name);
            let apex = name.labels() - self.zone.labels;
            let above = |label| self.zone.find(&name, label).map_or(Flags(0), Node::flags);
            let cut = (1..apex).any(|label| above(label).has(Flags(Flags::CUT.0 | Flags::DNAME.0)));
            if cut || (apex > 0 && above(apex).has(Flags::DNAME)) {
                self.zone.arena.get_mut(place)[4] |= Flags::OCCLUDED.0;
            }
        }
    }

    /// Flags all nodes that have NSEC3 records, their signatures and nothing else.
    fn mark_hashes(&mut self) {
        let is_hash = |node: Node<'_>| {
            let is_of_hash = |set: Set<'_>| matches!(set.rtype(), RecordType::NSEC3 | RecordType::RRSIG);
            node.set(RecordType::NSEC3).is_some() && node.sets().all(is_of_hash)
        };
        let nodes: Vec<Place> = self.zone.index.nodes().collect();
        for place in nodes {
            if is_hash(self.zone.node(place)) {
                self.zone.arena.get_mut(place)[4] |= Flags::HASH.0;
            }
        }
    }

    /// The whole name of a node.
    fn read_name(&self, place: Place, name: &mut Name) {
        let relative = self.zone.node(place).name();
        let mut wire = [0; 2 * crate::limits::NAME_OCTETS];
        wire[..relative.len()].copy_from_slice(relative);
        wire[relative.len()..][..self.zone.apex.len()].copy_from_slice(&self.zone.apex);
        name.read(&wire, self.key).expect("it was read from a name when the node was made");
    }

    /// Whether the servers and mail exchangers that have names in this zone have addresses in it. Without one for the
    /// zone's own servers the zone is refused; all else are warnings.
    fn check_targets(&self, apex: &Name, strict: bool) -> Result<Vec<String>, String> {
        let (mut owner, mut target) = (Name::root(self.key), Name::root(self.key));
        let mut warnings = Vec::new();
        for place in self.zone.index.nodes() {
            let node = self.zone.node(place);
            for set in node.sets().filter(|set| matches!(set.rtype(), RecordType::NS | RecordType::MX)) {
                let skip = set.rtype().names().map_or(0, |names| names.skip);
                for record in set.records() {
                    if self.has_address(&record[RECORD_HEADER + skip..], &mut target) {
                        continue;
                    }
                    self.read_name(place, &mut owner);
                    let (rtype, owner, target) = (set.rtype(), to_text(owner.wire()), to_text(target.wire()));
                    let reason =
                        format!("the {rtype} record of {owner} names {target}, which has no address");
                    match rtype {
                        RecordType::NS if strict && node.name().is_empty() => return Err(reason),
                        _ => warnings.push(reason),
                    }
                }
            }
        }
        debug_assert_eq!(apex.wire(), &*self.zone.apex);
        Ok(warnings)
    }

    /// False where the name is in the zone, no other zone has taken it over, and it has neither A nor AAAA records.
    fn has_address(&self, wire: &[u8], target: &mut Name) -> bool {
        if target.read(wire, self.key).is_err() {
            return false;
        }
        let Some(apex) = target.labels().checked_sub(self.zone.labels) else { return true };
        if target.suffix(apex) != &*self.zone.apex {
            return true;
        }
        let has = |node: Node<'_>| node.set(RecordType::A).or(node.set(RecordType::AAAA)).is_some();
        match self.zone.search(target, self.key) {
            Found::Node(node) => has(node),
            // A server of a child zone that is below that very child needs glue; of another child's we know nothing.
            Found::Cut(..) => self.zone.find(target, 0).is_some_and(has),
            Found::Dname(..) | Found::Nothing => false,
        }
    }
}

/// RFC 2181 §10.1, RFC 4034 §2.5: what signs a CNAME record may stand beside it.
pub(crate) fn may_join_cname(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::CNAME | RecordType::RRSIG | RecordType::NSEC | RecordType::KEY)
}

fn ttl_of(record: &[u8]) -> u32 {
    record.get(6..).and_then(<[u8]>::first_chunk).map_or(0, |ttl| u32::from_be_bytes(*ttl))
}

fn write_record(out: &mut [u8], record: Record<'_>) {
    out[..2].copy_from_slice(&[0xC0, 0x0C]);
    out[2..4].copy_from_slice(&record.rtype.0.to_be_bytes());
    out[4..6].copy_from_slice(&CLASS_IN.to_be_bytes());
    out[6..10].copy_from_slice(&record.ttl.to_be_bytes());
    out[10..12].copy_from_slice(&(record.data.len() as u16).to_be_bytes());
    out[RECORD_HEADER..][..record.data.len()].copy_from_slice(record.data);
}
