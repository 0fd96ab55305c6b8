//! What a URL says about where to connect, who asks, and where a redirection leads.

use super::{Error, HeaderValue, Response, Uri};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{header::LOCATION, uri::Authority};

/// A server to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

impl Origin {
    pub fn of(url: &Uri) -> Result<Self, Error> {
        let tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Error::BadRequest("the URL begins with neither http:// nor https://")),
        };
        let host =
            url.host().filter(|host| !host.is_empty()).ok_or(Error::BadRequest("the URL has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port })
    }
}

/// The authority without user and password, which are for nobody but the server (RFC 9110 §4.2.4).
pub(super) fn without_user(authority: &Authority) -> Result<Authority, Error> {
    let text = authority.as_str();
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    host.parse().map_err(|_| Error::BadRequest("the URL has no host"))
}

/// The authorization that a URL's user and password ask for.
pub(super) fn authorization(authority: &Authority) -> Option<HeaderValue> {
    let (user, _) = authority.as_str().rsplit_once('@')?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    Some(basic_authorization(&decoded(user), &decoded(password)))
}

/// The value of `Authorization` for a user with a password (RFC 7617).
pub fn basic_authorization(user: &[u8], password: &[u8]) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode([user, b":", password].concat()));
    let mut value = HeaderValue::try_from(text).expect("base64 is printable");
    value.set_sensitive(true);
    value
}

/// Octets without their percent-encoding (RFC 3986 §2.1); a stray `%` stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let (mut octets, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                octets.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                octets.push(first);
                rest = after;
            }
        }
    }
    octets
}

/// Where a response sends us, if that is on the same host and no less protected than `asked`. To follow or not is the
/// caller's decision; to another host nobody should be sent without being told.
pub fn redirection<B>(asked: &Uri, response: &Response<B>) -> Option<Uri> {
    let to =
        response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?.to_str().ok()?;
    let mut parts = asked.clone().into_parts();
    if to.starts_with('/') && !to.starts_with("//") {
        parts.path_and_query = Some(to.parse().ok()?);
        return Uri::from_parts(parts).ok();
    }
    let next: Uri = to.parse().ok()?;
    let (from, into) = (Origin::of(asked).ok()?, Origin::of(&next).ok()?);
    let upgraded = into.tls && !from.tls && into.port == 443 && from.port == 80;
    if from.host != into.host || !(from == into || upgraded) {
        return None;
    }
    let mut next = next.into_parts();
    // Whoever was asked as a user is asked as that user again.
    if let Some((user, _)) = asked.authority().and_then(|authority| authority.as_str().rsplit_once('@')) {
        next.authority = Some(format!("{user}@{}", without_user(&next.authority?).ok()?).parse().ok()?);
    }
    Uri::from_parts(next).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_origin(url: &str, expected: Option<(bool, &str, u16)>) {
        let origin = Origin::of(&url.parse().unwrap()).ok();
        assert_eq!(origin, expected.map(|(tls, host, port)| Origin { tls, host: host.into(), port }));
    }

    #[test]
    fn urls_name_servers() {
        check_origin("http://example.org/x", Some((false, "example.org", 80)));
        check_origin("https://user:word@EXAMPLE.org:8443", Some((true, "example.org", 8443)));
        check_origin("https://[2001:db8::1]/", Some((true, "2001:db8::1", 443)));
        check_origin("ftp://example.org/", None);
        check_origin("/only/a/path", None);
    }

    #[track_caller]
    fn check_authorization(url: &str, expected: Option<&str>) {
        let url: Uri = url.parse().unwrap();
        let value = authorization(url.authority().unwrap());
        assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), expected);
        assert!(value.is_none_or(|value| format!("{value:?}") == "Sensitive"));
    }

    #[test]
    fn users_and_passwords_become_authorization() {
        check_authorization("http://example.org/", None);
        // RFC 7617 §2
        let aladdin = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        check_authorization("http://Aladdin:open%20sesame@example.org/", aladdin);
        check_authorization("http://user@example.org/", Some("Basic dXNlcjo="));
        check_authorization("http://user:50%@example.org/", Some("Basic dXNlcjo1MCU="));
    }

    #[track_caller]
    fn check_redirection(asked: &str, to: &str, expected: Option<&str>) {
        let response = Response::builder().status(302).header(LOCATION, to).body(()).unwrap();
        let next = redirection(&asked.parse().unwrap(), &response);
        assert_eq!(next.map(|next| next.to_string()).as_deref(), expected);
    }

    #[test]
    fn redirections_stay_on_the_host() {
        check_redirection("http://a.example/x", "/y?z", Some("http://a.example/y?z"));
        check_redirection("http://a.example/x", "http://A.example/y", Some("http://A.example/y"));
        check_redirection("http://a.example/x", "https://a.example/x", Some("https://a.example/x"));
        check_redirection("http://u:w@a.example/x", "https://a.example/x", Some("https://u:w@a.example/x"));
        check_redirection(
            "http://u:w@a.example/x",
            "http://evil@a.example/x",
            Some("http://u:w@a.example/x"),
        );
        check_redirection("https://a.example/x", "http://a.example/x", None);
        check_redirection("http://a.example/x", "http://a.example:81/x", None);
        check_redirection("http://a.example/x", "http://b.example/x", None);
        check_redirection("http://a.example/x", "//b.example/x", None);
    }
}
