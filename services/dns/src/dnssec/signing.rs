//! All zones that are signed, by the numbers that the zones have of them.

use std::rc::Rc;

use super::keyring::Keyring;
use super::signed::{Denial, SignedZone};
use crate::name::HashKey;
use crate::zone::Zone;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    keyring: Keyring,
    denial: Denial,
    now: u64,
    zones: Vec<Option<SignedZone>>,
    generation: u32,
}

impl Signing {
    /// None yet; zones get other generations than they had before.
    pub(crate) fn new(keyring: Keyring, denial: Denial, now: u64, before: Signing) -> Signing {
        Signing { keyring, denial, now, zones: Vec::new(), generation: before.generation }
    }

    /// The zone with this number.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<&SignedZone> {
        self.zones.get(number)?.as_ref()
    }

    /// Takes in a zone, in place of the one with the number `old`.
    pub(crate) fn attach(&mut self, zone: &Zone, old: Option<usize>, key: &HashKey) {
        self.detach(old);
        self.generation = self.generation.wrapping_add(1);
        let at = (self.now, self.generation);
        zone.set_signed(None);
        let Some(signed) = SignedZone::new(zone, &self.keyring, self.denial, at, key) else { return };
        let free = self.zones.iter().position(Option::is_none).unwrap_or(self.zones.len());
        if free == self.zones.len() {
            self.zones.push(None);
        }
        self.zones[free] = Some(signed);
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
        let went_back = now < self.now;
        self.now = now;
        for zone in zones {
            let Some(number) = zone.signed() else { continue };
            let until = self.get(number).and_then(SignedZone::until);
            if went_back || until.is_some_and(|until| until <= now) {
                self.attach(zone, Some(number), key);
            }
        }
        self.zones.iter().flatten().filter_map(SignedZone::until).min()
    }
}
