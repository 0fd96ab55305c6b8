//! Packs that no git makes: each is refused with an error, within bounds, and leaves the repository as it was.

use super::{entry::encode_header, *};
use crate::{
    id::{Format, Hasher, ObjectId},
    limits::Limits,
    object::Kind,
    repository::Repository,
};
use zlib_rs::{Deflate, DeflateFlush};

const LIMITS: Limits = Limits {
    pack_bytes: 1 << 20,
    objects: 1_000,
    object_bytes: 1 << 20,
    unpacked_bytes: 64 << 20,
    delta_depth: 60,
};

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut output = vec![0; data.len() + data.len() / 100 + 100];
    let mut deflate = Deflate::new(9, true, 15);
    deflate.compress(data, &mut output, DeflateFlush::Finish).unwrap();
    output.truncate(usize::try_from(deflate.total_out()).unwrap());
    output
}

/// An entry of any base, which says of itself that it has `size` bytes.
fn entry(base: Base, size: usize, data: &[u8]) -> Vec<u8> {
    [encode_header(base, size as u64), deflate(data)].concat()
}

fn blob(data: &[u8]) -> Vec<u8> {
    entry(Base::None(Kind::Blob), data.len(), data)
}

fn delta(base: Base, data: &[u8]) -> Vec<u8> {
    entry(base, data.len(), data)
}

/// A pack of entries that says it has `count`.
fn pack_of(count: u32, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = [b"PACK\0\0\0\x02", &count.to_be_bytes()[..], &entries.concat()].concat();
    let mut hasher = Hasher::new(Format::Sha1);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.finish().unwrap().as_bytes());
    pack
}

fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    pack_of(u32::try_from(entries.len()).unwrap(), entries)
}

/// Takes a pack in parts of `step` bytes.
fn receive(repository: &mut Repository, pack: &[u8], step: usize) -> Result<Received, PackError> {
    let mut receiver = PackReceiver::new(repository);
    for part in pack.chunks(step) {
        receiver.push(part)?;
    }
    receiver.finish(repository)
}

#[track_caller]
fn check(pack: &[u8], expect: Result<u32, PackError>) {
    for step in [1, 7, 4096, usize::MAX] {
        let mut repository = Repository::new(Format::Sha1, LIMITS);
        let received = receive(&mut repository, pack, step).map(|received| received.objects);
        assert_eq!(received, expect, "in parts of {step}");
        let objects = expect.as_ref().map_or(0, |&objects| objects as usize);
        assert_eq!(repository.objects(), objects);
        assert_eq!(repository.packed_bytes() == 0, objects == 0);
    }
}

fn id(kind: Kind, data: &[u8]) -> ObjectId {
    ObjectId::of(Format::Sha1, kind, data).unwrap()
}

/// A delta that makes `size` bytes by copying the first `base` of its base again and again.
fn repeat(base: usize, size: usize) -> Vec<u8> {
    let number = |mut value: usize| {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(value & 0x7f).unwrap();
            value >>= 7;
            bytes.push(if value > 0 { low | 0x80 } else { low });
            if value == 0 {
                return bytes;
            }
        }
    };
    let mut delta = [number(base), number(size)].concat();
    let length = u32::try_from(base).unwrap().to_le_bytes();
    for _ in 0..size / base {
        delta.extend_from_slice(&[0xf0, length[0], length[1], length[2]]);
    }
    delta
}

#[test]
fn whole_objects_and_deltas_are_taken() {
    check(&pack(&[]), Ok(0));
    check(&pack(&[blob(b""), blob(b"hello"), blob(&[7; 500_000])]), Ok(3));
    let base = blob(b"hello");
    let upon = delta(Base::Distance(base.len() as u64), b"\x05\x06\x90\x05\x01!");
    check(&pack(&[base.clone(), upon]), Ok(2));
    let by_id = delta(Base::Id(id(Kind::Blob, b"hello")), b"\x05\x06\x90\x05\x01!");
    check(&pack(&[base.clone(), by_id.clone()]), Ok(2));
    check(&pack(&[by_id, base]), Ok(2));
}

#[test]
fn what_is_no_pack_is_refused() {
    check(b"", Err(PackError::Truncated));
    check(b"PACK\0\0\0\x03\0\0\0\0", Err(PackError::NoPack));
    check(b"GIT!\0\0\0\x02\0\0\0\0", Err(PackError::NoPack));
    let good = pack(&[blob(b"hello"), blob(b"world")]);
    for cut in 0..good.len() {
        check(&good[..cut], Err(PackError::Truncated));
    }
    check(&[&good[..], b"x"].concat(), Err(PackError::TrailingBytes));
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    check(&bad, Err(PackError::WrongChecksum));
}

#[test]
fn counts_must_be_right_and_within_limits() {
    // The checksum is then read as an entry, and as deflated bytes.
    check(&pack_of(3, &[blob(b"hello"), blob(b"world")]), Err(PackError::BadZlib));
    check(&pack_of(1, &[blob(b"hello"), blob(b"world")]), Err(PackError::WrongChecksum));
    check(&pack_of(u32::MAX, &[]), Err(PackError::TooManyObjects(u32::MAX)));
    check(&pack(&[blob(b"hello"), blob(b"hello")]), Err(PackError::Duplicate(id(Kind::Blob, b"hello"))));
}

#[test]
fn sizes_must_be_right_and_within_limits() {
    let says = |size, data: &[u8]| pack(&[entry(Base::None(Kind::Blob), size, data)]);
    check(&says(4, b"hello"), Err(PackError::WrongSize));
    check(&says(6, b"hello"), Err(PackError::WrongSize));
    check(&says(1 << 21, b"hello"), Err(PackError::ObjectTooLarge(1 << 21)));
    check(&says(usize::MAX, b"hello"), Err(PackError::ObjectTooLarge(u64::MAX)));
    // A bomb: a thousand times what it says.
    check(&says(5, &[0; 50_000]), Err(PackError::WrongSize));
    // Honest about it, and again and again.
    let bombs: Vec<_> = (0..80_u8).map(|byte| blob(&vec![byte; 1 << 20])).collect();
    check(&pack(&bombs), Err(PackError::TooMuchUnpacked));
    let mut noise = vec![0; 600_000];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut noise).unwrap();
    check(&pack(&[blob(&noise[1..]), blob(&noise)]), Err(PackError::TooLarge));
}

#[test]
fn damaged_compression_is_refused() {
    let mut bad = blob(b"hello, hello, hello");
    let last = bad.len() - 1;
    bad[last] ^= 1;
    check(&pack(&[bad]), Err(PackError::BadZlib));
    check(
        &pack(&[[encode_header(Base::None(Kind::Blob), 5), b"hello".to_vec()].concat()]),
        Err(PackError::BadZlib),
    );
}

#[test]
fn bases_must_be_there() {
    let upon = b"\x05\x06\x90\x05\x01!";
    check(&pack(&[delta(Base::Distance(1), upon)]), Err(PackError::BadBaseOffset));
    check(&pack(&[blob(b"hello"), delta(Base::Distance(0), upon)]), Err(PackError::BadBaseOffset));
    check(&pack(&[blob(b"hello"), delta(Base::Distance(3), upon)]), Err(PackError::MissingBase(1)));
    check(&pack(&[blob(b"hello"), delta(Base::Distance(9_999), upon)]), Err(PackError::BadBaseOffset));
    let other = id(Kind::Blob, b"other");
    check(&pack(&[blob(b"hello"), delta(Base::Id(other), upon)]), Err(PackError::MissingBase(1)));
    // Each other's base: nobody could know their ids, but a pack can say any.
    let cycle = [delta(Base::Id(other), upon), delta(Base::Id(id(Kind::Blob, b"third")), upon)];
    check(&pack(&cycle), Err(PackError::MissingBase(2)));
}

#[test]
fn deltas_must_be_right_and_within_limits() {
    let base = blob(b"hello");
    let distance = Base::Distance(base.len() as u64);
    let with = |data: &[u8]| pack(&[base.clone(), delta(distance, data)]);
    check(&with(b""), Err(PackError::BadDelta(BadDelta::Truncated)));
    check(&with(b"\x04\x01\x90\x01"), Err(PackError::BadDelta(BadDelta::WrongBaseSize)));
    check(&with(b"\x05\x01\x90\x06"), Err(PackError::BadDelta(BadDelta::CopyBeyondBase)));
    check(&with(b"\x05\x80\x80\x80\x80\x01\x90\x05"), Err(PackError::ObjectTooLarge(1 << 28)));
    check(&with(b"\x05\x80\x80\x01\x90\x05"), Err(PackError::BadDelta(BadDelta::WrongResultSize)));
}

#[test]
fn delta_bombs_are_stopped() {
    // A thousand deltas of some 30 bytes, each for a megabyte: in all a thousand times the limit.
    let base = blob(&[7; 1 << 16]);
    let mut entries = vec![base];
    for number in 0..500_u16 {
        let distance = entries.iter().map(Vec::len).sum::<usize>() as u64;
        let mut bomb = repeat(1 << 16, 1 << 20);
        // So that no two make the same: a byte or two at the end in place of the last copy's.
        bomb.truncate(bomb.len() - 4);
        bomb.extend_from_slice(&[0xf0, 0xfe, 0xff, 0x00, 2]);
        bomb.extend_from_slice(&number.to_be_bytes());
        entries.push(delta(Base::Distance(distance), &bomb));
    }
    check(&pack(&entries), Err(PackError::TooMuchUnpacked));
}

#[test]
fn deltas_upon_deltas_end_somewhere() {
    let chain = |depth: u8| {
        let mut entries = vec![blob(b"0")];
        for number in 1..=depth {
            let distance = entries.last().unwrap().len() as u64;
            entries.push(delta(Base::Distance(distance), &[number, number + 1, 0x90, number, 1, number]));
        }
        entries
    };
    check(&pack(&chain(60)), Ok(61));
    check(&pack(&chain(61)), Err(PackError::DeltasTooDeep));
    // All of them can be read, the deepest first.
    let mut repository = Repository::new(Format::Sha1, LIMITS);
    receive(&mut repository, &pack(&chain(60)), 100).unwrap();
    let content: Vec<u8> = [b'0'].into_iter().chain(1..=60).collect();
    assert_eq!(*repository.read(&id(Kind::Blob, &content)).unwrap().data, *content);
}

#[test]
fn wide_and_large_bases_do_not_pile_up() {
    // Each a megabyte, each with two deltas upon it: what does not fit into the cache is made again.
    let mut entries = vec![blob(&vec![7; 1 << 20])];
    let mut distance = entries[0].len() as u64;
    for number in 0..10_u8 {
        for last in [0, 1] {
            let mut data = repeat(1 << 16, 1 << 20);
            data[..3].copy_from_slice(&[0x80, 0x80, 0x40]);
            data.splice(0..3, [0x80, 0x80, 0x40]);
            data.truncate(data.len() - 4);
            data.extend_from_slice(&[0xf0, 0xfe, 0xff, 0x00, 2, number, last]);
            entries.push(delta(Base::Distance(distance), &data));
            if last == 0 {
                distance += entries.last().unwrap().len() as u64;
            }
        }
        distance = entries.last().unwrap().len() as u64;
    }
    check(&pack(&entries), Ok(21));
}

#[test]
fn thin_packs_rest_on_what_is_here() {
    let mut repository = Repository::new(Format::Sha1, LIMITS);
    let base = repository.write(Kind::Blob, b"hello").unwrap();
    let thin = pack(&[delta(Base::Id(base), b"\x05\x06\x90\x05\x01!")]);
    assert_eq!(receive(&mut repository, &thin, 5).map(|received| received.objects), Ok(1));
    assert_eq!(*repository.read(&id(Kind::Blob, b"hello!")).unwrap().data, *b"hello!");
    // What fails leaves everything as it was.
    let before = (repository.objects(), repository.packed_bytes());
    let bad = pack(&[blob(b"new"), delta(Base::Id(base), b"\x05\x06\x90\x06\x01!")]);
    assert_eq!(receive(&mut repository, &bad, 5), Err(PackError::BadDelta(BadDelta::CopyBeyondBase)));
    assert_eq!((repository.objects(), repository.packed_bytes()), before);
}

#[test]
fn nothing_is_taken_after_an_error() {
    let repository = Repository::new(Format::Sha1, LIMITS);
    let mut receiver = PackReceiver::new(&repository);
    assert_eq!(receiver.push(b"GIT!\0\0\0\x02\0\0\0\0"), Err(PackError::NoPack));
    assert_eq!(receiver.push(b"PACK"), Err(PackError::TrailingBytes));
}
