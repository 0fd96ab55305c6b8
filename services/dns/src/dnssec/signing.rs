//! All zones that are signed, by the numbers that the zones have of them.

use std::rc::Rc;

use super::arrived::Arrived;
use super::keyring::{Keyring, Seeds};
use super::limits::NEWS;
use super::signed::{Denial, SignedZone};
use crate::name::{HashKey, to_text};
use crate::zone::Zone;
use crate::zonefile::ZoneError;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    keyring: Keyring,
    denial: Denial,
    now: u64,
    zones: Vec<Option<Kind>>,
    /// Whether others fetch zones signed, so that serial numbers have to go with signatures.
    is_fetched: bool,
    /// Zones whose serial number is another one, although they are the same.
    renewed: Vec<Rc<Zone>>,
    generation: u32,
    /// Changes with the time, and with which zones there are.
    surroundings: u32,
    /// When a zone that is not signed yet will be.
    awaited: Option<u64>,
    news: Vec<String>,
}

/// Whose signatures a zone has.
#[derive(Debug)]
enum Kind {
    /// We make them.
    Signed(Rc<SignedZone>),
    /// It came with them.
    Arrived(Arrived),
}

impl Signing {
    /// The zone with this number.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<&Rc<SignedZone>> {
        match self.zones.get(number)?.as_ref()? {
            Kind::Signed(signed) => Some(signed),
            Kind::Arrived(_) => None,
        }
    }

    /// The zone with this number, if it came with signatures.
    #[inline]
    pub(crate) fn arrived(&self, number: usize) -> Option<&Arrived> {
        match self.zones.get(number)?.as_ref()? {
            Kind::Arrived(arrived) => Some(arrived),
            Kind::Signed(_) => None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Rc<SignedZone>> {
        (0..self.zones.len()).filter_map(|number| self.get(number))
    }

    /// What an answer of this zone was made of: it changes when anything does that an answer depends on.
    #[inline]
    pub(crate) fn version(&self, signed: &SignedZone) -> u64 {
        u64::from(self.surroundings) << 32 | u64::from(signed.generation)
    }

    /// Zones have come or gone, or it is later.
    pub(crate) fn change_surroundings(&mut self) {
        self.surroundings = self.surroundings.wrapping_add(1);
    }

    /// Whether there is any.
    pub(crate) fn is_used(&self) -> bool {
        self.all().next().is_some()
    }

    /// Derives keys from these seeds, and denies like this.
    pub(crate) fn set(&mut self, seeds: Seeds, denial: Denial) {
        self.keyring.set_seeds(seeds);
        self.denial = denial;
    }

    /// How it is denied.
    pub(crate) fn denial(&self) -> Denial {
        self.denial
    }

    /// Takes in a key file; the name of the zone that has other keys by it.
    pub(crate) fn load_key(
        &mut self,
        file: &str,
        text: &str,
        key: &HashKey,
    ) -> Result<Option<Vec<u8>>, ZoneError> {
        self.keyring.load(file, text, key)
    }

    /// Forgets a key file; the name of the zone that has other keys by it.
    pub(crate) fn forget_key(&mut self, file: &str) -> Option<Vec<u8>> {
        self.keyring.forget(file)
    }

    /// Takes in a zone, in place of the one with the number `old`.
    pub(crate) fn attach(&mut self, zone: &Zone, old: Option<usize>, key: &HashKey) {
        let before = old.and_then(|number| self.get(number)).cloned();
        let report = before.as_ref().map(|signed| signed.report());
        self.detach(old);
        self.generation = self.generation.wrapping_add(1);
        zone.set_signed(None);
        // What comes signed is not signed again.
        if let Some(arrived) = Arrived::new(zone) {
            let news = arrived.report().map(|line| format!("zone {}: {line}", to_text(zone.apex())));
            self.news.extend(news.filter(|_| self.news.len() < NEWS));
            return self.put(zone, Kind::Arrived(arrived));
        }
        if self.now == 0 {
            return; // Nobody has said yet what time it is.
        }
        let how = (&self.keyring, self.denial, self.is_fetched);
        let signed = match SignedZone::new(zone, how, (self.now, self.generation), before.as_deref(), key) {
            Ok(signed) => signed,
            Err(until) => return self.awaited = self.awaited.into_iter().chain(until).min(),
        };
        if report.as_ref() != Some(&signed.report()) && self.news.len() < NEWS {
            self.news.extend(
                signed.report().into_iter().map(|line| format!("zone {}: {line}", to_text(zone.apex()))),
            );
        }
        self.put(zone, Kind::Signed(Rc::new(signed)));
    }

    fn put(&mut self, zone: &Zone, kind: Kind) {
        let free = self.zones.iter().position(Option::is_none).unwrap_or(self.zones.len());
        if free == self.zones.len() {
            self.zones.push(None);
        }
        self.zones[free] = Some(kind);
        zone.set_signed(Some(free));
    }

    /// Forgets the zone with this number.
    pub(crate) fn detach(&mut self, number: Option<usize>) {
        if let Some(place) = number.and_then(|number| self.zones.get_mut(number)) {
            *place = None;
        }
    }

    /// Takes in again all zones whose keys change their duties; when the next will.
    pub(crate) fn set_time(&mut self, now: u64, zones: &[Rc<Zone>], key: &HashKey) -> Option<u64> {
        self.change_surroundings();
        let all = self.now == 0 || now < self.now || self.awaited.is_some_and(|awaited| awaited <= now);
        self.now = now;
        self.awaited = if all { None } else { self.awaited };
        for zone in zones {
            let signed = zone.signed().and_then(|number| self.get(number));
            let before = signed.map(|signed| signed.serial());
            if all || signed.and_then(|signed| signed.until()).is_some_and(|until| until <= now) {
                self.attach(zone, zone.signed(), key);
            }
            let after = zone.signed().and_then(|number| self.get(number)).map(|signed| signed.serial());
            if after != before {
                self.renewed.push(zone.clone());
            }
        }
        self.all().filter_map(|signed| signed.until()).chain(self.awaited).min()
    }

    /// Says whether others fetch zones signed: then serial numbers go with signatures.
    pub(crate) fn set_fetched(&mut self, is_fetched: bool) -> bool {
        std::mem::replace(&mut self.is_fetched, is_fetched) != is_fetched
    }

    /// The zones that have another serial number since this was last asked, although they are the same.
    pub(crate) fn take_renewed(&mut self) -> Vec<Rc<Zone>> {
        std::mem::take(&mut self.renewed)
    }

    /// What has changed since this was last asked, in words; and what is wrong with the keys.
    pub(crate) fn take_news(&mut self) -> Vec<String> {
        let mut news = std::mem::take(&mut self.news);
        news.extend(self.keyring.incomplete());
        news
    }
}
