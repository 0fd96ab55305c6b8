//! One zone in memory, and the search for a name in it (RFC 1034 §4.3.2, RFC 4592 §3.3.1).
//!
//! Everything lies in an arena. A node is a name that exists, be it only because something exists below it; its sets
//! follow it, and a set's records are octets as an answer carries them, with a pointer to the question (`C0 0C`) for
//! owner. Where a zone file has a name's records side by side, as most do, an answer reads one or two cache lines of
//! the index and one or two here:
//!
//! ```text
//! node      first set: u32 │ flags: u8 │ length: u8 │ name relative to the apex, lower case
//! fragment  next set: u32 │ next fragment: u32 │ type: u16 │ records: u16 │ length: u16 │ 0: u16 │ records
//! record    C0 0C │ type │ class │ ttl │ rdlength │ rdata         (network byte order; all else little endian)
//! ```

mod arena;
pub mod build;
mod index;

pub use arena::Place;
pub use build::Builder;
pub use index::Index;

use crate::name::Name;
use crate::types::RecordType;
use arena::Arena;
use std::cell::Cell;

const NODE_HEADER: usize = 6;
const FRAGMENT_HEADER: usize = 16;

/// Octets of a record before its data.
pub const RECORD_HEADER: usize = 12;

/// What is known of a node without looking at its sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags(u8);

impl Flags {
    /// It has NS records and is not the apex: authority ends here.
    const CUT: Flags = Flags(1);
    /// It has a DNAME record.
    const DNAME: Flags = Flags(2);
    /// A cut or a DNAME is above it.
    const OCCLUDED: Flags = Flags(4);
    /// It has a child `*`.
    const WILDCARD_PARENT: Flags = Flags(8);

    /// It is the hash of a name, with NSEC3 records and nothing else: no name that could be asked for (RFC 5155 §7.2.8).
    const HASH: Flags = Flags(16);

    fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

/// A zone; see the module. Made by a [`Builder`].
#[derive(Debug)]
pub struct Zone {
    apex: Box<[u8]>,
    /// Labels of the apex.
    labels: usize,
    arena: Arena,
    index: Index,
    /// The most labels any name has below the apex: longer ones need not be searched for.
    depth: usize,
    records: u64,
    negative_ttl: u32,
    /// Its number among the zones that are signed, counted from 1; 0 if it is not.
    signed: Cell<u32>,
    /// It is answered for to who may transfer it, and to nobody else.
    hidden: Cell<bool>,
}

/// Where a search ended.
#[derive(Clone, Copy, Debug)]
pub enum Found<'z> {
    /// The name exists, or a wildcard stands in for it.
    Node(Node<'z>),
    /// At this label, authority ends; the node has NS records.
    Cut(Node<'z>, usize),
    /// At this label, which the name is below of, there is a DNAME record.
    Dname(Node<'z>, usize),
    /// Nothing of this name.
    Nothing,
}

impl Zone {
    /// The name of the zone, on the wire, lower case.
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// Number of labels of the zone's name.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Octets of memory taken.
    pub fn octets(&self) -> usize {
        size_of::<Zone>() + self.apex.len() + self.arena.octets() + self.index.octets()
    }

    /// Seconds that a negative answer may be kept: the lower of the SOA record's TTL and its last field (RFC 2308 §5).
    pub fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }

    /// See the field.
    #[inline]
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.get()
    }

    /// See the field.
    pub(crate) fn set_hidden(&self, hidden: bool) {
        self.hidden.set(hidden);
    }

    /// The node of the zone's own name: the first that is made, since each is made behind those above it.
    pub(crate) fn apex_node(&self) -> Node<'_> {
        self.node(Place::FIRST)
    }

    /// All nodes in the order they were made.
    pub(crate) fn nodes_in_order(&self) -> Vec<Place> {
        let mut nodes: Vec<Place> = self.index.nodes().collect();
        nodes.sort_unstable_by_key(|place| place.0);
        nodes
    }

    /// The node of a name as it stands, if that is in this zone.
    pub(crate) fn node_at(&self, name: &Name) -> Option<Node<'_>> {
        let apex = name.labels().checked_sub(self.labels)?;
        if name.suffix(apex) == &*self.apex { self.find(name, 0) } else { None }
    }

    /// Its number among the zones that are signed, if it is one.
    #[inline]
    pub(crate) fn signed(&self) -> Option<usize> {
        (self.signed.get() as usize).checked_sub(1)
    }

    /// Sets that number.
    pub(crate) fn set_signed(&self, number: Option<usize>) {
        self.signed.set(number.map_or(0, |number| number as u32 + 1));
    }

    /// Whether what is at the node is not glue.
    pub(crate) fn is_authoritative_for(&self, node: Node<'_>) -> bool {
        !node.flags().has(Flags(Flags::CUT.0 | Flags::OCCLUDED.0))
    }

    /// The node of the suffix of `name` that starts with label number `label`.
    pub(crate) fn node_at_label(&self, name: &Name, label: usize) -> Option<Node<'_>> {
        self.find(name, label)
    }

    /// The label from which on a name that does not exist does exist: its closest encloser (RFC 4592 §3.3.1).
    pub(crate) fn encloser(&self, name: &Name) -> usize {
        let apex = name.labels() - self.labels;
        let deepest = apex.saturating_sub(self.depth).max(1);
        (deepest..apex).find(|label| self.find_named(name, *label).is_some()).unwrap_or(apex)
    }

    /// A set at the zone's own name.
    pub fn at_apex(&self, name: &Name, rtype: RecordType) -> Option<Set<'_>> {
        self.find(name, name.labels() - self.labels)?.set(rtype)
    }

    /// Searches for `name`, which must be the zone's name or below it. `key` is that of the names' hashes.
    #[inline]
    pub fn search(&self, name: &Name, key: &crate::name::HashKey) -> Found<'_> {
        let apex = name.labels() - self.labels;
        if let Some(node) = self.find_named(name, 0) {
            return match node.flags() {
                flags if flags.has(Flags::OCCLUDED) => self.topmost_cut(name, apex),
                flags if flags.has(Flags::CUT) => Found::Cut(node, 0),
                _ => Found::Node(node),
            };
        }
        let deepest = apex.saturating_sub(self.depth).max(1);
        for label in deepest..=apex {
            let Some(encloser) = self.find_named(name, label) else { continue };
            return match encloser.flags() {
                flags if flags.has(Flags::OCCLUDED) => self.topmost_cut(name, apex),
                flags if flags.has(Flags::CUT) => Found::Cut(encloser, label),
                flags if flags.has(Flags::DNAME) => Found::Dname(encloser, label),
                flags if flags.has(Flags::WILDCARD_PARENT) => self.wildcard(name, label, key),
                _ => Found::Nothing,
            };
        }
        Found::Nothing
    }

    /// Searches for the name as it stands, glue included, with wildcards outside of delegations: what the additional
    /// section takes. The flag says whether it is glue, that is below a cut or at it.
    pub fn search_address(&self, name: &Name, key: &crate::name::HashKey) -> Option<(Node<'_>, bool)> {
        match self.search(name, key) {
            Found::Node(node) => Some((node, false)),
            Found::Cut(..) => self.find(name, 0).map(|node| (node, true)),
            Found::Dname(..) | Found::Nothing => None,
        }
    }

    fn wildcard(&self, name: &Name, encloser: usize, key: &crate::name::HashKey) -> Found<'_> {
        let parent = name.between(encloser, name.labels() - self.labels);
        let hash = key.extend(name.hash(encloser), b"*");
        let is_it = |place| {
            let node = self.node(place).name();
            node.strip_prefix(b"\x01*").is_some_and(|rest| rest == parent)
        };
        self.index.find(hash, is_it).map_or(Found::Nothing, |place| Found::Node(self.node(place)))
    }

    /// For a name that is occluded: the cut or DNAME nearest to the apex, which is what counts.
    #[cold]
    fn topmost_cut(&self, name: &Name, apex: usize) -> Found<'_> {
        for label in (0..apex).rev() {
            match self.find(name, label) {
                Some(node) if node.flags().has(Flags::CUT) => return Found::Cut(node, label),
                Some(node) if node.flags().has(Flags::DNAME) && label > 0 => {
                    return Found::Dname(node, label);
                }
                _ => {}
            }
        }
        match self.find(name, apex) {
            Some(node) if apex > 0 && node.flags().has(Flags::DNAME) => Found::Dname(node, apex),
            _ => Found::Nothing,
        }
    }

    /// The same, but not what is there for its hash alone.
    #[inline]
    fn find_named(&self, name: &Name, label: usize) -> Option<Node<'_>> {
        self.find(name, label).filter(|node| !node.flags().has(Flags::HASH))
    }

    #[inline]
    fn find(&self, name: &Name, label: usize) -> Option<Node<'_>> {
        let relative = name.between(label, name.labels() - self.labels);
        let place = self.index.find(name.hash(label), |place| self.node(place).name() == relative)?;
        Some(self.node(place))
    }

    pub(crate) fn node(&self, place: Place) -> Node<'_> {
        Node { arena: &self.arena, octets: self.arena.get(place) }
    }
}

/// A name that exists.
#[derive(Clone, Copy, Debug)]
pub struct Node<'z> {
    arena: &'z Arena,
    octets: &'z [u8],
}

impl<'z> Node<'z> {
    /// All its sets; none where it only exists because of what is below it.
    pub fn sets(self) -> impl Iterator<Item = Set<'z>> {
        let mut next = Place(u32_at(self.octets, 0));
        std::iter::from_fn(move || {
            let set = Set { arena: self.arena, octets: self.arena.get(next), place: next };
            if next == Place::NONE {
                return None;
            }
            next = Place(u32_at(set.octets, 0));
            Some(set)
        })
    }

    /// Its set of one type.
    #[inline]
    pub fn set(self, rtype: RecordType) -> Option<Set<'z>> {
        self.sets().find(|set| set.rtype() == rtype)
    }

    /// Whether authority ends here.
    pub(crate) fn is_cut(self) -> bool {
        self.flags().has(Flags::CUT)
    }

    /// Whether a cut or a DNAME record is above it.
    pub(crate) fn is_occluded(self) -> bool {
        self.flags().has(Flags::OCCLUDED)
    }

    fn flags(self) -> Flags {
        Flags(self.octets.get(4).copied().unwrap_or(0))
    }

    /// Relative to the apex, without the root's octet.
    pub(crate) fn name(self) -> &'z [u8] {
        let length = usize::from(self.octets.get(5).copied().unwrap_or(0));
        self.octets.get(NODE_HEADER..NODE_HEADER + length).unwrap_or_default()
    }
}

/// The records of one name and type.
#[derive(Clone, Copy, Debug)]
pub struct Set<'z> {
    arena: &'z Arena,
    octets: &'z [u8],
    place: Place,
}

impl<'z> Set<'z> {
    /// The type of its records.
    #[inline]
    pub fn rtype(self) -> RecordType {
        RecordType(u16_at(self.octets, 8))
    }

    /// The number of records and their octets, in pieces; mostly there is one.
    #[inline]
    pub fn fragments(self) -> impl Iterator<Item = (u16, &'z [u8])> {
        let mut next = Some(self.octets);
        std::iter::from_fn(move || {
            let fragment = next?;
            let following = Place(u32_at(fragment, 4));
            next = (following != Place::NONE).then(|| self.arena.get(following));
            let length = usize::from(u16_at(fragment, 12));
            Some((
                u16_at(fragment, 10),
                fragment.get(FRAGMENT_HEADER..FRAGMENT_HEADER + length).unwrap_or_default(),
            ))
        })
    }

    /// Its records one by one, each with its header.
    pub fn records(self) -> impl Iterator<Item = &'z [u8]> {
        self.fragments().flat_map(|(_, octets)| records(octets))
    }

    /// The TTL of its records.
    #[inline]
    pub fn ttl(self) -> u32 {
        let ttl = self.octets.get(FRAGMENT_HEADER + 6..).and_then(<[u8]>::first_chunk);
        ttl.map_or(0, |ttl| u32::from_be_bytes(*ttl))
    }

    /// The data of its first record.
    pub fn first_data(self) -> &'z [u8] {
        self.records().next().and_then(|record| record.get(RECORD_HEADER..)).unwrap_or_default()
    }

    /// Whether this is the very same set.
    pub fn is(self, other: Set<'_>) -> bool {
        std::ptr::eq(self.octets, other.octets)
    }
}

/// Cuts the octets of a fragment into records.
pub fn records(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*octets.get(10)?, *octets.get(11)?]));
        let (record, rest) = octets.split_at_checked(RECORD_HEADER + length)?;
        octets = rest;
        Some(record)
    })
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u16::from_le_bytes(*word))
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}
