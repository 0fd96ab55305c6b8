//! Memory that another subject writes at the same time: atomic words, bytes copied out of them and into them.
//!
//! Copies are relaxed. What orders them are the counters around them, see [`crate::channel`].

use core::sync::atomic::{AtomicU64, Ordering};

const WORD: usize = size_of::<u64>();

/// A region, little-endian as x86 has it.
#[derive(Clone, Copy)]
pub struct Shared<'a>(&'a [AtomicU64]);

impl<'a> Shared<'a> {
    /// The region that these words are.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len() * WORD
    }

    /// Word `index`, or 0 behind the end.
    pub fn load(&self, index: usize, order: Ordering) -> u64 {
        self.0.get(index).map_or(0, |word| u64::from_le(word.load(order)))
    }

    /// Sets word `index`; behind the end nothing.
    pub fn store(&self, index: usize, value: u64, order: Ordering) {
        if let Some(word) = self.0.get(index) {
            word.store(value.to_le(), order);
        }
    }

    /// Copies from byte `offset` on; what lies behind the end is zero.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let word = self.load(at / WORD, Ordering::Relaxed).to_le_bytes();
            let from = &word[at % WORD..];
            let length = from.len().min(rest.len());
            rest[..length].copy_from_slice(&from[..length]);
            rest = &mut rest[length..];
            at += length;
        }
    }

    /// Copies to byte `offset` on, and zeros until `length` bytes are written. Only for who alone writes the region.
    pub fn write(&self, offset: usize, bytes: &[u8], length: usize) {
        let mut done = 0;
        while done < length {
            let at = offset + done;
            let mut word = self.load(at / WORD, Ordering::Relaxed).to_le_bytes();
            for (place, byte) in word[at % WORD..].iter_mut().enumerate().take(length - done) {
                *byte = bytes.get(done + place).copied().unwrap_or(0);
            }
            self.store(at / WORD, u64::from_le_bytes(word), Ordering::Relaxed);
            done += WORD - at % WORD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(offset: usize, bytes: &[u8], length: usize, expect: [u8; 16]) {
        let words = [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)];
        let shared = Shared::new(&words);
        shared.write(offset, bytes, length);
        let mut all = [0; 16];
        shared.read(0, &mut all);
        assert_eq!(all, expect);
    }

    #[test]
    fn copies_need_no_alignment_and_end_with_the_region() {
        const F: u8 = 0xff;
        check(0, b"", 0, [F; 16]);
        check(6, b"abc", 3, [F, F, F, F, F, F, b'a', b'b', b'c', F, F, F, F, F, F, F]);
        check(7, b"a", 3, [F, F, F, F, F, F, F, b'a', 0, 0, F, F, F, F, F, F]);
        check(15, b"abc", 3, [F, F, F, F, F, F, F, F, F, F, F, F, F, F, F, b'a']);
    }
}
