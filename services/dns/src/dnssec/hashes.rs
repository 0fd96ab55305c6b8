//! Hashes of names for NSEC3, kept: a hash costs as much as all the rest of an answer.

use ring::digest;

/// Octets of an NSEC3 hash: SHA-1 (RFC 5155 §11).
pub const HASH_OCTETS: usize = 20;

/// See the module. Where two names want the same place, the later one has it.
#[derive(Debug, Default)]
pub struct Hashes {
    /// The name's own hash by the secret key, and that of NSEC3.
    entries: Vec<(u64, [u8; HASH_OCTETS])>,
}

impl Hashes {
    /// Room for about so many; none where there is no memory for them.
    pub fn new(hashes: usize) -> Hashes {
        let (mut entries, length) = (Vec::new(), if hashes == 0 { 0 } else { hashes.next_power_of_two() });
        if entries.try_reserve_exact(length).is_ok() {
            entries.resize(length, (0, [0; HASH_OCTETS]));
        }
        Hashes { entries }
    }

    /// The hash of a name on the wire, lower case, without salt and iterations (RFC 9276 §3.1). `key` tells it from others.
    #[inline]
    pub fn get(&mut self, key: u64, name: &[u8]) -> [u8; HASH_OCTETS] {
        let at = (key >> 32) as usize & self.entries.len().wrapping_sub(1);
        match self.entries.get_mut(at) {
            Some((known, hash)) if *known == key => *hash,
            entry => {
                let hash = compute(name);
                if let Some(entry) = entry {
                    *entry = (key, hash);
                }
                hash
            }
        }
    }
}

/// The hash of a name, not kept.
#[cold]
pub fn compute(name: &[u8]) -> [u8; HASH_OCTETS] {
    let mut hash = [0; HASH_OCTETS];
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, name);
    hash.copy_from_slice(&digest.as_ref()[..HASH_OCTETS]);
    hash
}

/// The hash of a name with salt and iterations (RFC 5155 §5).
pub fn salted(name: &[u8], iterations: u16, salt: &[u8]) -> [u8; HASH_OCTETS] {
    let mut hash = [0; HASH_OCTETS];
    for round in 0..=u32::from(iterations) {
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(if round == 0 { name } else { &hash });
        context.update(salt);
        hash.copy_from_slice(&context.finish().as_ref()[..HASH_OCTETS]);
    }
    hash
}

/// The hash that a single label is in base 32, if it is one.
pub fn from_base32(label: &[u8]) -> Option<[u8; HASH_OCTETS]> {
    let (&32, digits) = label.split_first()? else { return None };
    let mut hash = [0; HASH_OCTETS];
    if digits.len() != 32 {
        return None;
    }
    for (digits, octets) in digits.as_chunks::<8>().0.iter().zip(hash.as_chunks_mut::<5>().0) {
        let mut bits = 0u64;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'v' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        octets.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(hash)
}

/// A label in base 32 with the extended alphabet, lower case (RFC 5155 §3.3).
pub fn base32(hash: [u8; HASH_OCTETS]) -> [u8; 33] {
    let mut label = [32; 33];
    for (octets, digits) in hash.as_chunks::<5>().0.iter().zip(label[1..].as_chunks_mut::<8>().0) {
        let bits = octets.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        for (number, digit) in digits.iter_mut().enumerate() {
            let value = (bits >> (35 - 5 * number)) as u8 & 31;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_in_the_extended_alphabet() {
        // RFC 4648 §10
        assert_eq!(base32(*b"foobafoobafoobafooba")[1..], b"cpnmuoj1".repeat(4));
    }

    #[test]
    fn salt_and_iterations_count() {
        // RFC 5155 appendix A: example., salt aabbccdd, 12 iterations.
        let hash = salted(b"\x07example\0", 12, &[0xAA, 0xBB, 0xCC, 0xDD]);
        assert_eq!(base32(hash)[1..], *b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
        assert_eq!(salted(b"\x01a\0", 0, &[]), compute(b"\x01a\0"));
    }

    #[test]
    fn hashes_are_the_same_with_and_without_room() {
        let (mut none, mut some) = (Hashes::new(0), Hashes::new(1));
        for key in [1, 2, 1, 1] {
            let name = [1, b'a' + key as u8, 0];
            assert_eq!(none.get(key, &name), some.get(key, &name));
        }
        assert_ne!(some.get(1, b"\x01b\0"), some.get(2, b"\x01c\0"));
    }
}
