//! Dynamic updates (RFC 2136): what a message makes of a zone, as a pure function; and messages that ask for it.
//!
//! ```text
//! message (signature checked and taken off) + zone ─► evaluate ─┬─ Difference, with the new SOA record
//!                                                               └─ response code
//! ```
//!
//! Nothing is changed here: whoever applies the difference (the git side, behind a commit) evaluates the message once more if
//! the zone has changed in the meantime.

mod changes;
mod request;

pub use request::Request;

use crate::keys::is_at_or_below;
use crate::name::HashKey;
use crate::packet::{Entry, Malformed, Packet};
use crate::query::{CLASS_ANY, CLASS_IN, Rcode};
use crate::record::{Difference, Record};
use crate::types::RecordType;
use crate::zone::Zone;
use crate::zonefile::check_data;
use changes::Changes;

/// The opcode of an update (RFC 2136 §1.3).
pub const OPCODE: u8 = 5;

/// The class of what must not be there, and of single records that go (RFC 2136 §2.4, §2.5).
pub const CLASS_NONE: u16 = 254;

/// Sections by number, as RFC 2136 §2 calls them.
const PREREQUISITE: usize = 1;
const UPDATE: usize = 2;

impl From<Malformed> for Rcode {
    fn from(_: Malformed) -> Rcode {
        Rcode::FormErr
    }
}

/// The zone that a message is about (RFC 2136 §3.1.1), its name's case kept.
pub fn zone_of(message: &[u8]) -> Result<Vec<u8>, Rcode> {
    let mut packet = Packet::new(message)?;
    if packet.count(0) != 1 {
        return Err(Rcode::FormErr);
    }
    let zone = packet.question()?;
    match (zone.rtype, zone.class) {
        (RecordType::SOA, CLASS_IN) => Ok(zone.name),
        (RecordType::SOA, _) => Err(Rcode::NotAuth), // RFC 2136 §3.1.2: a class in which there is no zone of ours
        _ => Err(Rcode::FormErr),
    }
}

/// What the message changes in `zone`, which it is about: nothing is no error. Of the records it changes all must be at or
/// below `scope`, a name in lower case. `key` is that of the names' hashes.
pub fn evaluate(message: &[u8], zone: &Zone, scope: &[u8], key: &HashKey) -> Result<Difference, Rcode> {
    let mut packet = Packet::new(message)?;
    packet.question()?;
    let mut changes = Changes::new(zone, key);
    let prerequisites = entries(&mut packet, PREREQUISITE)?;
    let updates = entries(&mut packet, UPDATE)?;
    check_prerequisites(&prerequisites, &mut changes)?;
    // RFC 2136 §3.4.1: all are looked at before the first is done.
    for entry in &updates {
        check_update(entry, zone)?;
    }
    if updates.iter().any(|entry| !is_at_or_below(&entry.record.owner, scope)) {
        return Err(Rcode::Refused); // RFC 2136 §3.3
    }
    for entry in updates {
        apply(entry, &mut changes);
    }
    changes.finish()
}

fn entries(packet: &mut Packet<'_>, section: usize) -> Result<Vec<Entry>, Malformed> {
    (0..packet.count(section)).map(|_| packet.record()).collect()
}

/// RFC 2136 §3.2
fn check_prerequisites(prerequisites: &[Entry], changes: &mut Changes<'_>) -> Result<(), Rcode> {
    let mut exact: Vec<&Record> = Vec::new();
    for Entry { record, class } in prerequisites {
        if record.ttl != 0 {
            return Err(Rcode::FormErr);
        }
        if !is_at_or_below(&record.owner, changes.apex()) {
            return Err(Rcode::NotZone);
        }
        // RFC 2136 §3.2.4: a set stands for itself where it has no data, otherwise for exactly its records.
        let any = record.rtype == RecordType::ANY;
        let is_there = match any {
            true => !changes.at(&record.owner).is_empty(),
            false => changes.at(&record.owner).iter().any(|other| other.rtype == record.rtype),
        };
        match *class {
            CLASS_ANY | CLASS_NONE if !record.data.is_empty() => return Err(Rcode::FormErr),
            CLASS_ANY | CLASS_NONE if record.rtype.is_meta() && !any => return Err(Rcode::FormErr),
            CLASS_ANY if !is_there => return Err(if any { Rcode::NxDomain } else { Rcode::NxRrset }),
            CLASS_NONE if is_there => return Err(if any { Rcode::YxDomain } else { Rcode::YxRrset }),
            CLASS_ANY | CLASS_NONE => {}
            CLASS_IN if has_data(record) => exact.push(record),
            _ => return Err(Rcode::FormErr),
        }
    }
    // RFC 2136 §3.2.3: each set that was named must be equal, TTLs aside.
    for record in &exact {
        let wanted = exact.iter().filter(|other| other.same_set(record));
        let there = changes.at(&record.owner).iter().filter(|other| other.same_set(record));
        let (wanted, there): (Vec<&Record>, Vec<&Record>) = (wanted.copied().collect(), there.collect());
        let is_in = |one: &Record, all: &[&Record]| all.iter().any(|other| other.same(one));
        if !wanted.iter().all(|one| is_in(one, &there)) || !there.iter().all(|one| is_in(one, &wanted)) {
            return Err(Rcode::NxRrset);
        }
    }
    Ok(())
}

/// Whether it is a record that could stand in a zone.
fn has_data(record: &Record) -> bool {
    !record.rtype.is_meta() && (!record.data.is_empty() || check_data(record.rtype, &[]).is_ok())
}

/// RFC 2136 §3.4.1.2
fn check_update(entry: &Entry, zone: &Zone) -> Result<(), Rcode> {
    let Entry { record, class } = entry;
    if !is_at_or_below(&record.owner, zone.apex()) {
        return Err(Rcode::NotZone);
    }
    let is_good = match *class {
        CLASS_IN => has_data(record) && record.ttl <= crate::limits::TTL_SECONDS, // RFC 2181 §8
        CLASS_ANY => {
            let is_type = record.rtype == RecordType::ANY || !record.rtype.is_meta();
            record.ttl == 0 && record.data.is_empty() && is_type
        }
        CLASS_NONE => record.ttl == 0 && has_data(record),
        _ => false,
    };
    if is_good { Ok(()) } else { Err(Rcode::FormErr) }
}

/// RFC 2136 §3.4.2
fn apply(entry: Entry, changes: &mut Changes<'_>) {
    let Entry { record, class } = entry;
    let is_apex = record.owner.eq_ignore_ascii_case(changes.apex());
    let is_kept = |rtype| is_apex && matches!(rtype, RecordType::SOA | RecordType::NS);
    match (class, record.rtype) {
        (CLASS_IN, _) => changes.add(record),
        // §3.4.2.3: of the zone's own name SOA and NS stay.
        (CLASS_ANY, RecordType::ANY) => changes.remove(&record.owner, |other| !is_kept(other.rtype)),
        (CLASS_ANY, rtype) if is_kept(rtype) => {}
        (CLASS_ANY, rtype) => changes.remove(&record.owner, |other| other.rtype == rtype),
        // §3.4.2.4: the SOA record stays, and the last of the zone's own NS records.
        (_, RecordType::SOA) => {}
        (_, RecordType::NS) if is_apex && changes.count(&record.owner, RecordType::NS) <= 1 => {}
        _ => changes.remove(&record.owner, |other| other.same(&record)),
    }
}

#[cfg(test)]
mod tests;
