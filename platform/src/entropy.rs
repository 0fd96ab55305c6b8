//! Randomness: ChaCha20 seeded by the CPU's own random source.
//!
//! RDSEED where the CPU has it, else RDRAND; an image does not boot on a CPU with neither, since everything that must not
//! be guessed (hash keys, TCP sequence numbers, query identifiers, private keys) depends on it. RDRAND is known to have
//! returned all ones for ever on some CPUs: a seed whose words are all the same is refused.

use crate::limits::{RANDOM_ATTEMPTS, RESEED_BYTES};
use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use std::cell::RefCell;

/// Why there is no randomness: the CPU's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntropyError {
    /// It has neither RDSEED nor RDRAND.
    Absent,
    /// The instruction failed, or gave the same number again and again.
    Stuck,
}

impl std::fmt::Display for EntropyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "this CPU has neither RDSEED nor RDRAND: choose a CPU model that has, nothing secret can be made here",
            Self::Stuck => "this CPU's random source returns no random numbers: nothing secret can be made here",
        })
    }
}

struct Generator {
    rng: ChaCha20Rng,
    left: usize,
}

thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

/// Fills `bytes` with random bytes fit for keys.
///
/// # Panics
/// If the CPU's random source, which was good at boot, has failed since.
pub fn fill(bytes: &mut [u8]) {
    GENERATOR.with_borrow_mut(|slot| {
        for chunk in bytes.chunks_mut(RESEED_BYTES) {
            let generator = match slot {
                Some(generator) if generator.left >= chunk.len() => generator,
                _ => slot.insert(Generator::new().unwrap_or_else(|error| panic!("{error}"))),
            };
            generator.rng.fill_bytes(chunk);
            generator.left -= chunk.len();
        }
    });
}

/// Whether this CPU can seed the generator; asked at boot.
pub fn check() -> Result<(), EntropyError> {
    seed().map(drop)
}

impl Generator {
    fn new() -> Result<Self, EntropyError> {
        Ok(Self { rng: ChaCha20Rng::from_seed(seed()?), left: RESEED_BYTES })
    }
}

fn seed() -> Result<[u8; 32], EntropyError> {
    let word: fn() -> Option<u64> = if std::arch::is_x86_feature_detected!("rdseed") {
        rdseed
    } else if std::arch::is_x86_feature_detected!("rdrand") {
        rdrand
    } else {
        return Err(EntropyError::Absent);
    };
    let mut words = [0; 4];
    for slot in &mut words {
        *slot = (0..RANDOM_ATTEMPTS).find_map(|_| word()).ok_or(EntropyError::Stuck)?;
    }
    if words.iter().all(|&word| word == words[0]) {
        return Err(EntropyError::Stuck);
    }
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Ok(seed)
}

fn rdseed() -> Option<u64> {
    let mut word = 0;
    // SAFETY: called only where the CPU was found to have RDSEED.
    let good = unsafe { rdseed_step(&mut word) };
    std::hint::spin_loop();
    (good == 1).then_some(word)
}

fn rdrand() -> Option<u64> {
    let mut word = 0;
    // SAFETY: called only where the CPU was found to have RDRAND.
    let good = unsafe { rdrand_step(&mut word) };
    (good == 1).then_some(word)
}

#[target_feature(enable = "rdseed")]
fn rdseed_step(word: &mut u64) -> i32 {
    std::arch::x86_64::_rdseed64_step(word)
}

#[target_feature(enable = "rdrand")]
fn rdrand_step(word: &mut u64) -> i32 {
    std::arch::x86_64::_rdrand64_step(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fills_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        fill(&mut first);
        fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }

    #[test]
    fn a_long_fill_takes_fresh_seeds() {
        let mut bytes = vec![0; 3 * RESEED_BYTES + 1];
        fill(&mut bytes);
        assert!(bytes.chunks(64).all(|chunk| chunk.len() < 64 || chunk.iter().any(|&byte| byte != 0)));
    }
}
