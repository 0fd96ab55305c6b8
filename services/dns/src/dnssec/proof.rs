//! Puts signatures into an answer, and proofs of what does not exist: white lies, which deny the one name that was asked for.
//!
//! | what | NSEC (RFC 4035 §3.1.3, 4470) | NSEC3 (RFC 5155 §7.2) |
//! |---|---|---|
//! | no such type | at the name | at the name |
//! | no such name | around next closer, around wildcard | at encloser, around next closer, around wildcard |
//! | from a wildcard | around next closer | around next closer |
//! | wildcard, no such type | around next closer, at wildcard | at encloser, around next closer, at wildcard |
//! | no DS at a cut | at the cut | at the cut |
//!
//! Of these only what is around the next closer name depends on a name that a stranger can make up, so that is the only
//! signature to be made when random names are asked for. All others are in the cache.

use super::bitmap;
use super::hashes::{HASH_OCTETS, base32};
use super::neighbours::{self, Neighbour};
use super::signed::{Denial, NSEC3_PARAMETERS, SignedZone};
use super::signer::{Data, Scratch, Signer, Subject};
use crate::limits::{HEADER_OCTETS, NAME_OCTETS};
use crate::message::{Section, Writer};
use crate::name::{HashKey, Name};
use crate::types::RecordType;
use crate::zone::{Node, Set, Zone};

/// Tells hashes of names apart that stand for the name itself, what is around it, and its child `*`.
const AROUND: u64 = 0xA0A0_5C5C_A0A0_5C5C;

/// The types at a name that is made up.
const RRSIG_AND_NSEC: [u8; 8] = [0, 6, 0, 0, 0, 0, 0, 3];

/// Puts proofs into one answer.
pub struct Prover<'p, 'w> {
    /// Where they go.
    pub writer: &'p mut Writer<'w>,
    /// Who signs.
    pub signer: &'p mut Signer,
    /// The zone that says so.
    pub zone: &'p Zone,
    /// Its keys.
    pub signed: &'p SignedZone,
    /// Of the names' hashes.
    pub key: &'p HashKey,
    /// Whether NSEC and NSEC3 records are added; not where only their signatures were asked for.
    pub records: bool,
    /// Whether signatures are added.
    pub signatures: bool,
}

/// A name, and where in the message it stands.
#[derive(Clone, Copy)]
pub struct At<'n> {
    /// The name.
    pub name: &'n Name,
    /// Offset in the message.
    pub offset: usize,
}

impl Prover<'_, '_> {
    /// Adds the signatures of a set of `node`, whose owner's name stands at `offset`. False if they do not fit.
    #[must_use]
    pub fn sign(
        &mut self,
        section: Section,
        (hash, offset): (u64, usize),
        node: Node<'_>,
        set: Set<'_>,
        ttl: u32,
    ) -> bool {
        let owner = [node.name(), self.zone.apex()];
        let subject = Subject { hash, owner, rtype: set.rtype(), ttl: set.ttl(), data: Data::Set(set) };
        self.put_signatures(section, offset, subject, ttl)
    }

    fn put_signatures(&mut self, section: Section, offset: usize, subject: Subject<'_>, ttl: u32) -> bool {
        if !self.signatures {
            return true;
        }
        let (zone, signed) = (self.zone, self.signed);
        signed.signers(subject.rtype).iter().all(|number| {
            let Some(signature) = self.signer.signature((zone, signed), *number, subject) else {
                return false;
            };
            let data = (&signature.header, zone.apex(), &signature.signature);
            self.writer.add_signature(section, offset, ttl, data)
        })
    }

    /// There is the name, but not this type at it. `label` is where the node's name begins in the name asked for.
    #[must_use]
    pub fn no_type(&mut self, at: At<'_>, label: usize, node: Node<'_>) -> bool {
        self.put_match(at, label, node)
    }

    /// There is no such name; from label number `encloser` on it exists.
    #[must_use]
    pub fn no_name(&mut self, at: At<'_>, encloser: usize) -> bool {
        self.put_encloser(at, encloser)
            && self.put_around(at, encloser - 1)
            && self.put_no_wildcard(at, encloser)
    }

    /// The answer comes from the wildcard below label number `encloser`, since there is nothing nearer.
    #[must_use]
    pub fn from_wildcard(&mut self, at: At<'_>, encloser: usize) -> bool {
        self.put_around(at, encloser - 1)
    }

    /// The wildcard below label number `encloser` does not have this type, and there is nothing nearer.
    #[must_use]
    pub fn no_type_at_wildcard(&mut self, at: At<'_>, encloser: usize, wildcard: Node<'_>) -> bool {
        if !self.put_encloser(at, encloser) || !self.put_around(at, encloser - 1) {
            return false;
        }
        self.with_wildcard(at, encloser, |prover, name, offset| {
            prover.types_of(wildcard);
            match prover.signed.denial {
                Denial::Nsec => {
                    let next = neighbours::below(name, 0, name.labels() - prover.zone.labels());
                    prover.put_nsec((b"\x01*", 1, name, offset), name.hash(0), next)
                }
                Denial::Nsec3 => prover.put_nsec3(name, 0, offset_of(at, prover), false),
            }
        })
    }

    /// The answer to a query for NSEC records at a name that exists.
    #[must_use]
    pub fn answer_nsec(&mut self, at: At<'_>, label: usize, node: Node<'_>) -> bool {
        let next = self.next_of(at.name, label);
        self.types_of(node);
        let section = Section::Answer;
        self.put_nsec_in(section, (&[], label, at.name, at.offset), at.name.hash(label), next)
    }

    /// The same where the wildcard below label number `encloser` stands in for the name (RFC 4592 §4.8).
    #[must_use]
    pub fn answer_nsec_of_wildcard(&mut self, at: At<'_>, encloser: usize, wildcard: Node<'_>) -> bool {
        self.types_of(wildcard);
        self.with_wildcard(at, encloser, |prover, name, _| {
            let next = prover.next_of(name, 0);
            let bitmap = std::mem::take(&mut prover.signer.scratch.bitmap);
            let data = [next.prefix(), name.suffix(next.suffix), &bitmap, &[]];
            let owners = ((&[][..], at.offset), [name.wire(), &[]]);
            let done = prover.put_made(Section::Answer, RecordType::NSEC, owners, name.hash(0), data);
            prover.signer.scratch.bitmap = bitmap;
            done
        })
    }

    /// NSEC3 only: that the closest encloser exists (RFC 5155 §7.2.1).
    fn put_encloser(&mut self, at: At<'_>, encloser: usize) -> bool {
        if self.signed.denial == Denial::Nsec {
            return true;
        }
        match self.zone.node_at_label(at.name, encloser) {
            Some(node) => self.put_match(at, encloser, node),
            None => false,
        }
    }

    fn put_match(&mut self, at: At<'_>, label: usize, node: Node<'_>) -> bool {
        self.types_of(node);
        match self.signed.denial {
            Denial::Nsec => {
                let next = self.next_of(at.name, label);
                let offset = self.writer.suffix(at.offset, label);
                self.put_nsec((&[], label, at.name, offset), at.name.hash(label), next)
            }
            Denial::Nsec3 => {
                let offset = offset_of(at, self);
                self.put_nsec3(at.name, label, offset, false)
            }
        }
    }

    fn put_around(&mut self, at: At<'_>, label: usize) -> bool {
        let apex = at.name.labels() - self.zone.labels();
        if self.signed.denial == Denial::Nsec3 {
            self.signer.scratch.bitmap.clear();
            let offset = offset_of(at, self);
            return self.put_nsec3(at.name, label, offset, true);
        }
        let (before, after) = (
            neighbours::before(at.name, label, self.signed.is_plain),
            neighbours::after(at.name, label, apex),
        );
        self.types_before(at.name, &before);
        let offset = self.writer.suffix(at.offset, before.suffix);
        self.put_nsec((before.prefix(), before.suffix, at.name, offset), at.name.hash(label) ^ AROUND, after)
    }

    fn put_no_wildcard(&mut self, at: At<'_>, encloser: usize) -> bool {
        // RFC 4592 §3.3.1: the wildcard itself was asked for, and has been denied.
        if at.name.label(encloser - 1) == b"*" {
            return true;
        }
        // Almost always the ends are these: no need to make the name.
        let is_short = at.name.suffix(encloser).len() + neighbours::AFTER_WILDCARD.len() <= NAME_OCTETS;
        if self.signed.denial == Denial::Nsec && self.signed.is_plain && is_short {
            let after = Neighbour::of(neighbours::AFTER_WILDCARD, encloser);
            let (bitmap, prefix) = (&mut self.signer.scratch.bitmap, neighbours::BEFORE_WILDCARD);
            bitmap.clear();
            bitmap.extend(RRSIG_AND_NSEC);
            let offset = self.writer.suffix(at.offset, encloser);
            let hash = self.key.extend(at.name.hash(encloser), b"*") ^ AROUND;
            return self.put_nsec((prefix, encloser, at.name, offset), hash, after);
        }
        self.with_wildcard(at, encloser, |prover, name, offset| {
            if prover.signed.denial == Denial::Nsec3 {
                prover.signer.scratch.bitmap.clear();
                return prover.put_nsec3(name, 0, offset_of(at, prover), true);
            }
            let before = neighbours::before(name, 0, prover.signed.is_plain);
            let after = neighbours::after(name, 0, name.labels() - prover.zone.labels());
            prover.types_before(name, &before);
            prover.put_nsec((before.prefix(), before.suffix, name, offset), name.hash(0) ^ AROUND, after)
        })
    }

    /// Calls `put` with the name of the wildcard below label number `encloser`, and where the encloser stands in the message.
    /// Where that name would be too long there is no wildcard to speak of.
    fn with_wildcard(
        &mut self,
        at: At<'_>,
        encloser: usize,
        put: impl FnOnce(&mut Self, &Name, usize) -> bool,
    ) -> bool {
        if at.name.suffix(encloser).len() + 2 > NAME_OCTETS {
            return true;
        }
        let Some(mut name) = self.signer.scratch.name.take() else { return false };
        let made = name.set_child(b"*", at.name, encloser, self.key).is_ok();
        let offset = self.writer.suffix(at.offset, encloser);
        let done = made && put(self, &name, offset);
        self.signer.scratch.name = Some(name);
        done
    }

    fn next_of(&self, name: &Name, label: usize) -> Neighbour {
        neighbours::below(name, label, name.labels() - self.zone.labels())
    }

    fn put_nsec(&mut self, owner: (&[u8], usize, &Name, usize), hash: u64, next: Neighbour) -> bool {
        self.put_nsec_in(Section::Authority, owner, hash, next)
    }

    /// An NSEC record whose owner is `prefix` before the suffix of `name` from a label on, which stands at `offset`. The
    /// types are in the bitmap.
    fn put_nsec_in(
        &mut self,
        section: Section,
        (prefix, suffix, name, offset): (&[u8], usize, &Name, usize),
        hash: u64,
        next: Neighbour,
    ) -> bool {
        let bitmap = std::mem::take(&mut self.signer.scratch.bitmap);
        let data = [next.prefix(), name.suffix(next.suffix), &bitmap, &[]];
        let owners = ((prefix, offset), [prefix, name.suffix(suffix)]);
        let done = self.put_made(section, RecordType::NSEC, owners, hash, data);
        self.signer.scratch.bitmap = bitmap;
        done
    }

    /// An NSEC3 record for the suffix of `name` from a label on: at it, or around it.
    fn put_nsec3(&mut self, name: &Name, label: usize, apex_offset: usize, around: bool) -> bool {
        let hash = self.signer.scratch.hashes.get(name.hash(label), name.suffix(label));
        let (owner, next) = (step(hash, if around { -1 } else { 0 }), step(hash, 1));
        let owner = base32(owner);
        let bitmap = std::mem::take(&mut self.signer.scratch.bitmap);
        let mut data = [0; NSEC3_PARAMETERS.len() + 1 + HASH_OCTETS];
        data[..NSEC3_PARAMETERS.len()].copy_from_slice(&NSEC3_PARAMETERS);
        data[NSEC3_PARAMETERS.len()] = HASH_OCTETS as u8;
        data[NSEC3_PARAMETERS.len() + 1..].copy_from_slice(&next);
        let tell = name.hash(label) ^ if around { AROUND } else { 0 };
        let owners = ((&owner[..], apex_offset), [&owner[..], self.zone.apex()]);
        let done =
            self.put_made(Section::Authority, RecordType::NSEC3, owners, tell, [&data, &bitmap, &[], &[]]);
        self.signer.scratch.bitmap = bitmap;
        done
    }

    /// A record that is made up: `shown` is what its owner is in the message, `owner` what is signed.
    fn put_made(
        &mut self,
        section: Section,
        rtype: RecordType,
        (shown, owner): ((&[u8], usize), [&[u8]; 2]),
        hash: u64,
        data: [&[u8]; 4],
    ) -> bool {
        let ttl = self.zone.negative_ttl(); // RFC 9077 §3
        let at = if shown.0.is_empty() || !self.records { shown.1 } else { self.writer.length() };
        if self.records && self.writer.add_made(section, shown, rtype, ttl, &data).is_none() {
            return false;
        }
        let subject = Subject { hash, owner, rtype, ttl, data: Data::Made(data) };
        self.put_signatures(section, at, subject, ttl)
    }

    /// Puts the types at a node into the bitmap.
    fn types_of(&mut self, node: Node<'_>) {
        let Scratch { types, bitmap, .. } = &mut self.signer.scratch;
        bitmap::of_node(self.signed, node, types, bitmap);
    }

    /// The types at the name before, which is almost always made up.
    fn types_before(&mut self, name: &Name, before: &Neighbour) {
        let existing = if before.may_exist { node_of(self.zone, self.key, name, before) } else { None };
        match existing {
            Some(node) => self.types_of(node),
            None => {
                let bitmap = &mut self.signer.scratch.bitmap;
                bitmap.clear();
                bitmap.extend(RRSIG_AND_NSEC);
            }
        }
    }
}

/// The node of a neighbour that may exist.
#[cold]
fn node_of<'z>(zone: &'z Zone, key: &HashKey, name: &Name, neighbour: &Neighbour) -> Option<Node<'z>> {
    let mut wire = [0; 2 * NAME_OCTETS];
    let (prefix, suffix) = (neighbour.prefix(), name.suffix(neighbour.suffix));
    wire[..prefix.len()].copy_from_slice(prefix);
    wire[prefix.len()..][..suffix.len()].copy_from_slice(suffix);
    let mut other = Name::root(key);
    other.read(&wire, key).ok()?;
    zone.node_at(&other)
}

/// Where the zone's own name stands.
fn offset_of(at: At<'_>, prover: &Prover<'_, '_>) -> usize {
    debug_assert!(at.offset >= HEADER_OCTETS);
    prover.writer.suffix(at.offset, at.name.labels() - prover.zone.labels())
}

/// The hash before or after, modulo 2^160.
fn step(mut hash: [u8; HASH_OCTETS], by: i8) -> [u8; HASH_OCTETS] {
    let ends = if by < 0 { 0 } else { u8::MAX };
    for octet in hash.iter_mut().rev().take(if by == 0 { 0 } else { HASH_OCTETS }) {
        let carries = *octet == ends;
        *octet = octet.wrapping_add_signed(by);
        if !carries {
            break;
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_have_neighbours() {
        let hash = |last: [u8; 2]| {
            let mut hash = [7; HASH_OCTETS];
            hash[18..].copy_from_slice(&last);
            hash
        };
        assert_eq!(step(hash([1, 0]), -1), hash([0, 255]));
        assert_eq!(step(hash([1, 255]), 1), hash([2, 0]));
        assert_eq!(step(hash([1, 255]), 0), hash([1, 255]));
        assert_eq!(step([255; 20], 1), [0; 20]);
    }
}
