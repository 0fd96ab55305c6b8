//! Whose signatures count: lines of ssh-keygen(1), ALLOWED SIGNERS, and shorter ways to say the same in a boot argument.

use crate::openssh::wire::Reader;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::digest;
use std::fmt;

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

/// Whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Signer>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signer {
    principals: String,
    /// SHA-256 of the key as a `.pub` file has it, decoded: what ssh-keygen -l shows.
    fingerprint: Vec<u8>,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
}

impl AllowedSigners {
    /// Reads lines of `PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT]`, or of `KEYTYPE KEY [COMMENT]` as in a `.pub` file. A line
    /// without blanks is a list with commas: `SHA256:FINGERPRINT`, or keys in base64. Certificate authorities are refused.
    pub fn parse(text: &str) -> Result<Self, BadSigners> {
        let mut signers = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |reason| BadSigners { line: number + 1, reason };
            if line.contains([' ', '\t']) {
                signers.extend(Signer::parse(line).map_err(bad)?);
                continue;
            }
            for item in line.split(',').filter(|item| !item.is_empty()) {
                signers.push(Signer::parse_item(item).map_err(bad)?);
            }
        }
        Ok(Self(signers))
    }

    /// How many keys are named.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whom a key belongs to that is allowed at a time, in seconds since 1970.
    pub(super) fn find(&self, key: &[u8], time: i64) -> Option<&str> {
        let fingerprint = hash(key);
        let signer =
            self.0.iter().find(|signer| signer.fingerprint == fingerprint && signer.is_valid_at(time));
        signer.map(|signer| signer.principals.as_str())
    }

    /// Whether a key is among them, whenever that is.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        let fingerprint = hash(key);
        self.0.iter().any(|signer| signer.fingerprint == fingerprint)
    }
}

fn hash(key: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, key).as_ref().to_vec()
}

impl Signer {
    /// A line with blanks; none if the key is for something else than git.
    fn parse(line: &str) -> Result<Option<Self>, &'static str> {
        let words = split_quoted(line, |character| character == ' ' || character == '\t');
        let is_type = |word: &&str| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start));
        let (principals, options, kind, key) = match words[..] {
            [kind, key, ..] if is_type(&kind) => ("", "", kind, key),
            [principals, kind, key, ..] if is_type(&kind) => (principals, "", kind, key),
            [principals, options, kind, key, ..] if is_type(&kind) => (principals, options, kind, key),
            _ => return Err("not PRINCIPALS [OPTIONS] KEYTYPE KEY"),
        };
        let key = STANDARD.decode(key).map_err(|_| "the key is not in base64")?;
        if Reader(&key).string() != Ok(kind.as_bytes()) {
            return Err("the key is not of the type that the line says");
        }
        let mut signer = Self::any_time(principals, hash(&key));
        let mut for_git = true;
        for option in split_quoted(options, |character| character == ',') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = value.trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "namespaces" => for_git = matches_list(value, "git"),
                "valid-after" => signer.valid_after = Some(parse_time(value)?),
                "valid-before" => signer.valid_before = Some(parse_time(value)?),
                "cert-authority" => return Err("certificates are not supported"),
                _ => return Err("an option that is not known"),
            }
        }
        Ok(for_git.then_some(signer))
    }

    /// A fingerprint, or a key, which says by itself of which type it is.
    fn parse_item(item: &str) -> Result<Self, &'static str> {
        if let Some(digits) = item.strip_prefix("SHA256:") {
            let fingerprint = STANDARD_NO_PAD.decode(digits.trim_end_matches('='));
            let fingerprint = fingerprint.ok().filter(|fingerprint| fingerprint.len() == 32);
            return Ok(Self::any_time(item, fingerprint.ok_or("a fingerprint that is none")?));
        }
        let key = STANDARD.decode(item).map_err(|_| "neither SHA256:FINGERPRINT nor a key in base64")?;
        match Reader(&key).string() {
            Ok(kind)
                if kind.starts_with(b"ssh-") || kind.starts_with(b"ecdsa-") || kind.starts_with(b"sk-") =>
            {
                Ok(Self::any_time("", hash(&key)))
            }
            _ => Err("what is in base64 is no public key of ssh"),
        }
    }

    fn any_time(principals: &str, fingerprint: Vec<u8>) -> Self {
        let principals = match principals {
            "" => format!("SHA256:{}", STANDARD_NO_PAD.encode(&fingerprint)),
            principals => principals.trim_matches('"').into(),
        };
        Self { principals, fingerprint, valid_after: None, valid_before: None }
    }

    fn is_valid_at(&self, time: i64) -> bool {
        self.valid_after.is_none_or(|after| time >= after)
            && self.valid_before.is_none_or(|before| time < before)
    }
}

/// Parts of a text, none of them empty; what is in quotes ends none.
fn split_quoted(text: &str, is_end: impl Fn(char) -> bool) -> Vec<&str> {
    let mut quoted = false;
    let end = |character: char| {
        quoted ^= character == '"';
        !quoted && is_end(character)
    };
    text.split(end).filter(|part| !part.is_empty()).collect()
}

/// A list of patterns as ssh_config(5) has it: one has to match, and none that begins with `!`.
fn matches_list(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches_pattern(pattern.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches_pattern(pattern.as_bytes(), text.as_bytes()),
        }
    }
    found
}

/// `*` stands for any characters and `?` for one. Goes back to the last `*` only, so it takes no longer than both lengths
/// multiplied.
fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut next, mut star) = (0, 0, None);
    while next < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(&octet) if octet == b'?' || octet == text[next] => (at, next) = (at + 1, next + 1),
            _ => {
                let Some((back, from)) = star else { return false };
                (at, next, star) = (back + 1, from + 1, Some((back, from + 1)));
            }
        }
    }
    pattern[at..].iter().all(|&octet| octet == b'*')
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
        check(&format!("a@b namespaces=\"file,git\",valid-before=\"20300101\" {key}"), Ok(1));
        check(&format!("a@b namespaces=\"g?t\" {key}"), Ok(1));
        check(&format!("a@b namespaces=\"*,!g*\" {key}"), Ok(0));
        check(&format!("a@b something {key}"), Err("an option that is not known"));
        check(&format!("a@b valid-after=tomorrow {key}"), Err("a time is not YYYYMMDD[HHMM[SS]][Z]"));
        check("a@b ssh-rsa AAAAC3NzaC1lZDI1NTE5", Err("the key is not of the type that the line says"));
        check("a@b ssh-rsa !", Err("the key is not in base64"));
        check("a@b c", Err("not PRINCIPALS [OPTIONS] KEYTYPE KEY"));
    }

    #[test]
    fn keys_may_be_named_without_anything_else() {
        let print = "SHA256:dYEImVlm0I7XIFN0i0YOhNHbaPsQPXYwPaSQL6ObSzY";
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAILbhNnTGd901HIYUtSTpqV/i3lhtLaIp8RLomyLtBgKl";
        check(&format!("{print},{key}"), Ok(2));
        check(&format!("ssh-ed25519 {key} comment\n{print}"), Ok(2));
        check("SHA256:short", Err("a fingerprint that is none"));
        check("hunter2!", Err("neither SHA256:FINGERPRINT nor a key in base64"));
        check("AAAA", Err("what is in base64 is no public key of ssh"));
        let (whole, short) = (AllowedSigners::parse(key).unwrap(), STANDARD.decode(key).unwrap());
        let name = whole.find(&short, 0).unwrap();
        assert_eq!(AllowedSigners::parse(name).unwrap(), whole);
    }

    #[test]
    fn patterns_match_as_in_ssh() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c", "abcd", false),
            ("?", "", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches_pattern(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(parse_time("19700101"), Ok(0));
        assert_eq!(parse_time("20240229123456Z"), Ok(1_709_210_096));
        assert!(parse_time("20241301").is_err());
        assert!(parse_time("2024010").is_err());
    }
}
