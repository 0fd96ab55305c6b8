//! A repository: objects packed in one arena, and the branches that name some of them.
//!
//! Everything is stored as an entry of a pack, whatever way it came, deltas as deltas. What is read is inflated for its
//! reader; a bounded cache keeps what may be wanted again.

mod cache;
mod compact;
mod diff;
mod edit;
mod history;
mod merge;
mod outgoing;
mod tree;
mod walk;

pub use diff::Change;
pub use edit::Edits;
pub use merge::{Contested, Merged, Resolution};
pub use tree::{Existing, Listing, Tree};

use crate::{
    error::Error,
    id::{Format, ObjectId},
    limits::Limits,
    object::{Commit, Identity, Kind, Object},
    openssh::PrivateKey,
    pack::{Arena, Base, Header, Index, Inflater, PackError, apply_delta, encode_entry},
    signature,
};
use cache::Cache;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use tokio::sync::watch;

/// Objects and branches.
#[derive(Debug)]
pub struct Repository {
    format: Format,
    limits: Limits,
    arena: Arena,
    index: Index,
    branches: BTreeMap<String, Branch>,
    shallow: BTreeSet<ObjectId>,
    /// Signs the commits that are made here.
    signing_key: Option<Rc<PrivateKey>>,
    /// What reading needs.
    reader: RefCell<Reader>,
}

#[derive(Debug)]
struct Reader {
    inflater: Inflater,
    cache: Cache,
}

/// A branch's head, `None` where it does not exist, and who waits for it to change.
type Branch = watch::Sender<Option<ObjectId>>;

impl Repository {
    /// With nothing in it.
    pub fn new(format: Format, limits: Limits) -> Self {
        Self {
            format,
            limits,
            arena: Arena::default(),
            index: Index::new(format),
            branches: BTreeMap::new(),
            shallow: BTreeSet::new(),
            signing_key: None,
            reader: RefCell::new(Reader { inflater: Inflater::new(), cache: Cache::default() }),
        }
    }

    /// Which hash its objects are named by.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What is taken from a remote at most.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Signs the commits that [`Repository::commit`] makes from now on, or no longer.
    pub fn sign_with(&mut self, key: Option<Rc<PrivateKey>>) {
        self.signing_key = key;
    }

    /// Bytes that all objects take, deflated.
    pub fn packed_bytes(&self) -> u32 {
        self.arena.end()
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.index.len()
    }

    // --- Branches ---

    /// The commit at the head of a branch.
    pub fn branch(&self, name: &str) -> Option<ObjectId> {
        self.branches.get(name).and_then(|branch| *branch.borrow())
    }

    /// All branches, with their heads.
    pub fn branches(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.branches.iter().filter_map(|(name, branch)| Some((name.as_str(), (*branch.borrow())?)))
    }

    /// Moves a branch, makes it, or with `None` removes it.
    pub fn set_branch(&mut self, name: &str, head: Option<ObjectId>) {
        if head.is_none() && self.branches.get(name).is_none_or(|branch| branch.receiver_count() == 0) {
            self.branches.remove(name);
            return;
        }
        let branch = self.branches.entry(name.into()).or_insert_with(|| watch::Sender::new(None));
        branch.send_if_modified(|current| std::mem::replace(current, head) != head);
    }

    /// Moves a branch if its head is what the caller expects; returns whether it was.
    pub fn test_and_set(&mut self, name: &str, expected: Option<ObjectId>, head: Option<ObjectId>) -> bool {
        let matches = self.branch(name) == expected;
        if matches {
            self.set_branch(name, head);
        }
        matches
    }

    /// To wait for a branch to change; it need not exist.
    pub fn watch(&mut self, name: &str) -> watch::Receiver<Option<ObjectId>> {
        self.branches.entry(name.into()).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    // --- Where history was cut off ---

    /// Commits whose parents were not fetched.
    pub fn shallow(&self) -> &BTreeSet<ObjectId> {
        &self.shallow
    }

    /// The parents of this commit are not going to be here.
    pub fn set_shallow(&mut self, commit: ObjectId) {
        self.shallow.insert(commit);
    }

    /// The parents of this commit are here now.
    pub fn unshallow(&mut self, commit: &ObjectId) {
        self.shallow.remove(commit);
    }

    // --- Objects ---

    /// Whether an object is here.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.index.find(id).is_some()
    }

    /// An object.
    pub fn read(&self, id: &ObjectId) -> Result<Object, Error> {
        let place = self.index.find(id).ok_or(Error::Missing(*id))?;
        self.read_at(place).map_err(|error| match error {
            PackError::OutOfMemory => Error::OutOfMemory,
            error => Error::Damaged(*id, error),
        })
    }

    /// What kind an object is of, without unpacking it.
    pub fn kind(&self, id: &ObjectId) -> Result<Kind, Error> {
        let damaged = |error| Error::Damaged(*id, error);
        let mut place = self.index.find(id).ok_or(Error::Missing(*id))?;
        for _ in 0..=self.limits.delta_depth {
            let header = Header::read(self.format, &self.arena, place).map_err(damaged)?;
            match header.base {
                Base::None(kind) => return Ok(kind),
                base => place = self.base_place(place, base).map_err(damaged)?,
            }
        }
        Err(damaged(PackError::DeltasTooDeep))
    }

    /// An object that has to be of a certain kind.
    pub fn read_as(&self, id: &ObjectId, expected: Kind) -> Result<Object, Error> {
        let object = self.read(id)?;
        if object.kind == expected {
            Ok(object)
        } else {
            Err(Error::WrongKind { id: *id, expected, found: object.kind })
        }
    }

    /// A commit.
    pub fn read_commit(&self, id: &ObjectId) -> Result<Commit, Error> {
        let object = self.read_as(id, Kind::Commit)?;
        Commit::parse(self.format, &object.data).map_err(|malformed| Error::Malformed(*id, malformed))
    }

    /// The parents of a commit that can be here: none where history was cut off.
    pub(crate) fn parents(&self, id: &ObjectId, commit: &Commit) -> Vec<ObjectId> {
        if self.shallow.contains(id) { Vec::new() } else { commit.parents.clone() }
    }

    /// Adds an object, if it is not here yet, and returns its name.
    pub fn write(&mut self, kind: Kind, data: &[u8]) -> Result<ObjectId, Error> {
        if data.len() > self.limits.object_bytes as usize {
            return Err(Error::TooLarge);
        }
        let id = ObjectId::of(self.format, kind, data)?;
        if self.contains(&id) {
            return Ok(id);
        }
        let entry = encode_entry(kind, data).ok_or(Error::OutOfMemory)?;
        let place = self.arena.end();
        if entry.len() > (self.limits.pack_bytes.saturating_sub(place)) as usize {
            return Err(Error::TooLarge);
        }
        if self.arena.append(&entry).is_err() {
            self.arena.truncate(place);
            return Err(Error::OutOfMemory);
        }
        if let Err(no_room) = self.index.insert(&id, place) {
            self.arena.truncate(place);
            return Err(no_room.into());
        }
        Ok(id)
    }

    /// Adds a commit whose author also is its committer, signed if there is a key for it, and returns its name. Moves no
    /// branch.
    pub fn commit(
        &mut self,
        tree: ObjectId,
        parents: &[ObjectId],
        author: &Identity,
        message: &str,
    ) -> Result<ObjectId, Error> {
        let (author, committer) = (author.clone(), author.clone());
        let message = message.replace('\0', "").into_bytes();
        let headers = Vec::new();
        let mut commit = Commit { tree, parents: parents.into(), author, committer, headers, message };
        if let Some(key) = &self.signing_key {
            commit.headers = signature::sign(self.format, &commit.encode(), key)?;
        }
        self.write_commit(&commit)
    }

    /// Adds a commit and returns its name. Its tree and its parents have to be here.
    pub fn write_commit(&mut self, commit: &Commit) -> Result<ObjectId, Error> {
        for (id, expected) in [(&commit.tree, Kind::Tree)]
            .into_iter()
            .chain(commit.parents.iter().map(|parent| (parent, Kind::Commit)))
        {
            let found = self.kind(id)?;
            if found != expected {
                return Err(Error::WrongKind { id: *id, expected, found });
            }
        }
        self.write(Kind::Commit, &commit.encode())
    }

    /// The files of a commit, or of a tree.
    pub fn tree(&self, id: &ObjectId) -> Result<Tree<'_>, Error> {
        let root = match self.kind(id)? {
            Kind::Commit => self.read_commit(id)?.tree,
            Kind::Tree => *id,
            found => return Err(Error::WrongKind { id: *id, expected: Kind::Tree, found }),
        };
        Ok(Tree::new(self, root))
    }

    /// Adds everything that a pack brought.
    pub(crate) fn take_pack(&mut self, arena: Arena, index: Index) -> Result<(), PackError> {
        self.index.reserve(&index)?;
        let start = self.arena.join(arena).map_err(|_| PackError::TooLarge)?;
        self.index.join(index, start);
        Ok(())
    }

    /// The object at a place: down its deltas to what is whole or cached, and up again.
    fn read_at(&self, mut place: u32) -> Result<Object, PackError> {
        let reader = &mut *self.reader.borrow_mut();
        let mut deltas = Vec::new();
        let mut object = loop {
            if let Some(object) = reader.cache.get(place) {
                break object;
            }
            let header = Header::read(self.format, &self.arena, place)?;
            if let Base::None(kind) = header.base {
                let data = self.inflate(reader, place, &header)?.into();
                let object = Object { kind, data };
                reader.cache.put(place, object.clone());
                break object;
            }
            if deltas.len() >= self.limits.delta_depth as usize {
                return Err(PackError::DeltasTooDeep);
            }
            deltas.push((place, header));
            place = self.base_place(place, header.base)?;
        };
        for (place, header) in deltas.into_iter().rev() {
            let delta = self.inflate(reader, place, &header)?;
            let data = apply_delta(&object.data, &delta, &self.limits)?;
            object = Object { kind: object.kind, data: data.into() };
            reader.cache.put(place, object.clone());
        }
        Ok(object)
    }

    /// What is deflated at a place.
    fn inflate(&self, reader: &mut Reader, place: u32, header: &Header) -> Result<Vec<u8>, PackError> {
        if header.size > self.limits.object_bytes.into() {
            return Err(PackError::ObjectTooLarge(header.size));
        }
        let size = usize::try_from(header.size).map_err(|_| PackError::OutOfMemory)?;
        let content = place + u32::try_from(header.length).unwrap_or_default();
        reader.inflater.inflate_at(&self.arena, content, size)
    }

    /// Bytes of the whole entry at a place.
    fn entry_length(&self, place: u32, header: &Header) -> Result<usize, PackError> {
        let reader = &mut *self.reader.borrow_mut();
        let content = place + u32::try_from(header.length).unwrap_or_default();
        Ok(header.length + reader.inflater.length_at(&self.arena, content)?)
    }

    /// Where the base of a delta lies.
    fn base_place(&self, place: u32, base: Base) -> Result<u32, PackError> {
        match base {
            Base::None(_) => Ok(place),
            Base::Distance(distance) => {
                let base = u32::try_from(distance).ok().and_then(|distance| place.checked_sub(distance));
                base.ok_or(PackError::BadBaseOffset)
            }
            Base::Id(id) => self.index.find(&id).ok_or(PackError::MissingBase(1)),
        }
    }
}

#[cfg(test)]
mod tests;
