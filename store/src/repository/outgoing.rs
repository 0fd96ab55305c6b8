//! Packs for a remote: what it lacks, whole, as it lies in the arena where it lies there whole.

use super::{Existing, Repository};
use crate::{
    error::Error,
    id::{Hasher, ObjectId},
    limits::{COMMITS_WALKED, TREE_DEPTH},
    object::{Kind, Mode, Tag},
    pack::{Base, Header, encode_entry},
};
use std::collections::HashSet;

impl Repository {
    /// A pack with everything that `new` need and `have` do not: commits or tags. What a remote has of the latter it has
    /// completely, so objects of `have` that are not here do not matter. The pack stands for itself, without deltas.
    pub fn pack_for_push(&self, new: &[ObjectId], have: &[ObjectId]) -> Result<Vec<u8>, Error> {
        let objects = self.missing(new, have)?;
        let count = u32::try_from(objects.len()).map_err(|_| Error::TooLarge)?;
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&count.to_be_bytes());
        for id in &objects {
            self.append_entry(id, &mut pack)?;
        }
        let mut checksum = Hasher::new(self.format);
        checksum.update(&pack);
        pack.extend_from_slice(checksum.finish()?.as_bytes());
        Ok(pack)
    }

    /// Adds an object to a pack.
    fn append_entry(&self, id: &ObjectId, pack: &mut Vec<u8>) -> Result<(), Error> {
        let damaged = |error| Error::Damaged(*id, error);
        let place = self.index.find(id).ok_or(Error::Missing(*id))?;
        let header = Header::read(self.format, &self.arena, place).map_err(damaged)?;
        if matches!(header.base, Base::None(_)) {
            let length = self.entry_length(place, &header).map_err(damaged)?;
            let start = pack.len();
            pack.try_reserve(length).map_err(|_| Error::OutOfMemory)?;
            pack.resize(start + length, 0);
            self.arena.copy(place, &mut pack[start..]);
            return Ok(());
        }
        let object = self.read(id)?;
        let entry = encode_entry(object.kind, &object.data).ok_or(Error::OutOfMemory)?;
        pack.try_reserve(entry.len()).map_err(|_| Error::OutOfMemory)?;
        pack.extend_from_slice(&entry);
        Ok(())
    }

    /// The objects that a remote with `have` lacks of `new`. A few that it has may be among them: those that came back from
    /// an earlier time, and those that moved.
    fn missing(&self, new: &[ObjectId], have: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let known = self.ancestors(have)?;
        let mut objects = Vec::new();
        let mut seen = known.clone();
        let mut queue = new.to_vec();
        while let Some(id) = queue.pop() {
            if !seen.insert(id) {
                continue;
            }
            if objects.len() > COMMITS_WALKED {
                return Err(Error::TooMuchHistory);
            }
            match self.kind(&id)? {
                Kind::Tag => {
                    let tag = self.read(&id)?;
                    let tag = Tag::parse(self.format, &tag.data).map_err(|bad| Error::Malformed(id, bad))?;
                    queue.push(tag.target);
                }
                Kind::Commit => {
                    let commit = self.read_commit(&id)?;
                    let parents = self.parents(&id, &commit);
                    // The remote has, or is about to get, the trees of all parents; comparing with one finds nearly everything.
                    let base = parents.iter().find(|parent| self.contains(parent));
                    let base =
                        base.map(|parent| self.read_commit(parent)).transpose()?.map(|parent| parent.tree);
                    self.missing_of_tree(base, commit.tree, &mut seen, &mut objects, 0)?;
                    queue.extend(parents);
                }
                Kind::Tree => self.missing_of_tree(None, id, &mut seen, &mut objects, 0)?,
                Kind::Blob => {}
            }
            objects.push(id);
        }
        Ok(objects)
    }

    /// All commits that can be reached from some, and are here.
    fn ancestors(&self, heads: &[ObjectId]) -> Result<HashSet<ObjectId>, Error> {
        let mut known = HashSet::new();
        let mut queue = heads.to_vec();
        while let Some(id) = queue.pop() {
            if !known.insert(id) || !self.contains(&id) || self.kind(&id)? != Kind::Commit {
                continue;
            }
            if known.len() > COMMITS_WALKED {
                return Err(Error::TooMuchHistory);
            }
            queue.extend(self.parents(&id, &self.read_commit(&id)?));
        }
        Ok(known)
    }

    fn missing_of_tree(
        &self,
        base: Option<ObjectId>,
        tree: ObjectId,
        seen: &mut HashSet<ObjectId>,
        objects: &mut Vec<ObjectId>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth >= TREE_DEPTH {
            return Err(Error::TooDeep);
        }
        if base == Some(tree) || !seen.insert(tree) {
            return Ok(());
        }
        for (_, old, new) in self.pairs(base, Some(tree))? {
            let Some(Existing { mode, id }) = new.filter(|&new| old != Some(new)) else { continue };
            match mode {
                Mode::Submodule => {}
                Mode::Tree => {
                    let base = old.filter(|old| old.mode == Mode::Tree).map(|old| old.id);
                    self.missing_of_tree(base, id, seen, objects, depth + 1)?;
                }
                _ => {
                    if old.is_none_or(|old| old.id != id) && seen.insert(id) {
                        objects.push(id);
                    }
                }
            }
        }
        objects.push(tree);
        Ok(())
    }
}
