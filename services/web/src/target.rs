//! What a request names: the path of its target, decoded and normalized (RFC 3986 §6.2.2), and its query.
//!
//! The path comes out as the files of a site are named: octets, no slash in front, none behind. A path can name nothing
//! outside of the site, since it is looked up in a table; it is normalized so that one file has one name.

use crate::limits::PATH_BYTES;
use std::borrow::Cow;

/// What a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The decoded path, without slashes in front and behind.
    pub path: Cow<'a, [u8]>,
    /// Whether a slash was behind it, or it was nothing but one.
    pub is_directory: bool,
    /// What is behind the question mark.
    pub query: Option<&'a str>,
}

/// Why a request names nothing that could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTarget {
    /// No path from the root, a percent sign without two digits, or a NUL: the client's fault.
    Malformed,
    /// A path that no file has: an empty segment, or a slash that was encoded.
    Nowhere,
    /// More octets than limits.rs allows.
    TooLong,
}

impl<'a> Target<'a> {
    /// Of the path and the query of a URI.
    pub fn new(path: &'a str, query: Option<&'a str>) -> Result<Self, BadTarget> {
        let rest = path.as_bytes().strip_prefix(b"/").ok_or(BadTarget::Malformed)?;
        if rest.len() > PATH_BYTES {
            return Err(BadTarget::TooLong);
        }
        let is_plain = !rest.starts_with(b".")
            && !rest.starts_with(b"/")
            && !rest.windows(2).any(|pair| pair[0] == b'/' && matches!(pair[1], b'.' | b'/'))
            && !rest.iter().any(|octet| matches!(octet, b'%' | 0));
        if is_plain {
            let name = rest.strip_suffix(b"/").unwrap_or(rest);
            return Ok(Self {
                path: name.into(),
                is_directory: name.len() < rest.len() || rest.is_empty(),
                query,
            });
        }
        let (path, is_directory) = normalized(rest)?;
        Ok(Self { path: path.into(), is_directory, query })
    }
}

/// Decodes segment by segment, so that an encoded slash is none, and removes dot segments (RFC 3986 §5.2.4), encoded ones too.
fn normalized(rest: &[u8]) -> Result<(Vec<u8>, bool), BadTarget> {
    let mut path = Vec::with_capacity(rest.len());
    let mut is_directory = true;
    let count = rest.iter().filter(|&&octet| octet == b'/').count();
    for (number, segment) in rest.split(|&octet| octet == b'/').enumerate() {
        let name = decoded(segment)?;
        is_directory = matches!(&name[..], b"" | b"." | b"..");
        match &name[..] {
            b"" if number < count => return Err(BadTarget::Nowhere),
            b"" | b"." => {}
            b".." => path.truncate(path.iter().rposition(|&octet| octet == b'/').unwrap_or(0)),
            name if name.contains(&b'/') => return Err(BadTarget::Nowhere),
            name => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
            }
        }
    }
    Ok((path, is_directory))
}

/// RFC 3986 §2.1
fn decoded(segment: &[u8]) -> Result<Cow<'_, [u8]>, BadTarget> {
    if segment.contains(&0) {
        return Err(BadTarget::Malformed);
    }
    if !segment.contains(&b'%') {
        return Ok(segment.into());
    }
    let digit = |octet: Option<&u8>| octet.and_then(|&octet| (octet as char).to_digit(16));
    let mut octets = Vec::with_capacity(segment.len());
    let mut rest = segment.iter();
    while let Some(&octet) = rest.next() {
        octets.push(match octet {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) if high + low > 0 => (high * 16 + low) as u8,
                _ => return Err(BadTarget::Malformed),
            },
            octet => octet,
        });
    }
    Ok(octets.into())
}

/// A path as it goes into a `Location`: a slash in front, everything encoded that is not unreserved or harmless (RFC 3986
/// §3.3). It never begins with two slashes, which would name a host.
pub fn encoded(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len() + 1);
    text.push('/');
    let start = path.iter().take_while(|&&octet| octet == b'/').count();
    for &octet in &path[start..] {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text.push(octet as char),
            b'-' | b'.' | b'_' | b'~' | b'/' | b'!' | b'$' | b'&' | b'\'' => text.push(octet as char),
            b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' => text.push(octet as char),
            octet => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                text.extend([
                    '%',
                    DIGITS[usize::from(octet >> 4)] as char,
                    DIGITS[usize::from(octet & 15)] as char,
                ]);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path that comes out; with a slash behind it if it names a directory.
    #[track_caller]
    fn check(path: &str, expected: Result<&str, BadTarget>) {
        let shown = Target::new(path, None).map(|target| {
            let slash = if target.is_directory && !target.path.is_empty() { "/" } else { "" };
            assert!(!target.path.is_empty() || target.is_directory);
            format!("{}{slash}", String::from_utf8_lossy(&target.path))
        });
        assert_eq!(shown, expected.map(str::to_owned), "{path}");
    }

    #[test]
    fn a_file_has_one_name() {
        check("/", Ok(""));
        check("/a", Ok("a"));
        check("/a/", Ok("a/"));
        check("/a/b.html", Ok("a/b.html"));
        check("/%61/b%2Ehtml", Ok("a/b.html"));
        check("/a%20b/%C3%BC", Ok("a b/ü"));
        check("/a;v=1,2", Ok("a;v=1,2"));
        check("/.well-known/x", Ok(".well-known/x"));
    }

    #[test]
    fn dot_segments_go_up_and_never_out() {
        for (path, expected) in [
            ("/./a", "a"),
            ("/a/.", "a/"),
            ("/a/./b", "a/b"),
            ("/a/b/..", "a/"),
            ("/a/b/../c", "a/c"),
            ("/../../etc/passwd", "etc/passwd"),
            ("/a/../..", ""),
            ("/%2e%2E/%2e./x", "x"),
            ("/a/..%2f", "!"),
            ("/...", "..."),
            ("/a/.b", "a/.b"),
        ] {
            check(path, if expected == "!" { Err(BadTarget::Nowhere) } else { Ok(expected) });
        }
    }

    #[test]
    fn what_can_be_no_path_is_refused() {
        for path in ["", "a", "*", "/%", "/%4", "/%4g", "/a%zz", "/%00", "/a\0", "/a%2500%00"] {
            check(path, Err(BadTarget::Malformed));
        }
        for path in ["//", "//host/", "/a//b", "/a%2Fb", "/./%2f"] {
            check(path, Err(BadTarget::Nowhere));
        }
        check(&format!("/{}", "a".repeat(PATH_BYTES)), Ok(&"a".repeat(PATH_BYTES)));
        check(&format!("/{}", "a".repeat(PATH_BYTES + 1)), Err(BadTarget::TooLong));
    }

    #[test]
    fn a_location_stays_on_this_host() {
        for (path, expected) in [
            (&b""[..], "/"),
            (b"a/", "/a/"),
            (b"a b/\xC3\xBC%", "/a%20b/%C3%BC%25"),
            (b"//host/a\r\nX: y", "/host/a%0D%0AX:%20y"),
            (b"a?b#c\"<>\\", "/a%3Fb%23c%22%3C%3E%5C"),
        ] {
            assert_eq!(encoded(path), expected);
        }
    }
}
