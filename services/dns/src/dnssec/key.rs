//! A key pair that signs: Ed25519 (RFC 8080) or ECDSA over P-256 (RFC 6605), by ring.
//!
//! Both have signatures of 64 octets, which is what the cache of signatures is built on. The private half lives in ring's
//! types, which do not print it.

use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use std::fmt;

use super::limits::SIGNATURE_OCTETS;
use super::schedule::Times;

/// DNSKEY flags (RFC 4034 §2.1.1): the key belongs to a zone.
const ZONE: u16 = 0x0100;

/// DNSKEY flags: a secure entry point, which a DS record of the parent is for.
const SECURE_ENTRY_POINT: u16 = 0x0001;

/// DNSKEY flags: given up (RFC 5011 §2.1).
const REVOKED: u16 = 0x0080;

/// The only protocol there is (RFC 4034 §2.1.2).
const PROTOCOL: u8 = 3;

/// DS digests by SHA-256 (RFC 4509).
const DIGEST_SHA256: u8 = 2;

/// What signs (the registry's numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256 (RFC 6605).
    EcdsaP256Sha256 = 13,
    /// Ed25519 (RFC 8080).
    Ed25519 = 15,
}

impl Algorithm {
    /// The algorithm of this number, if it is one we sign with.
    pub fn from_number(number: u8) -> Option<Algorithm> {
        [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519].into_iter().find(|known| *known as u8 == number)
    }
}

enum Pair {
    EcdsaP256Sha256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key pair, what it is for and when.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    public: Vec<u8>,
    flags: u16,
    tag: u16,
    /// When it is published and signs.
    pub times: Times,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, flags {}, tag {})", self.algorithm, self.flags, self.tag)
    }
}

impl SigningKey {
    /// A pair whose private half is 32 octets. Where the public half is given it must be the right one; ECDSA needs it.
    pub fn new(
        algorithm: Algorithm,
        private: &[u8],
        public: Option<&[u8]>,
        is_entry_point: bool,
        times: Times,
    ) -> Result<SigningKey, String> {
        let refused = |_| "the private key is none, or not the public key's".to_string();
        let pair = match (algorithm, public) {
            (Algorithm::Ed25519, None) => {
                Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(private).map_err(refused)?)
            }
            (Algorithm::Ed25519, Some(public)) => {
                Pair::Ed25519(Ed25519KeyPair::from_seed_and_public_key(private, public).map_err(refused)?)
            }
            (Algorithm::EcdsaP256Sha256, Some(public)) => {
                // RFC 6605 §4: without the octet that says "uncompressed".
                let point = [&[4], public].concat();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    private,
                    &point,
                    &SystemRandom::new(),
                );
                Pair::EcdsaP256Sha256(pair.map_err(refused)?)
            }
            (Algorithm::EcdsaP256Sha256, None) => return Err("its public key is missing".to_string()),
        };
        let public = match &pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::EcdsaP256Sha256(pair) => pair.public_key().as_ref().get(1..).unwrap_or_default().to_vec(),
        };
        let flags = ZONE | if is_entry_point { SECURE_ENTRY_POINT } else { 0 };
        let mut key = SigningKey { algorithm, pair, public, flags, tag: 0, times };
        key.tag = tag(&key.dnskey());
        Ok(key)
    }

    /// What signs with it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the parent has (or gets) a DS record of it.
    pub fn is_entry_point(&self) -> bool {
        self.flags & SECURE_ENTRY_POINT != 0
    }

    /// The number that signatures and DS records name it by; not unique (RFC 4034 appendix B).
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The data of its DNSKEY record, and of a CDNSKEY record (RFC 4034 §2.1, RFC 7344 §3.2).
    pub fn dnskey(&self) -> Vec<u8> {
        let mut data = self.flags.to_be_bytes().to_vec();
        data.extend([PROTOCOL, self.algorithm as u8]);
        data.extend(&self.public);
        data
    }

    /// The data of a DS or CDS record for the zone called `apex` (RFC 4034 §5.1, RFC 4509).
    pub fn ds(&self, apex: &[u8]) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, &[apex, &self.dnskey()].concat());
        let mut data = self.tag.to_be_bytes().to_vec();
        data.extend([self.algorithm as u8, DIGEST_SHA256]);
        data.extend(digest.as_ref());
        data
    }

    /// Signs. `None` where there is no randomness for it.
    pub fn sign(&self, random: &SystemRandom, message: &[u8]) -> Option<[u8; SIGNATURE_OCTETS]> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message),
            Pair::EcdsaP256Sha256(pair) => pair.sign(random, message).ok()?,
        };
        signature.as_ref().try_into().ok()
    }
}

/// What the data of a DNSKEY record says of its key, for keys whose private half comes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// The algorithm's number.
    pub algorithm: u8,
    /// See [`SigningKey::is_entry_point`].
    pub is_entry_point: bool,
    /// The key itself.
    pub key: &'a [u8],
}

impl PublicKey<'_> {
    /// Reads the data; `None` for what cannot sign zones: other protocols, keys of hosts, keys given up.
    pub fn read(dnskey: &[u8]) -> Option<PublicKey<'_>> {
        let [f1, f0, PROTOCOL, algorithm, key @ ..] = dnskey else { return None };
        let flags = u16::from_be_bytes([*f1, *f0]);
        let usable = flags & ZONE != 0 && flags & REVOKED == 0;
        let is_entry_point = flags & SECURE_ENTRY_POINT != 0;
        usable.then_some(PublicKey { algorithm: *algorithm, is_entry_point, key })
    }
}

/// RFC 4034 appendix B, of the data of a DNSKEY record.
pub fn tag(dnskey: &[u8]) -> u16 {
    let octets = dnskey.iter().enumerate();
    let sum: u32 = octets.map(|(at, octet)| u32::from(*octet) << if at % 2 == 0 { 8 } else { 0 }).sum();
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    #[track_caller]
    fn check(algorithm: Algorithm, private: &str, public: &str, apex: &[u8], tag: u16, digest: &str) {
        let decode = |text| STANDARD.decode(text).unwrap();
        let key = SigningKey::new(algorithm, &decode(private), Some(&decode(public)), true, Times::default())
            .unwrap();
        assert_eq!(key.tag(), tag);
        let hex: String = key.ds(apex)[4..].iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, digest);
    }

    #[test]
    fn keys_have_the_tags_and_digests_of_the_rfcs_examples() {
        // RFC 8080 §6.1
        check(
            Algorithm::Ed25519,
            "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=",
            "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
            b"\x07example\x03com\0",
            3613,
            "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
        );
        // RFC 6605 §6.1
        check(
            Algorithm::EcdsaP256Sha256,
            "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=",
            "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
            b"\x07example\x03net\0",
            55648,
            "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
        );
    }

    #[test]
    fn a_public_key_of_another_pair_is_refused_and_secrets_are_not_printed() {
        let private = [7; 32];
        let wrong = SigningKey::new(Algorithm::Ed25519, &private, Some(&[1; 32]), true, Times::default());
        assert!(wrong.is_err());
        let key = SigningKey::new(Algorithm::Ed25519, &private, None, false, Times::default()).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey(Ed25519, flags 256, tag {})", key.tag()));
    }
}
