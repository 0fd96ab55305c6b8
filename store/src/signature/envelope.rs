//! Where a commit's signature stands, and what is in it: git's gpg-interface and OpenSSH's PROTOCOL.sshsig.
//!
//! ```text
//!     commit ─┬─ header gpgsig ─► armour ─► envelope: key, "git", hash's name, signature
//!             └─ all the rest ──► hash ───► signed: SSHSIG, "git", hash's name, hash
//! ```

use super::BadSignature;
use crate::{
    id::Format,
    limits::SIGNATURE_BYTES,
    openssh::{
        CannotSign, PrivateKey, verify,
        wire::{Reader, Truncated, Writer},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;

/// What a signature is for; git's commits and tags have this one.
pub(super) const NAMESPACE: &[u8] = b"git";

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Characters of a line of armour, as OpenSSH writes it.
const LINE: usize = 70;

/// Headers with the signature: of the repository's format first, and of the other one, which is no part of what is signed.
fn headers(format: Format) -> [&'static str; 2] {
    // git's commit.c, `gpg_sig_headers`.
    match format {
        Format::Sha1 => ["gpgsig", "gpgsig-sha256"],
        Format::Sha256 => ["gpgsig-sha256", "gpgsig"],
    }
}

/// What is signed, and the signature as it stands in the commit's header.
pub(super) fn split(format: Format, commit: &[u8]) -> Result<(Vec<u8>, Vec<u8>), BadSignature> {
    let [wanted, other] = headers(format).map(|name| [name.as_bytes(), b" "].concat());
    let (mut payload, mut armour, mut found) = (Vec::with_capacity(commit.len()), Vec::new(), 0);
    let mut rest = commit;
    // Where a line that begins with a space belongs.
    let (mut in_wanted, mut in_other) = (false, false);
    while !rest.is_empty() && rest[0] != b'\n' {
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, next) = rest.split_at(end);
        rest = next;
        let mut value = line;
        if line[0] != b' ' {
            (in_wanted, in_other) = (line.starts_with(&wanted), line.starts_with(&other));
            found += usize::from(in_wanted);
            value = line.get(wanted.len()..).unwrap_or_default();
        } else if in_wanted {
            value = &line[1..];
        }
        if in_wanted {
            armour.extend_from_slice(value);
        } else if !in_other {
            payload.extend_from_slice(line);
        }
        if armour.len() > SIGNATURE_BYTES {
            return Err(BadSignature::Malformed("too long"));
        }
    }
    payload.extend_from_slice(rest);
    match found {
        0 => Err(BadSignature::None),
        1 => Ok((payload, armour)),
        _ => Err(BadSignature::Malformed("more than one")),
    }
}

/// Takes the armour off.
pub(super) fn decode_armour(armour: &[u8]) -> Result<Vec<u8>, BadSignature> {
    let text = std::str::from_utf8(armour).map_err(|_| BadSignature::Malformed("not text"))?;
    let inner = text.trim().strip_prefix(BEGIN);
    let inner = inner.and_then(|inner| inner.strip_suffix(END));
    let inner = inner.ok_or(BadSignature::Malformed("not an ssh signature"))?;
    let digits: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(digits).map_err(|_| BadSignature::Malformed("not in base64"))
}

/// The header with a signature of a commit that has none yet, its line ends with it.
pub(crate) fn sign(format: Format, commit: &[u8], key: &PrivateKey) -> Result<Vec<u8>, CannotSign> {
    let digest = digest::digest(&digest::SHA512, commit);
    let signature = key.sign(&signed(NAMESPACE, b"", b"sha512", digest.as_ref()))?;
    // PROTOCOL.sshsig, §1.
    let mut envelope = Writer(b"SSHSIG".to_vec()).number(1);
    for part in [key.public(), NAMESPACE, b"", b"sha512", &signature] {
        envelope = envelope.string(part);
    }
    let digits = STANDARD.encode(envelope.0);
    let mut header = format!("{} {BEGIN}\n", headers(format)[0]);
    for line in digits.as_bytes().chunks(LINE) {
        header.push(' ');
        header.extend(line.iter().map(|&digit| char::from(digit)));
        header.push('\n');
    }
    header.push_str(&format!(" {END}\n"));
    Ok(header.into_bytes())
}

/// What the key signs (PROTOCOL.sshsig, §2).
fn signed(namespace: &[u8], reserved: &[u8], hash: &[u8], digest: &[u8]) -> Vec<u8> {
    let signed = Writer(b"SSHSIG".to_vec()).string(namespace).string(reserved);
    signed.string(hash).string(digest).0
}

/// What is in the armour (PROTOCOL.sshsig, §1).
pub(super) struct Envelope<'a> {
    pub(super) key: &'a [u8],
    pub(super) namespace: &'a [u8],
    reserved: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let mut reader = Reader(bytes.strip_prefix(b"SSHSIG\0\0\0\x01").ok_or(Truncated)?);
        let mut take = || reader.string();
        let envelope =
            Self { key: take()?, namespace: take()?, reserved: take()?, hash: take()?, signature: take()? };
        if reader.0.is_empty() { Ok(envelope) } else { Err(Truncated) }
    }

    /// Whether it is a signature of this.
    pub(super) fn verify(&self, payload: &[u8]) -> Result<(), BadSignature> {
        let algorithm = match self.hash {
            b"sha256" => &digest::SHA256,
            b"sha512" => &digest::SHA512,
            _ => return Err(BadSignature::Unsupported),
        };
        let digest = digest::digest(algorithm, payload);
        let signed = signed(self.namespace, self.reserved, self.hash, digest.as_ref());
        Ok(verify(self.key, self.signature, &signed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_commit_without_its_signature() {
        let commit = b"tree x\ngpgsig a\n b\n c\ngpgsig-sha256 d\n e\nother f\n g\n\ngpgsig no\n";
        let expect = (b"tree x\nother f\n g\n\ngpgsig no\n".to_vec(), b"a\nb\nc\n".to_vec());
        assert_eq!(split(Format::Sha1, commit), Ok(expect));
        assert_eq!(split(Format::Sha1, b"tree x\n\n"), Err(BadSignature::None));
        let twice = b"gpgsig a\ngpgsig b\n\n";
        assert_eq!(split(Format::Sha1, twice), Err(BadSignature::Malformed("more than one")));
    }
}
