//! X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): a key exchange that stays secret as long as either of its halves does.
//!
//! ring has X25519 and nothing against quantum computers; ML-KEM-768 (FIPS 203) is RustCrypto's. Who records a connection today
//! cannot read it with a machine of tomorrow. Browsers ask for this first.
//!
//! ```text
//!     client share  ─ 1184 octets: encapsulation key │ 32: X25519 ─►
//!                  ◄─ 1088 octets: ciphertext        │ 32: X25519 ─  server share          secret: 32 of ML-KEM, 32 of X25519
//! ```

use ml_kem::{Decapsulate, KeyExport, MlKem768, Seed, ml_kem_768};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::{
    Error, NamedGroup, PeerMisbehaved, ProtocolVersion,
    crypto::{
        ActiveKeyExchange, CompletedKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup,
        ring::kx_group::X25519,
    },
};

/// Octets of an encapsulation key, and of a ciphertext (FIPS 203 §8, table 3).
const KEY_OCTETS: usize = 1_184;
const CIPHERTEXT_OCTETS: usize = 1_088;

/// The group, for a provider of rustls.
pub static X25519_MLKEM768: &dyn SupportedKxGroup = &Hybrid;

#[derive(Debug)]
struct Hybrid;

impl SupportedKxGroup for Hybrid {
    /// The client's half.
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut seed = Seed::default();
        random(&mut seed)?;
        let key = ml_kem_768::DecapsulationKey::from_seed(seed);
        let classical = X25519.start()?;
        let share = [&key.encapsulation_key().to_bytes()[..], classical.pub_key()].concat();
        Ok(Box::new(Started { key, classical, share }))
    }

    /// The server's half.
    fn start_and_complete(&self, share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (key, classical) = share.split_at_checked(KEY_OCTETS).ok_or(INVALID)?;
        // That the key is well-formed is checked here (FIPS 203 §7.2).
        let key = key.try_into().ok().and_then(|key| ml_kem_768::EncapsulationKey::new(key).ok());
        let key = key.ok_or(INVALID)?;
        let mut message = ml_kem::B32::default();
        random(&mut message)?;
        let (ciphertext, secret) = key.encapsulate_deterministic(&message);
        let classical = X25519.start_and_complete(classical)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [&ciphertext[..], &classical.pub_key].concat(),
            secret: [&secret[..], classical.secret.secret_bytes()].concat().into(),
        })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// A client's half, until the server has answered.
struct Started {
    key: ml_kem::DecapsulationKey<MlKem768>,
    classical: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, classical) = share.split_at_checked(CIPHERTEXT_OCTETS).ok_or(INVALID)?;
        let secret = self.key.decapsulate_slice(ciphertext).map_err(|_| INVALID)?;
        let classical = self.classical.complete(classical)?;
        Ok([&secret[..], classical.secret_bytes()].concat().into())
    }

    /// The server may take the X25519 half alone, without another round trip.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

const INVALID: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

fn random(octets: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(octets).map_err(|_| GetRandomFailed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of shares that were changed on their way.
    #[track_caller]
    fn check(client: impl Fn(&mut Vec<u8>), server: impl Fn(&mut Vec<u8>), expected: Result<bool, ()>) {
        let started = X25519_MLKEM768.start().unwrap();
        let mut share = started.pub_key().to_vec();
        client(&mut share);
        let outcome = X25519_MLKEM768.start_and_complete(&share).map_err(|_| ()).and_then(|completed| {
            let mut share = completed.pub_key;
            server(&mut share);
            let secret = started.complete(&share).map_err(|_| ())?;
            assert_eq!(secret.secret_bytes().len(), 64);
            Ok(secret.secret_bytes() == completed.secret.secret_bytes())
        });
        assert_eq!(outcome, expected);
    }

    #[test]
    fn both_ends_have_the_same_secret() {
        check(|_| {}, |_| {}, Ok(true));
        // A ciphertext that was changed gives another secret, not an error (FIPS 203 §6.3).
        check(|_| {}, |share| share[0] ^= 1, Ok(false));
    }

    #[test]
    fn shares_of_another_length_are_refused() {
        let cut = |share: &mut Vec<u8>| share.truncate(share.len() - 1);
        check(cut, |_| {}, Err(()));
        check(|_| {}, cut, Err(()));
        check(|share| share.push(0), |_| {}, Err(()));
        check(|share| share.truncate(32), |_| {}, Err(()));
        check(|share| share.clear(), |_| {}, Err(()));
        // Coefficients that are not reduced (FIPS 203 §7.2).
        check(|share| share[..3].fill(0xff), |_| {}, Err(()));
    }
}
