//! Makes signatures, or finds those that were made before.

use ring::rand::SystemRandom;

use super::answers::{Answers, Asked, Finished};
use super::cache::{Cache, Signature};
use super::canonical::Canonical;
use super::hashes::Hashes;
use super::limits::{INCEPTION_SECONDS, RING_OCTETS_PER_SIGNATURE, RRSIG_HEADER, SIGNATURE_OCTETS};
use super::signed::SignedZone;
use crate::limits::{NAME_OCTETS, RRSET_OCTETS};
use crate::name::{HashKey, Name};
use crate::types::RecordType;
use crate::zone::{RECORD_HEADER, Set, Zone};

/// A set to be signed.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    /// Tells the owner's name from all others, and what is made up from what is in the zone.
    pub hash: u64,
    /// The owner's name in lower case, in two parts.
    pub owner: [&'s [u8]; 2],
    /// Type of the set.
    pub rtype: RecordType,
    /// Its TTL.
    pub ttl: u32,
    /// Its data.
    pub data: Data<'s>,
}

/// What is in a set.
#[derive(Clone, Copy)]
pub enum Data<'s> {
    /// A set of the zone.
    Set(Set<'s>),
    /// The data of one record that is made up for this answer.
    Made([&'s [u8]; 4]),
}

/// See the module. Once made it allocates for nothing but sets larger than all before.
pub struct Signer {
    hash_key: HashKey,
    /// Seconds since 1970.
    now: u64,
    sets: Cache,
    denials: Cache,
    /// Answers about what is there, and about what strangers can make up.
    answers: [Answers; 2],
    maker: Maker,
    /// Room for a name, and for the types of a node.
    pub scratch: Scratch,
}

/// What denials are put together in.
pub struct Scratch {
    /// A wildcard's name, unless it is in use.
    pub name: Option<Box<Name>>,
    /// Hashes of names.
    pub hashes: Hashes,
    /// Types of a node.
    pub types: Vec<u16>,
    /// The same as an NSEC or NSEC3 record has them.
    pub bitmap: Vec<u8>,
}

/// Makes signatures, whatever becomes of them.
#[derive(Debug)]
pub(super) struct Maker {
    canonical: Canonical,
    message: Vec<u8>,
    random: SystemRandom,
    made: u64,
}

/// Seconds since 1970 between which a signature is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Validity {
    /// Of signatures that are made `now`.
    pub(super) fn new(now: u64, signed: &SignedZone) -> Validity {
        let to = now + u64::from(signed.signature_seconds());
        Validity { from: now.saturating_sub(INCEPTION_SECONDS) as u32, to: to as u32 }
    }
}

impl Signer {
    /// Room for so many signatures of sets and of denials, and hashes of names.
    pub fn new(hash_key: &HashKey, (sets, denials): (usize, usize), hashes: usize) -> Signer {
        let scratch = Scratch {
            name: Some(Box::new(Name::root(hash_key))),
            hashes: Hashes::new(hashes),
            types: Vec::with_capacity(64),
            bitmap: Vec::with_capacity(64),
        };
        Signer {
            hash_key: *hash_key,
            now: 0,
            sets: Cache::new(sets),
            denials: Cache::new(denials),
            answers: [sets, denials].map(|kept| Answers::new(kept, kept * RING_OCTETS_PER_SIGNATURE)),
            maker: Maker::new(),
            scratch,
        }
    }

    /// Seconds since 1970, from which signatures count.
    pub fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// How many signatures have been made so far.
    pub fn made(&self) -> u64 {
        self.maker.made
    }

    /// What the answer to a question of this name and type is found by.
    #[inline]
    pub fn asked(&self, hash: u64, rtype: RecordType, version: u64) -> Asked {
        Asked { key: self.hash_key.mix(hash, u64::from(rtype.0)).max(1), version }
    }

    /// The answer that was given before.
    #[inline]
    pub fn recall(&self, asked: Asked, name: &[u8]) -> Option<Finished<'_>> {
        self.answers.iter().find_map(|answers| answers.get(asked, name))
    }

    /// Keeps an answer: apart from the others if it is about something that may be made up, so that the others stay.
    pub fn keep(&mut self, asked: Asked, name: &[u8], answer: Finished<'_>, is_made_up: bool) {
        self.answers[usize::from(is_made_up)].put(asked, name, answer);
    }

    /// The signature of a set by one key of the zone. `None` only where there is no memory or no randomness.
    #[inline]
    pub fn signature(
        &mut self,
        (zone, signed): (&Zone, &SignedZone),
        number: usize,
        subject: Subject<'_>,
    ) -> Option<&Signature> {
        let (_, id) = signed.key(number)?;
        let hash = subject.hash ^ u64::from(subject.rtype.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let key = self.hash_key.mix(hash, id).max(1);
        let cache = if matches!(subject.data, Data::Set(_)) { &mut self.sets } else { &mut self.denials };
        let entry = cache.entry(key)?;
        if entry.generation != signed.generation || self.now as u32 >= entry.refresh {
            self.maker.renew(entry, &self.hash_key, self.now, (zone, signed), number, subject)?;
        }
        Some(entry)
    }
}

impl Maker {
    pub(super) fn new() -> Maker {
        Maker { canonical: Canonical::default(), message: Vec::new(), random: SystemRandom::new(), made: 0 }
    }

    #[cold]
    fn renew(
        &mut self,
        entry: &mut Signature,
        hash_key: &HashKey,
        now: u64,
        (zone, signed): (&Zone, &SignedZone),
        number: usize,
        subject: Subject<'_>,
    ) -> Option<()> {
        let (header, start) = self.prepare(Validity::new(now, signed), (zone, signed), number, subject)?;
        let digest = hash_key.extend(0, &self.message[start..]);
        entry.generation = signed.generation;
        if entry.digest == digest && (now as u32) < entry.refresh {
            return Some(());
        }
        // What cannot be signed must not be taken for signed the next time.
        entry.refresh = 0;
        entry.signature = self.sign(signed, number)?;
        let refresh = now as u32 + signed.signature_seconds() / 2;
        (entry.header, entry.digest, entry.refresh) = (header, digest, refresh);
        Some(())
    }

    /// Puts together what is signed (RFC 4034 §3.1.8.1): the beginning of the RRSIG record's data, and where the set begins.
    pub(super) fn prepare(
        &mut self,
        validity: Validity,
        (zone, signed): (&Zone, &SignedZone),
        number: usize,
        subject: Subject<'_>,
    ) -> Option<([u8; RRSIG_HEADER], usize)> {
        let mut owner = [0; 2 * NAME_OCTETS];
        let owner_octets = subject.owner[0].len() + subject.owner[1].len();
        owner[..subject.owner[0].len()].copy_from_slice(subject.owner[0]);
        owner[subject.owner[0].len()..owner_octets].copy_from_slice(subject.owner[1]);
        let owner = &owner[..owner_octets];
        let (pair, _) = signed.key(number)?;
        self.message.clear();
        self.message.try_reserve(RECORD_HEADER).ok()?;
        self.message.extend(subject.rtype.0.to_be_bytes());
        self.message.extend([pair.algorithm() as u8, labels(owner)]);
        for number in [subject.ttl, validity.to, validity.from] {
            self.message.extend(number.to_be_bytes());
        }
        self.message.extend(pair.tag().to_be_bytes());
        let header = *self.message.first_chunk()?;
        self.message.extend_from_slice(zone.apex());
        let start = self.message.len();
        self.put_records(owner, subject);
        Some((header, start))
    }

    /// Signs what was put together last.
    pub(super) fn sign(&mut self, signed: &SignedZone, number: usize) -> Option<[u8; SIGNATURE_OCTETS]> {
        let (pair, _) = signed.key(number)?;
        self.made += 1;
        pair.sign(&self.random, &self.message)
    }

    fn put_records(&mut self, owner: &[u8], subject: Subject<'_>) {
        self.canonical.clear();
        match subject.data {
            Data::Set(set) => {
                for record in set.records() {
                    self.canonical.add(subject.rtype, &[record.get(RECORD_HEADER..).unwrap_or_default()]);
                }
            }
            Data::Made(parts) => self.canonical.add(subject.rtype, &parts),
        }
        debug_assert!(self.message.len() < RRSET_OCTETS);
        self.canonical.write(owner, subject.rtype, subject.ttl, &mut self.message);
    }
}

/// RFC 4034 §3.1.3: the root and a wildcard's asterisk are not counted.
fn labels(owner: &[u8]) -> u8 {
    let (mut at, mut labels) = (if owner.starts_with(b"\x01*") { 2 } else { 0 }, 0);
    while let Some(&length @ 1..) = owner.get(at) {
        (at, labels) = (at + 1 + usize::from(length), labels + 1);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_counted_without_the_root_and_the_wildcard() {
        assert_eq!([&b"\0"[..], b"\x01a\x01b\0", b"\x01*\x01b\0", b"\x01a\x01*\0"].map(labels), [0, 2, 1, 2]);
    }
}
