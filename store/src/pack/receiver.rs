//! Taking a pack as its bytes arrive, in pieces of any size.
//!
//! What arrives is appended to an arena as it is, and inflated at once to find where each entry ends: a whole object is
//! hashed on the way and not kept, of a delta only its beginning is looked at. Nothing that a pack says of itself makes
//! memory grow, only bytes that came.

use super::{
    Arena, Base, Header, Index, Inflater, PackError, delta,
    entry::HEADER_BYTES,
    resolver::{Deltas, Received, Resolver},
};
use crate::{
    id::{Format, Hasher, ObjectId},
    limits::Limits,
    repository::Repository,
    room::grow,
};

/// Bytes in front of the first entry: `PACK`, version, number of objects.
const START_BYTES: usize = 12;

/// Bytes inflated at a time.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Bytes at the beginning of a delta in which its two sizes are.
const SIZES_BYTES: usize = 20;

/// A pack on its way in.
#[derive(Debug)]
pub struct PackReceiver {
    format: Format,
    limits: Limits,
    state: State,
    checksum: Hasher,
    arena: Arena,
    index: Index,
    deltas: Deltas,
    inflater: Inflater,
    scratch: Box<[u8]>,
    /// Objects in the pack, and how many of them have not begun.
    objects: u32,
    left: u32,
    unpacked: u64,
}

/// What is awaited.
#[derive(Debug)]
enum State {
    Start { bytes: [u8; START_BYTES], have: usize },
    Header { bytes: [u8; HEADER_BYTES], have: usize },
    Content(Box<Content>),
    Trailer { bytes: [u8; 32], have: usize },
    Nothing,
}

/// An entry whose content is arriving.
#[derive(Debug)]
struct Content {
    place: u32,
    header: Header,
    produced: u64,
    /// Of whole objects.
    hasher: Option<Hasher>,
    /// Of deltas.
    sizes: [u8; SIZES_BYTES],
}

impl PackReceiver {
    /// For a pack that is going to be part of this repository.
    pub fn new(repository: &Repository) -> Self {
        let mut limits = *repository.limits();
        limits.pack_bytes = limits.pack_bytes.saturating_sub(repository.packed_bytes());
        let format = repository.format();
        Self {
            format,
            limits,
            state: State::Start { bytes: [0; START_BYTES], have: 0 },
            checksum: Hasher::new(format),
            arena: Arena::default(),
            index: Index::new(format),
            deltas: Deltas::default(),
            inflater: Inflater::new(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            objects: 0,
            left: 0,
            unpacked: 0,
        }
    }

    /// Takes the next bytes. After an error the pack is lost, and every further call is an error.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), PackError> {
        while !bytes.is_empty() {
            // Left behind if there is an error, and then bytes are "behind the end".
            let state = std::mem::replace(&mut self.state, State::Nothing);
            self.state = match state {
                State::Start { bytes: start, have } => self.take_start(start, have, &mut bytes)?,
                State::Header { bytes: header, have } => self.take_header(header, have, &mut bytes)?,
                State::Content(content) => self.take_content(content, &mut bytes)?,
                State::Trailer { bytes: trailer, have } => self.take_trailer(trailer, have, &mut bytes)?,
                State::Nothing => return Err(PackError::TrailingBytes),
            };
        }
        Ok(())
    }

    /// How many bytes of objects have been taken, and how many objects have ended or begun, of how many.
    pub fn progress(&self) -> (u32, u32, u32) {
        (self.arena.end(), self.objects - self.left, self.objects)
    }

    /// No more bytes come: what is left to do is to resolve the deltas.
    pub fn end(self) -> Result<Resolver, PackError> {
        if !matches!(self.state, State::Nothing) || self.left > 0 || self.objects == 0 && self.arena.end() > 0
        {
            return Err(PackError::Truncated);
        }
        Ok(Resolver::new(
            self.format,
            self.limits,
            self.arena,
            self.index,
            self.deltas,
            self.inflater,
            self.unpacked,
        ))
    }

    /// As [`PackReceiver::end`], and resolves them all, without letting anything else run. Then the objects are there.
    pub fn finish(self, repository: &mut Repository) -> Result<Received, PackError> {
        let mut resolver = self.end()?;
        while !resolver.step(repository, u64::MAX)? {}
        resolver.finish(repository)
    }

    fn take_start(
        &mut self,
        mut start: [u8; START_BYTES],
        mut have: usize,
        bytes: &mut &[u8],
    ) -> Result<State, PackError> {
        self.checksum.update(fill(&mut start, &mut have, bytes));
        if have < START_BYTES {
            return Ok(State::Start { bytes: start, have });
        }
        let Some(&[a, b, c, d]) = start.strip_prefix(b"PACK\0\0\0\x02") else {
            return Err(PackError::NoPack);
        };
        self.objects = u32::from_be_bytes([a, b, c, d]);
        self.left = self.objects;
        if self.objects > self.limits.objects {
            return Err(PackError::TooManyObjects(self.objects));
        }
        Ok(self.next_entry())
    }

    /// What comes after an entry, or before the first.
    fn next_entry(&self) -> State {
        if self.left == 0 {
            State::Trailer { bytes: [0; 32], have: 0 }
        } else {
            State::Header { bytes: [0; HEADER_BYTES], have: 0 }
        }
    }

    fn take_header(
        &mut self,
        mut header_bytes: [u8; HEADER_BYTES],
        have: usize,
        bytes: &mut &[u8],
    ) -> Result<State, PackError> {
        let count = bytes.len().min(HEADER_BYTES - have);
        header_bytes[have..have + count].copy_from_slice(&bytes[..count]);
        let Some(header) = Header::parse(self.format, &header_bytes[..have + count])? else {
            *bytes = &bytes[count..];
            // No header is longer than the buffer.
            return if have + count < HEADER_BYTES {
                Ok(State::Header { bytes: header_bytes, have: have + count })
            } else {
                Err(PackError::BadEntry)
            };
        };
        *bytes = &bytes[header.length - have..];
        self.left -= 1;
        if header.size > self.limits.object_bytes.into() {
            return Err(PackError::ObjectTooLarge(header.size));
        }
        self.unpacked = self.unpacked.saturating_add(header.size);
        if self.unpacked > self.limits.unpacked_bytes {
            return Err(PackError::TooMuchUnpacked);
        }
        let place = self.arena.end();
        let hasher = match header.base {
            Base::None(kind) => Some(Hasher::of_object(self.format, kind, header.size)),
            Base::Distance(distance) => {
                let base = u32::try_from(distance).ok().and_then(|distance| place.checked_sub(distance));
                grow(&mut self.deltas.by_place)?;
                self.deltas
                    .by_place
                    .push((base.filter(|&base| base < place).ok_or(PackError::BadBaseOffset)?, place));
                None
            }
            Base::Id(id) => {
                grow(&mut self.deltas.by_id)?;
                self.deltas.by_id.push((id, place));
                None
            }
        };
        self.keep(&header_bytes[..header.length])?;
        self.inflater.reset();
        Ok(State::Content(Box::new(Content { place, header, produced: 0, hasher, sizes: [0; SIZES_BYTES] })))
    }

    fn take_content(&mut self, mut content: Box<Content>, bytes: &mut &[u8]) -> Result<State, PackError> {
        let progress = self.inflater.inflate(bytes, &mut self.scratch)?;
        let (taken, rest) = bytes.split_at(progress.consumed);
        *bytes = rest;
        self.keep(taken)?;
        let produced = &self.scratch[..progress.produced];
        match &mut content.hasher {
            Some(hasher) => hasher.update(produced),
            None => {
                let have = usize::try_from(content.produced).unwrap_or(SIZES_BYTES).min(SIZES_BYTES);
                let count = produced.len().min(SIZES_BYTES - have);
                content.sizes[have..have + count].copy_from_slice(&produced[..count]);
            }
        }
        content.produced += progress.produced as u64;
        if content.produced > content.header.size {
            return Err(PackError::WrongSize);
        }
        if progress.finished {
            self.end_entry(*content)?;
            return Ok(self.next_entry());
        }
        if progress.consumed == 0 && progress.produced == 0 {
            return Err(PackError::BadZlib);
        }
        Ok(State::Content(content))
    }

    fn end_entry(&mut self, content: Content) -> Result<(), PackError> {
        if content.produced != content.header.size {
            return Err(PackError::WrongSize);
        }
        if let Some(hasher) = content.hasher {
            self.index.push(&hasher.finish()?, content.place)?;
            return Ok(());
        }
        let count = usize::try_from(content.produced).unwrap_or(SIZES_BYTES).min(SIZES_BYTES);
        let (base, result) = delta::sizes(&content.sizes[..count])?;
        let largest = base.max(result);
        if largest > self.limits.object_bytes.into() {
            Err(PackError::ObjectTooLarge(largest))
        } else {
            Ok(())
        }
    }

    fn take_trailer(
        &mut self,
        mut trailer: [u8; 32],
        mut have: usize,
        bytes: &mut &[u8],
    ) -> Result<State, PackError> {
        let length = self.format.bytes();
        fill(&mut trailer[..length], &mut have, bytes);
        if have < length {
            return Ok(State::Trailer { bytes: trailer, have });
        }
        let computed = std::mem::replace(&mut self.checksum, Hasher::new(self.format)).finish()?;
        if ObjectId::from_bytes(&trailer[..length]) == Some(computed) {
            Ok(State::Nothing)
        } else {
            Err(PackError::WrongChecksum)
        }
    }

    /// Keeps bytes of an entry.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.checksum.update(bytes);
        let left = self.limits.pack_bytes.saturating_sub(self.arena.end());
        if bytes.len() > left as usize {
            return Err(PackError::TooLarge);
        }
        self.arena.append(bytes).map_err(|_| PackError::OutOfMemory)
    }
}

/// Moves bytes into a buffer that has `have` already; returns the new ones.
fn fill<'a>(buffer: &'a mut [u8], have: &mut usize, bytes: &mut &[u8]) -> &'a [u8] {
    let count = bytes.len().min(buffer.len() - *have);
    let (taken, rest) = bytes.split_at(count);
    let start = *have;
    buffer[start..start + count].copy_from_slice(taken);
    *have += count;
    *bytes = rest;
    &buffer[start..start + count]
}
