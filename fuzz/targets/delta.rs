//! Deltas: what a pack with one makes of a base is what the format's description says, or an error where that has none.
//!
//! The first byte says how long the base is, the rest is the base and the delta.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Limits, pack::apply_delta};

fuzz_target!(|input: &[u8]| {
    let Some((&length, rest)) = input.split_first() else { return };
    let (base, delta) = rest.split_at(rest.len().min(length.into()));
    let limits = Limits { object_bytes: 1 << 20, ..Limits::default() };
    let ours = apply_delta(base, delta, &limits).ok();
    assert_eq!(ours, by_the_book(base, delta));
});

/// gitformat-pack, "Deltified representation", word by word and slowly; at most a mebibyte.
fn by_the_book(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = delta.iter().copied();
    let mut size = || -> Option<u128> {
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = u128::from(bytes.next()?);
            if shift >= 70 {
                return None;
            }
            size |= (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(size);
            }
        }
    };
    let (from, to) = (size()?, size()?);
    if from != base.len() as u128 || to > 1 << 20 {
        return None;
    }
    let mut result = Vec::new();
    while let Some(instruction) = bytes.next() {
        if instruction & 0x80 == 0 {
            if instruction == 0 {
                return None;
            }
            for _ in 0..instruction {
                result.push(bytes.next()?);
            }
        } else {
            let mut field = |bit: u8, shift: u32| -> Option<usize> {
                if instruction >> bit & 1 == 1 { Some(usize::from(bytes.next()?) << shift) } else { Some(0) }
            };
            let offset = field(0, 0)? | field(1, 8)? | field(2, 16)? | field(3, 24)?;
            let length = field(4, 0)? | field(5, 8)? | field(6, 16)?;
            let length = if length == 0 { 0x10000 } else { length };
            result.extend_from_slice(base.get(offset..)?.get(..length)?);
        }
        if result.len() as u128 > to {
            return None;
        }
    }
    (result.len() as u128 == to).then_some(result)
}
