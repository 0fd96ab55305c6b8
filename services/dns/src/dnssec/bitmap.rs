//! Which types a name has: the end of NSEC and NSEC3 records (RFC 4034 §4.1.2).

use super::signed::{Denial, SignedZone};
use crate::types::RecordType;
use crate::zone::Node;

/// Writes the bitmap of a node of a signed zone to `out`; `types` is room to work in.
pub fn of_node(signed: &SignedZone, node: Node<'_>, types: &mut Vec<u16>, out: &mut Vec<u8>) {
    let with_nsec = signed.denial == Denial::Nsec;
    types.clear();
    if node.is_cut() {
        // RFC 4035 §2.3: at a cut the parent has nothing else to say.
        let said = [RecordType::NS, RecordType::DS].into_iter().filter(|rtype| node.set(*rtype).is_some());
        types.extend(said.map(|rtype| rtype.0));
        if with_nsec || node.set(RecordType::DS).is_some() {
            types.push(RecordType::RRSIG.0);
        }
    } else {
        types
            .extend(node.sets().map(|set| set.rtype()).filter(|rtype| !is_made(*rtype)).map(|rtype| rtype.0));
        if node.name().is_empty() {
            types.extend(signed.apex_sets().map(|set| set.rtype().0));
        }
        if with_nsec || !types.is_empty() {
            types.push(RecordType::RRSIG.0);
        }
    }
    if with_nsec {
        types.push(RecordType::NSEC.0);
    }
    types.sort_unstable();
    types.dedup();
    put(types, out);
}

/// Whether records of this type are made by who signs.
pub fn is_made(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3)
}

/// Types in order.
fn put(types: &[u16], out: &mut Vec<u8>) {
    out.clear();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0; 32];
        for rtype in window {
            bits[usize::from(rtype & 0xFF) / 8] |= 0x80 >> (rtype & 7);
        }
        let length = usize::from(window.last().map_or(0, |rtype| rtype & 0xFF)) / 8 + 1;
        out.extend([(window[0] >> 8) as u8, length as u8]);
        out.extend_from_slice(&bits[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(types: &[u16], expect: &[u8]) {
        let mut out = vec![1, 2, 3];
        put(types, &mut out);
        assert_eq!(out, expect);
    }

    #[test]
    fn types_become_windows_of_bits() {
        check(&[], &[]);
        check(&[46, 47], &[0, 6, 0, 0, 0, 0, 0, 3]);
        // RFC 4034 §4.3
        let mut long = [0; 29];
        (long[0], long[1], long[28]) = (4, 27, 0x20);
        check(&[1, 15, 46, 47, 1234], &[&[0, 6, 0x40, 1, 0, 0, 0, 3], &long[..]].concat());
    }
}
