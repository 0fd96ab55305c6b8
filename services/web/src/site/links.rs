//! Symbolic links, resolved once when a version is loaded: to a path of the same site, or to a URL.
//!
//! Whoever asks for a link is redirected to where it leads, in one step, so that each page has one address (and caches one copy). A
//! link that leads out of the site, in circles or nowhere is as if it were not there.

use crate::{
    limits::{LINK_BYTES, LINKS},
    target::encoded,
};

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a file of the site.
    File(Box<[u8]>),
    /// To a directory of the site.
    Directory(Box<[u8]>),
    /// Elsewhere: what `ln -s https://example.org/ name` makes.
    Url(Box<str>),
}

/// What is at a path, as far as links care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link, with its target.
    Link(&'a [u8]),
}

impl Destination {
    /// Whether it is a directory of the site.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// Its location, or that of a path below it.
    pub fn location(&self, below: &[u8]) -> String {
        match self {
            Self::File(path) => encoded(path),
            Self::Directory(path) if path.is_empty() => encoded(below),
            Self::Directory(path) => encoded(&[path, &b"/"[..], below].concat()),
            Self::Url(url) => url.to_string(),
        }
    }
}

/// Where the link at `path` leads, whose target is `target`; none if nowhere. `at` knows what there is.
pub fn resolve<'a>(
    path: &[u8],
    target: &'a [u8],
    at: &dyn Fn(&[u8]) -> Option<Node<'a>>,
) -> Option<Destination> {
    let directory = path.iter().rposition(|&octet| octet == b'/').map_or(&b""[..], |slash| &path[..slash]);
    let mut here = directory.to_vec();
    let mut is_file = false;
    // What is still to be walked, the next name last.
    let mut names: Vec<&[u8]> = Vec::new();
    let mut next = Some(target);
    for _ in 0..LINKS {
        if let Some(target) = next.take() {
            if let Some(url) = url(target) {
                return names.is_empty().then_some(Destination::Url(url.into()));
            }
            if target.is_empty() || target.len() > LINK_BYTES {
                return None;
            }
            if target.starts_with(b"/") {
                here.clear(); // the site's root is the only one that there is
            }
            names.extend(target.split(|&octet| octet == b'/').rev());
        }
        while let Some(name) = names.pop() {
            match name {
                b"" | b"." => continue,
                _ if is_file => return None,
                b".." if here.is_empty() => return None,
                b".." => {
                    here.truncate(here.iter().rposition(|&octet| octet == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let parent = here.len();
            if parent > 0 {
                here.push(b'/');
            }
            here.extend_from_slice(name);
            match at(&here)? {
                Node::Directory => {}
                Node::File => is_file = true,
                Node::Link(target) => {
                    here.truncate(parent);
                    next = Some(target);
                    break;
                }
            }
        }
        if next.is_none() {
            let here = here.into_boxed_slice();
            return Some(if is_file { Destination::File(here) } else { Destination::Directory(here) });
        }
    }
    None
}

/// A target that is a URL, which goes into a header field as it is.
fn url(target: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(target).ok()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    (!rest.is_empty() && text.len() <= LINK_BYTES && text.bytes().all(|octet| octet.is_ascii_graphic()))
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A site of links, directories (without a target) and files.
    const SITE: &[(&str, &str)] = &[
        ("v1", "/"),
        ("v1/page", ""),
        ("v1/up", "../top"),
        ("v1/self", "."),
        ("top", ""),
        ("latest", "v1"),
        ("newest", "latest"),
        ("circle", "circle"),
        ("ping", "pong"),
        ("pong", "ping"),
        ("web", "https://example.org/a?b"),
        ("bad", "https://exa mple.org/"),
        ("through", "web/x"),
    ];

    #[track_caller]
    fn check(path: &str, target: &str, expected: &str) {
        let site: HashMap<&[u8], Node<'_>> = SITE
            .iter()
            .map(|(path, target)| {
                let node = match *target {
                    "" => Node::File,
                    "/" => Node::Directory,
                    target => Node::Link(target.as_bytes()),
                };
                (path.as_bytes(), node)
            })
            .collect();
        let found = resolve(path.as_bytes(), target.as_bytes(), &|path| site.get(path).cloned());
        assert_eq!(
            found.map(|found| found.location(b"")).unwrap_or_default(),
            expected,
            "{path} -> {target}"
        );
    }

    #[test]
    fn links_lead_to_files_and_directories() {
        check("a", "top", "/top");
        check("a", "./v1//page", "/v1/page");
        check("a", "v1", "/v1/");
        check("v1/a", "page", "/v1/page");
        check("v1/a", "../top", "/top");
        check("v1/a", "..", "/");
        check("a", "/v1/page", "/v1/page");
    }

    #[test]
    fn links_lead_through_others_in_one_step() {
        check("a", "newest/page", "/v1/page");
        check("a", "newest/up", "/top");
        check("a", "v1/self/self/page", "/v1/page");
        check("a", "web", "https://example.org/a?b");
    }

    #[test]
    fn what_leads_nowhere_is_none() {
        for target in
            ["", "gone", "top/x", "top/..", "../x", "v1/../../etc", "circle", "ping", "bad", "through"]
        {
            check("a", target, "");
        }
        check("a", &"v1/self/".repeat(LINKS + 1), "");
        check("a", &"x".repeat(LINK_BYTES + 1), "");
    }
}
