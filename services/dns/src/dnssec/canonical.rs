//! What is signed: a set's records in canonical form and order (RFC 4034 §6).

use crate::limits::LABELS;
use crate::types::{Field, RecordType};
use std::cmp::Ordering;
use std::ops::Range;

/// Puts records into canonical form; keeps its memory from one set to the next.
#[derive(Debug, Default)]
pub struct Canonical {
    data: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl Canonical {
    /// Forgets all records.
    pub fn clear(&mut self) {
        self.data.clear();
        self.records.clear();
    }

    /// Adds the data of a record, which may come in parts.
    pub fn add(&mut self, rtype: RecordType, parts: &[&[u8]]) {
        let start = self.data.len();
        for part in parts {
            self.data.extend_from_slice(part);
        }
        lower_names(rtype, &mut self.data[start..]);
        self.records.push(start..self.data.len());
    }

    /// Appends all records to `out`, in order, with this owner in lower case.
    pub fn write(&mut self, owner: &[u8], rtype: RecordType, ttl: u32, out: &mut Vec<u8>) {
        let data = &self.data;
        // RFC 4034 §6.3: as octets, a shorter one before a longer one that it begins.
        self.records.sort_unstable_by(|a, b| data[a.clone()].cmp(&data[b.clone()]));
        for record in &self.records {
            out.extend_from_slice(owner);
            out.extend_from_slice(&rtype.0.to_be_bytes());
            out.extend_from_slice(&[0, 1]);
            out.extend_from_slice(&ttl.to_be_bytes());
            out.extend_from_slice(&(record.len() as u16).to_be_bytes());
            out.extend_from_slice(&data[record.clone()]);
        }
    }
}

/// RFC 4034 §6.2 item 3 with RFC 6840 §5.1: names in the data of the types that are listed there become lower case.
fn lower_names(rtype: RecordType, data: &mut [u8]) {
    const NXT: u16 = 30;
    let listed = matches!(rtype.0, 2..=9 | 12 | 14 | 15 | 17 | 18 | 21 | 24 | 26 | 33 | 35 | 36 | 39 | NXT);
    if !listed {
        return;
    }
    let fields = if rtype.0 == NXT { &[Field::Name] } else { rtype.fields() };
    let mut at = 0;
    for field in fields {
        let rest = data.get_mut(at..).unwrap_or_default();
        at += match field {
            Field::Name => lower_name(rest),
            Field::U8 | Field::Algorithm => 1,
            Field::U16 | Field::Type => 2,
            Field::U32 | Field::Period | Field::Time => 4,
            Field::Text => 1 + rest.first().map_or(0, |length| usize::from(*length)),
            _ => return,
        };
    }
}

/// The octets of the name.
fn lower_name(data: &mut [u8]) -> usize {
    let mut at = 0;
    while let Some(&length @ 1..) = data.get(at) {
        let end = at + 1 + usize::from(length);
        data.get_mut(at + 1..end).unwrap_or_default().make_ascii_lowercase();
        at = end;
    }
    at + 1
}

/// The canonical order of two names in lower case that are relative to the same name (RFC 4034 §6.1): label by label from the
/// right.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((a_starts, a_labels), (b_starts, b_labels)) = (starts(a), starts(b));
    let label = |name: &'_ [u8], start: u8| {
        let from = usize::from(start) + 1;
        from..(from + usize::from(name[usize::from(start)])).min(name.len())
    };
    for (one, other) in a_starts[..a_labels].iter().rev().zip(b_starts[..b_labels].iter().rev()) {
        match a[label(a, *one)].cmp(&b[label(b, *other)]) {
            Ordering::Equal => {}
            different => return different,
        }
    }
    a_labels.cmp(&b_labels)
}

/// Where the labels of a name begin, and how many there are.
fn starts(name: &[u8]) -> ([u8; LABELS + 1], usize) {
    let (mut starts, mut labels, mut at) = ([0; LABELS + 1], 0, 0);
    while let Some(&length @ 1..) = name.get(at).filter(|_| labels < LABELS) {
        starts[labels] = at as u8;
        (labels, at) = (labels + 1, at + 1 + usize::from(length));
    }
    (starts, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rtype: u16, records: &[&[u8]], expect: &[&[u8]]) {
        let (mut canonical, mut out) = (Canonical::default(), Vec::new());
        for record in records {
            canonical.add(RecordType(rtype), &[record]);
        }
        canonical.write(b"\x01a\0", RecordType(rtype), 258, &mut out);
        let mut whole = Vec::new();
        for data in expect {
            whole.extend(b"\x01a\0");
            whole.extend([(rtype >> 8) as u8, rtype as u8, 0, 1, 0, 0, 1, 2, 0, data.len() as u8]);
            whole.extend(*data);
        }
        assert_eq!(out, whole);
    }

    #[test]
    fn records_are_in_the_order_of_their_data() {
        check(16, &[b"\x02ab", b"\x01b", b"\x01a"], &[b"\x01a", b"\x01b", b"\x02ab"]);
        check(15, &[b"\0\x02\x01B\0", b"\0\x01\x01C\0"], &[b"\0\x01\x01c\0", b"\0\x02\x01b\0"]);
    }

    #[test]
    fn names_are_lower_case_only_in_the_types_that_are_listed() {
        check(6, &[b"\x01A\0\x01B\0AAAAAAAAAAAAAAAAAAAA"], &[b"\x01a\0\x01b\0AAAAAAAAAAAAAAAAAAAA"]);
        check(33, &[b"ABCDEF\x01A\0"], &[b"ABCDEF\x01a\0"]);
        check(35, &[b"ABCD\x01U\x01S\x01R\x01A\0"], &[b"ABCD\x01U\x01S\x01R\x01a\0"]);
        check(30, &[b"\x01A\0ABC"], &[b"\x01a\0ABC"]);
        check(47, &[b"\x01A\0\0\x01\x40"], &[b"\x01A\0\0\x01\x40"]);
        check(64, &[b"\0\x01\x01A\0"], &[b"\0\x01\x01A\0"]);
        check(16, &[b"\x01A"], &[b"\x01A"]);
    }

    #[test]
    fn names_are_in_canonical_order() {
        // RFC 4034 §6.1, below the zone `example`; then what sorts octets that are rare.
        let names: [&[u8]; 14] = [
            b"",
            b"\x01a",
            b"\x08yljkjljk\x01a",
            b"\x01z\x01a",
            b"\x04zabc\x01a",
            b"\x02a\0",
            b"\x02a\x01",
            b"\x02ab",
            b"\x01z",
            b"\x01\0\x01z",
            b"\x01\x01\x01z",
            b"\x01*\x01z",
            b"\x01\xC8\x01z",
            b"\x02z\0",
        ];
        assert!(names.is_sorted_by(|a, b| compare(a, b).is_lt()));
        assert!(names.iter().all(|name| compare(name, name).is_eq()));
    }
}
