//! Where keys come from: pairs of key files beside the zones, or a seed that all keys of all zones are derived from.

use std::collections::BTreeMap;
use std::rc::Rc;

use ring::hmac;

use super::key::{Algorithm, SigningKey};
use super::keyfile;
use super::limits::{DNSKEY_TTL_SECONDS, SEED_OCTETS_LEAST, SEEDS};
use super::schedule::{Times, propagation};
use crate::name::HashKey;
use crate::zonefile::ZoneError;

/// Never, for an event of a key.
const NEVER: Option<u64> = Some(u64::MAX);

/// Secrets that keys are derived from. The first is the one in use: it signs, and the parent is asked for its DS record. The
/// keys of the others are published with it, so that the next seed, or the one before, can be changed to without a gap.
#[derive(Default)]
pub struct Seeds {
    seeds: Vec<hmac::Key>,
    /// Seconds after which a zone-signing key is followed by the next; none if it stays.
    lifetime: Option<u64>,
}

impl Seeds {
    /// At least so many octets each as a key of Ed25519 has, at most four of them; the lifetime of a zone-signing key in seconds.
    pub fn new(seeds: &[Vec<u8>], lifetime: Option<u64>) -> Result<Seeds, String> {
        if seeds.len() > SEEDS || seeds.iter().any(|seed| seed.len() < SEED_OCTETS_LEAST) {
            return Err(format!("at most {SEEDS} seeds, each of {SEED_OCTETS_LEAST} octets or more"));
        }
        let seeds = seeds.iter().map(|seed| hmac::Key::new(hmac::HMAC_SHA256, seed)).collect();
        Ok(Seeds { seeds, lifetime })
    }

    /// The keys of the zone called `apex`: of each seed a key-signing key, and the zone-signing keys of this period and of
    /// those beside it.
    fn keys(&self, apex: &[u8], now: u64, longest_ttl: u32) -> Vec<Rc<SigningKey>> {
        let mut keys = Vec::new();
        for (number, seed) in self.seeds.iter().enumerate() {
            let in_use = number == 0;
            let asks = if in_use { None } else { NEVER };
            let always = Times { ask_parent: asks, ..Times::default() };
            keys.extend(derive(seed, apex, true, 0, always));
            for (period, times) in self.periods(now, longest_ttl) {
                let activate = if in_use { times.activate } else { NEVER };
                keys.extend(derive(seed, apex, false, period, Times { activate, ..times }));
            }
        }
        keys
    }

    /// RFC 7583 §3.2.1, counted from 1970: whoever has the seed and the time knows which keys there are.
    fn periods(&self, now: u64, longest_ttl: u32) -> Vec<(u64, Times)> {
        let Some(lifetime) = self.lifetime else { return vec![(0, Times::default())] };
        let this = now / lifetime;
        let times = |period: u64| Times {
            publish: Some((period * lifetime).saturating_sub(propagation(DNSKEY_TTL_SECONDS))),
            activate: Some(period * lifetime),
            inactive: Some((period + 1) * lifetime),
            delete: Some((period + 1) * lifetime + propagation(longest_ttl)),
            ..Times::default()
        };
        (this.saturating_sub(1)..=this + 1).map(|period| (period, times(period))).collect()
    }
}

fn derive(
    seed: &hmac::Key,
    apex: &[u8],
    is_entry_point: bool,
    period: u64,
    times: Times,
) -> Option<Rc<SigningKey>> {
    let mut context = hmac::Context::with_key(seed);
    context.update(b"dnssec ed25519 ");
    context.update(&[u8::from(is_entry_point)]);
    context.update(&period.to_be_bytes());
    context.update(apex);
    let secret = context.sign();
    SigningKey::new(Algorithm::Ed25519, secret.as_ref(), None, is_entry_point, times).ok().map(Rc::new)
}

/// All keys there are; see the module.
#[derive(Default)]
pub struct Keyring {
    /// Keys from files, by the name of their zone on the wire.
    files: BTreeMap<Vec<u8>, Vec<Rc<SigningKey>>>,
    seeds: Seeds,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} zones, {} seeds)", self.files.len(), self.seeds.seeds.len())
    }
}

impl Keyring {
    /// The keys in these files (name and text), and what is wrong with those that are not taken.
    pub fn new<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        seeds: Seeds,
        key: &HashKey,
    ) -> (Keyring, Vec<ZoneError>) {
        let mut halves: BTreeMap<&str, [Option<&str>; 2]> = BTreeMap::new();
        for (file, text) in files {
            let Some(stem) = keyfile::stem(file) else { continue };
            halves.entry(stem).or_default()[usize::from(file.ends_with(".private"))] = Some(text);
        }
        let mut keyring = Keyring { files: BTreeMap::new(), seeds };
        let mut errors = Vec::new();
        for (stem, halves) in halves {
            let [Some(public), Some(private)] = halves else {
                let missing = if halves[0].is_none() { "key" } else { "private" };
                errors.push(ZoneError::about(
                    stem,
                    format!("the other half of the key, {stem}.{missing}, is missing"),
                ));
                continue;
            };
            match keyfile::read(public, private, key) {
                Ok((apex, pair)) => {
                    keyring.files.entry(apex.wire().to_vec()).or_default().push(Rc::new(pair));
                }
                Err(reason) => errors.push(ZoneError::about(stem, reason)),
            }
        }
        (keyring, errors)
    }

    /// Whether there are keys for the zone called `apex`.
    pub fn has_keys(&self, apex: &[u8]) -> bool {
        self.files.contains_key(apex) || !self.seeds.seeds.is_empty()
    }

    /// The keys of a zone: those from files, and if there are none, those of the seeds.
    pub fn keys(&self, apex: &[u8], now: u64, longest_ttl: u32) -> Vec<Rc<SigningKey>> {
        match self.files.get(apex) {
            Some(files) => files.clone(),
            None => self.seeds.keys(apex, now, longest_ttl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::schedule::{self, Duties};

    const DAY: u64 = 86_400;
    const APEX: &[u8] = b"\x07example\x03org\0";

    fn tags(seeds: &Seeds, now: u64) -> (Vec<u16>, Vec<u16>, Vec<u16>, Vec<u16>) {
        let keys = seeds.keys(APEX, now, 7200);
        assert_eq!(schedule::check(&keys, DNSKEY_TTL_SECONDS, 7200), [""; 0]);
        let duties = Duties::at(now, &keys, DNSKEY_TTL_SECONDS);
        let tags = |numbers: &[usize]| numbers.iter().map(|number| keys[*number].tag()).collect();
        (tags(&duties.published), tags(&duties.sign_keys), tags(&duties.sign_zone), tags(&duties.ask_parent))
    }

    #[test]
    fn the_same_seed_has_the_same_keys_and_another_zone_has_others() {
        let seeds = Seeds::new(&[vec![1; 32]], None).unwrap();
        assert_eq!(tags(&seeds, 0), tags(&seeds, 100 * DAY));
        assert_ne!(seeds.keys(APEX, 0, 1)[0].tag(), seeds.keys(b"\x03com\0", 0, 1)[0].tag());
        assert!(Seeds::new(&[vec![1; 31]], None).is_err());
    }

    #[test]
    fn zone_signing_keys_follow_one_another() {
        let seeds = Seeds::new(&[vec![1; 32]], Some(30 * DAY)).unwrap();
        let (middle, end) = (tags(&seeds, 45 * DAY), tags(&seeds, 60 * DAY - 60));
        let (start, later) = (tags(&seeds, 60 * DAY), tags(&seeds, 75 * DAY));
        assert_eq!((middle.0.len(), end.0.len(), start.0.len(), later.0.len()), (2, 3, 3, 2));
        assert_eq!((&middle.2, &start.2), (&end.2, &later.2));
        assert_ne!(middle.2, start.2);
        assert!(end.0.contains(&start.2[0]) && start.0.contains(&end.2[0]));
    }

    #[test]
    fn a_seed_is_replaced_by_publishing_the_next_one_beside_it() {
        let seeds = |list: &[u8]| {
            Seeds::new(&list.iter().map(|seed| vec![*seed; 32]).collect::<Vec<_>>(), None).unwrap()
        };
        let steps = [&[1][..], &[1, 2], &[2, 1], &[2]].map(|list| tags(&seeds(list), 0));
        for pair in steps.windows(2) {
            // Whatever signed is still published, and whatever signs was published before.
            assert!(pair[0].2.iter().all(|tag| pair[1].0.contains(tag) || pair[1].0.len() == 2));
            assert!(pair[1].2.iter().all(|tag| pair[0].0.contains(tag)));
            assert!(pair[1].3.iter().all(|tag| pair[0].1.contains(tag)));
        }
        assert_eq!([steps[1].0.len(), steps[2].0.len()], [4, 4]);
    }

    #[test]
    fn half_a_key_is_an_error() {
        let (_, errors) = Keyring::new(
            [("Ka.+015+00001.key", "a. DNSKEY 257 3 15 AA==")],
            Seeds::default(),
            &HashKey::new([1; 24]),
        );
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["Ka.+015+00001: the other half of the key, Ka.+015+00001.private, is missing"]
        );
    }
}
