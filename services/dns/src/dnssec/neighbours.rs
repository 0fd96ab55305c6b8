//! The names just before and just after a name in canonical order (RFC 4034 §6.1): the ends of a white lie (RFC 4470 §3).
//!
//! ```text
//!   … fon  x.fon  fon~ │ foo  a.foo  b.a.foo │ foo\000  x.foo\000  fop …
//!                  before ◄──── denied ────► after
//! ```
//!
//! What is denied is a name and all that would be below it. `before` and `after` need not exist, but nothing that exists may
//! lie between them and the name. RFC 4471 fills names up to 255 octets for that; one label will do, as nothing can follow
//! a label that cannot grow, and a short one where the zone has no octets as high as the filling.

use crate::limits::{LABEL_OCTETS, NAME_OCTETS};
use crate::name::Name;

/// Fills a label behind which no name of a plain zone comes (see [`is_plain`]).
pub const PLAIN_FILLING: u8 = b'~';

/// What precedes a wildcard in a plain zone, before the name of its parent.
pub const BEFORE_WILDCARD: &[u8] = b"\x02)~";

/// What follows a wildcard.
pub const AFTER_WILDCARD: &[u8] = b"\x02*\0";

/// One or two labels, and where in the name that was given they are followed by its suffix.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour {
    octets: [u8; 2 * (1 + LABEL_OCTETS)],
    length: usize,
    /// The label of the name from which on both are the same.
    pub suffix: usize,
    /// Whether this may be a name that exists: there was no room to fill it up.
    pub may_exist: bool,
}

impl Neighbour {
    fn new(suffix: usize) -> Neighbour {
        Neighbour { octets: [0; 2 * (1 + LABEL_OCTETS)], length: 0, suffix, may_exist: false }
    }

    /// One label, with its length, before a suffix.
    pub fn of(label: &[u8], suffix: usize) -> Neighbour {
        let mut neighbour = Neighbour::new(suffix);
        neighbour.octets[..label.len()].copy_from_slice(label);
        neighbour.length = label.len();
        neighbour
    }

    /// The labels before the common suffix.
    #[inline]
    pub fn prefix(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Puts a label in front.
    fn prepend(&mut self, label: &[u8]) {
        let octets = 1 + label.len();
        self.octets.copy_within(..self.length, octets);
        self.octets[0] = label.len() as u8;
        self.octets[1..octets].copy_from_slice(label);
        self.length += octets;
    }
}

/// Whether a label can stand in a zone whose white lies may be short.
pub fn is_plain(label: &[u8]) -> bool {
    label.iter().all(|octet| *octet < PLAIN_FILLING)
}

/// A name before the suffix of `name` from label number `label` on. The zone is plain, or may have names with all octets.
pub fn before(name: &Name, label: usize, is_plain: bool) -> Neighbour {
    let mut neighbour = Neighbour::new(label + 1);
    let (&last, rest) = name.label(label).split_last().unwrap_or((&0, &[]));
    let parent_octets = name.suffix(label + 1).len();
    if last == 0 {
        // `x\000` follows everything below `x`; `\000` follows its parent at once.
        neighbour.may_exist = rest.is_empty();
        if !rest.is_empty() {
            neighbour.prepend(rest);
            prepend_highest(&mut neighbour, parent_octets);
        }
        return neighbour;
    }
    let mut filled = [0; LABEL_OCTETS];
    filled[..rest.len()].copy_from_slice(rest);
    // Upper case letters are sorted as lower case, so nothing is between `@` and `[`.
    filled[rest.len()] = if last == b'[' { b'@' } else { last - 1 };
    let room = LABEL_OCTETS.min(NAME_OCTETS - parent_octets - 1);
    let start = rest.len() + 1;
    let (filling, end) = if is_plain { (PLAIN_FILLING, room.min(start + 1)) } else { (u8::MAX, room) };
    filled[start..end].fill(filling);
    neighbour.prepend(&filled[..end]);
    if start == end {
        prepend_highest(&mut neighbour, parent_octets);
    }
    neighbour
}

/// The highest label that there is room for, if there is any.
fn prepend_highest(neighbour: &mut Neighbour, suffix_octets: usize) {
    let room = NAME_OCTETS - suffix_octets - neighbour.length;
    neighbour.may_exist = room < 2;
    if room >= 2 {
        neighbour.prepend(&[u8::MAX; LABEL_OCTETS][..LABEL_OCTETS.min(room - 1)]);
    }
}

/// The first name behind the suffix of `name` from label number `label` on and all that is below it. `apex` is the label
/// of the zone's name, which follows the last name (RFC 4034 §4.1.1).
pub fn after(name: &Name, mut label: usize, apex: usize) -> Neighbour {
    while label < apex {
        let octets = name.label(label);
        let mut neighbour = Neighbour::new(label + 1);
        if octets.len() < LABEL_OCTETS && name.suffix(label).len() < NAME_OCTETS {
            let mut longer = [0; LABEL_OCTETS];
            longer[..octets.len()].copy_from_slice(octets);
            neighbour.prepend(&longer[..octets.len() + 1]);
            return neighbour;
        }
        // No longer label fits: the last octet that can be higher, and nothing behind it.
        if let Some(last) = octets.iter().rposition(|octet| *octet != u8::MAX) {
            let mut higher = [0; LABEL_OCTETS];
            higher[..=last].copy_from_slice(&octets[..=last]);
            higher[last] = if higher[last] == b'@' { b'[' } else { higher[last] + 1 };
            neighbour.prepend(&higher[..=last]);
            return neighbour;
        }
        label += 1;
    }
    Neighbour::new(apex)
}

/// The first name that could be below the suffix of `name` from label number `label` on, or else what is behind it.
pub fn below(name: &Name, label: usize, apex: usize) -> Neighbour {
    if name.suffix(label).len() + 2 > NAME_OCTETS {
        return after(name, label, apex);
    }
    let mut neighbour = Neighbour::new(label);
    neighbour.prepend(&[0]);
    neighbour
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{HashKey, to_text};
    use std::cmp::Ordering;

    fn name(wire: &[u8]) -> Name {
        let key = HashKey::new([1; 24]);
        let mut name = Name::root(&key);
        name.read(wire, &key).unwrap();
        name
    }

    fn whole(neighbour: Neighbour, name: &Name) -> Vec<u8> {
        [neighbour.prefix(), name.suffix(neighbour.suffix)].concat()
    }

    /// RFC 4034 §6.1
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        let labels = |wire: &[u8]| {
            let name = name(wire);
            (0..name.labels()).rev().map(|label| name.label(label).to_vec()).collect::<Vec<_>>()
        };
        labels(a).cmp(&labels(b))
    }

    #[track_caller]
    fn check(wire: &[u8], plain: bool, expect: [&str; 2]) {
        let name = name(wire);
        let ends = [before(&name, 0, plain), after(&name, 0, name.labels() - 1)].map(|end| whole(end, &name));
        assert_eq!(ends.each_ref().map(|wire| to_text(wire)), expect);
        assert_eq!(compare(&ends[0], wire), Ordering::Less);
        assert!(compare(wire, &ends[1]) == Ordering::Less || ends[1] == name.suffix(name.labels() - 1));
    }

    #[test]
    fn neighbours_are_short_in_plain_zones() {
        check(b"\x03foo\x01a\0", true, ["fon~.a.", "foo\\000.a."]);
        check(b"\x01*\x01a\0", true, ["\\)~.a.", "*\\000.a."]);
        check(b"\x01[\x01a\0", true, ["\\@~.a.", "[\\000.a."]);
        check(b"\x01\0\x01a\0", true, ["a.", "\\000\\000.a."]);
        let b_and_zero = format!("{}.b.a.", "\\255".repeat(63));
        check(b"\x02b\0\x01a\0", true, [&b_and_zero, "b\\000\\000.a."]);
    }

    #[test]
    fn the_neighbours_of_a_wildcard_are_known() {
        let name = name(b"\x01*\x01a\0");
        assert_eq!(before(&name, 0, true).prefix(), BEFORE_WILDCARD);
        assert_eq!(after(&name, 0, 1).prefix(), AFTER_WILDCARD);
    }

    #[test]
    fn neighbours_are_right_in_all_zones() {
        check(b"\x03foo\x01a\0", false, [&format!("fon{}.a.", "\\255".repeat(60)), "foo\\000.a."]);
        let long = [&[63][..], &[b'@'; 63], b"\x01a\0"].concat();
        let full = "\\255".repeat(63);
        check(
            &long,
            true,
            [&format!("{full}.{}?.a.", "\\@".repeat(62)), &format!("{}[.a.", "\\@".repeat(62))],
        );
        let highest = [&[63][..], &[255; 63], b"\x01a\0"].concat();
        check(&highest, false, [&format!("{full}.{}\\254.a.", "\\255".repeat(62)), "a."]);
    }

    #[test]
    fn names_of_255_octets_have_neighbours_too() {
        let mut wire = b"\x01b".repeat(126);
        wire.extend(b"\x01c\0");
        let name = name(&wire);
        for neighbour in [before(&name, 0, false), after(&name, 0, 126), below(&name, 0, 126)] {
            let other = whole(neighbour, &name);
            assert!(other.len() <= NAME_OCTETS && compare(&other, &wire) != Ordering::Equal);
        }
        let next = whole(below(&name, 0, 126), &name);
        assert_eq!(compare(&wire, &next), Ordering::Less);
    }
}
