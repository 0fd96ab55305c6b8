//! A private key of ours, from a file of OpenSSH's or from a seed: it shows who we are by ssh, and signs commits.

use super::wire::{Reader, Truncated, Writer};
use crate::remote::Secret;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::{
    digest,
    rand::SystemRandom,
    rsa,
    signature::{self, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use std::fmt;

/// A private key of ours. Neither Debug nor Display shows more than its public half.
pub struct PrivateKey {
    pair: Pair,
    /// As in an `authorized_keys` file, decoded.
    public: Vec<u8>,
}

/// The key does not sign: there is no randomness or no memory, or it is an RSA key whose parts do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CannotSign;

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// Reads `--ssh-key`: `ed25519:` and 32 bytes in base64, or the text of a private key without a passphrase: OpenSSH's
    /// format (its first and last line may be left out), PKCS#8, or RSA's PKCS#1. Line ends may have become blanks on the way. The error says what is wrong.
    pub fn parse(secret: &Secret) -> Result<Self, String> {
        let text = secret.expose().trim();
        if let Some(inner) = armoured(text, "OPENSSH PRIVATE KEY")? {
            return Self::from_openssh(&inner);
        }
        if let Some(inner) = armoured(text, "PRIVATE KEY")? {
            if let Ok(pair) = RsaKeyPair::from_pkcs8(&inner) {
                return Ok(Self::rsa(pair));
            }
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&inner);
            return pair
                .map(Self::ed25519)
                .map_err(|_| "a key that is neither ed25519 nor rsa of 2048 to 4096 bits".into());
        }
        if let Some(inner) = armoured(text, "RSA PRIVATE KEY")? {
            let pair = RsaKeyPair::from_der(&inner)
                .map_err(|error| format!("an RSA key that is no good: {error}"))?;
            return Ok(Self::rsa(pair));
        }
        // What stands between the lines of an OpenSSH file: boot arguments have no blanks.
        if let Ok(inner) = STANDARD.decode(text)
            && inner.starts_with(b"openssh-key-v1\0")
        {
            return Self::from_openssh(&inner);
        }
        let seed = text.strip_prefix("ed25519:").unwrap_or(text).trim_end_matches('=');
        let seed = STANDARD_NO_PAD.decode(seed).ok().filter(|seed| seed.len() == 32);
        let seed = seed.ok_or("neither 32 bytes in base64 nor the text of a private key")?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| "a seed that is no good")?;
        Ok(Self::ed25519(pair))
    }

    fn ed25519(pair: Ed25519KeyPair) -> Self {
        let public = Writer::default().string("ssh-ed25519").string(pair.public_key()).0;
        Self { pair: Pair::Ed25519(Box::new(pair)), public }
    }

    fn rsa(pair: RsaKeyPair) -> Self {
        let (modulus, exponent) = {
            let components: rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
            (components.n, components.e)
        };
        let public = Writer::default().string("ssh-rsa").integer(&exponent).integer(&modulus).0;
        Self { pair: Pair::Rsa(Box::new(pair)), public }
    }

    /// OpenSSH's PROTOCOL.key.
    fn from_openssh(bytes: &[u8]) -> Result<Self, String> {
        let damaged = |Truncated| "a damaged private key".to_owned();
        let mut reader = Reader(bytes.strip_prefix(b"openssh-key-v1\0").ok_or("a damaged private key")?);
        let cipher = reader.string().map_err(damaged)?;
        if cipher != b"none" {
            return Err("a private key with a passphrase; ssh-keygen -p -N '' removes it from a copy".into());
        }
        for _kdf in 0..2 {
            reader.string().map_err(damaged)?;
        }
        if reader.number().map_err(damaged)? != 1 {
            return Err("more than one private key".into());
        }
        reader.string().map_err(damaged)?;
        let mut private = Reader(reader.string().map_err(damaged)?);
        if private.number().map_err(damaged)? != private.number().map_err(damaged)? {
            return Err("a damaged private key".into());
        }
        let kind = private.string().map_err(damaged)?;
        let mut next = || private.string().map_err(damaged);
        match kind {
            b"ssh-ed25519" => {
                let (public, both) = (next()?, next()?);
                let seed = both.get(..32).ok_or("a damaged private key")?;
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
                pair.map(Self::ed25519).map_err(|_| "a damaged private key".into())
            }
            b"ssh-rsa" => {
                let mut number = || next().map(unsigned);
                let (n, e, d, inverse, p, q) =
                    (number()?, number()?, number()?, number()?, number()?, number()?);
                // RFC 8017 §3.2: what the format leaves out.
                let (dp, dq) = (remainder_less_one(d, p), remainder_less_one(d, q));
                let pair = RsaKeyPair::from_components(&rsa::KeyPairComponents {
                    public_key: rsa::PublicKeyComponents { n, e },
                    d,
                    p,
                    q,
                    dP: &dp,
                    dQ: &dq,
                    qInv: inverse,
                });
                pair.map(Self::rsa).map_err(|error| format!("an RSA key that is no good: {error}"))
            }
            _ => Err("a key that is neither ed25519 nor rsa".into()),
        }
    }

    /// Its public half, as in an `authorized_keys` file, decoded.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// By which algorithm it signs (RFC 8332 for RSA, as SHA-1 is no longer taken).
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "ssh-ed25519",
            Pair::Rsa(_) => "rsa-sha2-512",
        }
    }

    /// A signature, as messages have it.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| CannotSign)?;
                signature
            }
        };
        Ok(Writer::default().string(self.algorithm()).string(signature).0)
    }
}

impl fmt::Display for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", fingerprint(&self.public))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({self})")
    }
}

/// What is between `-----BEGIN label-----` and its end, decoded; none if the text is something else.
fn armoured(text: &str, label: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(inner) = text.strip_prefix(&format!("-----BEGIN {label}-----")) else { return Ok(None) };
    let inner =
        inner.strip_suffix(&format!("-----END {label}-----")).ok_or("a private key that is cut off")?;
    let digits: String = inner.split_ascii_whitespace().collect();
    // Headers, as `Proc-Type: 4,ENCRYPTED`, are no base64.
    STANDARD.decode(digits).map(Some).map_err(|_| "a private key with a passphrase, or a damaged one".into())
}

/// A number without zeros in front.
pub(super) fn unsigned(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}

/// `number` modulo `modulus - 1`, for an odd modulus. Bit by bit: it is done once, with a few thousand bits.
fn remainder_less_one(number: &[u8], modulus: &[u8]) -> Vec<u8> {
    let mut divisor = [&[0], modulus].concat();
    if let Some(last) = divisor.last_mut() {
        *last &= !1;
    }
    let mut rest = vec![0_u8; divisor.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if rest >= divisor {
            let mut borrow = false;
            for (byte, other) in rest.iter_mut().zip(&divisor).rev() {
                let (less, first) = byte.overflowing_sub(*other);
                let (less, second) = less.overflowing_sub(borrow.into());
                (*byte, borrow) = (less, first | second);
            }
        }
    }
    unsigned(&rest).to_vec()
}

/// `SHA256:…`, as ssh-keygen -l shows a public key.
pub(crate) fn fingerprint(public: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest::digest(&digest::SHA256, public)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(PrivateKey::parse(&Secret::new(text)).err().as_deref(), Some(expected));
    }

    #[test]
    fn seeds_are_read_and_nothing_private_is_shown() {
        let one = PrivateKey::parse(&Secret::new(format!("ed25519:{SEED}="))).unwrap();
        let other = PrivateKey::parse(&Secret::new(SEED)).unwrap();
        assert_eq!(one.public(), other.public());
        assert!(format!("{one:?}").starts_with("PrivateKey(SHA256:"));
    }

    #[test]
    fn what_is_no_key_is_told() {
        refused("hunter2", "neither 32 bytes in base64 nor the text of a private key");
        refused("-----BEGIN PRIVATE KEY----- AAAA", "a private key that is cut off");
        refused(
            "-----BEGIN OPENSSH PRIVATE KEY----- AAAA -----END OPENSSH PRIVATE KEY-----",
            "a damaged private key",
        );
    }

    #[test]
    fn remainders_are_right() {
        assert_eq!(remainder_less_one(&[0x01, 0x00, 0x00], &[0xfb]), (65_536_u32 % 250).to_be_bytes()[3..]);
        assert_eq!(remainder_less_one(&[5], &[0x01, 0x01]), [5]);
    }
}
