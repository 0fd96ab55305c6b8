//! Where keys come from: pairs of key files beside the zones, or a seed that all keys of all zones are derived from.

use std::collections::BTreeMap;
use std::rc::Rc;

use ring::hmac;

use super::key::{Algorithm, SigningKey};
use super::keyfile;
use super::limits::{
    DNSKEY_TTL_SECONDS, KEY_FILE_OCTETS, KEY_LIFETIME_SECONDS_LEAST, SEED_OCTETS_LEAST, SEEDS, SIGNING_KEYS,
};
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
        if lifetime.is_some_and(|seconds| seconds < KEY_LIFETIME_SECONDS_LEAST) {
            return Err(format!("keys live for {} days at least", KEY_LIFETIME_SECONDS_LEAST / 86_400));
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
    /// Public and private half of the keys in files, by what the files' names begin with.
    halves: BTreeMap<String, [Option<String>; 2]>,
    /// Keys from files, by the name of their zone on the wire, and by what the files' names begin with.
    files: BTreeMap<Vec<u8>, BTreeMap<String, Rc<SigningKey>>>,
    seeds: Seeds,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} zones, {} seeds)", self.files.len(), self.seeds.seeds.len())
    }
}

impl Keyring {
    /// Uses these seeds from now on.
    pub fn set_seeds(&mut self, seeds: Seeds) {
        self.seeds = seeds;
    }

    /// Takes in a key file, in place of the one of that name. Where this makes a key whole, returns the name of its zone on the
    /// wire. After an error the key is as it was before.
    pub fn load(&mut self, file: &str, text: &str, key: &HashKey) -> Result<Option<Vec<u8>>, ZoneError> {
        let error = |reason: &str| ZoneError::about(file, reason);
        let stem = keyfile::stem(file).ok_or_else(|| error("no name of a key file"))?;
        if text.len() > KEY_FILE_OCTETS
            || self.halves.len() >= SIGNING_KEYS && !self.halves.contains_key(stem)
        {
            return Err(error("too large for a key file, or one too many"));
        }
        let halves = self.halves.entry(stem.to_string()).or_default();
        halves[half(file)] = Some(text.to_string());
        let [Some(public), Some(private)] = halves else { return Ok(None) };
        let (apex, pair) = keyfile::read(public, private, key).map_err(|reason| error(&reason))?;
        self.files.entry(apex.wire().to_vec()).or_default().insert(stem.to_string(), Rc::new(pair));
        Ok(Some(apex.wire().to_vec()))
    }

    /// Forgets a key file; the name of the zone that has lost a key by it.
    pub fn forget(&mut self, file: &str) -> Option<Vec<u8>> {
        let stem = keyfile::stem(file)?;
        let halves = self.halves.get_mut(stem)?;
        halves[half(file)] = None;
        if halves.iter().all(Option::is_none) {
            self.halves.remove(stem);
        }
        let has_it = |(_, keys): &(&Vec<u8>, &mut BTreeMap<String, _>)| keys.contains_key(stem);
        let (apex, keys) = self.files.iter_mut().find(has_it)?;
        let apex = apex.clone();
        keys.remove(stem);
        if keys.is_empty() {
            self.files.remove(&apex);
        }
        Some(apex)
    }

    /// Keys of which one file is missing.
    pub fn incomplete(&self) -> impl Iterator<Item = String> + '_ {
        let halves = self.halves.iter().filter(|(_, halves)| halves.iter().any(Option::is_none));
        halves.map(|(stem, halves)| {
            let missing = if halves[0].is_none() { "key" } else { "private" };
            format!("{stem}: half of the key, {stem}.{missing}, is missing")
        })
    }

    /// Whether there are keys for the zone called `apex`.
    pub fn has_keys(&self, apex: &[u8]) -> bool {
        self.files.contains_key(apex) || !self.seeds.seeds.is_empty()
    }

    /// The keys of a zone: those from files, and if there are none, those of the seeds.
    pub fn keys(&self, apex: &[u8], now: u64, longest_ttl: u32) -> Vec<Rc<SigningKey>> {
        match self.files.get(apex) {
            Some(files) => files.values().cloned().collect(),
            None => self.seeds.keys(apex, now, longest_ttl),
        }
    }
}

fn half(file: &str) -> usize {
    usize::from(file.ends_with(".private"))
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
    fn a_key_needs_both_files_and_is_gone_with_either() {
        let (key, mut keyring) = (HashKey::new([1; 24]), Keyring::default());
        let stem = "Kexample.com.+015+03613";
        let (public, private) = (format!("{stem}.key"), format!("{stem}.private"));
        assert_eq!(keyring.load(&public, keyfile::PUBLIC, &key), Ok(None));
        let missing = format!("{stem}: half of the key, {private}, is missing");
        assert_eq!(keyring.incomplete().collect::<Vec<_>>(), [missing]);
        let apex = b"\x07example\x03com\0";
        let loaded = keyring.load(&private, keyfile::PRIVATE, &key);
        assert_eq!(loaded, Ok(Some(apex.to_vec())));
        assert!(keyring.load(&private, "", &key).is_err());
        assert_eq!(keyring.keys(apex, 0, 0).iter().map(|key| key.tag()).collect::<Vec<_>>(), [3613]);
        assert_eq!(keyring.forget(&public), Some(apex.to_vec()));
        assert!(!keyring.has_keys(apex) && keyring.forget(&public).is_none());
    }
}
