//! All zones that are served, found by name.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::rc::Rc;

use crate::dnssec::{Arrived, Denial, Seeds, SignedZone, Signing};
use crate::name::{HashKey, Name, to_text};
use crate::record::Record;
use crate::zone::{Index, Place, Zone};
use crate::zonefile::{self, Warnings, ZoneError};

/// The zones; see the module.
#[derive(Debug)]
pub struct Zones {
    key: HashKey,
    /// Shared, so that a transfer of one that is replaced in the meantime goes on with what it began.
    zones: Vec<Rc<Zone>>,
    /// From the hash of a zone's name to its number, counted from 1.
    index: Index,
    most_labels: usize,
    signing: Signing,
    /// Zones that we are to serve and cannot, by name.
    absent: HashMap<Box<[u8]>, Absence>,
    /// Zones that only those get answers from who may transfer them.
    hidden: HashSet<Box<[u8]>>,
}

/// Why a zone that is to be served is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It has not come from its primary yet.
    NotReady,
    /// It came, and is too old by now.
    Expired,
}

/// A zone that is now served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name, with the final dot.
    pub name: String,
    /// How many records it has.
    pub records: u64,
    /// Octets of memory it takes.
    pub octets: usize,
    /// What is odd about it.
    pub warnings: Warnings,
}

impl Zones {
    /// None yet. `key` should be random.
    pub fn new(key: HashKey) -> Zones {
        let (index, signing) = (Index::default(), Signing::default());
        Zones {
            key,
            zones: Vec::new(),
            index,
            most_labels: 0,
            signing,
            absent: HashMap::new(),
            hidden: HashSet::new(),
        }
    }

    /// Reads the zone file `file`, whose name is that of the zone, and serves it. A zone of that name that is already
    /// served stays if there is an error and is replaced if there is none.
    pub fn load(&mut self, file: &str, text: &mut dyn BufRead) -> Result<Loaded, ZoneError> {
        let error = |line, reason| ZoneError { file: file.to_string(), line, reason };
        let apex = zonefile::zone_name(file, &self.key).map_err(|reason| error(0, reason))?;
        let (zone, warnings) =
            zonefile::read(&apex, text, &self.key).map_err(|(line, reason)| error(line, reason))?;
        let (records, octets) = (zone.records(), zone.octets());
        let name = to_text(zone.apex());
        self.replace(&apex, zone).map_err(|reason| error(0, reason))?;
        Ok(Loaded { name, records, octets, warnings })
    }

    /// Serves `zone`, which is called `apex`, from now on; instead of the one of that name, if there is one.
    pub fn replace(&mut self, apex: &Name, zone: impl Into<Rc<Zone>>) -> Result<(), String> {
        let zone = zone.into();
        debug_assert_eq!(apex.wire(), zone.apex());
        let old = self.number(apex, 0).and_then(|number| self.zones[number].signed());
        self.signing.attach(&zone, old, &self.key);
        self.absent.remove(apex.wire());
        zone.set_hidden(self.hidden.contains(apex.wire()));
        match self.number(apex, 0) {
            Some(number) => self.zones[number] = zone,
            None => {
                self.signing.change_surroundings();
                self.zones.push(zone);
                let place = Place(self.zones.len() as u32);
                self.index.insert(apex.hash(0), place)?;
                self.most_labels = self.most_labels.max(apex.labels());
            }
        }
        Ok(())
    }

    /// Serves the zone called `apex` no longer; whether it was there. Numbers change, so the index is made anew.
    pub fn remove(&mut self, apex: &Name) -> bool {
        let Some(number) = self.number(apex, 0) else { return false };
        let removed = self.zones.remove(number);
        self.signing.detach(removed.signed());
        self.signing.change_surroundings();
        self.index = Index::default();
        let mut name = Name::root(&self.key);
        for (number, zone) in self.zones.iter().enumerate() {
            let read = name.read(zone.apex(), &self.key);
            debug_assert!(read.is_ok(), "it was a name before");
            // The table is smaller than the one that it replaces.
            let _ = self.index.insert(name.hash(0), Place(number as u32 + 1));
        }
        true
    }

    /// Answers questions about the zone called `apex`, which need not be there yet, only to who may transfer it.
    pub fn hide(&mut self, apex: &Name) {
        self.hidden.insert(apex.wire().into());
        if let Some(zone) = self.get(apex) {
            zone.set_hidden(true);
        }
    }

    /// From now on, or until it is served, there is to be a zone called `apex`; with `None` there is not.
    pub fn set_absent(&mut self, apex: &Name, absence: Option<Absence>) {
        self.signing.change_surroundings();
        match absence.filter(|_| self.number(apex, 0).is_none()) {
            Some(absence) => self.absent.insert(apex.wire().into(), absence),
            None => self.absent.remove(apex.wire()),
        };
    }

    /// Whether the zone that `name` belongs to, from label number `from` on, is one that is not there.
    #[inline]
    pub fn absence(&self, name: &Name, from: usize) -> Option<Absence> {
        if self.absent.is_empty() { None } else { self.nearest_absence(name, from) }
    }

    #[cold]
    fn nearest_absence(&self, name: &Name, from: usize) -> Option<Absence> {
        let mut labels = from..=name.labels();
        // A zone that is there, and nearer to the name, answers.
        let nearest = labels.find(|label| {
            self.absent.contains_key(name.suffix(*label)) || self.number(name, *label).is_some()
        });
        nearest.and_then(|label| self.absent.get(name.suffix(label))).copied()
    }

    /// The zone that is called `apex`.
    pub fn get(&self, apex: &Name) -> Option<Rc<Zone>> {
        self.number(apex, 0).map(|number| self.zones[number].clone())
    }

    /// All zones, in the order in which they were first served.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Zone>> {
        self.zones.iter()
    }

    /// Takes in half a signing key: a file as `dnssec-keygen` writes them. With the other half its zone is signed.
    pub fn load_signing_key(&mut self, file: &str, text: &str) -> Result<(), ZoneError> {
        let changed = self.signing.load_key(file, text, &self.key)?;
        self.sign_again(changed);
        Ok(())
    }

    /// Forgets half a signing key, and with it the key.
    pub fn forget_signing_key(&mut self, file: &str) {
        let changed = self.signing.forget_key(file);
        self.sign_again(changed);
    }

    fn sign_again(&mut self, apex: Option<Vec<u8>>) {
        if let Some(zone) = self.zones.iter().find(|zone| Some(zone.apex()) == apex.as_deref()) {
            self.signing.attach(zone, zone.signed(), &self.key);
        }
    }

    /// Signs zones without keys of their own by keys from these seeds, if there are any, and denies like this.
    pub(crate) fn set_signing(&mut self, seeds: Seeds, denial: Denial) {
        self.signing.set(seeds, denial);
        for zone in &self.zones {
            self.signing.attach(zone, zone.signed(), &self.key);
        }
    }

    /// See the fields.
    pub(crate) fn signing(&mut self) -> &mut Signing {
        &mut self.signing
    }

    /// Lets keys take up and lay down their duties; when this is to be done again.
    pub(crate) fn set_time(&mut self, now: u64) -> Option<u64> {
        self.signing.set_time(now, &self.zones, &self.key)
    }

    /// The keys of a zone and what they do, if it is signed.
    #[inline]
    pub fn signed(&self, zone: &Zone) -> Option<&Rc<SignedZone>> {
        // What is kept of signed answers is for all.
        if zone.is_hidden() { None } else { self.signing.get(zone.signed()?) }
    }

    /// What an answer of a signed zone was made of: changes when anything does that an answer depends on.
    #[inline]
    pub(crate) fn version(&self, signed: &SignedZone) -> u64 {
        self.signing.version(signed)
    }

    /// The chain of a zone that came with signatures.
    #[inline]
    pub(crate) fn arrived(&self, zone: &Zone) -> Option<&Arrived> {
        self.signing.arrived(zone.signed()?)
    }

    /// The SOA record of a zone as it is served: that of a signed zone may have a later serial number.
    pub fn soa(&self, zone: &Zone) -> Option<Record> {
        self.signed(zone).map_or_else(|| zone.soa(), |signed| signed.soa(zone))
    }

    /// Says whether others fetch zones signed: then their serial numbers change with signatures and keys, too.
    pub(crate) fn set_fetched(&mut self, is_fetched: bool) {
        if self.signing.set_fetched(is_fetched) {
            for zone in &self.zones {
                self.signing.attach(zone, zone.signed(), &self.key);
            }
        }
    }

    /// Whether the zone that this file is named like is served.
    pub fn serves(&self, file: &str) -> bool {
        zonefile::zone_name(file, &self.key).is_ok_and(|apex| self.number(&apex, 0).is_some())
    }

    /// How many zones there are.
    pub fn count(&self) -> usize {
        self.zones.len()
    }

    /// How many records there are in all.
    pub fn records(&self) -> u64 {
        self.zones.iter().map(|zone| zone.records()).sum()
    }

    /// The key of the names' hashes.
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// The zone nearest to `name`, from label number `from` on.
    #[inline]
    pub fn find(&self, name: &Name, from: usize) -> Option<&Zone> {
        let from = from.max(name.labels().saturating_sub(self.most_labels));
        (from..=name.labels()).find_map(|label| self.number(name, label)).map(|number| &*self.zones[number])
    }

    #[inline]
    fn number(&self, name: &Name, label: usize) -> Option<usize> {
        let number = |place: Place| place.0 as usize - 1;
        let is_it = |place| self.zones[number(place)].apex() == name.suffix(label);
        self.index.find(name.hash(label), is_it).map(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apex(file: &str, key: &HashKey) -> Name {
        zonefile::zone_name(file, key).unwrap()
    }

    #[test]
    fn zones_come_and_go_and_the_others_stay() {
        let key = HashKey::new([9; 24]);
        let mut zones = Zones::new(key);
        for file in ["a.example", "b.example", "c.b.example"] {
            zones.load(file, &mut "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.example.net.\n".as_bytes()).unwrap();
        }
        let held = zones.get(&apex("b.example", &key)).unwrap();
        assert!(zones.remove(&apex("b.example", &key)) && !zones.remove(&apex("b.example", &key)));
        assert!(!zones.serves("b.example") && zones.serves("a.example") && zones.serves("c.b.example"));
        assert_eq!((zones.count(), zones.records(), held.records()), (2, 4, 2));
        let found = zones.find(&apex("x.c.b.example", &key), 0).map(|zone| to_text(zone.apex()));
        assert_eq!(found.as_deref(), Some("c.b.example."));
    }

    #[test]
    fn a_zone_that_is_missing_hides_the_one_above_it_and_not_the_one_below() {
        let key = HashKey::new([9; 24]);
        let (mut zones, text) = (Zones::new(key), "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.example.net.\n");
        for file in ["example", "c.b.example"] {
            zones.load(file, &mut text.as_bytes()).unwrap();
        }
        let absence = |zones: &Zones, name, from| zones.absence(&apex(name, &key), from);
        assert_eq!(absence(&zones, "x.b.example", 0), None);
        zones.set_absent(&apex("b.example", &key), Some(Absence::Expired));
        zones.set_absent(&apex("example", &key), Some(Absence::Expired)); // it is there
        assert_eq!(absence(&zones, "x.b.example", 0), Some(Absence::Expired));
        assert_eq!(absence(&zones, "b.example", 1), None);
        assert_eq!((absence(&zones, "x.c.b.example", 0), absence(&zones, "a.example", 0)), (None, None));
        zones.load("b.example", &mut text.as_bytes()).unwrap();
        assert_eq!(absence(&zones, "x.b.example", 0), None);
    }
}
