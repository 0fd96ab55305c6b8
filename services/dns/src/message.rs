//! The answer, written behind the question in the same buffer; whole RRsets or nothing (RFC 2181 §9).
//!
//! Owners are pointers, since each owner's name already stands in the message: in the question, or in the data of a
//! record before. Sets without names in their data are copied as they are; in the others, names of the types of RFC 1035
//! are compressed (RFC 3597 §4).

use crate::dnssec::limits::{RRSIG_HEADER, SIGNATURE_OCTETS};
use crate::limits::{ADDITIONAL_NAMES, CHAIN_LINKS, COMPRESSION_ENTRIES, HEADER_OCTETS, NAME_OCTETS};
use crate::name::{HashKey, Name};
use crate::types::{Additional, NameLayout, RecordType};
use crate::zone::{RECORD_HEADER, Set, records};

/// Pointers have 14 bits (RFC 1035 §4.1.4).
const POINTER_REACH: usize = 0x4000;

/// A section of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who knows more, or that nobody does.
    Authority,
    /// Addresses of names in the other two.
    Additional,
}

/// A name somewhere in the message whose addresses may be worth adding.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where in the message.
    pub offset: usize,
    /// The hash of the name.
    hash: u64,
    /// Whether glue will do.
    pub glue: bool,
}

/// What the writer remembers of the message; kept from one to the next, since it is large.
pub struct Memory {
    /// Hashes of names in the message, and where they are.
    names: [(u64, u16); COMPRESSION_ENTRIES],
    names_used: usize,
    targets: [Target; ADDITIONAL_NAMES],
    targets_used: usize,
    /// Where names stand that a wildcard stood in for, with the label of its parent.
    expansions: [(u16, u8); CHAIN_LINKS + 1],
    expansions_used: usize,
    name: Name,
}

impl Memory {
    /// Remembers nothing.
    pub fn new(key: &HashKey) -> Memory {
        Memory {
            names: [(0, 0); COMPRESSION_ENTRIES],
            names_used: 0,
            targets: [Target { offset: 0, hash: 0, glue: false }; ADDITIONAL_NAMES],
            targets_used: 0,
            expansions: [(0, 0); CHAIN_LINKS + 1],
            expansions_used: 0,
            name: Name::root(key),
        }
    }
}

/// Writes an answer.
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
    limit: usize,
    question: &'a Name,
    key: &'a HashKey,
    memory: &'a mut Memory,
    /// Records in each section.
    pub counts: [u16; 3],
    /// Whether something was left out for want of room.
    pub is_short: bool,
}

impl<'a> Writer<'a> {
    /// Starts behind the question, which ends at `length`; `limit` is where the answer has to end.
    pub fn new(
        buffer: &'a mut [u8],
        (length, limit): (usize, usize),
        question: &'a Name,
        key: &'a HashKey,
        memory: &'a mut Memory,
    ) -> Writer<'a> {
        (memory.names_used, memory.targets_used, memory.expansions_used) = (0, 0, 0);
        Writer { buffer, length, limit, question, key, memory, counts: [0; 3], is_short: false }
    }

    /// Notes that a wildcard stood in for the name at `offset`; its parent is label number `encloser` of that.
    pub fn note_expansion(&mut self, offset: usize, encloser: usize) {
        if let Some(free) = self.memory.expansions.get_mut(self.memory.expansions_used) {
            *free = (offset as u16, encloser as u8);
            self.memory.expansions_used += 1;
        }
    }

    /// Takes back the last of these.
    #[inline]
    pub fn next_expansion(&mut self) -> Option<(usize, usize)> {
        self.memory.expansions_used = self.memory.expansions_used.checked_sub(1)?;
        let (offset, encloser) = self.memory.expansions[self.memory.expansions_used];
        Some((usize::from(offset), usize::from(encloser)))
    }

    /// Octets written, question included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The message so far.
    pub fn message(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Adds a set whose owner's name stands at `owner`; with another TTL, if one is given. False if it does not fit: then
    /// nothing is added.
    #[inline]
    #[must_use]
    pub fn add(&mut self, section: Section, owner: usize, set: Set<'_>, ttl: Option<u32>) -> bool {
        let before = (self.length, self.memory.names_used, self.memory.targets_used);
        let names = set.rtype().names();
        let mut added = 0;
        for (count, octets) in set.fragments() {
            let fits = match names {
                None if owner == HEADER_OCTETS => self.put(octets).is_some(),
                _ => records(octets)
                    .all(|record| self.add_record(section, owner, record, names, ttl).is_some()),
            };
            if !fits {
                (self.length, self.memory.names_used, self.memory.targets_used) = before;
                return false;
            }
            added += count;
        }
        self.counts[section as usize] += added;
        true
    }

    /// Adds a CNAME record that leads from the name at `owner` to `target`; where the target stands, if it fits.
    #[must_use]
    pub fn add_cname(&mut self, owner: usize, target: &Name, ttl: u32) -> Option<usize> {
        let layout = NameLayout { skip: 0, count: 1, compress: true, additional: Additional::No };
        let mut record = [0; RECORD_HEADER + NAME_OCTETS];
        record[..6].copy_from_slice(&[0, 0, 0, 5, 0, 1]);
        record[6..10].copy_from_slice(&ttl.to_be_bytes());
        record[RECORD_HEADER..][..target.wire().len()].copy_from_slice(target.wire());
        let record = &record[..RECORD_HEADER + target.wire().len()];
        let before = (self.length, self.memory.names_used);
        if self.add_record(Section::Answer, owner, record, Some(layout), None).is_none() {
            (self.length, self.memory.names_used) = before;
            return None;
        }
        self.counts[Section::Answer as usize] += 1;
        self.data_of_record_at(before.0)
    }

    /// Adds a record whose owner is the octets `owner.0` before the name at `owner.1`, its data in parts. `None` if it does not
    /// fit: then nothing is added.
    #[inline]
    #[must_use]
    pub fn add_made(
        &mut self,
        section: Section,
        owner: (&[u8], usize),
        rtype: RecordType,
        ttl: u32,
        data: &[&[u8]],
    ) -> Option<()> {
        let before = self.length;
        let length: usize = data.iter().map(|part| part.len()).sum();
        if self.put_made(owner, rtype, ttl, length as u16, data).is_none() {
            self.length = before;
            return None;
        }
        self.counts[section as usize] += 1;
        Some(())
    }

    /// Adds an RRSIG record to what stands at `owner`: `header` is its data before the signer's name. False if it does not fit.
    #[inline]
    #[must_use]
    pub fn add_signature(
        &mut self,
        section: Section,
        owner: usize,
        ttl: u32,
        (header, signer, signature): (&[u8; RRSIG_HEADER], &[u8], &[u8; SIGNATURE_OCTETS]),
    ) -> bool {
        const FIXED: usize = RECORD_HEADER + RRSIG_HEADER;
        if owner >= POINTER_REACH {
            let data = [&header[..], signer, signature];
            return self.add_made(section, (&[], owner), RecordType::RRSIG, ttl, &data).is_some();
        }
        let end = self.length + FIXED + signer.len() + SIGNATURE_OCTETS;
        if end > self.limit {
            self.is_short = true;
            return false;
        }
        let Some(out) = self.buffer.get_mut(self.length..end) else { return false };
        let Some((fixed, rest)) = out.split_first_chunk_mut::<FIXED>() else { return false };
        fixed[..6].copy_from_slice(&[0xC0 | (owner >> 8) as u8, owner as u8, 0, 46, 0, 1]);
        fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
        let length = RRSIG_HEADER + signer.len() + SIGNATURE_OCTETS;
        fixed[10..12].copy_from_slice(&(length as u16).to_be_bytes());
        fixed[RECORD_HEADER..].copy_from_slice(header);
        let Some((name, last)) = rest.split_last_chunk_mut::<SIGNATURE_OCTETS>() else { return false };
        name.copy_from_slice(signer);
        *last = *signature;
        self.length = end;
        self.counts[section as usize] += 1;
        true
    }

    #[inline]
    fn put_made(
        &mut self,
        owner: (&[u8], usize),
        rtype: RecordType,
        ttl: u32,
        length: u16,
        data: &[&[u8]],
    ) -> Option<()> {
        self.put(owner.0)?;
        self.put_owner(owner.1)?;
        let mut header = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        header[..2].copy_from_slice(&rtype.0.to_be_bytes());
        header[4..8].copy_from_slice(&ttl.to_be_bytes());
        header[8..].copy_from_slice(&length.to_be_bytes());
        self.put(&header)?;
        data.iter().try_for_each(|part| self.put(part))
    }

    /// Where the data of the record that starts at `at` is.
    pub fn data_of_record_at(&self, at: usize) -> Option<usize> {
        Some(end_of_name(self.message(), at)? + RECORD_HEADER - 2)
    }

    /// Where the name is that lacks the first `labels` labels of the name at `at`.
    pub fn suffix(&self, mut at: usize, labels: usize) -> usize {
        for _ in 0..labels {
            at = follow(self.message(), at);
            at += 1 + usize::from(self.buffer[at]);
        }
        follow(self.message(), at)
    }

    /// The names whose addresses may be worth adding.
    pub fn target(&self, number: usize) -> Option<Target> {
        self.memory.targets[..self.memory.targets_used].get(number).copied()
    }

    /// Appends octets, as they are, if they fit.
    #[must_use]
    pub fn put(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.length + octets.len();
        if end > self.limit {
            self.is_short = true;
            return None;
        }
        self.buffer.get_mut(self.length..end)?.copy_from_slice(octets);
        self.length = end;
        Some(())
    }

    /// Takes back all records.
    pub fn clear(&mut self, question_end: usize) {
        (self.length, self.counts) = (question_end, [0; 3]);
    }

    /// Makes room for what has been kept back until now.
    pub fn raise_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    fn add_record(
        &mut self,
        section: Section,
        owner: usize,
        record: &[u8],
        names: Option<NameLayout>,
        ttl: Option<u32>,
    ) -> Option<()> {
        self.put_owner(owner)?;
        let start = self.length;
        match names {
            None => self.put(&record[2..])?,
            Some(layout) => self.put_with_names(section, record, layout)?,
        }
        if let Some(ttl) = ttl {
            self.buffer.get_mut(start + 4..start + 8)?.copy_from_slice(&ttl.to_be_bytes());
        }
        Some(())
    }

    fn put_owner(&mut self, owner: usize) -> Option<()> {
        if owner < POINTER_REACH {
            return self.put(&(0xC000 | owner as u16).to_be_bytes());
        }
        self.memory.name.read_compressed(&self.buffer[..self.length], owner, self.key).ok()?;
        let mut wire = [0; NAME_OCTETS];
        let length = self.memory.name.wire().len();
        wire[..length].copy_from_slice(self.memory.name.wire());
        self.put(&wire[..length])
    }

    fn put_with_names(&mut self, section: Section, record: &[u8], layout: NameLayout) -> Option<()> {
        self.put(record.get(2..RECORD_HEADER + layout.skip)?)?;
        let data = self.length - layout.skip;
        let mut rest = record.get(RECORD_HEADER + layout.skip..)?;
        for number in 0..layout.count {
            let offset = self.length;
            rest = rest.get(self.put_name(rest, layout.compress)?..)?;
            if number == 0 && layout.additional != Additional::No && section != Section::Additional {
                let (hash, glue) = (self.memory.name.hash(0), layout.additional == Additional::Glue);
                self.remember_target(Target { offset, hash, glue });
            }
        }
        self.put(rest)?;
        let length = (self.length - data) as u16;
        self.buffer.get_mut(data - 2..data)?.copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    /// Writes a name; returns how many octets it has uncompressed.
    fn put_name(&mut self, octets: &[u8], compress: bool) -> Option<usize> {
        let length = self.memory.name.read(octets, self.key).ok()?;
        let labels = self.memory.name.labels();
        let (label, pointer) = match self.find_suffix().filter(|_| compress) {
            Some((label, pointer)) => (label, Some(pointer)),
            None => (labels, None),
        };
        let unknown = self.memory.name.offset(label);
        self.remember_suffixes(label);
        self.put(octets.get(..unknown)?)?;
        match pointer {
            Some(pointer) => self.put(&(0xC000 | pointer as u16).to_be_bytes())?,
            None => self.put(&[0])?,
        }
        Some(length)
    }

    /// The longest suffix of the name in memory that stands in the message, and where. The root alone is no gain.
    fn find_suffix(&self) -> Option<(usize, usize)> {
        let (name, names) = (&self.memory.name, &self.memory.names[..self.memory.names_used]);
        (0..name.labels()).find_map(|label| {
            let hash = name.hash(label);
            // In the question's name, only the suffix with as many labels can be the same.
            let in_question = (self.question.labels() + label).checked_sub(name.labels());
            if let Some(at) = in_question.filter(|at| self.question.hash(*at) == hash)
                && self.question.suffix(at) == name.suffix(label)
            {
                return Some((label, HEADER_OCTETS + self.question.offset(at)));
            }
            let offset =
                names.iter().find(|(known, _)| *known == hash).map(|(_, offset)| usize::from(*offset))?;
            is_at(self.message(), offset, name.suffix(label)).then_some((label, offset))
        })
    }

    /// Remembers where the first `labels` suffixes of the name in memory come to stand.
    fn remember_suffixes(&mut self, labels: usize) {
        let Memory { names, names_used, name, .. } = &mut *self.memory;
        for label in 0..labels {
            let offset = self.length + name.offset(label);
            let Some(free) = names.get_mut(*names_used).filter(|_| offset < POINTER_REACH) else { return };
            *free = (name.hash(label), offset as u16);
            *names_used += 1;
        }
    }

    /// A name that was there before, such as a mail exchanger with two preferences, is not looked up again.
    fn remember_target(&mut self, target: Target) {
        let known = &mut self.memory.targets[..self.memory.targets_used];
        if let Some(other) = known.iter_mut().find(|other| other.hash == target.hash) {
            other.glue |= target.glue;
            return;
        }
        if let Some(free) = self.memory.targets.get_mut(self.memory.targets_used) {
            *free = target;
            self.memory.targets_used += 1;
        }
    }
}

/// Follows a pointer, if there is one; they never lead to another of ours.
fn follow(message: &[u8], at: usize) -> usize {
    match message.get(at..at + 2) {
        Some(&[high, low]) if high >= 0xC0 => usize::from(u16::from_be_bytes([high & 0x3F, low])),
        _ => at,
    }
}

/// Whether the name at `at` is `name`, which is in lower case.
fn is_at(message: &[u8], mut at: usize, name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&length, _)) = rest.split_first() {
        at = follow(message, at);
        let octets = 1 + usize::from(length);
        let same =
            message.get(at..at + octets).is_some_and(|there| there.eq_ignore_ascii_case(&rest[..octets]));
        if !same {
            return false;
        }
        (at, rest) = (at + octets, &rest[octets..]);
    }
    true
}

fn end_of_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            0xC0.. => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}
