//! When a key is published and when it signs: the events of RFC 7583, and what a zone's keys do at one moment.
//!
//! ```text
//!             Ipub = Dprp + TTLkey                 Iret = Dprp + TTLsig
//!   publish ─────────────────────► activate … inactive ─────────────────────► delete       a zone-signing key, §3.2.1
//!   publish ─────────────────────► CDS, CDNSKEY … inactive (with CDS) ───────► delete       an entry point, §3.3.1
//! ```
//!
//! Dprp, the time until all secondaries have a change, is `PROPAGATION_SECONDS`. There is no Dsgn: answers are signed when
//! they are asked for.

use std::rc::Rc;

use super::key::{Algorithm, SigningKey};
use super::limits::PROPAGATION_SECONDS;

/// Events in the life of a key, in seconds since 1970; what is not given has been always, or will never be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Tpub: it enters the DNSKEY set.
    pub publish: Option<u64>,
    /// Tact: it begins to sign.
    pub activate: Option<u64>,
    /// Tret: it no longer signs.
    pub inactive: Option<u64>,
    /// Tdea, Trem: it leaves the DNSKEY set.
    pub delete: Option<u64>,
    /// Tsbm: the parent is asked for a DS record (RFC 7344); if not given, Ipub after `publish`.
    pub ask_parent: Option<u64>,
    /// The parent is no longer asked; if not given, at `inactive`.
    pub stop_asking: Option<u64>,
}

impl Times {
    fn is_published(&self, now: u64) -> bool {
        lies_between(self.publish, now, self.delete)
    }

    fn signs(&self, now: u64) -> bool {
        lies_between(self.activate, now, self.inactive)
    }

    fn asks_parent(&self, now: u64, ttl: u32) -> bool {
        let since = self.publish.map(|publish| publish + propagation(ttl));
        lies_between(self.ask_parent.or(since), now, self.stop_asking.or(self.inactive))
    }

    /// The next moment at which something changes.
    fn next(&self, now: u64, ttl: u32) -> Option<u64> {
        let asked = self.publish.map(|publish| publish + propagation(ttl));
        let all = [
            self.publish,
            self.activate,
            self.inactive,
            self.delete,
            self.ask_parent.or(asked),
            self.stop_asking,
        ];
        all.into_iter().flatten().filter(|time| *time > now).min()
    }
}

fn lies_between(from: Option<u64>, now: u64, to: Option<u64>) -> bool {
    from.is_none_or(|from| from <= now) && to.is_none_or(|to| now < to)
}

/// Seconds until nobody has an older version of a set with this TTL: the Ipub of RFC 7583 §3.2.1, and Iret.
pub fn propagation(ttl: u32) -> u64 {
    PROPAGATION_SECONDS + u64::from(ttl)
}

/// What the keys of a zone do at a moment: numbers into their list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// In the DNSKEY set.
    pub published: Vec<usize>,
    /// Sign DNSKEY, CDS and CDNSKEY.
    pub sign_keys: Vec<usize>,
    /// Sign everything else.
    pub sign_zone: Vec<usize>,
    /// Have CDS and CDNSKEY records.
    pub ask_parent: Vec<usize>,
    /// When this is no longer true.
    pub until: Option<u64>,
}

impl Duties {
    /// Whether the same keys do the same, be it for longer or shorter.
    pub fn are_as(&self, other: &Duties) -> bool {
        *self == Duties { until: self.until, ..other.clone() }
    }

    /// Who does what `now`, where the DNSKEY set has this TTL.
    pub fn at(now: u64, keys: &[Rc<SigningKey>], ttl: u32) -> Duties {
        let select = |does: &dyn Fn(&SigningKey) -> bool| -> Vec<usize> {
            keys.iter().enumerate().filter(|(_, key)| does(key)).map(|(number, _)| number).collect()
        };
        let mut duties = Duties {
            published: select(&|key| key.times.is_published(now)),
            ask_parent: select(&|key| key.is_entry_point() && key.times.asks_parent(now, ttl)),
            until: keys.iter().filter_map(|key| key.times.next(now, ttl)).min(),
            ..Duties::default()
        };
        for algorithm in [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519] {
            duties.assign(now, keys, algorithm);
        }
        duties
    }

    /// The keys of one algorithm that sign. Where there are both kinds, entry points sign keys and the others the rest;
    /// otherwise whoever there is signs all.
    fn assign(&mut self, now: u64, keys: &[Rc<SigningKey>], algorithm: Algorithm) {
        let mut active: Vec<usize> = (0..keys.len())
            .filter(|number| keys[*number].algorithm() == algorithm && keys[*number].times.signs(now))
            .collect();
        if active.is_empty() {
            // RFC 4035 §2.2: an algorithm with a DNSKEY record signs everything. Better by a key whose time has come or gone
            // than by none.
            active =
                self.published.iter().copied().filter(|key| keys[*key].algorithm() == algorithm).collect();
        }
        let (entry_points, others): (Vec<usize>, Vec<usize>) =
            active.into_iter().partition(|number| keys[*number].is_entry_point());
        self.sign_keys.extend(if entry_points.is_empty() { &others } else { &entry_points });
        self.sign_zone.extend(if others.is_empty() { &entry_points } else { &others });
    }
}

/// What is too early or too late in the keys' times, so that some resolver will find no key for a signature it has, or no
/// signature for a key (RFC 7583 §3). `ttl` is that of the DNSKEY set, `longest_ttl` the largest in the zone.
pub fn check(keys: &[Rc<SigningKey>], ttl: u32, longest_ttl: u32) -> Vec<String> {
    let mut reasons = Vec::new();
    for key in keys {
        let (Times { publish, activate, inactive, delete, .. }, tag) = (key.times, key.tag());
        let older = |other: &Rc<SigningKey>| {
            other.algorithm() == key.algorithm()
                && other.is_entry_point() == key.is_entry_point()
                && other.times.publish < publish
        };
        // The first key of all need not wait: nobody has an older set.
        if let (Some(publish), Some(activate)) = (publish, activate)
            && keys.iter().any(older)
            && !key.is_entry_point()
            && activate < publish + propagation(ttl)
            && activate >= publish
        {
            let wait = publish + propagation(ttl) - activate;
            reasons.push(format!("key {tag} signs {wait} s too early for caches that do not have it yet"));
        }
        let longest = if key.is_entry_point() { ttl } else { longest_ttl };
        if let (Some(inactive), Some(delete)) = (inactive, delete)
            && delete < inactive + propagation(longest)
            && delete >= inactive
        {
            let wait = inactive + propagation(longest) - delete;
            reasons.push(format!("key {tag} is deleted {wait} s too early for caches with its signatures"));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key-signing or zone-signing key with times for publish, activate, inactive, delete; 0 is none.
    fn key(number: u8, is_entry_point: bool, times: [u64; 4]) -> Rc<SigningKey> {
        let [publish, activate, inactive, delete] = times.map(|time| (time > 0).then_some(time));
        let times = Times { publish, activate, inactive, delete, ..Times::default() };
        SigningKey::new(Algorithm::Ed25519, &[number; 32], None, is_entry_point, times).unwrap().into()
    }

    #[track_caller]
    fn check_duties(keys: &[Rc<SigningKey>], now: u64, expect: [&[usize]; 4], until: Option<u64>) {
        let duties = Duties::at(now, keys, 3600);
        let found = [&duties.published, &duties.sign_keys, &duties.sign_zone, &duties.ask_parent];
        assert_eq!(found.map(Vec::as_slice), expect, "at {now}");
        assert_eq!(duties.until, until, "at {now}");
    }

    #[test]
    fn a_zone_signing_key_is_rolled_by_publishing_the_next_one_first() {
        let keys = [
            key(1, true, [0; 4]),
            key(2, false, [100, 100, 50_000, 90_000]),
            key(3, false, [40_000, 50_000, 0, 0]),
        ];
        check_duties(&keys, 200, [&[0, 1], &[0], &[1], &[0]], Some(100 + propagation(3600)));
        check_duties(&keys, 45_000, [&[0, 1, 2], &[0], &[1], &[0]], Some(40_000 + propagation(3600)));
        check_duties(&keys, 60_000, [&[0, 1, 2], &[0], &[2], &[0]], Some(90_000));
        check_duties(&keys, 90_000, [&[0, 2], &[0], &[2], &[0]], None);
    }

    #[test]
    fn the_parent_is_asked_once_caches_have_the_key() {
        let keys = [key(1, true, [100, 100, 50_000, 90_000]), key(2, true, [20_000, 20_000, 0, 0])];
        let known = 20_000 + propagation(3600);
        check_duties(&keys, 20_000, [&[0, 1], &[0, 1], &[0, 1], &[0]], Some(known));
        check_duties(&keys, known, [&[0, 1], &[0, 1], &[0, 1], &[0, 1]], Some(50_000));
        check_duties(&keys, 50_000, [&[0, 1], &[1], &[1], &[1]], Some(90_000));
    }

    #[test]
    fn a_zone_with_published_keys_is_never_without_signatures() {
        check_duties(
            &[key(1, true, [100, 200, 300, 0])],
            400,
            [&[0], &[0], &[0], &[]],
            Some(100 + propagation(3600)),
        );
    }

    #[test]
    fn times_that_break_a_roll_over_are_named() {
        let bad = [key(1, false, [100, 100, 5_000, 5_100]), key(2, false, [4_000, 5_000, 0, 0])];
        let reasons = check(&bad, 3600, 7200).join("; ");
        assert!(reasons.contains("signs") && reasons.contains("deleted"), "{reasons}");
        let good = [key(1, false, [100, 100, 50_000, 90_000]), key(2, false, [20_000, 50_000, 0, 0])];
        assert_eq!(check(&good, 3600, 7200), [""; 0]);
    }
}
