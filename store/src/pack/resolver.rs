//! Resolving deltas: once all of a pack is here, each delta is applied once, base before child, to learn the child's hash.
//!
//! Bases are walked depth first, so that of a chain only what is still needed is unpacked: [`CACHE_BYTES`] of bases, and
//! what does not fit is made again. What all this unpacks is counted, and bounded.

use super::{Arena, Header, Index, Inflater, PackError, delta};
use crate::{
    id::{Format, ObjectId},
    limits::{CACHE_BYTES, Limits},
    object::Kind,
    pack::Base,
    repository::Repository,
    room::{reserve, room},
};
use std::ops::Range;

/// What a step costs at least, in bytes unpacked.
const STEP_BYTES: u64 = 256;

/// What a delta's place becomes once it is resolved, and what a base in the repository has for one.
const NO_PLACE: u32 = u32::MAX;

/// The deltas of a pack, with what they are upon.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    /// Place of the base, place of the delta.
    pub(crate) by_place: Vec<(u32, u32)>,
    /// Id of the base, place of the delta.
    pub(crate) by_id: Vec<(ObjectId, u32)>,
}

/// What a pack brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Objects in it.
    pub objects: u32,
    /// Bytes that they take, deflated.
    pub bytes: u32,
}

/// A pack whose deltas are being resolved.
#[derive(Debug)]
pub struct Resolver {
    format: Format,
    limits: Limits,
    arena: Arena,
    index: Index,
    deltas: Deltas,
    inflater: Inflater,
    unpacked: u64,
    /// The next whole object of the pack to be taken as a base, of how many.
    whole: Range<usize>,
    /// The next delta by id that is looked at for a base in the repository.
    thin: usize,
    resolved: usize,
    stack: Vec<Frame>,
    /// Bytes in the frames.
    held: usize,
}

/// A base, with the deltas upon it that are left.
#[derive(Debug)]
struct Frame {
    id: ObjectId,
    kind: Kind,
    place: u32,
    /// The object, unless it had to go to make room.
    data: Option<Vec<u8>>,
    by_place: Range<usize>,
    by_id: Range<usize>,
}

impl Resolver {
    pub(super) fn new(
        format: Format,
        limits: Limits,
        arena: Arena,
        index: Index,
        mut deltas: Deltas,
        inflater: Inflater,
        unpacked: u64,
    ) -> Self {
        deltas.by_place.sort_unstable();
        deltas.by_id.sort_unstable();
        let whole = 0..index.len();
        Self {
            format,
            limits,
            arena,
            index,
            deltas,
            inflater,
            unpacked,
            whole,
            thin: 0,
            resolved: 0,
            stack: Vec::new(),
            held: 0,
        }
    }

    /// Resolves some deltas, until about `bytes` have been unpacked; returns whether all are. The repository is the one that
    /// they are going to be part of.
    pub fn step(&mut self, repository: &Repository, bytes: u64) -> Result<bool, PackError> {
        let end = self.unpacked.saturating_add(bytes);
        while self.unpacked < end {
            self.count(STEP_BYTES)?;
            let Some(frame) = self.stack.last_mut() else {
                if !self.next_base(repository)? {
                    return Ok(true);
                }
                continue;
            };
            let child = match frame.by_place.next() {
                Some(number) => self.deltas.by_place[number].1,
                None => match frame.by_id.next() {
                    Some(number) => std::mem::replace(&mut self.deltas.by_id[number].1, NO_PLACE),
                    None => {
                        self.pop();
                        continue;
                    }
                },
            };
            self.resolve(repository, child)?;
        }
        Ok(false)
    }

    /// All deltas are resolved: makes the objects part of the repository.
    pub fn finish(mut self, repository: &mut Repository) -> Result<Received, PackError> {
        while !self.step(repository, u64::MAX)? {}
        let missing = self.deltas.by_place.len() + self.deltas.by_id.len() - self.resolved;
        if missing > 0 {
            return Err(PackError::MissingBase(u32::try_from(missing).unwrap_or(u32::MAX)));
        }
        self.deltas = Deltas::default();
        if let Some(id) = self.index.sort() {
            return Err(PackError::Duplicate(id));
        }
        let objects = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        let bytes = self.arena.end();
        repository.take_pack(self.arena, self.index)?;
        Ok(Received { objects, bytes })
    }

    /// Begins with the next base that has deltas upon it: whole objects of the pack, then objects of the repository.
    fn next_base(&mut self, repository: &Repository) -> Result<bool, PackError> {
        while let Some(number) = self.whole.next() {
            let Some((id, place)) = self.index.at(number) else { break };
            let (by_place, by_id) = (self.children_by_place(place), self.children_by_id(&id));
            if by_place.is_empty() && by_id.is_empty() {
                continue;
            }
            let Base::None(kind) = Header::read(self.format, &self.arena, place)?.base else {
                return Err(PackError::BadEntry);
            };
            self.push(Frame { id, kind, place, data: None, by_place, by_id })?;
            return Ok(true);
        }
        while let Some(&(id, place)) = self.deltas.by_id.get(self.thin) {
            self.thin += 1;
            let Some(kind) = (place != NO_PLACE).then(|| repository.kind(&id).ok()).flatten() else {
                continue;
            };
            let by_id = self.children_by_id(&id);
            self.push(Frame { id, kind, place: NO_PLACE, data: None, by_place: 0..0, by_id })?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Applies the delta at a place to the object on top.
    fn resolve(&mut self, repository: &Repository, place: u32) -> Result<(), PackError> {
        let base = self.base(repository)?;
        let result = self.apply(&base, place)?;
        let Some(top) = self.stack.last_mut() else { return Ok(()) };
        let kind = top.kind;
        if !(top.by_place.is_empty() && top.by_id.is_empty()) {
            self.held += base.len();
            top.data = Some(base);
        }
        let id = ObjectId::of(self.format, kind, &result)?;
        self.index.push(&id, place)?;
        self.resolved += 1;
        let (by_place, by_id) = (self.children_by_place(place), self.children_by_id(&id));
        if by_place.is_empty() && by_id.is_empty() {
            return Ok(());
        }
        self.held += result.len();
        self.push(Frame { id, kind, place, data: Some(result), by_place, by_id })
    }

    /// The object on top, taken out of its frame, or made again from what is below it.
    fn base(&mut self, repository: &Repository) -> Result<Vec<u8>, PackError> {
        let mut at = self.stack.len();
        let mut data = loop {
            at -= 1;
            if at + 1 == self.stack.len() {
                if let Some(data) = self.stack[at].data.take() {
                    self.held -= data.len();
                    return Ok(data);
                }
            } else if let Some(data) = &self.stack[at].data {
                let mut copy = Vec::new();
                reserve(&mut copy, data.len())?;
                copy.extend_from_slice(data);
                break copy;
            }
            if at == 0 {
                break self.root(repository)?;
            }
        };
        for above in at + 1..self.stack.len() {
            data = self.apply(&data, self.stack[above].place)?;
        }
        Ok(data)
    }

    /// The object at the bottom, which is whole.
    fn root(&mut self, repository: &Repository) -> Result<Vec<u8>, PackError> {
        let Frame { place, id, .. } = self.stack[0];
        if place == NO_PLACE {
            let object = repository.read(&id).map_err(|_| PackError::UnreadableBase(id))?;
            self.count(object.data.len() as u64)?;
            room(object.data.len())?;
            return Ok(object.data.to_vec());
        }
        let (_, data) = self.inflate(place)?;
        Ok(data)
    }

    /// What the delta at a place makes of its base.
    fn apply(&mut self, base: &[u8], place: u32) -> Result<Vec<u8>, PackError> {
        let (_, delta) = self.inflate(place)?;
        let (_, size) = delta::sizes(&delta)?;
        self.count(size)?;
        delta::apply_delta(base, &delta, &self.limits)
    }

    /// What is deflated at a place.
    fn inflate(&mut self, place: u32) -> Result<(Header, Vec<u8>), PackError> {
        let header = Header::read(self.format, &self.arena, place)?;
        self.count(header.size)?;
        let size = usize::try_from(header.size).map_err(|_| PackError::OutOfMemory)?;
        let content = place + u32::try_from(header.length).unwrap_or_default();
        Ok((header, self.inflater.inflate_at(&self.arena, content, size)?))
    }

    /// Adds to what has been unpacked.
    fn count(&mut self, bytes: u64) -> Result<(), PackError> {
        self.unpacked = self.unpacked.saturating_add(bytes);
        if self.unpacked > self.limits.unpacked_bytes { Err(PackError::TooMuchUnpacked) } else { Ok(()) }
    }

    fn children_by_place(&self, place: u32) -> Range<usize> {
        let deltas = &self.deltas.by_place;
        let start = deltas.partition_point(|&(base, _)| base < place);
        start..start + deltas[start..].partition_point(|&(base, _)| base == place)
    }

    /// Deltas upon an id; none if they are being resolved already, since a pack may have their base twice.
    fn children_by_id(&self, id: &ObjectId) -> Range<usize> {
        let deltas = &self.deltas.by_id;
        let start = deltas.partition_point(|(base, _)| base < id);
        if deltas.get(start).is_none_or(|&(_, place)| place == NO_PLACE) {
            return start..start;
        }
        start..start + deltas[start..].partition_point(|(base, _)| base == id)
    }

    fn push(&mut self, frame: Frame) -> Result<(), PackError> {
        if self.stack.len() >= self.limits.delta_depth as usize {
            return Err(PackError::DeltasTooDeep);
        }
        for below in &mut self.stack {
            if self.held <= CACHE_BYTES {
                break;
            }
            if let Some(data) = below.data.take() {
                self.held -= data.len();
            }
        }
        self.stack.push(frame);
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(data) = self.stack.pop().and_then(|frame| frame.data) {
            self.held -= data.len();
        }
    }
}
