//! Signatures that were made, each once: found again by name, type and key; the least recently used of four makes room.
//!
//! The table has its size from the beginning and never allocates again. A zone that is loaded again keeps the signatures of
//! what did not change: an entry of an older generation holds if the digest of what it signs is the same.

use super::limits::{RRSIG_HEADER, SIGNATURE_OCTETS};

/// Entries that one key may be in.
const WAYS: usize = 4;

/// A signature and what it needs to become an RRSIG record.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Which set this is, by which key; 0 where there is none.
    pub key: u64,
    /// Digest of what is signed.
    pub digest: u64,
    /// Of the zone, when this was last known to hold.
    pub generation: u32,
    /// When it is made anew, in seconds since 1970.
    pub refresh: u32,
    /// When it was last used, in uses of the cache.
    used: u32,
    /// From the type covered to the key tag.
    pub header: [u8; RRSIG_HEADER],
    /// The signature itself.
    pub signature: [u8; SIGNATURE_OCTETS],
}

impl Signature {
    /// None yet, for this key.
    pub fn empty(key: u64) -> Signature {
        Signature {
            key,
            digest: 0,
            generation: 0,
            refresh: 0,
            used: 0,
            header: [0; RRSIG_HEADER],
            signature: [0; SIGNATURE_OCTETS],
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Cache {
    entries: Vec<Signature>,
    uses: u32,
}

impl Cache {
    /// Room for about so many signatures, fewer where there is no memory for them.
    pub fn new(signatures: usize) -> Cache {
        let mut length = signatures.next_power_of_two().max(WAYS);
        let mut entries = Vec::new();
        while entries.try_reserve_exact(length).is_err() && length > WAYS {
            length /= 2;
        }
        entries.resize(length.min(entries.capacity()), Signature::empty(0));
        Cache { entries, uses: 0 }
    }

    /// The entry with this key, or the one to be replaced by it. None only where there was no memory at all.
    #[inline]
    pub fn entry(&mut self, key: u64) -> Option<&mut Signature> {
        let buckets = self.entries.len() / WAYS;
        let bucket = (key >> 32) as usize & buckets.checked_sub(1)?;
        self.uses = self.uses.wrapping_add(1);
        let uses = self.uses;
        let ways = self.entries.get_mut(bucket * WAYS..)?.first_chunk_mut::<WAYS>()?;
        let at = ways.iter().position(|entry| entry.key == key).unwrap_or_else(|| oldest(ways, uses));
        let entry = &mut ways[at];
        entry.used = uses;
        if entry.key != key {
            *entry = Signature { used: uses, ..Signature::empty(key) };
        }
        Some(entry)
    }
}

#[cold]
fn oldest(ways: &[Signature; WAYS], uses: u32) -> usize {
    let age = |at: &usize| if ways[*at].key == 0 { u32::MAX } else { uses.wrapping_sub(ways[*at].used) };
    (0..WAYS).max_by_key(age).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_the_size_is_bounded() {
        let mut cache = Cache::new(4);
        assert_eq!(cache.entries.len(), 4);
        for key in 1..=4 {
            cache.entry(key).unwrap().digest = key;
        }
        cache.entry(1).unwrap();
        cache.entry(5).unwrap().digest = 5;
        let digests = [1, 3, 4, 5].map(|key| cache.entry(key).unwrap().digest);
        assert_eq!(digests, [1, 3, 4, 5]);
        assert_eq!(cache.entry(2).unwrap().digest, 0);
    }

    #[test]
    fn a_cache_without_memory_has_no_entries() {
        assert!(Cache::default().entry(7).is_none());
    }
}
