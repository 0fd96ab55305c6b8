//! A command line as it may be shown: on a terminal, in the log of a job. Passwords and keys that an image is given are left out.
//!
//! Whoever may look at this machine's processes sees them nevertheless. A `--config` document, which goes into the image, keeps
//! them from there as well.

use std::process::Command;

/// Last words of the names of arguments whose values are secrets, as `--ssh-key` and `--cookie-secret`.
const SECRETS: [&str; 5] = ["key", "secret", "seed", "password", "token"];

/// What stands in the place of a secret.
const HIDDEN: &str = "…";

/// Program and arguments, with spaces in between.
pub fn words(command: &Command) -> String {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    shown(&words.join(" "))
}

/// A command line without its secrets.
fn shown(line: &str) -> String {
    let mut shown = Vec::new();
    let mut is_value_of_secret = false;
    for word in line.split(' ') {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let is_secret = name.strip_prefix("--").is_some_and(is_name_of_secret);
        shown.push(match value {
            _ if is_value_of_secret => HIDDEN.to_owned(),
            Some(_) if is_secret => format!("{name}={HIDDEN}"),
            _ => without_user(word),
        });
        is_value_of_secret = is_secret && value.is_none();
    }
    shown.join(" ")
}

fn is_name_of_secret(name: &str) -> bool {
    name.rsplit('-').next().is_some_and(|last| SECRETS.contains(&last))
}

/// A URL's user and password lie between `://` and the last `@`: a password may have one of its own.
fn without_user(word: &str) -> String {
    let user = word.find("://").map(|at| at + 3).zip(word.rfind('@')).filter(|(start, end)| start <= end);
    match user {
        Some((start, end)) => format!("{}{HIDDEN}{}", &word[..start], &word[end..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        assert_eq!(shown(line), expect);
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        check(
            "tender --mem=16 -- dns.spt --ipv4=10.0.0.2/24",
            "tender --mem=16 -- dns.spt --ipv4=10.0.0.2/24",
        );
        check(
            "dns.spt --remote=git://10.0.2.2/zones.git#main",
            "dns.spt --remote=git://10.0.2.2/zones.git#main",
        );
        check("dns.spt --dnssec-key-days=7 --axfr", "dns.spt --dnssec-key-days=7 --axfr");
    }

    #[test]
    fn users_and_passwords_of_locations_are_not() {
        check("--remote=https://me:pass@host/zones.git", "--remote=https://…@host/zones.git");
        check("--remote https://token@host:8443/z#main", "--remote https://…@host:8443/z#main");
        check("--remote=https://me:p@ss/w@host/z", "--remote=https://…@host/z");
        check(
            "qemu -append --axfr --remote=https://me:pass@host/z -m 16",
            "qemu -append --axfr --remote=https://…@host/z -m 16",
        );
    }

    #[test]
    fn keys_and_seeds_are_not() {
        check("--key=name:hmac-sha256:c2VjcmV0 --axfr", "--key=… --axfr");
        check("--ssh-key seed --axfr", "--ssh-key … --axfr");
        check("--dnssec-seed=00ff --cookie-secret=00ff", "--dnssec-seed=… --cookie-secret=…");
    }
}
