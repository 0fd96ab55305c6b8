//! The webhook: who may say that there is a new version. GitHub, GitLab, Forgejo and Gitea prove that they know the secret:
//!
//! | who | field | proof |
//! |---|---|---|
//! | GitHub, Forgejo, Gitea | `X-Hub-Signature-256` | `sha256=` and HMAC-SHA256 of the body in hexadecimal |
//! | Forgejo, Gitea, Gogs | `X-Forgejo-Signature`, `X-Gitea-Signature`, `X-Gogs-Signature` | the same without `sha256=` |
//! | GitLab (signing token) | `webhook-signature` | Standard Webhooks: HMAC-SHA256 of id, time and body in base64 |
//! | GitLab (secret token) | `X-Gitlab-Token` | the secret itself; only over TLS |
//!
//! The body is read for its signature and neither kept nor understood: whatever it says, what comes of it is a look at the remote.
//! So a call that is repeated by somebody who has seen it does no harm. Comparisons take the same time whatever differs.

use crate::limits::{HOOK_BURST, HOOK_SECONDS, HOOK_SECRET_LEAST, HOOK_TOLERANCE_SECONDS};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use runtime::http::HeaderMap;
use std::fmt;

/// What callers know.
pub struct Secret {
    key: hmac::Key,
    /// That of Standard Webhooks, where the secret's octets are encoded.
    signing_key: hmac::Key,
    /// HMAC of the secret itself, to compare a token with.
    token: hmac::Tag,
}

/// A secret that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortSecret;

impl fmt::Display for ShortSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "it has fewer than {HOOK_SECRET_LEAST} characters; 'openssl rand -base64 24' makes one"
        )
    }
}

impl std::error::Error for ShortSecret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret as the git host has it.
    pub fn new(text: &str) -> Result<Self, ShortSecret> {
        if text.len() < HOOK_SECRET_LEAST {
            return Err(ShortSecret);
        }
        let key = |octets: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, octets);
        let encoded = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
        let signing_key = key(encoded.as_deref().unwrap_or(text.as_bytes()));
        let key = key(text.as_bytes());
        Ok(Self { token: hmac::sign(&key, text.as_bytes()), key, signing_key })
    }

    /// Begins to judge a call by its head, at `now` in seconds since 1970. None if nothing there proves anything.
    pub fn begin(&self, headers: &HeaderMap, now: i64) -> Option<Call<'_>> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let plain = ["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"];
        let digits = text("x-hub-signature-256")
            .map(|value| value.strip_prefix("sha256=").unwrap_or_default())
            .or_else(|| plain.iter().find_map(|name| text(name)));
        if let Some(digits) = digits {
            let context = hmac::Context::with_key(&self.key).into();
            return Some(Call::Signed(&self.key, context, vec![hexadecimal(digits)?]));
        }
        if let Some(signatures) = text("webhook-signature") {
            let (id, time) = (text("webhook-id")?, text("webhook-timestamp")?);
            if now.abs_diff(time.parse().ok()?) > HOOK_TOLERANCE_SECONDS.unsigned_abs() {
                return None;
            }
            let signatures =
                signatures.split(' ').take(8).filter_map(|signature| signature.strip_prefix("v1,"));
            let expected = signatures.filter_map(|signature| STANDARD.decode(signature).ok()).collect();
            let mut context = hmac::Context::with_key(&self.signing_key);
            context.update(format!("{id}.{time}.").as_bytes());
            return Some(Call::Signed(&self.signing_key, context.into(), expected));
        }
        let token = headers.get("x-gitlab-token")?;
        Some(Call::Token(hmac::verify(&self.key, token.as_bytes(), self.token.as_ref()).is_ok()))
    }
}

/// A call that is being judged.
pub enum Call<'s> {
    /// By what its body is signed with: the key, the body so far, what may come out.
    Signed(&'s hmac::Key, Box<hmac::Context>, Vec<Vec<u8>>),
    /// By a token, which was right or was not.
    Token(bool),
}

impl Call<'_> {
    /// Takes more of the body.
    pub fn update(&mut self, octets: &[u8]) {
        if let Self::Signed(_, context, _) = self {
            context.update(octets);
        }
    }

    /// Whether the caller knows the secret.
    pub fn finish(self) -> bool {
        match self {
            Self::Token(is_right) => is_right,
            Self::Signed(key, context, expected) => {
                // Compared by their HMACs, which takes the same time wherever they differ.
                let tag = hmac::sign(key, context.sign().as_ref());
                expected.iter().any(|expected| hmac::verify(key, expected, tag.as_ref()).is_ok())
            }
        }
    }
}

/// The octets of an even number of hexadecimal digits.
fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// How often something may be done: some times at once, and then every few seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// When all that were done will be forgotten, in milliseconds.
    until: u64,
}

impl Rate {
    /// Whether it may be done at `now`, in milliseconds of some clock; else the seconds to wait.
    pub fn take(&mut self, now: u64) -> Result<(), u64> {
        const EACH: u64 = HOOK_SECONDS * 1_000;
        let until = self.until.max(now) + EACH;
        let over = (until - now).saturating_sub(u64::from(HOOK_BURST) * EACH);
        if over > 0 {
            return Err(over.div_ceil(1_000));
        }
        self.until = until;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::http::{HeaderName, HeaderValue};

    /// GitHub's own example: secret, body and signature (docs.github.com, "Validating webhook deliveries").
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const DIGITS: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    /// The example of Standard Webhooks' own tests.
    const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const TIME: i64 = 1_614_265_330;

    #[track_caller]
    fn check(secret: &str, fields: &[(&str, &str)], body: &[u8], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let secret = Secret::new(secret).unwrap();
        let outcome = secret.begin(&headers, TIME + 60).is_some_and(|mut call| {
            body.chunks(5).for_each(|octets| call.update(octets));
            call.finish()
        });
        assert_eq!(outcome, expected, "{fields:?}");
    }

    #[test]
    fn github_and_forgejo_sign_the_body() {
        let prefixed = format!("sha256={DIGITS}");
        check(SECRET, &[("x-hub-signature-256", &prefixed)], BODY, true);
        check(SECRET, &[("x-hub-signature-256", &prefixed.to_uppercase().replace("SHA", "sha"))], BODY, true);
        for name in ["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"] {
            check(SECRET, &[(name, DIGITS)], BODY, true);
            check(SECRET, &[(name, DIGITS)], b"Hello, World?", false);
        }
        check(SECRET, &[("x-hub-signature-256", &prefixed)], b"", false);
        check("another secret, as long", &[("x-hub-signature-256", &prefixed)], BODY, false);
        for wrong in
            ["", "sha256=", DIGITS, "sha1=7571", &prefixed[..69], &format!("{prefixed}00"), "sha256=\u{e9}"]
        {
            check(SECRET, &[("x-hub-signature-256", wrong)], BODY, false);
        }
    }

    #[test]
    fn gitlab_sends_a_token_or_signs_with_the_time() {
        check(SECRET, &[("x-gitlab-token", SECRET)], BODY, true);
        check(SECRET, &[("x-gitlab-token", "It's a Secret to Everybodz")], BODY, false);
        check(SECRET, &[("x-gitlab-token", "")], BODY, false);
        let body = br#"{"test": 2432232314}"#;
        let signed = |signature, time| {
            [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", time),
                ("webhook-signature", signature),
            ]
        };
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let several = format!("v1a,x v1,AAAA {good}");
        check(SIGNING, &signed(good, "1614265330"), body, true);
        check(SIGNING, &signed(&several, "1614265330"), body, true);
        check(SIGNING, &signed(good, "1614265331"), body, false);
        check(SIGNING, &signed(good, "1614265000"), body, false);
        check(SIGNING, &signed("v1,", "1614265330"), body, false);
        check(SIGNING, &signed(&good[3..], "1614265330"), body, false);
    }

    #[test]
    fn who_proves_nothing_is_refused() {
        check(SECRET, &[], BODY, false);
        check(SECRET, &[("authorization", SECRET)], BODY, false);
        assert!(Secret::new("fifteen letters").is_err());
        assert_eq!(format!("{:?}", Secret::new(SECRET).unwrap()), "Secret(..)");
    }

    #[test]
    fn calls_are_a_few_at_once_and_then_far_apart() {
        let mut rate = Rate::default();
        let now = 5_000_000;
        assert!((0..HOOK_BURST).all(|_| rate.take(now).is_ok()));
        assert_eq!(rate.take(now), Err(HOOK_SECONDS));
        assert_eq!(rate.take(now + 500), Err(HOOK_SECONDS));
        assert_eq!(rate.take(now + HOOK_SECONDS * 1_000), Ok(()));
        assert!(rate.take(now + HOOK_SECONDS * 1_000).is_err());
    }
}
