//! Domain names: lower-cased, checked, and hashed suffix by suffix in one go.
//!
//! Whatever a query needs of its name is a question about one of its suffixes: which zone, which node, which closest
//! encloser, is there something to compress against. So a [`Name`] keeps a keyed hash for each suffix, computed from
//! the right: the hash of `www.example.org` extends that of `example.org` by one label.

use crate::limits::{LABEL_OCTETS, LABELS, NAME_OCTETS};

/// The secret that keeps strangers from choosing names whose hashes collide.
#[derive(Clone, Copy, Debug)]
pub struct HashKey([u64; 3]);

impl HashKey {
    /// Makes a key from 24 octets of the system's randomness.
    pub fn new(random: [u8; 24]) -> HashKey {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| random[at + i]));
        // Odd, so that a multiplication loses nothing.
        HashKey([word(0), word(8) | 1, word(16) | 1])
    }

    /// The hash of the name made of `label` (lower case) in front of the name that has the hash `suffix`.
    pub fn extend(&self, suffix: u64, label: &[u8]) -> u64 {
        let mut hash = fold(suffix ^ label.len() as u64, self.0[1]);
        let (words, rest) = label.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), self.0[1]);
        }
        fold(hash ^ up_to_seven(rest), self.0[2])
    }

    /// A hash of two hashes.
    #[inline]
    pub fn mix(&self, a: u64, b: u64) -> u64 {
        fold(a ^ self.0[0], b ^ self.0[1])
    }

    /// The hash of the root.
    pub fn root(&self) -> u64 {
        self.0[0]
    }
}

/// Multiplies to 128 bits and folds the halves: each bit of the result depends on all of both factors.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// At most seven octets as a number, without a loop; the length is hashed elsewhere.
fn up_to_seven(octets: &[u8]) -> u64 {
    match octets {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(u16::from_le_bytes([*a, *b])),
        [a, b, c] => u64::from(u32::from_le_bytes([*a, *b, *c, 0])),
        [a, b, c, d, rest @ ..] => {
            let low = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            match rest {
                [] => low,
                [e] => low | u64::from(*e) << 32,
                [e, f] => low | u64::from(*e) << 32 | u64::from(*f) << 40,
                [e, f, g, ..] => low | u64::from(*e) << 32 | u64::from(*f) << 40 | u64::from(*g) << 48,
            }
        }
    }
}

/// Eight octets at once: those from `A` to `Z` get bit 5, all others stay as they are.
fn to_lower_case(octets: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = octets & (EACH * 0x7F);
    // Bit 7 of each octet: whether the low seven bits are at least `A`; whether they are above `Z`.
    let at_least_a = low + EACH * (0x80 - u64::from(b'A'));
    let above_z = low + EACH * (0x7F - u64::from(b'Z'));
    let is_upper_case = at_least_a & !above_z & !octets & (EACH * 0x80);
    octets | is_upper_case >> 2
}

/// What is wrong with a name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The octets end inside of the name.
    Short,
    /// A length octet above 63: a compression pointer, or a label type that nobody uses (RFC 6891 §5).
    BadLabel,
    /// More than 255 octets.
    Long,
}

/// A domain name in lower case, with the hash of each of its suffixes. Large (1.5 KiB): make one and read into it.
#[derive(Clone)]
pub struct Name {
    wire: [u8; NAME_OCTETS + 1],
    length: usize,
    /// Where in `wire` each label starts; behind the last one, where the root's octet is.
    starts: [u8; LABELS + 1],
    labels: usize,
    /// The hash of the suffix that starts with each label; behind the last one, the root's.
    hashes: [u64; LABELS + 1],
}

impl Name {
    /// The root name, to be read over.
    pub fn root(key: &HashKey) -> Name {
        let mut name = Name {
            wire: [0; NAME_OCTETS + 1],
            length: 1,
            starts: [0; LABELS + 1],
            labels: 0,
            hashes: [0; LABELS + 1],
        };
        name.hashes[0] = key.root();
        name
    }

    /// Reads an uncompressed name; returns how many octets it takes. After an error the value is the root.
    pub fn read(&mut self, octets: &[u8], key: &HashKey) -> Result<usize, NameError> {
        match self.find_labels(octets) {
            Ok(()) => {
                self.wire[..self.length].copy_from_slice(&octets[..self.length]);
                self.lower_and_hash(key);
                Ok(self.length)
            }
            Err(error) => {
                self.clear(key);
                Err(error)
            }
        }
    }

    /// Reads a name, perhaps compressed, out of a message. Pointers may only point backwards, so the loop ends.
    pub fn read_compressed(&mut self, message: &[u8], mut at: usize, key: &HashKey) -> Result<(), NameError> {
        let mut wire = [0; NAME_OCTETS + 1];
        let mut length = 0;
        loop {
            match *message.get(at).ok_or(NameError::Short)? {
                0 => break,
                octet @ 1..=63 => {
                    let label = message.get(at..=at + usize::from(octet)).ok_or(NameError::Short)?;
                    wire.get_mut(length..length + label.len()).ok_or(NameError::Long)?.copy_from_slice(label);
                    (at, length) = (at + label.len(), length + label.len());
                }
                octet @ 0xC0.. => {
                    let low = *message.get(at + 1).ok_or(NameError::Short)?;
                    let target = usize::from(u16::from_be_bytes([octet & 0x3F, low]));
                    at = if target < at { target } else { return Err(NameError::BadLabel) };
                }
                _ => return Err(NameError::BadLabel),
            }
        }
        self.read(wire.get(..=length).ok_or(NameError::Long)?, key).map(|_| ())
    }

    /// Makes this the name `label`.`the suffix of other from label number from`.
    pub fn set_child(
        &mut self,
        label: &[u8],
        other: &Name,
        from: usize,
        key: &HashKey,
    ) -> Result<(), NameError> {
        let suffix = other.suffix(from);
        let mut wire = [0; NAME_OCTETS + LABEL_OCTETS + 2];
        wire[0] = label.len() as u8;
        wire[1..][..label.len()].copy_from_slice(label);
        wire[1 + label.len()..][..suffix.len()].copy_from_slice(suffix);
        self.read(&wire[..1 + label.len() + suffix.len()], key).map(|_| ())
    }

    /// Makes this the name that results from replacing the suffix of `other` from label number `from` by `target`, the
    /// substitution of a DNAME record (RFC 6672 §2.2). `target` is an uncompressed name.
    pub fn set_replaced(
        &mut self,
        other: &Name,
        from: usize,
        target: &[u8],
        key: &HashKey,
    ) -> Result<(), NameError> {
        let prefix = &other.wire[..usize::from(other.starts[from])];
        let mut wire = [0; 2 * NAME_OCTETS];
        wire[..prefix.len()].copy_from_slice(prefix);
        let target = &target[..target.len().min(NAME_OCTETS)];
        wire[prefix.len()..][..target.len()].copy_from_slice(target);
        self.read(&wire[..prefix.len() + target.len()], key).map(|_| ())
    }

    /// Number of labels, the root's not counted.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The whole name on the wire, lower case.
    pub fn wire(&self) -> &[u8] {
        &self.wire[..self.length]
    }

    /// The name that starts with label number `label`, 0 being the leftmost; for `labels()`, the root.
    pub fn suffix(&self, label: usize) -> &[u8] {
        &self.wire[usize::from(self.starts[label])..self.length]
    }

    /// The octets between two labels: the name of label number `from` relative to the name of label number `to`.
    pub fn between(&self, from: usize, to: usize) -> &[u8] {
        &self.wire[usize::from(self.starts[from])..usize::from(self.starts[to])]
    }

    /// How many octets precede label number `label`.
    pub fn offset(&self, label: usize) -> usize {
        usize::from(self.starts[label])
    }

    /// The hash of the suffix that starts with label number `label`.
    pub fn hash(&self, label: usize) -> u64 {
        self.hashes[label]
    }

    /// The octets of one label, without its length.
    pub fn label(&self, label: usize) -> &[u8] {
        &self.between(label, label + 1)[1..]
    }

    fn clear(&mut self, key: &HashKey) {
        (self.wire[0], self.length, self.starts[0], self.labels) = (0, 1, 0, 0);
        self.hashes[0] = key.root();
    }

    fn find_labels(&mut self, octets: &[u8]) -> Result<(), NameError> {
        let (mut at, mut labels) = (0, 0);
        loop {
            let length = usize::from(*octets.get(at).ok_or(NameError::Short)?);
            if at >= NAME_OCTETS {
                return Err(NameError::Long);
            }
            self.starts[labels] = at as u8;
            if length == 0 {
                break;
            }
            if length > LABEL_OCTETS {
                return Err(NameError::BadLabel);
            }
            (at, labels) = (at + 1 + length, labels + 1);
        }
        (self.length, self.labels) = (at + 1, labels);
        Ok(())
    }

    fn lower_and_hash(&mut self, key: &HashKey) {
        // Length octets are at most 63, below `A`, and so stay what they are. Whole words: what lies behind the name is
        // nobody's, and a loop over octets costs more than all the rest of this function.
        let (words, _) = self.wire.as_chunks_mut::<8>();
        for word in &mut words[..self.length.div_ceil(8)] {
            *word = to_lower_case(u64::from_ne_bytes(*word)).to_ne_bytes();
        }
        let mut hash = key.root();
        self.hashes[self.labels] = hash;
        for label in (0..self.labels).rev() {
            hash = key.extend(hash, self.label(label));
            self.hashes[label] = hash;
        }
    }
}

/// Writes an uncompressed name the way zone files do, with escapes and the final dot.
pub fn to_text(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(&length @ 1..) = wire.get(at) {
        for &octet in wire.get(at + 1..at + 1 + usize::from(length)).unwrap_or_default() {
            match octet {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    text.extend(['\\', char::from(octet)]);
                }
                b'!'..=b'~' => text.push(char::from(octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
        text.push('.');
        at += 1 + usize::from(length);
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> HashKey {
        HashKey::new(*b"a key that is known, yes")
    }

    #[track_caller]
    fn check(wire: &[u8], expect: Result<&str, NameError>) {
        let mut name = Name::root(&key());
        let read = name.read(wire, &key()).map(|_| to_text(name.wire()));
        assert_eq!(read.as_deref().map_err(|error| *error), expect);
    }

    #[test]
    fn names_are_lower_cased_and_checked() {
        check(b"\0", Ok("."));
        check(b"\x03WWW\x07eXample\x03org\0 and more", Ok("www.example.org."));
        check(b"\x03a.b\x01\x00\0", Ok("a\\.b.\\000."));
        check(b"\x03ab", Err(NameError::Short));
        check(b"", Err(NameError::Short));
        check(b"\x03abc\xC0\x0C", Err(NameError::BadLabel));
        check(b"\x40", Err(NameError::BadLabel));
    }

    #[test]
    fn only_letters_change_case() {
        for octet in 0..=u8::MAX {
            let lower = to_lower_case(u64::from_ne_bytes([octet; 8])).to_ne_bytes();
            assert_eq!(lower, [octet.to_ascii_lowercase(); 8], "octet {octet}");
        }
        assert_eq!(to_lower_case(u64::from_ne_bytes(*b"aZ@[{\xFF\xC1Q")).to_ne_bytes(), *b"az@[{\xFF\xC1q");
    }

    #[test]
    fn a_name_has_at_most_255_octets() {
        let mut wire = b"\x01a".repeat(127);
        wire.push(0);
        assert_eq!(Name::root(&key()).read(&wire, &key()), Ok(255));
        wire.insert(0, b'a');
        wire.insert(0, 1);
        assert_eq!(Name::root(&key()).read(&wire, &key()), Err(NameError::Long));
    }

    #[test]
    fn equal_suffixes_have_equal_hashes_and_others_do_not() {
        let (mut long, mut short) = (Name::root(&key()), Name::root(&key()));
        long.read(b"\x03www\x07example\x03org\0", &key()).unwrap();
        short.read(b"\x07EXAMPLE\x03org\0", &key()).unwrap();
        assert_eq!(long.hash(1), short.hash(0));
        assert_ne!(long.hash(0), short.hash(0));
        short.read(b"\x06xample\x03org\0", &key()).unwrap();
        assert_ne!(long.hash(1), short.hash(0));
    }

    #[test]
    fn compressed_names_are_read_and_loops_are_not_followed() {
        let message = b"\x03org\0\x07example\xC0\x00\x03www\xC0\x05\xC0\x15";
        let mut name = Name::root(&key());
        assert_eq!(name.read_compressed(message, 15, &key()), Ok(()));
        assert_eq!(to_text(name.wire()), "www.example.org.");
        assert_eq!(name.read_compressed(message, 21, &key()), Err(NameError::BadLabel));
    }
}
