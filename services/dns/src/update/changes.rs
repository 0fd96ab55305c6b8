//! The names of a zone that an update touches, as they are after each of its records; and what differs in the end.

use std::collections::HashMap;

use crate::name::{HashKey, Name};
use crate::query::Rcode;
use crate::record::{Difference, Record, is_later, soa_field};
use crate::types::RecordType;
use crate::zone::Zone;
use crate::zone::build::may_join_cname;

/// See the module.
pub struct Changes<'z> {
    zone: &'z Zone,
    key: &'z HashKey,
    /// The records of each name that was looked at, by the name in lower case.
    touched: HashMap<Vec<u8>, Vec<Record>>,
    /// The names in the order they were first looked at, so that a difference has the order of the update.
    order: Vec<Vec<u8>>,
}

impl<'z> Changes<'z> {
    /// None yet.
    pub fn new(zone: &'z Zone, key: &'z HashKey) -> Changes<'z> {
        Changes { zone, key, touched: HashMap::new(), order: Vec::new() }
    }

    /// The zone's name, lower case.
    pub fn apex(&self) -> &'z [u8] {
        self.zone.apex()
    }

    /// The records of a name as they are now.
    pub fn at(&mut self, owner: &[u8]) -> &[Record] {
        self.at_mut(owner)
    }

    /// How many records of this type a name has.
    pub fn count(&mut self, owner: &[u8], rtype: RecordType) -> usize {
        self.at_mut(owner).iter().filter(|record| record.rtype == rtype).count()
    }

    /// Removes the records of a name for which `is_it` says yes.
    pub fn remove(&mut self, owner: &[u8], is_it: impl Fn(&Record) -> bool) {
        self.at_mut(owner).retain(|record| !is_it(record));
    }

    /// Adds a record, or replaces what it must be alone of (RFC 2136 §3.4.2.2); or does nothing where it may not stand.
    pub fn add(&mut self, record: Record) {
        let is_apex = record.owner.eq_ignore_ascii_case(self.apex());
        let there = self.at_mut(&record.owner);
        match record.rtype {
            RecordType::SOA => {
                let Some(old) = there.iter_mut().find(|other| other.rtype == RecordType::SOA) else { return };
                let later = |new, old| new == old || is_later(new, old);
                if is_apex
                    && matches!((record.serial(), old.serial()), (Some(new), Some(old)) if later(new, old))
                {
                    *old = record;
                }
                return;
            }
            // One at a name (RFC 1034 §3.6.2, RFC 6672 §2.4).
            RecordType::CNAME if there.iter().any(|other| !may_join_cname(other.rtype)) => return,
            RecordType::CNAME | RecordType::DNAME => there.retain(|other| other.rtype != record.rtype),
            _ => {}
        }
        let has_cname = there.iter().any(|other| other.rtype == RecordType::CNAME);
        if has_cname && !may_join_cname(record.rtype) {
            return;
        }
        // A set has one TTL (RFC 2181 §5.2): that of what came last.
        for other in there.iter_mut().filter(|other| other.same_set(&record)) {
            other.ttl = record.ttl;
        }
        match there.iter_mut().find(|other| other.same(&record)) {
            Some(other) => other.data = record.data, // the case of names in it may differ
            None => there.push(record),
        }
    }

    /// What differs, with a new serial number if anything does (RFC 2136 §3.6).
    pub fn finish(mut self) -> Result<Difference, Rcode> {
        let apex = self.apex();
        let old_soa = self.zone.soa().ok_or(Rcode::ServFail)?;
        let mut difference = self.difference();
        if difference.is_empty() {
            return Ok(difference);
        }
        let soa = self.at_mut(apex).iter_mut().find(|record| record.rtype == RecordType::SOA);
        let soa = soa.ok_or(Rcode::ServFail)?;
        if soa.serial() == old_soa.serial() {
            *soa = with_next_serial(soa).ok_or(Rcode::ServFail)?;
            difference = self.difference();
        }
        Ok(difference)
    }

    fn difference(&self) -> Difference {
        let (mut difference, mut name) = (Difference::default(), Name::root(self.key));
        for owner in &self.order {
            let (before, after) = (self.before(owner, &mut name), &self.touched[owner]);
            let lacks = |all: &[Record], one: &Record| {
                !all.iter()
                    .any(|other| other.rtype == one.rtype && other.ttl == one.ttl && other.data == one.data)
            };
            difference.removed.extend(before.iter().filter(|one| lacks(after, one)).cloned());
            difference.added.extend(after.iter().filter(|one| lacks(&before, one)).cloned());
        }
        difference
    }

    fn before(&self, owner: &[u8], name: &mut Name) -> Vec<Record> {
        name.read(owner, self.key).map_or_else(|_| Vec::new(), |_| self.zone.records_at(name))
    }

    fn at_mut(&mut self, owner: &[u8]) -> &mut Vec<Record> {
        let lower = owner.to_ascii_lowercase();
        if !self.touched.contains_key(&lower) {
            let records = self.before(&lower, &mut Name::root(self.key));
            self.order.push(lower.clone());
            self.touched.insert(lower.clone(), records);
        }
        self.touched.entry(lower).or_default()
    }
}

/// The SOA record with the next serial number; 0 is left out, since some take it for none.
pub fn with_next_serial(soa: &Record) -> Option<Record> {
    let next = soa_field(&soa.data, 0)?.wrapping_add(1).max(1);
    let mut soa = soa.clone();
    let at = soa.data.len().checked_sub(20)?;
    soa.data[at..at + 4].copy_from_slice(&next.to_be_bytes());
    Some(soa)
}
