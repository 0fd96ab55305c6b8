//! The Internet checksum (RFC 1071), eight bytes at a time.
//!
//! It is the only work of the fast path that grows with the size of a packet. One's complement sums can be taken in words of
//! any size, as long as what is carried out at the top comes in again at the bottom (RFC 1071 §2.C), so words of 64 bits do:
//! an add and an add of the carry for each. The sum does not depend on byte order (§2.B), so bytes are swapped once, at the
//! end.

/// A sum that is not folded yet. Parts can be added in any order if all but the last have an even length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds `bytes`, an odd last byte padded with zero.
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let sum = words.iter().fold(self, |sum, &word| sum.word64(u64::from_ne_bytes(word)));
        // Every length below eight is made of four, two and one, so that no loop and no call is left for the tail.
        let (words, rest) = rest.as_chunks::<4>();
        let sum = words.iter().fold(sum, |sum, &word| sum.word64(u32::from_ne_bytes(word).into()));
        match *rest {
            [] => sum,
            [a] => sum.word64(u16::from_ne_bytes([a, 0]).into()),
            [a, b] => sum.word64(u16::from_ne_bytes([a, b]).into()),
            [a, b, c, ..] => sum.word64(u32::from_ne_bytes([a, b, c, 0]).into()),
        }
    }

    /// Adds a word whose bytes lie in the packet in this order.
    #[inline]
    pub fn word64(self, word: u64) -> Self {
        let (total, carry) = self.0.overflowing_add(word);
        Self(total + u64::from(carry))
    }

    /// Adds one 16-bit word in host byte order: a length or a protocol number of a pseudo-header.
    #[inline]
    pub fn word(self, word: u16) -> Self {
        self.word64(word.to_be().into())
    }

    /// The folded sum in host byte order; 0xffff over bytes that hold their own correct checksum.
    #[inline]
    pub fn fold(self) -> u16 {
        let mut total = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        total = (total & 0xffff_ffff) + (total >> 32);
        total = (total & 0xffff) + (total >> 16);
        total = (total & 0xffff) + (total >> 16);
        u16::from_be(total as u16)
    }

    /// The checksum to write into a header, in host byte order.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §1, word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&bytes).fold(), 0xddf2);
    }

    #[test]
    fn every_length_and_split_agrees_with_the_definition() {
        let bytes: Vec<u8> =
            (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8 | 0x80).collect();
        for end in 0..bytes.len() {
            let whole = Sum::default().bytes(&bytes[..end]).fold();
            assert_eq!(whole, slow(&bytes[..end]), "{end} bytes");
            for split in (0..end).step_by(2) {
                assert_eq!(Sum::default().bytes(&bytes[..split]).bytes(&bytes[split..end]).fold(), whole);
            }
        }
    }

    #[test]
    fn all_ones_do_not_overflow() {
        let bytes = [0xff; 65_535];
        assert_eq!(Sum::default().bytes(&bytes).fold(), slow(&bytes));
    }

    #[test]
    fn a_word_counts_as_its_two_bytes() {
        assert_eq!(Sum::default().word(0x1234), Sum::default().bytes(&[0x12, 0x34]));
    }
}
