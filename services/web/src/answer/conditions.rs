//! Conditions of a request, in the order of RFC 9110 §13.2.2.

use crate::limits::ENTITY_TAGS;
use runtime::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::UNIX_EPOCH;

/// What comes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request is carried out.
    Proceed {
        /// Whether its ranges count.
        with_range: bool,
    },
    /// The client has it: 304.
    NotModified,
    /// It is not what the client has: 412.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD about what has this strong entity tag and this time of its last change.
pub fn evaluate(headers: &HeaderMap, etag: &[u8], modified: i64) -> Outcome {
    // 1 and 2
    if headers.contains_key(header::IF_MATCH) {
        if !matches(headers, &header::IF_MATCH, etag, true) {
            return Outcome::Failed;
        }
    } else if let Some(since) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && modified > since
    {
        return Outcome::Failed;
    }
    // 3 and 4
    if headers.contains_key(header::IF_NONE_MATCH) {
        if matches(headers, &header::IF_NONE_MATCH, etag, false) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date(headers, &header::IF_MODIFIED_SINCE)
        && modified <= since
    {
        return Outcome::NotModified;
    }
    // 5
    let with_range = headers.contains_key(header::RANGE) && range_counts(headers, etag, modified);
    Outcome::Proceed { with_range }
}

/// RFC 9110 §13.1.5: a strong entity tag that is ours, or exactly our date.
fn range_counts(headers: &HeaderMap, etag: &[u8], modified: i64) -> bool {
    match only(headers, &header::IF_RANGE) {
        None => !headers.contains_key(header::IF_RANGE),
        Some(value) if value.as_bytes().starts_with(b"\"") => value.as_bytes() == etag,
        Some(_) => date(headers, &header::IF_RANGE) == Some(modified),
    }
}

/// The value of a field that may be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// A date, in any of the forms that RFC 9110 §5.6.7 has; what is none counts as if it were not there.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let text = only(headers, name)?.to_str().ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Whether a list of entity tags has this one, or is `*` (RFC 9110 §8.8.3.2). Weak tags are never strongly equal.
fn matches(headers: &HeaderMap, name: &HeaderName, etag: &[u8], is_strong: bool) -> bool {
    let mut left = ENTITY_TAGS;
    headers.get_all(name).iter().any(|value| {
        let mut rest = value.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        while left > 0
            && let Some((tag, is_weak, behind)) = next_tag(rest)
        {
            if tag == etag && !(is_strong && is_weak) {
                return true;
            }
            left -= 1;
            rest = behind;
        }
        false
    })
}

/// The next tag of a list, quotes included, whether it is weak, and what is behind it. A list ends where it is none.
fn next_tag(list: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let start = list.iter().position(|octet| !matches!(octet, b',' | b' ' | b'\t'))?;
    let list = &list[start..];
    let tag = list.strip_prefix(b"W/").unwrap_or(list);
    let length = tag.strip_prefix(b"\"")?.iter().position(|&octet| octet == b'"')? + 2;
    let behind = &tag[length..];
    let is_end = behind.trim_ascii_start().first().is_none_or(|&octet| octet == b',');
    is_end.then_some((&tag[..length], tag.len() < list.len(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &[u8] = b"\"a,b\"";
    /// Sun, 06 Nov 1994 08:49:37 GMT
    const MODIFIED: i64 = 784_111_777;
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const AFTER: &str = "Sun Nov  6 08:49:38 1994";

    /// `fields` are lines of a head.
    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        for line in fields.split('\n').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let outcome = match evaluate(&headers, ETAG, MODIFIED) {
            Outcome::Failed => "412",
            Outcome::NotModified => "304",
            Outcome::Proceed { with_range: true } => "206",
            Outcome::Proceed { with_range: false } => "200",
        };
        assert_eq!(outcome, expected, "{fields}");
    }

    #[test]
    fn if_match_compares_strongly() {
        check("if-match: \"a,b\"", "200");
        check("if-match: *", "200");
        check("if-match: \"x\", \"a,b\"", "200");
        check("if-match: \"x\"\nif-match: \"a,b\"", "200");
        check("if-match: W/\"a,b\"", "412");
        check("if-match: \"x\"", "412");
        check("if-match: a,b", "412");
        check("if-match: ", "412");
        check(&format!("if-match: {}\"a,b\"", "\"x\",".repeat(ENTITY_TAGS)), "412");
    }

    #[test]
    fn if_unmodified_since_is_for_who_has_no_tag() {
        check(&format!("if-unmodified-since: {BEFORE}"), "412");
        check(&format!("if-unmodified-since: {AT}"), "200");
        check(&format!("if-unmodified-since: {AFTER}"), "200");
        check(&format!("if-unmodified-since: {BEFORE}\nif-match: \"a,b\""), "200");
        check("if-unmodified-since: yesterday", "200");
    }

    #[test]
    fn if_none_match_compares_weakly() {
        check("if-none-match: \"a,b\"", "304");
        check("if-none-match: W/\"a,b\"", "304");
        check("if-none-match: *", "304");
        check("if-none-match: W/\"x\" ,, \"a,b\"", "304");
        check("if-none-match: \"x\"", "200");
        check("if-none-match: \"a,b", "200");
        check("if-none-match: x\"a,b\"", "200");
        check("if-none-match: \"x\"\"a,b\"", "200");
    }

    #[test]
    fn if_modified_since_is_for_who_has_no_tag() {
        check(&format!("if-modified-since: {BEFORE}"), "200");
        check(&format!("if-modified-since: {AT}"), "304");
        check(&format!("if-modified-since: {AFTER}"), "304");
        // UP-03 looks at the date first, against the RFC.
        check(&format!("if-modified-since: {AFTER}\nif-none-match: \"x\""), "200");
        check(&format!("if-modified-since: {BEFORE}\nif-none-match: \"a,b\""), "304");
        check(&format!("if-modified-since: {AT}\nif-modified-since: {AT}"), "200");
        check("if-modified-since: now", "200");
    }

    #[test]
    fn what_fails_first_counts() {
        check("if-match: \"x\"\nif-none-match: \"a,b\"", "412");
        check("if-match: \"a,b\"\nif-none-match: \"a,b\"", "304");
        check("if-none-match: \"a,b\"\nrange: bytes=0-", "304");
    }

    #[test]
    fn a_range_counts_if_it_is_of_the_same() {
        check("range: bytes=0-", "206");
        check("if-range: \"a,b\"", "200");
        check("range: bytes=0-\nif-range: \"a,b\"", "206");
        check("range: bytes=0-\nif-range: W/\"a,b\"", "200");
        check("range: bytes=0-\nif-range: \"x\"", "200");
        check(&format!("range: bytes=0-\nif-range: {AT}"), "206");
        check(&format!("range: bytes=0-\nif-range: {AFTER}"), "200");
        check("range: bytes=0-\nif-range: \"a,b\"\nif-range: \"a,b\"", "200");
    }
}
