//! A zone that is signed: its keys and what they do now, and the records that signing adds to the zone's own name.

use std::rc::Rc;

use super::key::SigningKey;
use super::keyring::Keyring;
use super::limits::{DNSKEY_TTL_SECONDS, RENEWAL_SECONDS, SERIAL_EPOCH, SIGNATURE_SECONDS};
use super::neighbours;
use super::schedule::{self, Duties};
use crate::name::{HashKey, Name};
use crate::record::Record;
use crate::types::RecordType;
use crate::zone::{Builder, Node, RECORD_HEADER, Set, Zone, build};

/// How it is proved that something does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denial {
    /// White lies by NSEC (RFC 4470).
    #[default]
    Nsec,
    /// White lies by NSEC3 (RFC 7129 appendix B), with the parameters of RFC 9276 §3.1.
    Nsec3,
}

/// NSEC3PARAM and the beginning of NSEC3: SHA-1, no flags, no iterations, no salt (RFC 9276 §3.1).
pub const NSEC3_PARAMETERS: [u8; 5] = [1, 0, 0, 0, 0];

/// See the module.
#[derive(Debug)]
pub struct SignedZone {
    keys: Vec<Rc<SigningKey>>,
    /// Each key's part in the keys of the cache of signatures.
    ids: Vec<u64>,
    duties: Duties,
    /// A zone of one name: DNSKEY, CDS, CDNSKEY, NSEC3PARAM, and the SOA record if its serial number is another.
    records: Zone,
    /// How it is proved that something does not exist.
    pub denial: Denial,
    /// Whether all labels are plain.
    pub is_plain: bool,
    /// Changes whenever anything here or in the zone does.
    pub generation: u32,
    longest_ttl: u32,
    serial: SerialNumber,
}

/// What is added to the serial number of a zone that others fetch signed: it has to change with keys and signatures, of which the
/// zone's own number knows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SerialNumber {
    /// Hours since [`SERIAL_EPOCH`] when keys or signatures changed; 0 where nobody fetches.
    pub added: u32,
    /// When they did, in seconds since 1970.
    pub since: u64,
}

impl SerialNumber {
    /// The number that follows, if keys have changed or it is time for new signatures.
    pub fn next(self, now: u64, keys_changed: bool) -> SerialNumber {
        let is_due = keys_changed || self.added == 0 || now >= self.since + RENEWAL_SECONDS;
        if !is_due {
            return self;
        }
        let hours = u32::try_from(now.saturating_sub(SERIAL_EPOCH) / 3_600).unwrap_or(u32::MAX / 2);
        SerialNumber { added: hours.max(self.added + 1), since: now }
    }
}

impl SignedZone {
    /// Signs `zone` by the keys that the keyring has for it, as of `now`. Where there are none the error says when there will be,
    /// if ever. `before` is what it was until now.
    pub fn new(
        zone: &Zone,
        (keyring, denial, is_fetched): (&Keyring, Denial, bool),
        (now, generation): (u64, u32),
        before: Option<&SignedZone>,
        key: &HashKey,
    ) -> Result<SignedZone, Option<u64>> {
        if !keyring.has_keys(zone.apex()) {
            return Err(None);
        }
        let (longest_ttl, is_plain) = survey(zone);
        let keys = keyring.keys(zone.apex(), now, longest_ttl);
        let duties = Duties::at(now, &keys, DNSKEY_TTL_SECONDS);
        if duties.sign_zone.is_empty() {
            return Err(duties.until);
        }
        let ids: Vec<u64> = keys.iter().map(|pair| key.extend(key.root(), &pair.dnskey())).collect();
        let is_same = |before: &SignedZone| before.ids == ids && before.duties.are_as(&duties);
        let serial = before.map(|before| before.serial).unwrap_or_default();
        let keys_changed = !before.is_some_and(is_same);
        let serial = if is_fetched { serial.next(now, keys_changed) } else { serial };
        let records = records(zone, &keys, &duties, denial, serial.added, key).ok_or(None)?;
        Ok(SignedZone { keys, ids, duties, records, denial, is_plain, generation, longest_ttl, serial })
    }

    /// The keys that sign sets of this type: their numbers.
    #[inline]
    pub fn signers(&self, rtype: RecordType) -> &[usize] {
        match rtype {
            // RFC 7344 §4.1: by a key that the parent knows.
            RecordType::DNSKEY | RecordType::CDS | RecordType::CDNSKEY => &self.duties.sign_keys,
            _ => &self.duties.sign_zone,
        }
    }

    /// A key, and its part in the keys of the cache.
    #[inline]
    pub fn key(&self, number: usize) -> Option<(&SigningKey, u64)> {
        Some((self.keys.get(number)?, *self.ids.get(number)?))
    }

    /// The set that signing adds to the zone's own name, or puts in place of the one that is there.
    pub fn apex_set(&self, rtype: RecordType) -> Option<Set<'_>> {
        self.records.apex_node().set(rtype)
    }

    /// All of them.
    pub fn apex_sets(&self) -> impl Iterator<Item = Set<'_>> {
        self.records.apex_node().sets()
    }

    /// The node that they are at.
    pub fn apex_node(&self) -> Node<'_> {
        self.records.apex_node()
    }

    /// Seconds that a signature is valid. It is made anew after half of them, so that what remains is more than any TTL
    /// (RFC 6781 §4.4.2).
    pub fn signature_seconds(&self) -> u32 {
        SIGNATURE_SECONDS.max(self.longest_ttl.saturating_mul(2))
    }

    /// When a key begins or ends to do something, or there is to be another serial number.
    pub fn until(&self) -> Option<u64> {
        let renewal = (self.serial.added > 0).then(|| self.serial.since + RENEWAL_SECONDS);
        self.duties.until.into_iter().chain(renewal).min()
    }

    /// What is added to the zone's serial number.
    pub fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// The SOA record of `zone` as it is served.
    pub fn soa(&self, zone: &Zone) -> Option<Record> {
        self.records.soa().or_else(|| zone.soa())
    }

    /// Which keys do what, in words; and what is wrong with their times.
    pub fn report(&self) -> Vec<String> {
        let tags = |numbers: &[usize]| {
            let tags: Vec<String> =
                numbers.iter().map(|number| self.keys[*number].tag().to_string()).collect();
            tags.join(", ")
        };
        let Duties { published, sign_zone, ask_parent, .. } = &self.duties;
        let mut report = vec![format!("signed by key {}; published {}", tags(sign_zone), tags(published))];
        for number in ask_parent {
            let ds = self.keys[*number].ds(self.records.apex());
            let digest: String = ds[4..].iter().map(|octet| format!("{octet:02X}")).collect();
            report.push(format!(
                "for the parent: DS {} {} {} {digest}",
                self.keys[*number].tag(),
                ds[2],
                ds[3]
            ));
        }
        report.extend(schedule::check(&self.keys, DNSKEY_TTL_SECONDS, self.longest_ttl));
        report
    }
}

/// The largest TTL, and whether all labels are plain.
fn survey(zone: &Zone) -> (u32, bool) {
    let (mut longest, mut is_plain) = (DNSKEY_TTL_SECONDS, true);
    for place in zone.nodes_in_order() {
        let node = zone.node(place);
        is_plain &= neighbours::is_plain(node.name());
        longest = node.sets().map(Set::ttl).fold(longest, u32::max);
    }
    (longest, is_plain)
}

/// What signing adds. DNSKEY records that the zone has are keys of other signers (RFC 8901) and stay; its own CDS and CDNSKEY
/// records, such as the request to delete (RFC 8078 §4), are in place of ours.
fn records(
    zone: &Zone,
    keys: &[Rc<SigningKey>],
    duties: &Duties,
    denial: Denial,
    added: u32,
    key: &HashKey,
) -> Option<Zone> {
    let mut apex = Name::root(key);
    apex.read(zone.apex(), key).ok()?;
    let mut builder = Builder::new(&apex, key);
    let mut add = |rtype, ttl, data: &[u8]| builder.add(&apex, build::Record { rtype, ttl, data }).ok();
    let own = |rtype| zone.apex_node().set(rtype);
    for record in own(RecordType::DNSKEY).into_iter().flat_map(Set::records) {
        add(RecordType::DNSKEY, DNSKEY_TTL_SECONDS, record.get(RECORD_HEADER..)?)?;
    }
    for number in &duties.published {
        add(RecordType::DNSKEY, DNSKEY_TTL_SECONDS, &keys[*number].dnskey())?;
    }
    if own(RecordType::CDS).is_none() && own(RecordType::CDNSKEY).is_none() {
        for number in &duties.ask_parent {
            add(RecordType::CDS, DNSKEY_TTL_SECONDS, &keys[*number].ds(zone.apex()))?;
            add(RecordType::CDNSKEY, DNSKEY_TTL_SECONDS, &keys[*number].dnskey())?;
        }
    }
    if let Some(Record { rtype, ttl, mut data, .. }) = zone.soa().filter(|_| added > 0) {
        let at = data.len().checked_sub(20)?;
        data[at..at + 4].copy_from_slice(&zone.serial().wrapping_add(added).to_be_bytes());
        add(rtype, ttl, &data)?;
    }
    if denial == Denial::Nsec3 {
        add(RecordType::NSEC3PARAM, zone.negative_ttl(), &NSEC3_PARAMETERS)?;
    }
    Some(builder.finish_unchecked())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_rise_with_keys_and_time_and_not_otherwise() {
        let start = SERIAL_EPOCH + 10 * 3_600;
        let first = SerialNumber::default().next(start, false);
        assert_eq!((first.added, first.since), (10, start));
        assert_eq!(first.next(start + RENEWAL_SECONDS - 1, false), first);
        assert_eq!(first.next(start + 60, true).added, 11, "twice in an hour");
        assert_eq!(first.next(start + RENEWAL_SECONDS, false).added, 10 + RENEWAL_SECONDS as u32 / 3_600);
        assert_eq!(SerialNumber::default().next(0, true).added, 1, "a clock that is wrong");
    }
}
