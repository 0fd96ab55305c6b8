//! Packs for a remote: what it lacks, whole, as it lies in the arena where it lies there whole.

use super::{Repository, walk::Walk};
use crate::{
    error::Error,
    id::{Hasher, ObjectId},
    pack::{Base, Header, PackError, encode_entry},
};

impl Repository {
    /// A pack with everything that `new` need and `have` do not: commits or tags. What a remote has of the latter it has
    /// completely, so objects of `have` that are not here do not matter. The pack stands for itself, without deltas.
    pub fn pack_for_push(&self, new: &[ObjectId], have: &[ObjectId]) -> Result<Vec<u8>, Error> {
        let mut walk = Walk::new(self, have)?;
        walk.run(new)?;
        let count = u32::try_from(walk.found.len()).map_err(|_| Error::TooLarge)?;
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&count.to_be_bytes());
        for &place in &walk.found {
            self.append_entry(place, &mut pack).map_err(|error| match error {
                PackError::OutOfMemory => Error::OutOfMemory,
                error => Error::Damaged(ObjectId::null(self.format), error),
            })?;
        }
        let mut checksum = Hasher::new(self.format);
        checksum.update(&pack);
        pack.extend_from_slice(checksum.finish()?.as_bytes());
        Ok(pack)
    }

    /// Adds the object at a place to a pack.
    fn append_entry(&self, place: u32, pack: &mut Vec<u8>) -> Result<(), PackError> {
        let header = Header::read(self.format, &self.arena, place)?;
        if matches!(header.base, Base::None(_)) {
            let length = self.entry_length(place, &header)?;
            let start = pack.len();
            pack.try_reserve(length).map_err(|_| PackError::OutOfMemory)?;
            pack.resize(start + length, 0);
            self.arena.copy(place, &mut pack[start..]);
            return Ok(());
        }
        let object = self.read_at(place)?;
        let entry = encode_entry(object.kind, &object.data).ok_or(PackError::OutOfMemory)?;
        pack.try_reserve(entry.len()).map_err(|_| PackError::OutOfMemory)?;
        pack.extend_from_slice(&entry);
        Ok(())
    }
}
