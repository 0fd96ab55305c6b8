//! From a query to its answer: which zone, which name in it, what of it goes into which section (RFC 1034 §4.3.2).

mod clients;
mod signing;

pub use clients::Client;

use crate::cookies::Secrets;
use crate::dnssec::Signer;
use crate::dnssec::limits::SIGNATURES;
use crate::limits::{
    CHAIN_LINKS, HEADER_OCTETS, MESSAGE_OCTETS, NAME_OCTETS, UDP_OCTETS, UDP_OCTETS_WITHOUT_EDNS,
};
use crate::message::{Memory, Section, Writer};
use crate::name::Name;
use crate::opt::{self, ExtendedError};
use crate::query::{self, AA, CLASS_ANY, CLASS_IN, Edns, OPCODE, QR, Query, RD, Rcode, Rejection, TC};
use crate::rate::{Limiter, Verdict};
use crate::statistics::Statistics;
use crate::types::RecordType;
use crate::zone::{Found, Node, RECORD_HEADER, Set, Zone};
use crate::zones::{Absence, Zones};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Answers are limited by what the client says and by [`Authority::set_udp_octets`].
    Udp,
    /// Answers have up to 65535 octets.
    Tcp,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The answer has so many octets.
    Answered(usize),
    /// Nothing is to be sent.
    Dropped,
    /// Signed by TSIG, a transfer, a notification or an update: not for here.
    Elsewhere,
}

/// Answers queries from its zones.
pub struct Authority {
    zones: Zones,
    udp_octets: usize,
    keepalive_100ms: u16,
    statistics: Statistics,
    /// The question's name, and the one that CNAME and DNAME records have led to.
    names: [Name; 3],
    memory: Memory,
    /// Makes signatures, if zones are signed.
    signer: Option<Box<Signer>>,
    /// Makes cookies, if it has a secret for them.
    secrets: Option<Secrets>,
    /// Limits answers, if it has been told to.
    limiter: Option<Limiter>,
    /// How many signatures it keeps, of sets and of denials.
    signatures: (usize, usize),
}

impl Authority {
    /// Serves these zones.
    pub fn new(zones: Zones) -> Authority {
        let root = Name::root(zones.key());
        let memory = Memory::new(zones.key());
        let names = [root.clone(), root.clone(), root];
        Authority {
            zones,
            udp_octets: UDP_OCTETS,
            keepalive_100ms: 0,
            statistics: Statistics::default(),
            names,
            memory,
            signer: None,
            secrets: None,
            limiter: None,
            signatures: (SIGNATURES, SIGNATURES),
        }
    }

    /// Sets the size in octets of the largest UDP answer, which is also what clients are told that we receive.
    pub fn set_udp_octets(&mut self, octets: usize) {
        self.udp_octets = octets.clamp(UDP_OCTETS_WITHOUT_EDNS, MESSAGE_OCTETS);
    }

    /// Sets how long an idle TCP connection is kept, in units of 100 ms, for clients that ask (RFC 7828).
    pub fn set_keepalive(&mut self, units_of_100ms: u16) {
        self.keepalive_100ms = units_of_100ms;
    }

    /// The zones.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The zones, to replace some.
    pub fn zones_mut(&mut self) -> &mut Zones {
        &mut self.zones
    }

    /// What has been answered so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Counts a message that was dropped for want of memory; how many there have been.
    pub fn count_out_of_memory(&mut self) -> u64 {
        self.statistics.out_of_memory += 1;
        self.statistics.out_of_memory
    }

    /// Answers the message in `buffer[..length]`: writes the answer over it and returns its length, or `None` where there
    /// is nothing to send. The whole buffer may be used, so a larger one makes room for a larger answer. Allocates nothing.
    /// What is for [elsewhere](Handled::Elsewhere) is refused.
    pub fn answer(&mut self, transport: Transport, buffer: &mut [u8], length: usize) -> Option<usize> {
        match self.process(
            transport,
            buffer,
            length,
            Scope { all: true, sees_hidden: false, reserved: 0, client: None },
        ) {
            Some(Handled::Answered(length)) => Some(length),
            _ => None,
        }
    }

    /// The same, but hands out what is for elsewhere, untouched.
    #[inline]
    pub fn handle(
        &mut self,
        client: Client,
        transport: Transport,
        buffer: &mut [u8],
        length: usize,
    ) -> Handled {
        let scope = Scope { all: false, sees_hidden: false, reserved: 0, client: Some(client) };
        self.process(transport, buffer, length, scope).unwrap_or(Handled::Dropped)
    }

    /// Answers a message whose signature was checked and taken off, and leaves so many octets for that of the answer.
    /// `sees_hidden`: about hidden zones too.
    pub fn answer_signed(
        &mut self,
        client: Client,
        transport: Transport,
        buffer: &mut [u8],
        length: usize,
        (reserved, sees_hidden): (usize, bool),
    ) -> Option<usize> {
        let scope = Scope { all: true, sees_hidden, reserved, client: Some(client) };
        match self.process(transport, buffer, length, scope) {
            Some(Handled::Answered(length)) => Some(length),
            _ => None,
        }
    }

    /// Counts an answer that was given elsewhere.
    pub fn count(&mut self, rcode: Rcode) {
        self.statistics.count(rcode, false);
    }

    fn process(
        &mut self,
        transport: Transport,
        buffer: &mut [u8],
        length: usize,
        scope: Scope,
    ) -> Option<Handled> {
        self.statistics.queries += 1;
        let message = buffer.get(..length)?;
        let query = match query::parse(message, &mut self.names[0], self.zones.key()) {
            Ok(query) => query,
            Err(Rejection::Drop) => {
                self.statistics.dropped += 1;
                return None;
            }
            Err(Rejection::Elsewhere(_)) if !scope.all => return Some(Handled::Elsewhere),
            Err(Rejection::Error(rcode) | Rejection::Elsewhere(rcode)) => {
                if transport == Transport::Udp && self.limit_error(scope.client) {
                    return None;
                }
                return Some(Handled::Answered(self.reject(buffer, rcode)));
            }
        };
        if !scope.all && matches!(query.rtype, RecordType::AXFR | RecordType::IXFR) {
            return Some(Handled::Elsewhere);
        }
        let limit = match (transport, query.edns) {
            (Transport::Tcp, _) => MESSAGE_OCTETS,
            (Transport::Udp, Some(edns)) => edns.payload.min(self.udp_octets),
            (Transport::Udp, None) => UDP_OCTETS_WITHOUT_EDNS,
        };
        let limit = limit.min(buffer.len()).saturating_sub(scope.reserved);
        let keepalive = transport == Transport::Tcp && query.edns.is_some_and(|edns| edns.keepalive);
        let cookie =
            query.edns.and_then(|edns| edns.cookie).and_then(|cookie| self.cookie(cookie, scope.client));
        let reserved = query.edns.map_or(0, |_| opt::octets(keepalive, cookie.is_some()));
        let (question, others) = self.names.split_at_mut(1);
        let [current, spare] = others else { return None };
        let room = (query.question_end, limit.saturating_sub(reserved));
        let key = self.zones.key();
        let mut response = Response {
            zones: &self.zones,
            query: &query,
            transport,
            sees_hidden: scope.sees_hidden,
            question: &question[0],
            writer: Writer::new(buffer, room, &question[0], key, &mut self.memory),
            signer: self.signer.as_deref_mut(),
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            rcode: Rcode::NoError,
            error: None,
            authoritative: false,
            truncated: false,
            redirected_by: [None; CHAIN_LINKS],
            is_of_many: false,
            is_made_up: false,
        };
        response.fill_or_recall(current, spare);
        let Response { mut writer, rcode, error, authoritative, mut truncated, .. } = response;
        writer.raise_limit(limit);
        if let Some(limiter) = &mut self.limiter
            && let Some(client) = scope.client.filter(|_| transport == Transport::Udp)
            && cookie.is_none_or(|cookie| !cookie.is_good)
        {
            let (kind, about) = clients::kind_of(rcode, &writer, (&self.zones, &question[0]));
            match limiter.count(client.address, kind, about, client.now) {
                Verdict::Send => {}
                Verdict::Truncate => {
                    writer.clear(query.question_end);
                    truncated = true;
                    self.statistics.slipped += 1;
                }
                Verdict::Drop => {
                    self.statistics.limited += 1;
                    return None;
                }
            }
        }
        let mut counts = writer.counts;
        if let Some(edns) = query.edns {
            let options = opt::Options {
                keepalive_100ms: keepalive.then_some(self.keepalive_100ms),
                error,
                cookie: cookie.map(|cookie| cookie.halves),
            };
            opt::put(&mut writer, edns, self.udp_octets as u16, options)?;
            counts[Section::Additional as usize] += 1;
        }
        let length = writer.length();
        let flags = (if authoritative { AA } else { 0 }) | (if truncated { TC } else { 0 });
        write_header(buffer, flags, rcode, 1, counts);
        self.statistics.count(rcode, truncated);
        Some(Handled::Answered(length))
    }

    /// A header and nothing else.
    fn reject(&mut self, buffer: &mut [u8], rcode: Rcode) -> usize {
        write_header(buffer, 0, rcode, 0, [0; 3]);
        self.statistics.count(rcode, false);
        HEADER_OCTETS
    }
}

/// What is answered here, and in how much room.
#[derive(Clone, Copy)]
struct Scope {
    /// Everything, be it with a refusal.
    all: bool,
    /// Hidden zones too.
    sees_hidden: bool,
    /// Octets that stay free.
    reserved: usize,
    /// Who asks, if that is known: for cookies and rates.
    client: Option<Client>,
}

/// Keeps the identifier, the opcode and RD (RFC 1035 §4.1.1); everything else is ours.
fn write_header(buffer: &mut [u8], flags: u8, rcode: Rcode, questions: u8, counts: [u16; 3]) {
    let Some(header) = buffer.first_chunk_mut::<HEADER_OCTETS>() else { return };
    header[2] = QR | header[2] & (OPCODE | RD) | flags;
    header[3] = rcode as u8;
    (header[4], header[5]) = (0, questions);
    for (count, at) in counts.iter().zip([6, 8, 10]) {
        header[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

/// An answer being put together.
struct Response<'a> {
    zones: &'a Zones,
    query: &'a Query,
    transport: Transport,
    sees_hidden: bool,
    question: &'a Name,
    writer: Writer<'a>,
    signer: Option<&'a mut Signer>,
    /// The client wants signatures, and there are some.
    dnssec_ok: bool,
    rcode: Rcode,
    error: Option<ExtendedError>,
    authoritative: bool,
    truncated: bool,
    /// The DNAME records in the answer.
    redirected_by: [Option<Set<'a>>; CHAIN_LINKS],
    /// More than one zone has a part in it.
    is_of_many: bool,
    /// A wildcard has a part in it.
    is_made_up: bool,
}

/// Where a chain of CNAME and DNAME records goes on.
struct Link {
    /// Where in the message the next name stands.
    owner: usize,
}

impl<'a> Response<'a> {
    fn fill(&mut self, current: &mut Name, spare: &mut Name) {
        match self.query {
            Query { edns: Some(Edns { version: 1.., .. }), .. } => return, // BADVERS is in the OPT record
            Query { class: CLASS_IN | CLASS_ANY, .. } => {}
            _ => return self.rcode = Rcode::Refused,
        }
        // The DS records of a zone's own name are its parent's.
        let from = usize::from(self.query.rtype == RecordType::DS && self.question.labels() > 0);
        if let Some(absence) = self.zones.absence(self.question, from) {
            return self.fail(absence);
        }
        match self.query.rtype {
            RecordType::AXFR if self.transport == Transport::Udp => self.rcode = Rcode::NotImp, // RFC 5936 §4.2
            RecordType::AXFR | RecordType::IXFR => self.refuse_transfer(),
            _ => self.follow_chain(current, spare),
        }
    }

    /// There are no transfers yet; for what is no zone of ours there will never be any (RFC 5936 §2.2.1).
    fn refuse_transfer(&mut self) {
        let zone = self.zones.find(self.question, 0);
        let is_ours = zone.is_some_and(|zone| zone.labels() == self.question.labels());
        if is_ours { self.refuse(ExtendedError::Prohibited) } else { self.rcode = Rcode::NotAuth }
    }

    /// A zone that we should have: who asks goes on to the zone's other servers, and need not doubt the delegation, as it might
    /// after a refusal.
    #[cold]
    fn fail(&mut self, absence: Absence) {
        let error = match absence {
            Absence::NotReady => ExtendedError::NotReady,
            Absence::Expired => ExtendedError::InvalidData,
        };
        (self.rcode, self.error) = (Rcode::ServFail, Some(error));
    }

    fn refuse(&mut self, error: ExtendedError) {
        (self.rcode, self.error) = (Rcode::Refused, Some(error));
    }

    fn follow_chain(&mut self, current: &mut Name, spare: &mut Name) {
        if let Some(zone) = self.walk_chain(current, spare) {
            self.prove_expansions(spare);
            self.add_addresses(zone, spare);
        } else {
            self.prove_expansions(spare);
        }
    }

    /// The zone that the chain ends in, unless it ends elsewhere.
    fn walk_chain(&mut self, current: &mut Name, spare: &mut Name) -> Option<&'a Zone> {
        let question = self.question;
        let (mut owner, mut visited) = (HEADER_OCTETS, [0; CHAIN_LINKS]);
        let mut first = None;
        for link in 0..=CHAIN_LINKS {
            let name = if link == 0 { question } else { &*current };
            let Some(zone) = self.zone_of(name) else {
                // A chain that leaves our zones the client follows by itself.
                if link == 0 {
                    self.refuse(ExtendedError::NotAuthoritative);
                }
                return None;
            };
            // A name seen before: a loop. The client sees as much from the records.
            if visited[..link].contains(&name.hash(0)) || link == CHAIN_LINKS {
                return None;
            }
            visited[link] = name.hash(0);
            self.is_of_many |= !std::ptr::eq(*first.get_or_insert(zone), zone);
            self.authoritative |= self.query.class == CLASS_IN;
            match self.step(zone, name, owner, link == 0, spare) {
                Some(next) => owner = next.owner,
                None => return Some(zone),
            }
            std::mem::swap(current, spare);
        }
        None
    }

    /// The zone that answers for a name. The DS records of a zone's own name are its parent's (RFC 4035 §3.1.4.1).
    fn zone_of(&self, name: &Name) -> Option<&'a Zone> {
        let zone = self.zones.find(name, 0)?;
        if self.query.rtype == RecordType::DS && zone.labels() == name.labels() && name.labels() > 0 {
            return self.zones.find(name, 1).or(Some(zone)).filter(|zone| self.shows(zone));
        }
        Some(zone).filter(|zone| self.shows(zone))
    }

    #[inline]
    fn shows(&self, zone: &Zone) -> bool {
        self.sees_hidden || !zone.is_hidden()
    }

    /// Answers for one name; the next one of the chain is left in `next`.
    fn step(
        &mut self,
        zone: &'a Zone,
        name: &Name,
        owner: usize,
        first: bool,
        next: &mut Name,
    ) -> Option<Link> {
        match zone.search(name, self.zones.key()) {
            Found::Node(node) => self.answer_from(zone, name, owner, node, next),
            Found::Cut(node, 0) if self.query.rtype == RecordType::DS => {
                self.answer_from(zone, name, owner, node, next)
            }
            Found::Cut(node, label) => {
                self.authoritative &= !first;
                self.refer(zone, name, owner, node, label, next);
                None
            }
            Found::Dname(node, label) => self.redirect(zone, name, owner, (node, label), next),
            Found::Nothing => {
                self.rcode = Rcode::NxDomain;
                self.deny(zone, name, owner, None, next);
                None
            }
        }
    }

    fn answer_from(
        &mut self,
        zone: &'a Zone,
        name: &Name,
        owner: usize,
        node: Node<'a>,
        next: &mut Name,
    ) -> Option<Link> {
        if self.query.rtype == RecordType::ANY {
            let mut any = false;
            for set in self.sets_of(zone, node) {
                any = true;
                self.add_signed(zone, (name, 0, owner), node, set);
            }
            if any {
                self.note_expansion(zone, name, owner, node);
            } else {
                self.deny(zone, name, owner, Some(node), next);
            }
            return None;
        }
        if let Some(set) = self.set_of(zone, node, self.query.rtype) {
            self.add_signed(zone, (name, 0, owner), node, set);
            self.note_expansion(zone, name, owner, node);
            return None;
        }
        if zone.signed().is_some() && self.answer_made(zone, name, owner, node) {
            return None;
        }
        let Some(set) = node.set(RecordType::CNAME) else {
            self.deny(zone, name, owner, Some(node), next);
            return None;
        };
        let start = self.writer.length();
        self.add_signed(zone, (name, 0, owner), node, set);
        self.note_expansion(zone, name, owner, node);
        if self.truncated {
            return None;
        }
        next.read(set.first_data(), self.zones.key()).ok()?;
        Some(Link { owner: self.writer.data_of_record_at(start)? })
    }

    /// Adds a set that must be there: if it does not fit, the answer is truncated (RFC 2181 §9).
    fn add(&mut self, section: Section, owner: usize, set: Set<'_>) {
        if !self.truncated && !self.writer.add(section, owner, set, None) {
            self.truncated = true;
        }
    }

    /// Adds a set of `node` to the answer, and its signatures.
    #[inline]
    fn add_signed(&mut self, zone: &Zone, at: (&Name, usize, usize), node: Node<'_>, set: Set<'_>) {
        self.add(Section::Answer, at.2, set);
        if self.dnssec_ok && !self.truncated {
            self.truncated |= !self.sign(Section::Answer, zone, at, node, (set, set.ttl()));
        }
    }

    /// The SOA record that says how long to remember that there is nothing (RFC 2308 §3), and the proof of it: that `node`
    /// has nothing of this type or, without a node, that there is no such name.
    fn deny(&mut self, zone: &'a Zone, name: &Name, owner: usize, node: Option<Node<'_>>, spare: &mut Name) {
        let (apex, ttl) = (name.labels() - zone.labels(), zone.negative_ttl());
        let apex_node = zone.apex_node();
        if let Some(soa) = self.set_of(zone, apex_node, RecordType::SOA) {
            let offset = self.writer.suffix(owner, apex);
            let mut fits = self.writer.add(Section::Authority, offset, soa, Some(ttl));
            if self.dnssec_ok && fits {
                fits = self.sign(Section::Authority, zone, (name, apex, offset), apex_node, (soa, ttl));
            }
            self.truncated |= !fits;
        }
        if self.dnssec_ok {
            self.prove_nothing(zone, name, owner, node);
            self.prove_expansions(spare);
        }
    }

    /// A referral to the servers of a child zone, with their addresses as far as they are below the cut (RFC 9471).
    fn refer(
        &mut self,
        zone: &'a Zone,
        name: &Name,
        owner: usize,
        node: Node<'_>,
        label: usize,
        spare: &mut Name,
    ) {
        let Some(servers) = node.set(RecordType::NS) else { return };
        self.add(Section::Authority, self.writer.suffix(owner, label), servers);
        self.add_delegation(zone, name, owner, node, label);
        self.prove_expansions(spare);
        let child = name.suffix(label);
        let mut number = 0;
        while let Some(target) = self.writer.target(number).filter(|_| !self.truncated) {
            number += 1;
            if self.read_target(target.offset, spare) && is_below(spare, child, name.labels() - label) {
                self.truncated |= !self.add_addresses_of(zone, target.offset, true, spare);
            }
        }
        number = 0;
        while let Some(target) = self.writer.target(number).filter(|_| !self.truncated) {
            number += 1;
            if self.read_target(target.offset, spare) && !is_below(spare, child, name.labels() - label) {
                self.add_addresses_of(zone, target.offset, true, spare);
            }
        }
    }

    /// RFC 6672 §3.2: the DNAME record, and a CNAME record made from it.
    fn redirect(
        &mut self,
        zone: &Zone,
        name: &Name,
        owner: usize,
        (node, label): (Node<'a>, usize),
        next: &mut Name,
    ) -> Option<Link> {
        let set = node.set(RecordType::DNAME)?;
        let at = self.writer.suffix(owner, label);
        // A later link of the chain may be redirected by the same record.
        let mut seen = self.redirected_by.iter().flatten();
        if !seen.any(|other| other.is(set)) {
            let free = self.redirected_by.iter_mut().find(|seen| seen.is_none())?;
            *free = Some(set);
            self.add_signed(zone, (name, label, at), node, set);
        }
        if self.truncated {
            return None;
        }
        let record = set.records().next()?;
        if next.set_replaced(name, label, record.get(RECORD_HEADER..)?, self.zones.key()).is_err() {
            self.rcode = Rcode::YxDomain;
            return None;
        }
        let ttl = u32::from_be_bytes(*record.get(6..)?.first_chunk()?);
        let target = self.writer.add_cname(owner, next, ttl);
        self.truncated |= target.is_none();
        // The CNAME record just made is the answer to a query for it.
        let owner = target.filter(|_| self.query.rtype != RecordType::CNAME)?;
        Some(Link { owner })
    }

    /// The addresses of what the records in the answer name (RFC 1034 §4.3.2 step 6), as many as fit.
    fn add_addresses(&mut self, zone: &Zone, spare: &mut Name) {
        if self.writer.counts[Section::Additional as usize] != 0 || self.truncated {
            return;
        }
        let mut number = 0;
        while let Some(target) = self.writer.target(number) {
            number += 1;
            if self.read_target(target.offset, spare) {
                self.add_addresses_of(zone, target.offset, target.glue, spare);
            }
        }
    }

    /// Reads the name at `offset`.
    fn read_target(&self, offset: usize, name: &mut Name) -> bool {
        name.read_compressed(self.writer.message(), offset, self.zones.key()).is_ok()
    }

    /// Adds the addresses of `name`, which stands at `offset`; false if they do not fit.
    fn add_addresses_of(&mut self, zone: &Zone, offset: usize, glue: bool, name: &Name) -> bool {
        let in_zone =
            name.labels().checked_sub(zone.labels()).is_some_and(|apex| name.suffix(apex) == zone.apex());
        let found = if in_zone { zone.search_address(name, self.zones.key()) } else { None };
        let Some((node, _)) = found.filter(|(_, is_glue)| glue || !is_glue) else { return true };
        // What the answer section has already.
        let has_answer =
            self.writer.counts[Section::Answer as usize] != 0 && name.hash(0) == self.question.hash(0);
        [RecordType::A, RecordType::AAAA].into_iter().filter_map(|rtype| node.set(rtype)).all(|set| {
            let answered = has_answer && [RecordType::ANY, set.rtype()].contains(&self.query.rtype);
            answered || self.add_additional(zone, (name, offset), node, set)
        })
    }
}

/// Whether `name` is `parent`, which has so many labels, or below it.
fn is_below(name: &Name, parent: &[u8], labels: usize) -> bool {
    debug_assert!(parent.len() <= NAME_OCTETS);
    name.labels().checked_sub(labels).is_some_and(|label| name.suffix(label) == parent)
}
