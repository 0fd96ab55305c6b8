//! Who asks, as the service sets it up: cookies and rates.

use crate::cookies::{SECRET_OCTETS, Secrets};
use crate::{Authority, Client};
use runtime::{Argument, Stop};
use std::net::IpAddr;

/// `--cookie-secret`
pub const COOKIE_SECRET: Argument = Argument {
    name: "cookie-secret",
    value: "SECRET[,SECRET]",
    help: "32 hexadecimal digits that all servers of an address share, and those of before; random if not given",
};

/// `--rate-limit`
pub const RATE_LIMIT: Argument = Argument {
    name: "rate-limit",
    value: "ANSWERS",
    help: "answers of a kind a second that a network gets over UDP without a cookie, 8 or more; no limit if not given",
};

/// What `--cookie-secret` takes.
#[derive(Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct CookieSecrets(Secrets);

impl TryFrom<String> for CookieSecrets {
    type Error = String;

    fn try_from(text: String) -> Result<CookieSecrets, String> {
        let secret = |part: &str| {
            let is_hex =
                part.len() == 2 * SECRET_OCTETS && part.bytes().all(|octet| octet.is_ascii_hexdigit());
            let number = is_hex.then(|| u128::from_str_radix(part, 16).ok()).flatten();
            number.map(u128::to_be_bytes).ok_or_else(|| "a secret has 32 hexadecimal digits".to_string())
        };
        Secrets::new(text.split(',').map(secret).collect::<Result<_, _>>()?).map(CookieSecrets)
    }
}

/// Who asks, as the core wants to know it.
pub fn client(address: IpAddr) -> Client {
    Client { address, now: || platform::clock::wall() / 1_000_000_000 }
}

/// Has the core make cookies, and limit answers if that is wanted.
pub fn set_up(
    authority: &mut Authority,
    secrets: Option<CookieSecrets>,
    answers: Option<u16>,
) -> Result<(), Stop> {
    let secrets = match secrets {
        Some(CookieSecrets(secrets)) => secrets,
        None => {
            let mut secret = [0; SECRET_OCTETS];
            platform::entropy::fill(&mut secret);
            Secrets::new(vec![secret]).map_err(Stop::Failed)?
        }
    };
    authority.set_cookie_secrets(secrets);
    match answers {
        Some(answers) => authority
            .set_rate_limit(answers)
            .map_err(|reason| Stop::Failed(format!("--rate-limit: {reason}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_one_or_two_of_32_digits() {
        let secret = "00112233445566778899aabbccddeeff";
        let is_taken = |text: String| CookieSecrets::try_from(text).is_ok();
        assert!(is_taken(secret.to_string()) && is_taken(format!("{secret},{secret}")));
        assert!(!is_taken(format!("{secret}0")) && !is_taken(String::new()));
        assert!(!is_taken([secret; 3].join(",")) && !is_taken(secret.replace("00", "+1")));
    }
}
