//! Key files as BIND's `dnssec-keygen` writes them and `dnssec-settime` edits them: a pair of files a key.
//!
//! `Kexample.org.+015+03613.key` has the DNSKEY record, `….private` the secret and the times. Both lie beside the zone files.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::key::{Algorithm, PublicKey, SigningKey};
use super::schedule::Times;
use crate::name::{HashKey, Name};
use crate::zonefile;

/// The two halves of a key's name.
const ENDINGS: [&str; 2] = [".key", ".private"];

/// Whether a file of this name is half a key: `KZONE.+ALGORITHM+TAG.key` or `….private`.
pub fn is_key_file(file: &str) -> bool {
    stem(file).is_some()
}

/// What both halves' names begin with.
pub fn stem(file: &str) -> Option<&str> {
    let stem = ENDINGS.iter().find_map(|ending| file.strip_suffix(ending))?;
    let mut parts = stem.strip_prefix('K')?.rsplitn(3, '+');
    let is_number = |part: Option<&str>, digits| {
        part.is_some_and(|part| part.len() == digits && part.bytes().all(|octet| octet.is_ascii_digit()))
    };
    let is_key = is_number(parts.next(), 5) && is_number(parts.next(), 3) && parts.next().is_some();
    is_key.then_some(stem)
}

/// The key that two files make, and the name of its zone.
pub fn read(public: &str, private: &str, key: &HashKey) -> Result<(Name, SigningKey), String> {
    let (apex, dnskey) = read_public(public, key)?;
    let public = PublicKey::read(&dnskey).ok_or("its DNSKEY record is not of a key that signs zones")?;
    let algorithm = Algorithm::from_number(public.algorithm)
        .ok_or_else(|| format!("algorithm {} is none we sign with: 13 and 15 are", public.algorithm))?;
    let (secret, times) = read_private(private, algorithm)?;
    let pair = SigningKey::new(algorithm, &secret, Some(public.key), public.is_entry_point, times)?;
    Ok((apex, pair))
}

/// `NAME [TTL] [IN] DNSKEY FLAGS PROTOCOL ALGORITHM KEY`, and comments.
fn read_public(text: &str, key: &HashKey) -> Result<(Name, Vec<u8>), String> {
    let lines = text.lines().map(|line| line.split(';').next().unwrap_or_default());
    let line = lines.filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    let mut words = line.split_whitespace();
    let owner = words.next().ok_or("there is no DNSKEY record")?;
    let apex = zonefile::zone_name(owner, key)?;
    words.find(|word| word.eq_ignore_ascii_case("DNSKEY")).ok_or("there is no DNSKEY record")?;
    let mut number = || words.next().and_then(|word| word.parse::<u16>().ok());
    let (Some(flags), Some(protocol), Some(algorithm)) = (number(), number(), number()) else {
        return Err("the DNSKEY record needs flags, protocol and algorithm as numbers".to_string());
    };
    let mut dnskey = flags.to_be_bytes().to_vec();
    dnskey.extend([protocol as u8, algorithm as u8]);
    let encoded: String = words.filter(|word| !["(", ")"].contains(word)).collect();
    dnskey.extend(STANDARD.decode(encoded).map_err(|_| "the DNSKEY record's key is not base 64")?);
    Ok((apex, dnskey))
}

fn read_private(text: &str, algorithm: Algorithm) -> Result<(Vec<u8>, Times), String> {
    let (mut secret, mut times, mut number) = (None, Times::default(), None);
    for line in text.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let at = || time(value).map(Some).ok_or_else(|| format!("{field}: `{value}` is not YYYYMMDDHHMMSS"));
        match field.trim() {
            "Algorithm" => number = value.split(' ').next().and_then(|word| word.parse().ok()),
            "PrivateKey" => secret = STANDARD.decode(value).ok(),
            "Publish" => times.publish = at()?,
            "Activate" => times.activate = at()?,
            "Inactive" => times.inactive = at()?,
            "Delete" => times.delete = at()?,
            "SyncPublish" => times.ask_parent = at()?,
            "SyncDelete" => times.stop_asking = at()?,
            _ => {} // BIND's own: Created, Revoke, DSPublish …
        }
    }
    if number != Some(algorithm as u8) {
        return Err("the private key is of another algorithm than the public one".to_string());
    }
    // dnssec-keygen writes the number of a P-256 key without its leading zeroes: one file in 256 is shorter.
    let secret = secret.map(|secret| match algorithm {
        Algorithm::EcdsaP256Sha256 => [vec![0; 32_usize.saturating_sub(secret.len())], secret].concat(),
        Algorithm::Ed25519 => secret,
    });
    let secret = secret.filter(|secret| secret.len() == 32);
    Ok((secret.ok_or("there is no PrivateKey of 32 octets in base 64")?, times))
}

/// `YYYYMMDDHHMMSS`, in seconds since 1970.
fn time(text: &str) -> Option<u64> {
    if text.len() != 14 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    zonefile::time(text.as_bytes()).ok().map(u64::from)
}

/// RFC 8080 §6.1, as files.
#[cfg(test)]
pub const PUBLIC: &str = "; This is a key-signing key, keyid 3613, for example.com.\n\
    example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZ HJpBoRQwAQEX1SxZJA4=\n";
/// See [`PUBLIC`].
#[cfg(test)]
pub const PRIVATE: &str = "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\n\
    PrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n\
    Created: 20261124154200\nPublish: 19700101000100\nActivate: 20261124154200\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(public: &str, private: &str, expect: Result<(u16, Option<u64>, Option<u64>), &str>) {
        let found = read(public, private, &HashKey::new([1; 24]));
        let found = found.map(|(_, key)| (key.tag(), key.times.publish, key.times.activate));
        assert_eq!(found, expect.map_err(str::to_string));
    }

    #[test]
    fn the_files_of_dnssec_keygen_are_read() {
        check(PUBLIC, PRIVATE, Ok((3613, Some(60), Some(1_795_534_920))));
        let changed = PRIVATE.replace("ODIy", "ODIz");
        check(PUBLIC, &changed, Err("the private key is none, or not the public key's"));
        let other = PRIVATE.replace("15 (", "13 (");
        check(PUBLIC, &other, Err("the private key is of another algorithm than the public one"));
        let late = PRIVATE.replace("19700101000100", "tomorrow");
        check(PUBLIC, &late, Err("Publish: `tomorrow` is not YYYYMMDDHHMMSS"));
        let revoked = PUBLIC.replace("257", "385");
        check(&revoked, PRIVATE, Err("its DNSKEY record is not of a key that signs zones"));
        check("", PRIVATE, Err("there is no DNSKEY record"));
    }

    /// By BIND 9.18: its number begins with a zero octet, and there are 31.
    #[test]
    fn a_private_key_may_be_short_of_leading_zeroes() {
        let public = "edge.test. IN DNSKEY 257 3 13 YhGezc8PJ2OBvfYV1cBVBrBlPVLYEO+Eo5Ys4EOYszIT9pAZmbVamI9N \
            CQDUJvUSwatGbu0c5/EMRA0WvAR14A==\n";
        let private =
            "Algorithm: 13 (ECDSAP256SHA256)\nPrivateKey: 6wsTDMKijClcyXxE0KQIIf0zRdPOp9NF56OVaqLQYw==\n";
        check(public, private, Ok((15575, None, None)));
        let short = private.replace("6wsT", "");
        check(public, &short, Err("the private key is none, or not the public key's"));
    }

    #[test]
    fn key_files_are_known_by_their_names() {
        assert_eq!(stem("Kexample.org.+015+03613.key"), Some("Kexample.org.+015+03613"));
        for file in ["Kexample.org.+015+03613", "Kexample.org.+15+03613.key", "K.key", "example.private"] {
            assert_eq!(stem(file), None, "{file}");
        }
    }
}
