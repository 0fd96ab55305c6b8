//! Where answers are signed: what the rest of the authority calls, all of it without effect where there is nothing to sign.

use super::{Authority, Response};
use crate::dnssec::{
    Asked, At, Denial, Finished, Prover, Seeds, SignedZone, Signer, Witness, put_signatures,
};
use crate::message::Section;
use crate::name::Name;
use crate::query::{CLASS_IN, Rcode};
use crate::types::RecordType;
use crate::zone::{Node, Set, Zone};
use std::rc::Rc;

impl Authority {
    /// Signs zones that have no key files by keys from these seeds, if there are any; denies like this; keeps so many signatures
    /// of sets and so many of denials. To be called before the first time that is set.
    pub fn sign(&mut self, seeds: Seeds, denial: Denial, signatures: (usize, usize)) {
        self.zones.set_signing(seeds, denial);
        self.signatures = signatures;
    }

    /// Says what time it is, in seconds since 1970: keys take up and lay down their duties, and signatures are made anew when
    /// they are asked for. Nothing is signed before. Returns when it should be called again, if ever, or after an hour at the
    /// latest; and whenever there are other keys.
    pub fn set_time(&mut self, now: u64) -> Option<u64> {
        self.set_time_of_keys(now, now)
    }

    /// The same where keys go by another clock than signatures, to see what a roll-over will be like.
    pub fn set_time_of_keys(&mut self, keys: u64, now: u64) -> Option<u64> {
        let next = self.zones.set_time(keys);
        if self.signer.is_none() && self.zones.signing().is_used() {
            let hashes = if self.zones.signing().denial() == Denial::Nsec3 { self.signatures.1 } else { 0 };
            self.signer = Some(Box::new(Signer::new(self.zones.key(), self.signatures, hashes)));
        }
        if let Some(signer) = self.signer.as_mut() {
            signer.set_time(now);
        }
        next
    }

    /// Says whether others fetch zones signed: then the serial numbers of signed zones change with their signatures and keys, so that
    /// secondaries fetch them again.
    pub fn set_fetched(&mut self, is_fetched: bool) {
        self.zones.set_fetched(is_fetched);
    }

    /// The zones that have another serial number since this was last asked, although they are the same.
    pub fn take_renewed(&mut self) -> Vec<Rc<Zone>> {
        self.zones.signing().take_renewed()
    }

    /// What has changed about keys since this was last asked, in words.
    pub fn signing_news(&mut self) -> Vec<String> {
        self.zones.signing().take_news()
    }

    /// How many signatures have been made so far.
    pub fn signatures_made(&self) -> u64 {
        self.signer.as_ref().map_or(0, |signer| signer.made())
    }
}

impl<'a> Response<'a> {
    /// Answers as before, where the answer of a signed zone is kept; otherwise puts one together, and keeps it.
    #[inline]
    pub(super) fn fill_or_recall(&mut self, current: &mut Name, spare: &mut Name) {
        if !self.dnssec_ok || self.signer.is_none() {
            return self.fill(current, spare);
        }
        let Some(asked) = self.asked() else { return self.fill(current, spare) };
        if self.recall(asked).is_none() {
            let start = self.writer.length();
            self.fill(current, spare);
            self.keep(asked, start);
        }
    }

    /// What the answer can be found by; none where no signed zone answers.
    fn asked(&self) -> Option<Asked> {
        let (edns, rtype) = (self.query.edns?, self.query.rtype);
        // Refusals of transfers are not the same over UDP and TCP.
        let is_plain = !matches!(rtype, RecordType::AXFR | RecordType::IXFR);
        if !is_plain || edns.version != 0 || self.query.class != CLASS_IN {
            return None;
        }
        let signed = self.zones.signed(self.zone_of(self.question)?)?;
        Some(self.signer.as_deref()?.asked(self.question.hash(0), rtype, self.zones.version(signed)))
    }

    fn recall(&mut self, asked: Asked) -> Option<()> {
        let answer = self.signer.as_deref()?.recall(asked, self.question.wire())?;
        self.writer.put(answer.records)?;
        (self.rcode, self.authoritative, self.writer.counts) =
            (answer.rcode, answer.authoritative, answer.counts);
        Some(())
    }

    /// Keeps the answer that begins at `start`, if it is whole and would be the same the next time.
    fn keep(&mut self, asked: Asked, start: usize) {
        let is_whole = !self.truncated && !self.writer.is_short && self.error.is_none();
        if !is_whole || self.is_of_many {
            return;
        }
        let (rcode, authoritative, counts) = (self.rcode, self.authoritative, self.writer.counts);
        let records = self.writer.message().get(start..).unwrap_or_default();
        let answer = Finished { rcode, authoritative, counts, records };
        let is_made_up = self.is_made_up || counts[Section::Answer as usize] == 0 || rcode != Rcode::NoError;
        if let Some(signer) = self.signer.as_deref_mut() {
            signer.keep(asked, self.question.wire(), answer, is_made_up);
        }
    }

    /// A prover for a zone, if it is signed and the client wants to see it.
    #[inline]
    fn prover<'p>(&'p mut self, zone: &'p Zone) -> Option<Prover<'p, 'a>> {
        if !self.dnssec_ok {
            return None;
        }
        self.any_prover(zone)
    }

    /// The same for clients that do not: what it adds has no signatures.
    #[inline]
    fn any_prover<'p>(&'p mut self, zone: &'p Zone) -> Option<Prover<'p, 'a>> {
        let signer = self.signer.as_deref_mut()?;
        let (signed, key) = (&**self.zones.signed(zone)?, self.zones.key());
        let (records, signatures) = (true, self.dnssec_ok);
        Some(Prover { writer: &mut self.writer, signer, zone, signed, key, records, signatures })
    }

    /// Signs a set that was just added, whose owner is (or covers, being a wildcard) label number `label` of `name`.
    #[inline]
    pub(super) fn sign(
        &mut self,
        section: Section,
        zone: &Zone,
        (name, label, offset): (&Name, usize, usize),
        node: Node<'_>,
        (set, ttl): (Set<'_>, u32),
    ) -> bool {
        let Some(mut prover) = self.prover(zone) else {
            return self.sign_as_arrived(section, zone, offset, node, (set.rtype(), ttl));
        };
        let hash = match encloser(zone, name, label, node) {
            None => name.hash(label),
            Some(encloser) => prover.key.extend(name.hash(encloser), b"*"),
        };
        prover.sign(section, (hash, offset), node, set, ttl)
    }

    /// Adds the signatures that the zone came with. An answer to ANY has them among the sets.
    fn sign_as_arrived(
        &mut self,
        section: Section,
        zone: &Zone,
        offset: usize,
        node: Node<'_>,
        set: (RecordType, u32),
    ) -> bool {
        let has_them = self.query.rtype == RecordType::ANY && section == Section::Answer;
        if !self.dnssec_ok || has_them || self.zones.arrived(zone).is_none() {
            return true;
        }
        put_signatures(&mut self.writer, section, offset, node, set)
    }

    /// The set that signing adds at the zone's own name, or puts in place of the one that the zone has.
    #[inline]
    pub(super) fn set_of(&self, zone: &'a Zone, node: Node<'a>, rtype: RecordType) -> Option<Set<'a>> {
        if zone.signed().is_some() && node.name().is_empty() {
            let added = self.zones.signed(zone).and_then(|signed| signed.apex_set(rtype));
            return added.or_else(|| node.set(rtype));
        }
        node.set(rtype)
    }

    /// What an answer to ANY has: all sets of the node, those that signing adds among them.
    pub(super) fn sets_of(&self, zone: &'a Zone, node: Node<'a>) -> impl Iterator<Item = Set<'a>> + use<'a> {
        let signed = self.zones.signed(zone).filter(|_| node.name().is_empty()).map(|signed| &**signed);
        let added = move |rtype| signed.is_some_and(|signed| signed.apex_set(rtype).is_some());
        let own = node.sets().filter(move |set| !added(set.rtype()));
        own.chain(signed.into_iter().flat_map(SignedZone::apex_sets))
    }

    /// Notes that an answer comes from a wildcard, if it does.
    #[inline]
    pub(super) fn note_expansion(&mut self, zone: &Zone, name: &Name, offset: usize, node: Node<'_>) {
        if self.dnssec_ok
            && zone.signed().is_some()
            && let Some(encloser) = encloser(zone, name, 0, node)
        {
            self.writer.note_expansion(offset, encloser);
            self.is_made_up = true;
        }
    }

    /// Proves that there was nothing nearer than the wildcards that were used.
    #[inline]
    pub(super) fn prove_expansions(&mut self, name: &mut Name) {
        if self.dnssec_ok
            && let Some(expansion) = self.writer.next_expansion()
        {
            self.prove_each_expansion(name, expansion);
        }
    }

    #[cold]
    fn prove_each_expansion(&mut self, name: &mut Name, first: (usize, usize)) {
        let mut next = Some(first);
        while let Some((offset, encloser)) = next {
            next = self.writer.next_expansion();
            if self.truncated || !self.read_target(offset, name) {
                continue;
            }
            let zones = self.zones;
            let Some(zone) = zones.find(name, 0) else { continue };
            let fits = match self.prover(zone) {
                Some(mut prover) => prover.from_wildcard(At { name, offset }, encloser),
                None => {
                    self.witness(zone, (name, offset)).is_none_or(|witness| witness.from_wildcard(encloser))
                }
            };
            self.truncated |= !fits;
        }
    }

    /// What proves things about a zone that came with signatures, if the client wants to see it.
    fn witness<'p>(&'p mut self, zone: &'p Zone, at: (&'p Name, usize)) -> Option<Witness<'p, 'a>> {
        let arrived = self.zones.arrived(zone).filter(|_| self.dnssec_ok)?;
        Some(Witness::new(&mut self.writer, (zone, arrived), at))
    }

    /// Proves what a negative answer says: that `node` has no such type or, without a node, that there is no such name.
    pub(super) fn prove_nothing(&mut self, zone: &Zone, name: &Name, offset: usize, node: Option<Node<'_>>) {
        if self.truncated {
            return;
        }
        let at = At { name, offset };
        let wildcard = node.and_then(|node| encloser(zone, name, 0, node));
        let Some(mut prover) = self.prover(zone) else {
            let Some(witness) = self.witness(zone, (name, offset)) else { return };
            let fits = match (node, wildcard) {
                (None, _) => witness.no_name(zone.encloser(name)),
                (Some(_), None) => witness.no_type(0),
                (Some(_), Some(encloser)) => witness.no_type_at_wildcard(encloser),
            };
            return self.truncated |= !fits;
        };
        let fits = match node {
            None => prover.no_name(at, zone.encloser(name)),
            Some(node) => match wildcard {
                None => prover.no_type(at, 0, node),
                Some(encloser) => prover.no_type_at_wildcard(at, encloser, node),
            },
        };
        self.truncated |= !fits;
    }

    /// The DS records of a child zone with their signatures, or the proof that it has none (RFC 4035 §3.1.4).
    pub(super) fn add_delegation(
        &mut self,
        zone: &Zone,
        name: &Name,
        owner: usize,
        node: Node<'_>,
        label: usize,
    ) {
        if self.truncated || !self.dnssec_ok || zone.signed().is_none() {
            return;
        }
        let offset = self.writer.suffix(owner, label);
        if let Some(set) = node.set(RecordType::DS) {
            let added = self.writer.add(Section::Authority, offset, set, None);
            let signed =
                added && self.sign(Section::Authority, zone, (name, label, offset), node, (set, set.ttl()));
            self.truncated |= !signed;
            return;
        }
        let fits = match self.prover(zone) {
            Some(mut prover) => prover.no_type(At { name, offset: owner }, label, node),
            None => self.witness(zone, (name, owner)).is_none_or(|witness| witness.no_type(label)),
        };
        self.truncated |= !fits;
    }

    /// Adds the addresses of a name to the additional section, with their signatures if both fit; false if they do not fit.
    #[inline]
    pub(super) fn add_additional(
        &mut self,
        zone: &Zone,
        (name, offset): (&Name, usize),
        node: Node<'_>,
        set: Set<'_>,
    ) -> bool {
        let added = self.writer.add(Section::Additional, offset, set, None);
        if added && self.dnssec_ok && zone.is_authoritative_for(node) {
            // RFC 4035 §3.1.1: signatures there are left out where they do not fit.
            let _ = self.sign(Section::Additional, zone, (name, 0, offset), node, (set, set.ttl()));
        }
        added
    }

    /// Answers for the types that only signing makes: NSEC and RRSIG. False where the zone is not signed.
    pub(super) fn answer_made(&mut self, zone: &'a Zone, name: &Name, owner: usize, node: Node<'a>) -> bool {
        let is_nsec = self.query.rtype == RecordType::NSEC;
        if !is_nsec && self.query.rtype != RecordType::RRSIG {
            return false;
        }
        let wildcard = encloser(zone, name, 0, node);
        let sets = self.sets_of(zone, node);
        let Some(mut prover) = self.any_prover(zone) else { return false };
        let denial = prover.signed.denial;
        if is_nsec && denial == Denial::Nsec3 {
            return false;
        }
        (prover.records, prover.signatures) = (is_nsec, prover.signatures || !is_nsec);
        let mut fits = true;
        if !is_nsec {
            for set in sets {
                let hash = wildcard.map_or(name.hash(0), |label| prover.key.extend(name.hash(label), b"*"));
                fits &= prover.sign(Section::Answer, (hash, owner), node, set, set.ttl());
            }
        }
        let at = At { name, offset: owner };
        if denial == Denial::Nsec {
            fits &= match wildcard {
                None => prover.answer_nsec(at, 0, node),
                Some(encloser) => prover.answer_nsec_of_wildcard(at, encloser, node),
            };
        }
        let added = prover.writer.counts[Section::Answer as usize] > 0 || !fits;
        self.truncated |= !fits;
        if added {
            self.note_expansion(zone, name, owner, node);
        }
        added
    }
}

/// The label of the parent of the wildcard that `node` is, where it stands in for the suffix of `name` from label number
/// `label` on. None where the node has that very name.
#[inline]
fn encloser(zone: &Zone, name: &Name, label: usize, node: Node<'_>) -> Option<usize> {
    let found = node.name();
    if !found.starts_with(b"\x01*") {
        return None;
    }
    let apex = name.labels() - zone.labels();
    let asked = name.between(label, apex);
    if asked.len() == found.len() && asked.starts_with(b"\x01*") {
        return None;
    }
    let parent_octets = found.len() - 2;
    (label..=apex).find(|label| name.between(*label, apex).len() == parent_octets)
}
