//! Zones that arrive signed, in a file or from a primary: which of their own NSEC or NSEC3 records deny a name.
//!
//! Their links are put in order once, when the zone arrives; the link that covers a name is then the last that does not come
//! behind it. What goes into which answer is the same as for zones that we sign (see `proof`), but for two things: a link
//! stands for all names in a gap, so one may serve twice; and where the chain leaves out unsigned children (opt-out, RFC 5155
//! §6), the closest name that can be proved takes the place of the closest that exists.

use super::canonical;
use super::hashes::{HASH_OCTETS, from_base32, salted};
use super::limits::{NSEC3_ITERATIONS, PROOF_LINKS};
use crate::limits::NAME_OCTETS;
use crate::message::{Section, Writer};
use crate::name::Name;
use crate::types::RecordType;
use crate::zone::{Node, Place, RECORD_HEADER, Zone};

/// The links of a zone's chain, in order.
#[derive(Debug)]
pub enum Arrived {
    /// By name.
    Nsec(Vec<Place>),
    /// By hash.
    Nsec3 {
        /// How often a name is hashed after the first time.
        iterations: u16,
        /// What is hashed with it.
        salt: Box<[u8]>,
        /// The hashes, and where their links are.
        links: Vec<([u8; HASH_OCTETS], Place)>,
    },
}

impl Arrived {
    /// The chain of a zone that has signatures; `None` where it has none. A zone without a chain that can be used has an empty one.
    pub fn new(zone: &Zone) -> Option<Arrived> {
        let apex = zone.apex_node();
        apex.set(RecordType::RRSIG)?;
        let nodes = || zone.nodes_in_order().into_iter();
        let parameters = apex.set(RecordType::NSEC3PARAM).map(|set| set.first_data());
        let Some([1, _, i1, i0, _, salt @ ..]) = parameters else {
            let mut links: Vec<Place> =
                nodes().filter(|place| zone.node(*place).set(RecordType::NSEC).is_some()).collect();
            links.sort_unstable_by(|a, b| canonical::compare(zone.node(*a).name(), zone.node(*b).name()));
            return Some(Arrived::Nsec(links));
        };
        let (iterations, mut links) = (u16::from_be_bytes([*i1, *i0]), Vec::new());
        if iterations <= NSEC3_ITERATIONS {
            links.extend(nodes().filter_map(|place| Some((hash_of(zone.node(place))?, place))));
            links.sort_unstable_by_key(|(hash, _)| *hash);
        }
        Some(Arrived::Nsec3 { iterations, salt: salt.into(), links })
    }

    /// What is odd about it, in words.
    pub fn report(&self) -> Option<String> {
        match self {
            Arrived::Nsec3 { iterations, .. } if *iterations > NSEC3_ITERATIONS => Some(format!(
                "{iterations} iterations of NSEC3 are too many (RFC 9276): it is served without proofs of what does not exist"
            )),
            Arrived::Nsec(links) if links.is_empty() => Some(
                "it has signatures and neither NSEC nor NSEC3PARAM: nothing proves what does not exist"
                    .to_string(),
            ),
            _ => None,
        }
    }
}

/// The hash that a node has for a name, if it has NSEC3 records.
fn hash_of(node: Node<'_>) -> Option<[u8; HASH_OCTETS]> {
    node.set(RecordType::NSEC3)?;
    from_base32(node.name())
}

/// Puts an arrived zone's proofs into one answer.
pub struct Witness<'p, 'w> {
    writer: &'p mut Writer<'w>,
    zone: &'p Zone,
    arrived: &'p Arrived,
    /// The name that is denied, and where in the message it stands.
    name: &'p Name,
    offset: usize,
    /// Links that are in the answer.
    put: [Place; PROOF_LINKS],
    /// All of them have fitted.
    fits: bool,
}

impl<'p, 'w> Witness<'p, 'w> {
    /// About `name`, which stands at `offset`.
    pub fn new(
        writer: &'p mut Writer<'w>,
        (zone, arrived): (&'p Zone, &'p Arrived),
        (name, offset): (&'p Name, usize),
    ) -> Witness<'p, 'w> {
        Witness { writer, zone, arrived, name, offset, put: [Place::NONE; PROOF_LINKS], fits: true }
    }

    /// There is the name from label number `label` on, but not this type at it (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, §7.2.4).
    #[must_use]
    pub fn no_type(mut self, label: usize) -> bool {
        match self.arrived {
            Arrived::Nsec(_) => self.put_nsec(self.relative(label)),
            Arrived::Nsec3 { .. } => drop(self.put_closest(label)),
        }
        self.fits
    }

    /// There is no such name; from label number `encloser` on it exists (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
    #[must_use]
    pub fn no_name(self, encloser: usize) -> bool {
        self.without_name(encloser, true)
    }

    /// The answer comes from the wildcard below label number `encloser` (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    #[must_use]
    pub fn from_wildcard(mut self, encloser: usize) -> bool {
        match self.arrived {
            Arrived::Nsec(_) => self.put_nsec(self.relative(0)),
            Arrived::Nsec3 { .. } => self.put_cover_of(encloser - 1),
        }
        self.fits
    }

    /// The wildcard below label number `encloser` does not have this type (RFC 4035 §3.1.3.4, RFC 5155 §7.2.5).
    #[must_use]
    pub fn no_type_at_wildcard(self, encloser: usize) -> bool {
        self.without_name(encloser, false)
    }

    /// The name itself is not there; of the wildcard that would stand for it the same is shown, or with NSEC3 that it has no such type.
    fn without_name(mut self, encloser: usize, nor_wildcard: bool) -> bool {
        match self.arrived {
            Arrived::Nsec(_) => {
                self.put_nsec(self.relative(0));
                let (wildcard, octets) = self.wildcard(encloser, self.apex());
                self.put_nsec(&wildcard[..octets]);
            }
            Arrived::Nsec3 { .. } => {
                self.put_cover_of(encloser - 1);
                if let Some(encloser) = self.put_closest(encloser) {
                    let (wildcard, octets) = self.wildcard(encloser, self.name.labels());
                    self.put_nsec3(&wildcard[..octets], nor_wildcard, true);
                }
            }
        }
        self.fits
    }

    /// The label that the zone's own name begins with.
    fn apex(&self) -> usize {
        self.name.labels() - self.zone.labels()
    }

    fn relative(&self, label: usize) -> &'p [u8] {
        self.name.between(label, self.apex())
    }

    /// The name of the wildcard below label number `encloser`, up to label number `end`; with the root's octet behind the last.
    fn wildcard(&self, encloser: usize, end: usize) -> ([u8; NAME_OCTETS + 3], usize) {
        let rest = if end == self.name.labels() {
            self.name.suffix(encloser)
        } else {
            self.name.between(encloser, end)
        };
        let mut wildcard = [0; NAME_OCTETS + 3];
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..2 + rest.len()].copy_from_slice(rest);
        (wildcard, 2 + rest.len())
    }

    /// The link at a name or, where there is none, the one that covers it.
    fn put_nsec(&mut self, relative: &[u8]) {
        let Arrived::Nsec(links) = self.arrived else { return };
        let name_of = |place: Place| self.zone.node(place).name();
        let behind = links.partition_point(|place| canonical::compare(name_of(*place), relative).is_le());
        if let Some(place) = behind.checked_sub(1).and_then(|at| links.get(at)) {
            self.put(*place, RecordType::NSEC);
        }
    }

    /// The link that matches the suffix from label number `label` on; where none does, of the nearest that one matches, and
    /// that what is next closer is not in the chain. The label of the suffix.
    fn put_closest(&mut self, label: usize) -> Option<usize> {
        for closest in label..=self.apex() {
            if self.put_nsec3(self.name.suffix(closest), false, false) {
                if closest > label {
                    self.put_cover_of(closest - 1);
                }
                return Some(closest);
            }
        }
        None
    }

    fn put_cover_of(&mut self, label: usize) {
        self.put_nsec3(self.name.suffix(label), true, false);
    }

    /// The link whose hash is that of `name`, or with `covers` the one in whose gap it lies; or else, if `either`, the other. Whether
    /// there is one.
    fn put_nsec3(&mut self, name: &[u8], covers: bool, either: bool) -> bool {
        let Arrived::Nsec3 { iterations, salt, links } = self.arrived else { return false };
        let hash = salted(name, *iterations, salt);
        let place = match links.binary_search_by_key(&hash, |(hash, _)| *hash) {
            Ok(at) if !covers || either => links.get(at),
            // The first hash has the last before it.
            Err(at) if covers || either => at.checked_sub(1).map_or(links.last(), |at| links.get(at)),
            _ => None,
        };
        let Some((_, place)) = place else { return false };
        self.put(*place, RecordType::NSEC3);
        true
    }

    /// A link and its signatures, once.
    fn put(&mut self, place: Place, rtype: RecordType) {
        let Some(free) = self.put.iter().position(|other| [Place::NONE, place].contains(other)) else {
            return;
        };
        if self.put[free] == place || !self.fits {
            return;
        }
        self.put[free] = place;
        let node = self.zone.node(place);
        let Some(set) = node.set(rtype) else { return };
        let (owner, ttl) = (self.writer.length(), set.ttl());
        let apex = self.writer.suffix(self.offset, self.apex());
        for (number, record) in set.records().enumerate() {
            let name = if number == 0 { (node.name(), apex) } else { (&[][..], owner) };
            let data = record.get(RECORD_HEADER..).unwrap_or_default();
            self.fits &= self.writer.add_made(Section::Authority, name, rtype, ttl, &[data]).is_some();
        }
        self.fits &= put_signatures(self.writer, Section::Authority, owner, node, (rtype, ttl));
    }
}

/// Adds the signatures that `node` has of its set of this type, whose owner's name stands at `owner`. False if they do not fit.
#[must_use]
pub fn put_signatures(
    writer: &mut Writer<'_>,
    section: Section,
    owner: usize,
    node: Node<'_>,
    (rtype, ttl): (RecordType, u32),
) -> bool {
    let Some(signatures) = node.set(RecordType::RRSIG) else { return true };
    signatures.records().filter_map(|record| record.get(RECORD_HEADER..)).all(|data| {
        !data.starts_with(&rtype.0.to_be_bytes())
            || writer.add_made(section, (&[], owner), RecordType::RRSIG, ttl, &[data]).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::hashes::base32;

    #[test]
    fn hashes_are_read_from_the_names_that_they_are_written_as() {
        let hash = std::array::from_fn(|at| at as u8 * 13);
        assert_eq!(from_base32(&base32(hash)), Some(hash));
        assert_eq!(from_base32(b"\x20"), None);
        assert_eq!(from_base32(b"\x03abc"), None);
        assert_eq!(from_base32(&[base32(hash).as_slice(), b"\x01a"].concat()), None);
    }
}
