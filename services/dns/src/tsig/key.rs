//! Keys and their algorithms (RFC 8945 §6).

use hmac::{Hmac, KeyInit, Mac as _};
use ring::hmac as fast;
use sha2::Sha224;

/// How a message is authenticated. HMAC-MD5 is not among them: RFC 8945 §6 says it must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Sha1, Algorithm::Sha224, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

    /// Its name on the wire, lower case, which is also the canonical one (RFC 8945 §6).
    pub fn name(self) -> &'static [u8] {
        match self {
            Algorithm::Sha1 => b"\x09hmac-sha1\0",
            Algorithm::Sha224 => b"\x0bhmac-sha224\0",
            Algorithm::Sha256 => b"\x0bhmac-sha256\0",
            Algorithm::Sha384 => b"\x0bhmac-sha384\0",
            Algorithm::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// The one with this name.
    pub fn from_name(wire: &[u8]) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(wire))
    }

    /// Octets of a whole MAC.
    pub fn octets(self) -> usize {
        match self {
            Algorithm::Sha1 => 20,
            Algorithm::Sha224 => 28,
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }

    /// Octets of the shortest MAC that is one at all (RFC 8945 §5.2.2.1).
    pub fn least_octets(self) -> usize {
        (self.octets() / 2).max(10)
    }
}

/// A shared secret and what it is called. Its `Debug` output does not have the secret.
pub struct Key {
    name: Vec<u8>,
    algorithm: Algorithm,
    secret: Secret,
}

/// ring has no SHA-224.
enum Secret {
    Ring(fast::Key),
    Sha224(Box<Hmac<Sha224>>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({} {:?})", crate::to_text(&self.name), self.algorithm)
    }
}

impl Key {
    /// The key called `name`, an uncompressed name.
    pub fn new(name: &[u8], algorithm: Algorithm, secret: &[u8]) -> Key {
        let ring = |algorithm| Secret::Ring(fast::Key::new(algorithm, secret));
        let secret = match algorithm {
            Algorithm::Sha1 => ring(fast::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha256 => ring(fast::HMAC_SHA256),
            Algorithm::Sha384 => ring(fast::HMAC_SHA384),
            Algorithm::Sha512 => ring(fast::HMAC_SHA512),
            Algorithm::Sha224 => {
                let keyed = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
                Secret::Sha224(Box::new(keyed))
            }
        };
        Key { name: name.to_ascii_lowercase(), algorithm, secret }
    }

    /// Its name on the wire, lower case.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether both have the same name, algorithm and secret.
    pub fn is_same(&self, other: &Key) -> bool {
        let is_named_so = self.name == other.name && self.algorithm == other.algorithm;
        is_named_so && self.start().finish() == other.start().finish()
    }

    /// Starts a MAC.
    pub(super) fn start(&self) -> Digest {
        match &self.secret {
            Secret::Ring(key) => Digest::Ring(Box::new(fast::Context::with_key(key))),
            Secret::Sha224(keyed) => Digest::Sha224(keyed.clone()),
        }
    }
}

/// A MAC being computed.
#[derive(Clone)]
pub(super) enum Digest {
    Ring(Box<fast::Context>),
    Sha224(Box<Hmac<Sha224>>),
}

impl Digest {
    /// Goes on with these octets.
    pub fn update(&mut self, octets: &[u8]) {
        match self {
            Digest::Ring(context) => context.update(octets),
            Digest::Sha224(keyed) => keyed.update(octets),
        }
    }

    /// The whole MAC.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Digest::Ring(context) => context.sign().as_ref().to_vec(),
            Digest::Sha224(keyed) => keyed.finalize().into_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(algorithm: Algorithm, expect: &str) {
        // RFC 2202 §3 and RFC 4231 §4.3: key "Jefe".
        let key = Key::new(b"\x01K\0", algorithm, b"Jefe");
        let mut digest = key.start();
        digest.update(b"what do ya want ");
        digest.update(b"for nothing?");
        let mac: String = digest.finish().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!((&mac[..40], mac.len()), (expect, 2 * algorithm.octets()));
    }

    #[test]
    fn macs_are_those_of_the_test_vectors() {
        check(Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        check(Algorithm::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a3");
        check(Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f08");
        check(Algorithm::Sha384, "af45d2e376484031617f78d2b58a6b1b9c7ef464");
        check(Algorithm::Sha512, "164b7a7bfcf819e2e395fbe73b56e0a387bd6422");
    }

    #[test]
    fn keys_are_the_same_if_their_secrets_are() {
        let key = |secret: &[u8]| Key::new(b"\x01K\0", Algorithm::Sha256, secret);
        assert!(key(b"Jefe").is_same(&key(b"Jefe")) && !key(b"Jefe").is_same(&key(b"jefe")));
    }

    #[test]
    fn a_secret_does_not_reach_a_log() {
        let key = Key::new(b"\x01K\0", Algorithm::Sha256, b"Jefe");
        assert_eq!(format!("{key:?}"), "Key(k. Sha256)");
    }
}
