//! Inflated objects that may be wanted again: two generations, of which the older goes when the younger is full.

use crate::{
    limits::{CACHE_BYTES, CACHED_OBJECT_BYTES},
    object::Object,
    room::{grow_map, room},
};
use std::{collections::HashMap, fmt, mem};

/// Objects by their place.
#[derive(Default)]
pub(super) struct Cache {
    young: HashMap<u32, Object>,
    young_bytes: usize,
    old: HashMap<u32, Object>,
}

/// Bytes that an object costs besides its content, about.
const OVERHEAD_BYTES: usize = 64;

impl Cache {
    /// An object, if it is still here; it is young again then.
    pub(super) fn get(&mut self, place: u32) -> Option<Object> {
        if let Some(object) = self.young.get(&place) {
            return Some(object.clone());
        }
        let object = self.old.remove(&place)?;
        self.put(place, object.clone());
        Some(object)
    }

    /// Keeps an object, if it is not too large.
    pub(super) fn put(&mut self, place: u32, object: Object) {
        let bytes = object.data.len() + OVERHEAD_BYTES;
        if bytes > CACHED_OBJECT_BYTES {
            return;
        }
        if room(bytes).is_err() || grow_map(&mut self.young).is_err() {
            return self.clear();
        }
        if self.young_bytes + bytes > CACHE_BYTES / 2 {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(place, object).is_none() {
            self.young_bytes += bytes;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cache({} objects)", self.young.len() + self.old.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Kind;

    #[test]
    fn it_never_holds_more_than_it_may() {
        let mut cache = Cache::default();
        for place in 0..100 {
            cache.put(place, Object { kind: Kind::Blob, data: vec![0; 100_000].into() });
            assert!(cache.get(0).is_some(), "what is asked for stays");
        }
        let held =
            |objects: &HashMap<u32, Object>| objects.values().map(|object| object.data.len()).sum::<usize>();
        assert!(held(&cache.young) + held(&cache.old) <= CACHE_BYTES);
        assert!(cache.get(1).is_none());
        cache.put(200, Object { kind: Kind::Blob, data: vec![0; CACHED_OBJECT_BYTES].into() });
        assert!(cache.get(200).is_none());
    }
}
