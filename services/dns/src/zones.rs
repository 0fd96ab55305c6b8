//! All zones that are served, found by name.

use std::io::BufRead;

use crate::name::{HashKey, Name, to_text};
use crate::zone::{Index, Place, Zone};
use crate::zonefile::{self, Warnings, ZoneError};

/// The zones; see the module.
#[derive(Debug)]
pub struct Zones {
    key: HashKey,
    zones: Vec<Zone>,
    /// From the hash of a zone's name to its number, counted from 1.
    index: Index,
    most_labels: usize,
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
        Zones { key, zones: Vec::new(), index: Index::default(), most_labels: 0 }
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
        match self.number(&apex, 0) {
            Some(number) => self.zones[number] = zone,
            None => {
                self.zones.push(zone);
                let place = Place(self.zones.len() as u32);
                self.index.insert(apex.hash(0), place).map_err(|full| error(0, full.into()))?;
                self.most_labels = self.most_labels.max(apex.labels());
            }
        }
        Ok(Loaded { name, records, octets, warnings })
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
        self.zones.iter().map(Zone::records).sum()
    }

    /// The key of the names' hashes.
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// The zone nearest to `name`, from label number `from` on.
    #[inline]
    pub fn find(&self, name: &Name, from: usize) -> Option<&Zone> {
        let from = from.max(name.labels().saturating_sub(self.most_labels));
        (from..=name.labels()).find_map(|label| self.number(name, label)).map(|number| &self.zones[number])
    }

    #[inline]
    fn number(&self, name: &Name, label: usize) -> Option<usize> {
        let number = |place: Place| place.0 as usize - 1;
        let is_it = |place| self.zones[number(place)].apex() == name.suffix(label);
        self.index.find(name.hash(label), is_it).map(number)
    }
}
