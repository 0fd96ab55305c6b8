//! Which host a request is for (RFC 9110 §7.2, RFC 9112 §3.2).

use runtime::http::{HeaderMap, Uri, header};

/// The host that a request names, in small letters, without port and final dot; empty where a client of HTTP/1.0 names none.
///
/// None if there is none in HTTP/1.1, or more than one, or one that is no host: status 400.
pub fn host(uri: &Uri, headers: &HeaderMap, is_needed: bool) -> Option<String> {
    let mut fields = headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(field.to_str().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    // The one in an absolute target counts; over HTTP/2 that is `:authority`.
    match uri.authority().map(|authority| authority.as_str()).or(field) {
        Some(authority) => name(authority),
        None => (!is_needed).then(String::new),
    }
}

/// The name in a host with or without a port. Who may be in front of it, `user@`, is none of HTTP's (RFC 9110 §4.2.4).
fn name(authority: &str) -> Option<String> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_address =
                address.bytes().all(|octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.'));
            (is_address && is_port(port)).then(|| &authority[..address.len() + 2])?
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            is_port(&authority[end..]).then(|| &authority[..end])?
        }
    };
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[]:".contains(&octet);
    if host.is_empty() || host.len() > 255 || !host.bytes().all(is_name) {
        return None;
    }
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|octet| octet.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::http::HeaderValue;

    #[track_caller]
    fn check(uri: &str, fields: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::HOST, HeaderValue::from_str(field).unwrap());
        }
        assert_eq!(host(&uri.parse().unwrap(), &headers, true).as_deref(), expected, "{uri} {fields:?}");
    }

    #[test]
    fn a_host_is_a_name_without_its_port() {
        check("/", &["Example.ORG"], Some("example.org"));
        check("/", &["example.org.:8080"], Some("example.org"));
        check("/", &["192.0.2.1:80"], Some("192.0.2.1"));
        check("/", &["[2001:DB8::1]:80"], Some("[2001:db8::1]"));
        check("http://a.example/x", &["b.example"], Some("a.example"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        check("/", &[], None);
        check("/", &["a", "a"], None);
        for wrong in ["", ":80", "a:b", "a b", "a/b", "user@a", "[::1", "[x]", "[::1]x", "a,b\t"] {
            check("/", &[wrong], None);
        }
        assert_eq!(host(&"/".parse().unwrap(), &HeaderMap::new(), false).as_deref(), Some(""));
    }
}
