//! Whom we speak to: the server's public key, which is pinned.

use crate::openssh::{fingerprint, wire::Reader};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use std::str::SplitAsciiWhitespace;

/// Which key the server must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKey {
    /// One with this fingerprint.
    Fingerprint(String),
    /// This one.
    Key(Vec<u8>),
}

impl HostKey {
    /// Reads `--ssh-host-key`: `SHA256:…`, or a key as a `.pub` or `known_hosts` file has it, with or without the host.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WRONG: &str = "neither SHA256:… nor a key as known_hosts has it";
        if let Some(digits) = text.trim().strip_prefix("SHA256:") {
            let digits = digits.trim_end_matches('=');
            let known = STANDARD_NO_PAD.decode(digits).is_ok_and(|hash| hash.len() == 32);
            return if known { Ok(Self::Fingerprint(format!("SHA256:{digits}"))) } else { Err(WRONG.into()) };
        }
        let after = |mut words: SplitAsciiWhitespace<'_>| {
            let kind = words.find(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-"))?;
            let key = STANDARD.decode(words.next()?).ok()?;
            (Reader(&key).string().ok()? == kind.as_bytes()).then_some(key)
        };
        after(text.split_ascii_whitespace()).map(Self::Key).ok_or_else(|| WRONG.into())
    }

    /// Whether this is the key.
    pub(super) fn matches(&self, public: &[u8]) -> bool {
        match self {
            Self::Fingerprint(expected) => *expected == fingerprint(public),
            Self::Key(key) => key == public,
        }
    }

    /// Whether a key of this type can be it.
    pub(super) fn may_be(&self, kind: &str) -> bool {
        match self {
            Self::Fingerprint(_) => true,
            Self::Key(key) => Reader(key).string().is_ok_and(|known| known == kind.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_read_with_and_without_their_host() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILbhNnTGd901HIYUtSTpqV/i3lhtLaIp8RLomyLtBgKl";
        let parsed = HostKey::parse(key).unwrap();
        assert_eq!(HostKey::parse(&format!("[h]:22 {key} comment")), Ok(parsed.clone()));
        let HostKey::Key(public) = &parsed else { panic!("{parsed:?}") };
        let print = HostKey::parse(&fingerprint(public)).unwrap();
        assert!(print.matches(public) && parsed.matches(public) && !print.matches(b"other"));
        assert!(parsed.may_be("ssh-ed25519") && !parsed.may_be("ssh-rsa"));
        assert!(HostKey::parse("SHA256:short").is_err() && HostKey::parse("ssh-rsa AAAA").is_err());
    }
}
