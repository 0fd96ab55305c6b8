//! Keys from a seed: an image keeps nothing, and has the same keys after each start.

use crate::{
    limits::{CERTIFICATE_NAMES, SEED_OCTETS},
    tls::{BadIdentity, Identity, pki_types::CertificateDer},
};
use p256::elliptic_curve::sec1::ToSec1Point;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use ring::hkdf;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::fmt;

/// What keys are derived from. It is a secret: no log shows it.
#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Seed(hkdf::Prk);

/// The seed has fewer than [`SEED_OCTETS`] octets, so that it could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortSeed;

impl fmt::Display for ShortSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a seed has at least {SEED_OCTETS} characters; 'openssl rand -base64 32' makes one")
    }
}

impl std::error::Error for ShortSeed {}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl TryFrom<String> for Seed {
    type Error = ShortSeed;

    fn try_from(text: String) -> Result<Self, ShortSeed> {
        Self::new(text.as_bytes())
    }
}

impl Seed {
    /// A seed as it was given: every octet counts, none is decoded.
    pub fn new(seed: &[u8]) -> Result<Self, ShortSeed> {
        if seed.len() < SEED_OCTETS {
            return Err(ShortSeed);
        }
        Ok(Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"skerry key seed").extract(seed)))
    }

    /// The key for a purpose: always the same, and one tells nothing about the others (RFC 5869).
    pub fn key(&self, purpose: &str) -> Key {
        // A number that is no private key comes once in 2^32 times; the next is another.
        let number = (0_u8..=255).find_map(|attempt| {
            let mut octets = [0; 32];
            let info = [purpose.as_bytes(), &[0, attempt]];
            self.0.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut octets)).ok()?;
            p256::SecretKey::from_slice(&octets).ok()
        });
        Key::new(&number.expect("256 times in a row means a broken hash"))
    }
}

/// A private key for ECDSA on P-256, which every authority and every client takes.
pub struct Key {
    /// RFC 5958 with RFC 5915 inside.
    pkcs8: Vec<u8>,
    pair: KeyPair,
}

impl Key {
    fn new(number: &p256::SecretKey) -> Self {
        const HEAD: [u8; 36] =
            *b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\
            \x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
        const MIDDLE: [u8; 5] = *b"\xa1\x44\x03\x42\x00";
        let point = number.public_key().to_sec1_point(false);
        let pkcs8 = [&HEAD[..], &number.to_bytes(), &MIDDLE, point.as_bytes()].concat();
        let der = PrivatePkcs8KeyDer::from(&pkcs8[..]);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256);
        Self { pair: pair.expect("it was encoded right here"), pkcs8 }
    }

    /// The key in PKCS #8.
    pub fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        self.pkcs8.clone().into()
    }

    /// The public key, in DER (RFC 5280 §4.1.2.7).
    pub fn public(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// A request for a certificate for these host names (RFC 2986).
    pub fn request(&self, names: &[String]) -> Result<Vec<u8>, BadNames> {
        if names.is_empty() || names.len() > CERTIFICATE_NAMES {
            return Err(BadNames);
        }
        let mut params = CertificateParams::new(names).map_err(|_| BadNames)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.pair).map_err(|_| BadNames)?;
        Ok(request.der().to_vec())
    }

    /// What a server shows with this key.
    pub fn identity(&self, chain: Vec<CertificateDer<'static>>) -> Result<Identity, BadIdentity> {
        Identity::new(chain, self.pkcs8().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Names that no certificate can be for: none at all, more than limits.rs allows, or not in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNames;

impl fmt::Display for BadNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a certificate is for 1 to {CERTIFICATE_NAMES} host names in ASCII")
    }
}

impl std::error::Error for BadNames {}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(text: &str) -> Seed {
        Seed::new(text.as_bytes()).unwrap()
    }

    const SEED: &str = "correct horse battery staple and so on";

    #[test]
    fn a_seed_has_to_be_long() {
        assert_eq!(Seed::new(&[b'x'; SEED_OCTETS - 1]).unwrap_err(), ShortSeed);
    }

    #[test]
    fn keys_depend_on_seed_and_purpose_alone() {
        let public = |seed: Seed, purpose| seed.key(purpose).pair.public_key_raw().to_vec();
        assert_eq!(public(seed(SEED), "a"), public(seed(SEED), "a"));
        assert_ne!(public(seed(SEED), "a"), public(seed(SEED), "b"));
        assert_ne!(public(seed(SEED), "a"), public(seed(&SEED.to_uppercase()), "a"));
    }

    #[test]
    fn a_key_stays_the_same_from_release_to_release() {
        // Else every service would need another certificate after an update.
        let public = seed(SEED).key("example.org").pair.public_key_raw().to_vec();
        let start: String = public[..9].iter().map(|octet| format!("{octet:02x}")).collect();
        // By an implementation of HKDF and P-256 in Python.
        assert_eq!(start, "04119d395991f7f611");
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?} {:?}", seed(SEED), seed(SEED).key("a"));
        assert_eq!(shown, "Seed Key");
    }

    #[track_caller]
    fn check_names(names: &[&str], expected: Result<(), BadNames>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(seed(SEED).key("a").request(&names).map(|_| ()), expected);
    }

    #[test]
    fn requests_are_for_names() {
        check_names(&["example.org"], Ok(()));
        check_names(&["example.org", "*.example.org"], Ok(()));
        check_names(&[], Err(BadNames));
        check_names(&["bücher.example"], Err(BadNames));
        check_names(&["x.example"; CERTIFICATE_NAMES + 1], Err(BadNames));
    }
}
