//! Signed commits: `git commit -S` with `gpg.format=ssh`, judged by a list of keys as `gpg.ssh.allowedSignersFile` has it.
//!
//! A signature is in a header of the commit and is over the commit without that header (git's gpg-interface, commit.c); how
//! it looks is OpenSSH's PROTOCOL.sshsig. Ed25519, RSA, ECDSA on P-256 and P-384, and Ed25519 on a security key; P-521 and
//! certificates are *unsupported*, since ring has the former not, and who is allowed is said key by key here.

use crate::{
    error::Error,
    id::{Format, ObjectId},
    limits::SIGNATURE_BYTES,
    object::{Commit, Kind},
    repository::Repository,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{digest, signature};
use std::fmt;

/// What a signature is for; git's commits and tags have this one.
const NAMESPACE: &[u8] = b"git";

/// Why a commit does not count as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSignature {
    /// It has no signature.
    None,
    /// It has one of another format (OpenPGP, X.509), several, or a damaged one.
    Malformed(&'static str),
    /// It is by a key that nobody has allowed for this, or not at the commit's time.
    UnknownKey,
    /// It is by an algorithm that is not supported.
    Unsupported,
    /// It is not a signature of this commit.
    Wrong,
}

impl fmt::Display for BadSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "the commit is not signed",
            Self::Malformed(reason) => return write!(formatter, "the commit's signature: {reason}"),
            Self::UnknownKey => "the commit is signed by a key that is not allowed",
            Self::Unsupported => "the commit is signed by an algorithm that is not supported",
            Self::Wrong => "the commit's signature is not of this commit",
        })
    }
}

impl std::error::Error for BadSignature {}

/// A line of a list of signers that is none; counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSigners {
    /// The line.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for BadSigners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "allowed signers, line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadSigners {}

/// Whose signatures count: the format of ssh-keygen(1), ALLOWED SIGNERS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Signer>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signer {
    principals: String,
    /// As in a `.pub` file, decoded.
    key: Vec<u8>,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
}

impl AllowedSigners {
    /// Reads lines of `PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT]`. Certificate authorities are refused.
    pub fn parse(text: &str) -> Result<Self, BadSigners> {
        let mut signers = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let signer = Signer::parse(line).map_err(|reason| BadSigners { line: number + 1, reason })?;
            signers.extend(signer);
        }
        Ok(Self(signers))
    }

    /// Judges a commit by its bytes; returns whom the key belongs to. The committer's date counts as the time, as in git.
    pub fn verify(&self, format: Format, commit: &[u8]) -> Result<&str, BadSignature> {
        let (payload, armour) = split(format, commit)?;
        let envelope = decode_armour(&armour)?;
        let signature = Envelope::parse(&envelope).ok_or(BadSignature::Malformed("damaged"))?;
        if signature.namespace != NAMESPACE {
            return Err(BadSignature::Malformed("not made for git"));
        }
        let time =
            Commit::parse(format, commit).map_err(|bad| BadSignature::Malformed(bad.0))?.committer.seconds();
        let signer = self.0.iter().find(|signer| signer.key == signature.key && signer.is_valid_at(time));
        let signer = signer.ok_or(BadSignature::UnknownKey)?;
        signature.verify(&payload)?;
        Ok(&signer.principals)
    }
}

impl Repository {
    /// Whether a commit is signed by one of these; returns by whom.
    pub fn verify_signature<'a>(
        &self,
        commit: &ObjectId,
        signers: &'a AllowedSigners,
    ) -> Result<Result<&'a str, BadSignature>, Error> {
        let object = self.read_as(commit, Kind::Commit)?;
        Ok(signers.verify(self.format(), &object.data))
    }
}

impl Signer {
    /// One line; none if the key is for something else than git.
    fn parse(line: &str) -> Result<Option<Self>, &'static str> {
        let words = split_words(line);
        let is_type = |word: &&str| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start));
        let (principals, options, kind, key) = match words[..] {
            [principals, kind, key, ..] if is_type(&kind) => (principals, "", kind, key),
            [principals, options, kind, key, ..] if is_type(&kind) => (principals, options, kind, key),
            _ => return Err("not PRINCIPALS [OPTIONS] KEYTYPE KEY"),
        };
        let key = STANDARD.decode(key).map_err(|_| "the key is not in base64")?;
        if take_string(&mut &key[..]) != Some(kind.as_bytes()) {
            return Err("the key is not of the type that the line says");
        }
        let mut signer = Self { principals: principals.into(), key, valid_after: None, valid_before: None };
        let mut for_git = true;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = value.trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "namespaces" => for_git = value == "git" || value == "*",
                "valid-after" => signer.valid_after = Some(parse_time(value)?),
                "valid-before" => signer.valid_before = Some(parse_time(value)?),
                "cert-authority" => return Err("certificates are not supported"),
                _ => return Err("an option that is not known"),
            }
        }
        Ok(for_git.then_some(signer))
    }

    fn is_valid_at(&self, time: i64) -> bool {
        self.valid_after.is_none_or(|after| time >= after)
            && self.valid_before.is_none_or(|before| time < before)
    }
}

/// Words of a line; quoted blanks do not end one.
fn split_words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let blank = |character: char| {
        quoted ^= character == '"';
        !quoted && (character == ' ' || character == '\t')
    };
    line.split(blank).filter(|word| !word.is_empty()).collect()
}

/// Seconds since 1970 of `YYYYMMDD[HHMM[SS]][Z]`; an image knows no time zone, so all are UTC.
fn parse_time(text: &str) -> Result<i64, &'static str> {
    parse_digits(text.strip_suffix('Z').unwrap_or(text)).ok_or("a time is not YYYYMMDD[HHMM[SS]][Z]")
}

fn parse_digits(digits: &str) -> Option<i64> {
    if ![8, 12, 14].contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |start: usize, end: usize| {
        digits.get(start..end).map_or(Some(0), |digits| digits.parse::<i64>().ok())
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the proleptic Gregorian calendar, from March on, so that a leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(8, 10)? * 3_600 + number(10, 12)? * 60 + number(12, 14)?)
}

/// What is signed, and the signature as it stands in the commit's header.
fn split(format: Format, commit: &[u8]) -> Result<(Vec<u8>, Vec<u8>), BadSignature> {
    // git's commit.c, `gpg_sig_headers`: the signature of one format is no part of what the other signs.
    let (wanted, other) = match format {
        Format::Sha1 => (&b"gpgsig "[..], &b"gpgsig-sha256 "[..]),
        Format::Sha256 => (&b"gpgsig-sha256 "[..], &b"gpgsig "[..]),
    };
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
            (in_wanted, in_other) = (line.starts_with(wanted), line.starts_with(other));
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
fn decode_armour(armour: &[u8]) -> Result<Vec<u8>, BadSignature> {
    let text = std::str::from_utf8(armour).map_err(|_| BadSignature::Malformed("not text"))?;
    let inner = text.trim().strip_prefix("-----BEGIN SSH SIGNATURE-----");
    let inner = inner.and_then(|inner| inner.strip_suffix("-----END SSH SIGNATURE-----"));
    let inner = inner.ok_or(BadSignature::Malformed("not an ssh signature"))?;
    let digits: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(digits).map_err(|_| BadSignature::Malformed("not in base64"))
}

/// Takes a string of RFC 4251 §5 off the front.
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (string, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(string)
}

/// Adds a string of RFC 4251 §5.
fn put_string(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(string.len()).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(string);
}

/// What is in the armour (PROTOCOL.sshsig, §1).
struct Envelope<'a> {
    key: &'a [u8],
    namespace: &'a [u8],
    reserved: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"SSHSIG\0\0\0\x01")?;
        let mut take = || take_string(&mut rest);
        let envelope =
            Self { key: take()?, namespace: take()?, reserved: take()?, hash: take()?, signature: take()? };
        rest.is_empty().then_some(envelope)
    }

    /// Whether it is a signature of this.
    fn verify(&self, payload: &[u8]) -> Result<(), BadSignature> {
        let algorithm = match self.hash {
            b"sha256" => &digest::SHA256,
            b"sha512" => &digest::SHA512,
            _ => return Err(BadSignature::Unsupported),
        };
        // PROTOCOL.sshsig, §2.
        let mut signed = b"SSHSIG".to_vec();
        for part in [self.namespace, self.reserved, self.hash, digest::digest(algorithm, payload).as_ref()] {
            put_string(&mut signed, part);
        }
        verify_ssh(self.key, self.signature, &signed)
    }
}

/// Whether a signature, as ssh has it, is by a key, as ssh has it, over `signed`. Also what ssh itself uses.
pub(crate) fn verify_ssh(key: &[u8], signature: &[u8], signed: &[u8]) -> Result<(), BadSignature> {
    verify_signed(key, signature, signed)?.map_err(|_| BadSignature::Wrong)
}

fn verify_signed(
    mut key: &[u8],
    mut rest: &[u8],
    signed: &[u8],
) -> Result<Result<(), ring::error::Unspecified>, BadSignature> {
    const DAMAGED: BadSignature = BadSignature::Malformed("damaged");
    let mut take_key = || take_string(&mut key).ok_or(DAMAGED);
    let (kind, algorithm) = (take_key()?, take_string(&mut rest).ok_or(DAMAGED)?);
    let signature = take_string(&mut rest).ok_or(DAMAGED)?;
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
            let signature = fixed::<32>(signature).ok_or(DAMAGED)?;
            Ok(plain(&signature::ECDSA_P256_SHA256_FIXED, take_key()?, &signature))
        }
        (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384") => {
            let _curve = take_key()?;
            let signature = fixed::<48>(signature).ok_or(DAMAGED)?;
            Ok(plain(&signature::ECDSA_P384_SHA384_FIXED, take_key()?, &signature))
        }
        // PROTOCOL.u2f, "SSH U2F signatures": over hashes, and how often the key has signed; somebody touched it.
        (b"sk-ssh-ed25519@openssh.com", b"sk-ssh-ed25519@openssh.com") => {
            let (point, application) = (take_key()?, take_key()?);
            let &[flags, _, _, _, _] = rest else { return Err(DAMAGED) };
            if flags & 1 == 0 {
                return Err(BadSignature::Malformed("nobody touched the security key"));
            }
            let hash = |bytes| digest::digest(&digest::SHA256, bytes);
            let signed = [hash(application).as_ref(), rest, hash(signed).as_ref()].concat();
            Ok(signature::UnparsedPublicKey::new(&signature::ED25519, point).verify(&signed, signature))
        }
        _ => Err(BadSignature::Unsupported),
    }
}

/// An mpint (RFC 4251 §5) that is not negative, without zeros in front.
fn unsigned(mpint: &[u8]) -> &[u8] {
    let zeros = mpint.iter().take_while(|&&byte| byte == 0).count();
    &mpint[zeros..]
}

/// Both numbers of an ECDSA signature (RFC 5656 §3.1.2), each of `N` bytes.
fn fixed<const N: usize>(mut signature: &[u8]) -> Option<Vec<u8>> {
    let mut fixed = Vec::with_capacity(2 * N);
    for _ in 0..2 {
        let number = unsigned(take_string(&mut signature)?);
        fixed.resize(fixed.len() + N.checked_sub(number.len())?, 0);
        fixed.extend_from_slice(number);
    }
    signature.is_empty().then_some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<usize, &str>) {
        let parsed = AllowedSigners::parse(line).map(|signers| signers.0.len()).map_err(|bad| bad.reason);
        assert_eq!(parsed, expect);
    }

    #[test]
    fn signers_are_read_as_ssh_keygen_reads_them() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILbhNnTGd901HIYUtSTpqV/i3lhtLaIp8RLomyLtBgKl";
        check("# nobody\n\n", Ok(0));
        check(&format!("a@b {key} comment"), Ok(1));
        check(&format!("*@b,c@d namespaces=\"git\",valid-after=\"20240101Z\" {key}"), Ok(1));
        check(&format!("a@b namespaces=\"file\" {key}"), Ok(0));
        check(&format!("a@b cert-authority {key}"), Err("certificates are not supported"));
        check(&format!("a@b something {key}"), Err("an option that is not known"));
        check(&format!("a@b valid-after=tomorrow {key}"), Err("a time is not YYYYMMDD[HHMM[SS]][Z]"));
        check("a@b ssh-rsa AAAAC3NzaC1lZDI1NTE5", Err("the key is not of the type that the line says"));
        check("a@b ssh-rsa !", Err("the key is not in base64"));
        check("a@b", Err("not PRINCIPALS [OPTIONS] KEYTYPE KEY"));
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(parse_time("19700101"), Ok(0));
        assert_eq!(parse_time("20240229123456Z"), Ok(1_709_210_096));
        assert!(parse_time("20241301").is_err());
        assert!(parse_time("2024010").is_err());
    }

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
