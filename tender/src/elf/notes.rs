//! The notes of an image: Solo5's ABI1 and MFT1, and our own.
//!
//! Only the first note of a segment has to be whole, and notes of other owners are passed over, as upstream's loader does. A
//! note that is ours to read must have the size of its type and come once.

use solo5_sys::elf::{ABI_VERSION, ABI1_NOTE_TYPE, MFT1_NOTE_TYPE, Target};
use solo5_sys::skerry::{NETWORK_OFFLOAD_NOTE_TYPE, NETWORK_RING_NOTE_TYPE, THREAD_POINTER_NOTE_TYPE};

use super::ElfError;
use crate::manifest::Manifest;

/// What was found in the PT_NOTE segments so far.
#[derive(Default)]
pub(super) struct Notes {
    abi: Option<(u32, u32)>,
    /// The devices, from MFT1.
    pub manifest: Option<Manifest>,
    /// From our note of that name.
    pub thread_pointer: Option<u64>,
    /// From our note of that name.
    pub network_ring: Option<u64>,
    /// From our note of that name.
    pub network_offload: Option<u64>,
}

impl Notes {
    /// Reads all notes of a segment. The first must be whole; upstream reads no further, so what follows may be cut off.
    pub fn read(&mut self, index: usize, segment: &[u8]) -> Result<(), ElfError> {
        let mut rest = segment;
        loop {
            let Some((note, behind)) = Note::split(rest) else {
                let first = rest.len() == segment.len();
                return if first { Err(ElfError::NoteSize(index)) } else { Ok(()) };
            };
            self.take(index, &note)?;
            rest = behind;
        }
    }

    fn take(&mut self, index: usize, note: &Note<'_>) -> Result<(), ElfError> {
        let size_error = || ElfError::NoteSize(index);
        match (note.name, note.note_type) {
            (b"Solo5\0", ABI1_NOTE_TYPE) => {
                let description: &[u8; 16] = note.description.try_into().map_err(|_| size_error())?;
                let abi = (u32_at(description, 0), u32_at(description, 4));
                set_once(&mut self.abi, abi, "ABI1")
            }
            (b"Solo5\0", MFT1_NOTE_TYPE) => {
                // Four bytes of padding align the manifest to eight.
                let manifest = note.description.get(4..).ok_or_else(size_error)?;
                if manifest.len() > MANIFEST_SIZE_MAX {
                    return Err(size_error());
                }
                let manifest = Manifest::parse(manifest).map_err(ElfError::Manifest)?;
                set_once(&mut self.manifest, manifest, "MFT1")
            }
            (b"Skerry\0", THREAD_POINTER_NOTE_TYPE) => {
                set_once(&mut self.thread_pointer, note.address().ok_or_else(size_error)?, "thread pointer")
            }
            (b"Skerry\0", NETWORK_RING_NOTE_TYPE) => {
                set_once(&mut self.network_ring, note.address().ok_or_else(size_error)?, "network ring")
            }
            (b"Skerry\0", NETWORK_OFFLOAD_NOTE_TYPE) => {
                set_once(&mut self.network_offload, note.address().ok_or_else(size_error)?, "network offload")
            }
            _ => Ok(()),
        }
    }

    /// What the image is for, in the version that this tender has.
    pub fn target(&self) -> Result<Target, ElfError> {
        let (target, version) = self.abi.ok_or(ElfError::NoteMissing("ABI1"))?;
        let target = match target {
            target if target == Target::Hvt as u32 => Target::Hvt,
            target if target == Target::Spt as u32 => Target::Spt,
            other => return Err(ElfError::Target(other)),
        };
        if version != ABI_VERSION {
            return Err(ElfError::AbiVersion(version));
        }
        Ok(target)
    }
}

/// Bytes of the largest manifest, without the note's padding.
const MANIFEST_SIZE_MAX: usize = size_of::<solo5_sys::manifest::Header>()
    + solo5_sys::manifest::MAX_ENTRIES * size_of::<solo5_sys::manifest::Entry>();

fn set_once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), ElfError> {
    match place.replace(value) {
        Some(_) => Err(ElfError::NoteTwice(name)),
        None => Ok(()),
    }
}

/// One note. Name and description are padded to four bytes each.
struct Note<'a> {
    name: &'a [u8],
    note_type: u32,
    description: &'a [u8],
}

impl<'a> Note<'a> {
    /// The first note of `bytes` and what comes behind it, if the note is whole.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = bytes.get(..12)?;
        let (name, rest) = split_padded(&bytes[12..], u32_at(header, 0))?;
        let (description, rest) = split_padded(rest, u32_at(header, 4))?;
        Some((Self { name, note_type: u32_at(header, 8), description }, rest))
    }

    /// The address that is the description of our notes, behind four bytes of padding.
    fn address(&self) -> Option<u64> {
        self.description.get(4..12)?.try_into().map(u64::from_le_bytes).ok()
    }
}

fn split_padded(bytes: &[u8], size: u32) -> Option<(&[u8], &[u8])> {
    let size = size as usize;
    let content = bytes.get(..size)?;
    let behind = bytes.get(size.next_multiple_of(4)..).unwrap_or_default();
    Some((content, behind))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

#[cfg(test)]
mod tests {
    use super::super::sample::{manifest, note};
    use super::*;
    use crate::manifest::ManifestError;

    const OWNER: &[u8] = b"Solo5\0";

    fn abi(target: u32, version: u32) -> Vec<u8> {
        note(OWNER, ABI1_NOTE_TYPE, &[target, version, 0, 0].map(u32::to_le_bytes).concat())
    }

    fn devices(names: &[&str]) -> Vec<u8> {
        note(OWNER, MFT1_NOTE_TYPE, &[vec![0; 4], manifest(names)].concat())
    }

    /// Reads each as a segment of its own.
    #[track_caller]
    fn check(segments: &[&[u8]], expect: Result<Target, ElfError>) {
        let mut notes = Notes::default();
        let read = segments.iter().enumerate().try_for_each(|(index, segment)| notes.read(index, segment));
        assert_eq!(read.and_then(|()| notes.target()), expect);
    }

    #[test]
    fn the_target_is_that_of_the_abi_note() {
        check(&[&abi(1, 2)], Ok(Target::Hvt));
        check(&[&abi(2, 2)], Ok(Target::Spt));
        check(&[&abi(3, 2)], Err(ElfError::Target(3)));
        check(&[&abi(u32::MAX, 2)], Err(ElfError::Target(u32::MAX)));
        check(&[&abi(1, 1)], Err(ElfError::AbiVersion(1)));
        check(&[], Err(ElfError::NoteMissing("ABI1")));
    }

    #[test]
    fn notes_of_others_are_passed_over_wherever_they_stand() {
        let other = note(b"OpenBSD\0", ABI1_NOTE_TYPE, &[9; 5]);
        check(&[&other, &abi(1, 2)], Ok(Target::Hvt));
        check(&[&[other.clone(), abi(2, 2), other].concat()], Ok(Target::Spt));
    }

    #[test]
    fn a_note_of_the_wrong_size_is_refused() {
        check(&[&note(OWNER, ABI1_NOTE_TYPE, &[0; 15])], Err(ElfError::NoteSize(0)));
        check(&[&note(OWNER, ABI1_NOTE_TYPE, &[0; 20])], Err(ElfError::NoteSize(0)));
        check(&[&note(OWNER, MFT1_NOTE_TYPE, &[0; 3])], Err(ElfError::NoteSize(0)));
        check(&[&note(OWNER, MFT1_NOTE_TYPE, &[0; 4 + 8 + 65 * 104])], Err(ElfError::NoteSize(0)));
        for note_type in [THREAD_POINTER_NOTE_TYPE, NETWORK_RING_NOTE_TYPE, NETWORK_OFFLOAD_NOTE_TYPE] {
            check(&[&note(b"Skerry\0", note_type, &[0; 11])], Err(ElfError::NoteSize(0)));
        }
    }

    #[test]
    fn a_note_that_claims_more_than_its_segment_has_is_refused() {
        for place in [0, 4] {
            for claim in [17, 4096, i32::MAX as u32, u32::MAX - 3, u32::MAX] {
                let mut segment = abi(1, 2);
                segment[place..place + 4].copy_from_slice(&u32::to_le_bytes(claim));
                let mut notes = Notes::default();
                assert!(
                    notes.read(0, &segment).is_err() || notes.target().is_err(),
                    "{claim} bytes at {place} were accepted"
                );
            }
        }
        check(&[b""], Err(ElfError::NoteSize(0)));
        check(&[&abi(1, 2)[..11]], Err(ElfError::NoteSize(0)));
    }

    #[test]
    fn what_is_cut_off_behind_the_first_note_is_not_read() {
        check(&[&[abi(1, 2), abi(2, 2)[..30].to_vec()].concat()], Ok(Target::Hvt));
    }

    #[test]
    fn a_note_comes_once() {
        check(&[&abi(1, 2), &abi(1, 2)], Err(ElfError::NoteTwice("ABI1")));
        check(&[&[abi(1, 2), abi(2, 2)].concat()], Err(ElfError::NoteTwice("ABI1")));
        check(&[&devices(&[]), &devices(&[])], Err(ElfError::NoteTwice("MFT1")));
    }

    #[test]
    fn the_manifest_is_checked() {
        check(&[&abi(1, 2), &devices(&["service", "storage"])], Ok(Target::Hvt));
        let duplicate = ElfError::Manifest(ManifestError::DuplicateName(2));
        check(&[&devices(&["service", "service"])], Err(duplicate));
    }
}
