//! Packs of a hostile remote: refused or taken, never a panic, and what is taken can be read and keeps its rules.
//!
//! The first byte says how the rest is made a pack of: as it is, with its checksum put right; or as a list of entries, each
//! of a type, a size, a base and content, which are deflated here, so that the input need not get zlib right. The second
//! byte says in parts of which size it is pushed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Error, Format, Hasher, Kind, Limits, ObjectId, PackReceiver, Repository};

const LIMITS: Limits = Limits {
    pack_bytes: 64 << 10,
    objects: 64,
    object_bytes: 256 << 10,
    unpacked_bytes: 4 << 20,
    delta_depth: 16,
};

fuzz_target!(|input: &[u8]| {
    let [how, step, input @ ..] = input else { return };
    let format = if how & 1 == 0 { Format::Sha1 } else { Format::Sha256 };
    let mut repository = Repository::new(format, LIMITS);
    let known = repository.write(Kind::Blob, b"hello, hello").expect("an object");
    let objects = repository.objects();
    let mut ids = vec![known];
    let pack = match how >> 1 & 3 {
        0 => input.to_vec(),
        1 => sealed(format, input.to_vec()),
        _ => made(format, input, &mut ids),
    };
    let mut receiver = PackReceiver::new(&repository);
    let pushed = pack.chunks(usize::from(*step).max(1)).try_for_each(|part| receiver.push(part));
    let received = pushed.and_then(|()| receiver.finish(&mut repository));
    match received {
        Err(_) => assert_eq!(repository.objects(), objects, "what is refused leaves nothing"),
        Ok(received) => assert!(repository.objects() <= objects + received.objects as usize),
    }
    for id in &ids {
        look(&repository, id);
    }
    repository
        .set_branch("main", ids.iter().rev().find(|id| repository.verify(&[**id], &[]).is_ok()).copied());
    let head = repository.branch("main");
    let _ = repository.compact(&[]);
    if let Some(head) = head {
        assert_eq!(repository.verify(&[head], &[]), Ok(()), "compaction keeps what a branch reaches");
        repository.pack_for_push(&[head], &[]).expect("what was verified can be sent");
    }
});

/// Reads an object, and asks about it all there is to ask.
fn look(repository: &Repository, id: &ObjectId) {
    let Ok(object) = repository.read(id) else {
        assert!(!repository.contains(id) || repository.kind(id).is_err(), "what is taken can be read");
        return;
    };
    assert_eq!(
        ObjectId::of(repository.format(), object.kind, &object.data),
        Ok(*id),
        "an id is that of its content"
    );
    assert_eq!(repository.kind(id), Ok(object.kind));
    if let Ok(tree) = repository.tree(id) {
        let _ = tree.walk(&mut |path, existing| {
            let found = tree.get(path.as_bytes());
            assert!(
                found == Ok(Some(existing)) || matches!(found, Err(Error::Malformed(..) | Error::BadPath(_)))
            );
            Ok(())
        });
    }
    if object.kind == Kind::Commit {
        let _ = repository.log(id, 10);
        let _ = repository.last_modified(id, "a");
        let _ = repository.merge_base(id, id);
        let _ = repository.diff(None, Some(id));
    }
}

/// A pack of entries as the input says.
fn made(format: Format, mut input: &[u8], ids: &mut Vec<ObjectId>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut starts = vec![0];
    let mut count = 0_u8;
    while let [kind, base, length, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min((*length).into()));
        input = rest;
        // Now and then a size that is a lie.
        let lie = usize::from(kind >> 7);
        let start = entries.len();
        header(kind & 7, content.len() + lie, &mut entries);
        match kind & 7 {
            6 => distance(start - starts[usize::from(*base) % starts.len()], &mut entries),
            7 => entries.extend_from_slice(ids[usize::from(*base) % ids.len()].as_bytes()),
            number @ 1..=4 => {
                let kind = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag][usize::from(number) - 1];
                ids.extend(ObjectId::of(format, kind, content));
            }
            _ => {}
        }
        store_deflated(content, &mut entries);
        starts.push(start);
        count = count.saturating_add(1);
    }
    let mut pack = b"PACK\0\0\0\x02\0\0\0".to_vec();
    pack.push(count);
    pack.extend_from_slice(&entries);
    sealed(format, pack)
}

/// With the checksum that it should have.
fn sealed(format: Format, mut pack: Vec<u8>) -> Vec<u8> {
    let mut hasher = Hasher::new(format);
    hasher.update(&pack);
    if let Ok(checksum) = hasher.finish() {
        pack.extend_from_slice(checksum.as_bytes());
    }
    pack
}

fn header(kind: u8, size: usize, pack: &mut Vec<u8>) {
    let (low, high) = ((size & 0x0f) as u8, (size >> 4) as u8);
    pack.push(kind << 4 | low | if high > 0 { 0x80 } else { 0 });
    if high > 0 {
        pack.push(high);
    }
}

/// Below 64 KiB.
fn distance(distance: usize, pack: &mut Vec<u8>) {
    let mut bytes = vec![(distance & 0x7f) as u8];
    let mut rest = distance;
    while rest >= 128 {
        rest = (rest >> 7) - 1;
        bytes.push((rest & 0x7f) as u8 | 0x80);
    }
    pack.extend(bytes.into_iter().rev());
}

/// As one stored block (RFC 1951 §3.2.4) in zlib's frame.
fn store_deflated(content: &[u8], pack: &mut Vec<u8>) {
    let length = content.len() as u16;
    pack.extend_from_slice(&[0x78, 0x01, 0x01]);
    pack.extend_from_slice(&length.to_le_bytes());
    pack.extend_from_slice(&(!length).to_le_bytes());
    pack.extend_from_slice(content);
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in content {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    pack.extend_from_slice(&(b << 16 | a).to_be_bytes());
}
