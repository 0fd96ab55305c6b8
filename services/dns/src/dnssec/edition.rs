//! A signed zone as a secondary gets it: all records with signatures, and the chain of NSEC or NSEC3 records, which for a server
//! that cannot sign takes the place of white lies.
//!
//! ```text
//!   nodes ─► prepare, a slice at a time ─► names in the order of the chain
//!   records: node by node, each set and its RRSIG … then the chain, each link and its RRSIG
//! ```
//!
//! An edition is one version of the zone, its keys and its signatures' times. **Nothing is signed before it is sent**: a
//! transfer makes the signatures of a message and sends it. The first of them are kept for the transfers after it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ops::Bound;
use std::rc::Rc;

use super::bitmap;
use super::hashes::{HASH_OCTETS, base32, compute};
use super::limits::{CHAIN_SLICE, EDITION_SIGNATURES, RRSIG_HEADER, SIGNATURE_OCTETS};
use super::signed::{Denial, NSEC3_PARAMETERS, SignedZone};
use super::signer::{Data, Maker, Subject, Validity};
use crate::record::Record;
use crate::types::RecordType;
use crate::zone::{Node, Place, RECORD_HEADER, Set, Zone};

/// See the module.
#[derive(Debug)]
pub struct Edition {
    zone: Rc<Zone>,
    signed: Rc<SignedZone>,
    validity: Validity,
    names: RefCell<Names>,
    /// In the order in which they are sent.
    signatures: RefCell<Vec<[u8; SIGNATURE_OCTETS]>>,
}

/// The names of the chain.
#[derive(Debug)]
struct Names {
    /// Those that have not been looked at.
    rest: std::vec::IntoIter<Place>,
    /// By what the chain is in order of: the name itself, or its hash.
    in_order: BTreeMap<Box<[u8]>, Place>,
}

impl Edition {
    /// Of this zone, with signatures that are valid from `now` on.
    pub fn new(zone: Rc<Zone>, signed: Rc<SignedZone>, now: u64) -> Edition {
        let validity = Validity::new(now, &signed);
        let names = Names { rest: zone.nodes_in_order().into_iter(), in_order: BTreeMap::new() };
        Edition { zone, signed, validity, names: RefCell::new(names), signatures: RefCell::default() }
    }

    /// Whether it is still the zone, signed by these keys.
    pub fn is_of(&self, zone: &Rc<Zone>, signed: &Rc<SignedZone>) -> bool {
        Rc::ptr_eq(&self.zone, zone) && Rc::ptr_eq(&self.signed, signed)
    }

    /// Puts some more names in order; whether all are. To be called until then, before the records are asked for.
    pub fn prepare(&self) -> bool {
        let Names { rest, in_order } = &mut *self.names.borrow_mut();
        for place in rest.take(CHAIN_SLICE) {
            let node = self.zone.node(place);
            let is_empty = node.sets().all(|set| bitmap::is_made(set.rtype()));
            // RFC 4034 §4, RFC 5155 §7.1: not for glue; for names that only have others below them in NSEC3 alone.
            if node.is_occluded() || is_empty && self.signed.denial == Denial::Nsec {
                continue;
            }
            in_order.insert(self.key_of(node), place);
        }
        rest.len() == 0
    }

    /// The SOA record, as it is served.
    pub fn soa(&self) -> Option<Record> {
        self.signed.soa(&self.zone)
    }

    /// All records but the SOA record itself, signatures among them.
    pub fn records(self: Rc<Edition>) -> impl Iterator<Item = Record> + 'static {
        let places = self.zone.nodes_in_order().into_iter();
        let queue = VecDeque::new();
        Records { edition: self, places, link: None, queue, number: 0, maker: Maker::new(), is_broken: false }
    }

    fn key_of(&self, node: Node<'_>) -> Box<[u8]> {
        match self.signed.denial {
            Denial::Nsec => canonical(node.name()),
            Denial::Nsec3 => compute(&[node.name(), self.zone.apex()].concat()).into(),
        }
    }

    /// The link of the chain behind this one, or the first.
    fn link_after(&self, key: Option<&[u8]>) -> Option<(Box<[u8]>, Place)> {
        let names = self.names.borrow();
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let (key, place) = names.in_order.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        Some((key.clone(), *place))
    }
}

/// The records of an edition, one after the other.
struct Records {
    edition: Rc<Edition>,
    places: std::vec::IntoIter<Place>,
    /// The link of the chain that was sent last.
    link: Option<Box<[u8]>>,
    queue: VecDeque<Record>,
    /// How many signatures have been sent.
    number: usize,
    maker: Maker,
    /// There was no randomness for a signature: the transfer must not be complete.
    is_broken: bool,
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let edition = self.edition.clone();
        while self.queue.is_empty() && !self.is_broken {
            if let Some(place) = self.places.next() {
                self.put_node(&edition, edition.zone.node(place));
            } else {
                let (key, place) = edition.link_after(self.link.as_deref())?;
                self.put_link(&edition, &key, edition.zone.node(place));
                self.link = Some(key);
            }
        }
        self.queue.pop_front()
    }
}

impl Records {
    fn put_node(&mut self, edition: &Edition, node: Node<'_>) {
        let is_apex = node.name().is_empty();
        let added = |rtype| is_apex && edition.signed.apex_set(rtype).is_some();
        for set in node.sets().filter(|set| !added(set.rtype()) && !bitmap::is_made(set.rtype())) {
            self.put_set(edition, node, set);
        }
        if is_apex {
            edition.signed.apex_sets().for_each(|set| self.put_set(edition, node, set));
        }
    }

    fn put_set(&mut self, edition: &Edition, node: Node<'_>, set: Set<'_>) {
        let owner = [node.name(), edition.zone.apex()];
        let (rtype, ttl) = (set.rtype(), set.ttl());
        for record in set.records().filter(|_| rtype != RecordType::SOA) {
            let data = record.get(RECORD_HEADER..).unwrap_or_default().to_vec();
            self.queue.push_back(Record { owner: owner.concat(), rtype, ttl, data });
        }
        // RFC 4035 §2.2: of a cut only the DS records are signed, below it nothing.
        if !node.is_occluded() && (!node.is_cut() || rtype == RecordType::DS) {
            self.put_signatures(edition, Subject { hash: 0, owner, rtype, ttl, data: Data::Set(set) });
        }
    }

    /// A link of the chain to the name behind this one; from the last to the first.
    fn put_link(&mut self, edition: &Edition, key: &[u8], node: Node<'_>) {
        let (mut types, mut bits) = (Vec::new(), Vec::new());
        bitmap::of_node(&edition.signed, node, &mut types, &mut bits);
        let next = edition.link_after(Some(key)).or_else(|| edition.link_after(None));
        let Some((next_key, next)) = next else { return };
        let apex = edition.zone.apex();
        let (rtype, own, data) = match edition.signed.denial {
            Denial::Nsec => {
                let next = edition.zone.node(next).name();
                (RecordType::NSEC, node.name().to_vec(), [next, apex, &bits].concat())
            }
            Denial::Nsec3 => {
                let owner = base32(key.try_into().unwrap_or_default()).to_vec();
                let data = [&NSEC3_PARAMETERS[..], &[HASH_OCTETS as u8], &next_key, &bits].concat();
                (RecordType::NSEC3, owner, data)
            }
        };
        let (owner, ttl) = ([&own[..], apex], edition.zone.negative_ttl());
        self.queue.push_back(Record { owner: owner.concat(), rtype, ttl, data: data.clone() });
        let data = Data::Made([&data, &[], &[], &[]]);
        self.put_signatures(edition, Subject { hash: 0, owner, rtype, ttl, data });
    }

    fn put_signatures(&mut self, edition: &Edition, subject: Subject<'_>) {
        for number in edition.signed.signers(subject.rtype) {
            let Some((header, signature)) = self.signature(edition, *number, subject) else {
                self.is_broken = true;
                self.queue.clear();
                return;
            };
            let data = [&header[..], edition.zone.apex(), &signature].concat();
            let (owner, ttl) = (subject.owner.concat(), subject.ttl);
            self.queue.push_back(Record { owner, rtype: RecordType::RRSIG, ttl, data });
        }
    }

    fn signature(
        &mut self,
        edition: &Edition,
        key: usize,
        subject: Subject<'_>,
    ) -> Option<([u8; RRSIG_HEADER], [u8; SIGNATURE_OCTETS])> {
        let (zone, signed) = (&*edition.zone, &*edition.signed);
        let (header, _) = self.maker.prepare(edition.validity, (zone, signed), key, subject)?;
        let number = self.number;
        self.number += 1;
        if let Some(signature) = edition.signatures.borrow().get(number) {
            return Some((header, *signature));
        }
        let signature = self.maker.sign(signed, key)?;
        let kept = &mut *edition.signatures.borrow_mut();
        if number == kept.len() && number < EDITION_SIGNATURES && kept.try_reserve(1).is_ok() {
            kept.push(signature);
        }
        Some((header, signature))
    }
}

/// Octets whose order is the canonical order of names (RFC 4034 §6.1): labels from the right, each ended by a 0, which is
/// written differently inside of a label.
fn canonical(name: &[u8]) -> Box<[u8]> {
    let (mut labels, mut rest) = (Vec::new(), name);
    while let Some((&length @ 1.., others)) = rest.split_first() {
        let (label, others) = others.split_at(usize::from(length).min(others.len()));
        labels.push(label);
        rest = others;
    }
    let mut key = Vec::with_capacity(name.len());
    for label in labels.into_iter().rev() {
        for &octet in label {
            match octet {
                0 | 1 => key.extend([1, octet + 1]),
                _ => key.push(octet),
            }
        }
        key.push(0);
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_canonical_order() {
        // RFC 4034 §6.1, below the zone `example`.
        let names: [&[u8]; 9] = [
            b"",
            b"\x01a",
            b"\x08yljkjljk\x01a",
            b"\x01z\x01a",
            b"\x04zabc\x01a",
            b"\x01z",
            b"\x01\x01\x01z",
            b"\x01*\x01z",
            b"\x01\xC8\x01z",
        ];
        assert!(names.map(canonical).is_sorted());
        let odd: [&[u8]; 6] = [b"\x01a", b"\x01\0\x01a", b"\x02a\0", b"\x02a\x01", b"\x02a\x02", b"\x02ab"];
        assert!(odd.map(canonical).is_sorted_by(|a, b| a < b));
    }
}
