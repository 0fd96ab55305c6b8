//! Paths in a tree, and which names a tree may not have.
//!
//! The names refused are those that `git fsck` refuses, since whoever checks out what we pushed, or pulled from a hostile
//! remote, would write outside of the directory or into its `.git`: CVE-2014-9390 and its successors.

use crate::limits::{NAME_BYTES, PATH_BYTES, TREE_DEPTH};
use std::fmt;

/// A path from the root of a tree, of one or more names joined by slashes. Bytes, not text: git does not say which encoding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// A path, if each of its names may stand in a tree.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let path = path.as_ref();
        if path.len() > PATH_BYTES {
            return Err(BadPath("longer than 4096 bytes"));
        }
        let mut depth = 0;
        for name in path.split(|&byte| byte == b'/') {
            check_name(name)?;
            depth += 1;
        }
        if depth > TREE_DEPTH {
            Err(BadPath("more than 128 directories deep"))
        } else {
            Ok(Self(path.into()))
        }
    }

    /// All of it, slashes included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Its names, from the root on.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/')
    }

    /// The path of what is called `name` in the directory `parent`, which is empty for the root. For names that were checked.
    pub(crate) fn join(parent: &[u8], name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
        path.extend_from_slice(parent);
        if !parent.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path.into())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for TreePath {
    type Err = BadPath;

    fn from_str(path: &str) -> Result<Self, BadPath> {
        Self::new(path)
    }
}

/// A name or a path that no tree may have; says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath(pub &'static str);

impl fmt::Display for BadPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a path that git refuses: {}", self.0)
    }
}

impl std::error::Error for BadPath {}

/// Whether a tree may have an entry with this name.
pub fn check_name(name: &[u8]) -> Result<(), BadPath> {
    if name.is_empty() {
        return Err(BadPath("an empty name"));
    }
    if name.len() > NAME_BYTES {
        return Err(BadPath("a name longer than 255 bytes"));
    }
    if name == b"." || name == b".." {
        return Err(BadPath("a name that is . or .."));
    }
    if name.contains(&b'/') {
        return Err(BadPath("a slash in a name"));
    }
    if name.contains(&0) {
        return Err(BadPath("a zero byte in a name"));
    }
    if is_dot_git(name) { Err(BadPath("a name that some file system takes for .git")) } else { Ok(()) }
}

/// Whether any common file system takes this name for `.git`.
fn is_dot_git(name: &[u8]) -> bool {
    is_dot_git_on_hfs(name) || is_dot_git_on_ntfs(name)
}

/// HFS+ takes no notice of case, and of these characters (git's utf8.c, `next_hfs_char`).
fn is_dot_git_on_hfs(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return name.eq_ignore_ascii_case(b".git") };
    let ignored = |&character: &char| matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    name.chars()
        .filter(|character| !ignored(character))
        .map(|character| character.to_ascii_lowercase())
        .eq(".git".chars())
}

/// NTFS takes no notice of case, of dots and spaces at the end, and of what follows a colon; `git~1` is the short name of
/// `.git` there, and a backslash ends a name (git's path.c, `is_ntfs_dotgit`).
fn is_dot_git_on_ntfs(name: &[u8]) -> bool {
    name.split(|&byte| byte == b'\\').any(|part| {
        let rest = [&b".git"[..], b"git~1"].into_iter().find_map(|wanted| {
            let (start, rest) = part.split_at_checked(wanted.len())?;
            start.eq_ignore_ascii_case(wanted).then_some(rest)
        });
        rest.is_some_and(|rest| {
            let end = rest.iter().position(|&byte| byte != b' ' && byte != b'.');
            end.is_none_or(|end| rest[end] == b':')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &[u8], allowed: bool) {
        assert_eq!(TreePath::new(path).is_ok(), allowed, "{}", path.escape_ascii());
    }

    #[test]
    fn ordinary_paths_are_taken() {
        for path in [
            "a",
            "example.com",
            "a/b/c",
            ".gitignore",
            ".gitattributes",
            "git",
            ".github/x",
            "...",
            "a b",
            "zone.~1",
        ] {
            check(path.as_bytes(), true);
        }
        check(b"caf\xc3\xa9", true);
        check(b"\xff\xfe", true);
    }

    #[test]
    fn what_git_fsck_refuses_is_refused() {
        for path in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            ".git",
            "a/.git/config",
            ".GIT",
            ".gIt/x",
        ] {
            check(path.as_bytes(), false);
        }
        for path in [
            ".git ",
            ".git.",
            ".git...",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            "a\\.git\\x",
            ".g\u{200c}it",
        ] {
            check(path.as_bytes(), false);
        }
        check(b"a\0b", false);
    }

    #[test]
    fn long_and_deep_paths_are_refused() {
        check(&[b'a'; NAME_BYTES], true);
        check(&[b'a'; NAME_BYTES + 1], false);
        check(
            "a/".repeat(TREE_DEPTH - 1).as_bytes().iter().chain(b"a").copied().collect::<Vec<_>>().as_slice(),
            true,
        );
        check(
            "a/".repeat(TREE_DEPTH).as_bytes().iter().chain(b"a").copied().collect::<Vec<_>>().as_slice(),
            false,
        );
    }
}
