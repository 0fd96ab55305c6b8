//! Signatures as ssh has them: Ed25519 (RFC 8709), RSA with SHA-2 (RFC 8332), ECDSA on P-256 and P-384 (RFC 5656), and
//! Ed25519 on a security key (OpenSSH's PROTOCOL.u2f).

use super::{
    key::unsigned,
    wire::{Reader, Truncated},
};
use ring::{digest, signature};

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// It, or the key, is not as it should be.
    Damaged,
    /// It was made by a security key that nobody touched.
    Untouched,
    /// It is by an algorithm that is not supported.
    Unsupported,
    /// It is not by that key, or not of that.
    Wrong,
}

impl From<Truncated> for Unverified {
    fn from(_: Truncated) -> Self {
        Self::Damaged
    }
}

/// Whether a signature is by a key, both as ssh has them, over `signed`.
pub(crate) fn verify(key: &[u8], signature: &[u8], signed: &[u8]) -> Result<(), Unverified> {
    verify_signed(key, signature, signed)?.map_err(|_| Unverified::Wrong)
}

fn verify_signed(
    key: &[u8],
    signature: &[u8],
    signed: &[u8],
) -> Result<Result<(), ring::error::Unspecified>, Unverified> {
    let (mut key, mut rest) = (Reader(key), Reader(signature));
    let mut take_key = || key.string();
    let (kind, algorithm) = (take_key()?, rest.string()?);
    let signature = rest.string()?;
    let plain = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8], signature: &[u8]| {
        signature::UnparsedPublicKey::new(algorithm, key).verify(signed, signature)
    };
    match (kind, algorithm) {
        (b"ssh-ed25519", b"ssh-ed25519") => Ok(plain(&signature::ED25519, take_key()?, signature)),
        // RFC 8332; ssh-rsa with SHA-1 is not allowed in signatures (PROTOCOL.sshsig, §2).
        (b"ssh-rsa", b"rsa-sha2-512" | b"rsa-sha2-256") => {
            let (exponent, modulus) = (unsigned(take_key()?), unsigned(take_key()?));
            let algorithm = if algorithm == b"rsa-sha2-512" {
                &signature::RSA_PKCS1_2048_8192_SHA512
            } else {
                &signature::RSA_PKCS1_2048_8192_SHA256
            };
            let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
            Ok(key.verify(algorithm, signed, signature))
        }
        (b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256") => {
            let _curve = take_key()?;
            let signature = fixed::<32>(signature)?;
            Ok(plain(&signature::ECDSA_P256_SHA256_FIXED, take_key()?, &signature))
        }
        (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384") => {
            let _curve = take_key()?;
            let signature = fixed::<48>(signature)?;
            Ok(plain(&signature::ECDSA_P384_SHA384_FIXED, take_key()?, &signature))
        }
        // PROTOCOL.u2f, "SSH U2F signatures": over hashes, and how often the key has signed; somebody touched it.
        (b"sk-ssh-ed25519@openssh.com", b"sk-ssh-ed25519@openssh.com") => {
            let (point, application) = (take_key()?, take_key()?);
            let &[flags, _, _, _, _] = rest.0 else { return Err(Truncated.into()) };
            if flags & 1 == 0 {
                return Err(Unverified::Untouched);
            }
            let hash = |bytes| digest::digest(&digest::SHA256, bytes);
            let signed = [hash(application).as_ref(), rest.0, hash(signed).as_ref()].concat();
            Ok(signature::UnparsedPublicKey::new(&signature::ED25519, point).verify(&signed, signature))
        }
        _ => Err(Unverified::Unsupported),
    }
}

/// Both numbers of an ECDSA signature (RFC 5656 §3.1.2), each of `N` bytes.
fn fixed<const N: usize>(signature: &[u8]) -> Result<Vec<u8>, Truncated> {
    let (mut reader, mut fixed) = (Reader(signature), Vec::with_capacity(2 * N));
    for _ in 0..2 {
        let number = unsigned(reader.string()?);
        fixed.resize(fixed.len() + N.checked_sub(number.len()).ok_or(Truncated)?, 0);
        fixed.extend_from_slice(number);
    }
    if reader.0.is_empty() { Ok(fixed) } else { Err(Truncated) }
}
