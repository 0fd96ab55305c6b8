//! Where a repository is: the URLs that git takes, with a branch behind `#`.
//!
//! ```text
//!     git://host[:port]/path[#branch]
//!     http[s]://[user[:password]@]host[:port]/path[#branch]
//!     ssh://[user@]host[:port]/path[#branch]
//!     [user@]host:path[#branch]                                 ssh, as scp writes it
//! ```
//!
//! git-fetch, "GIT URLS". What is not there: files, bundles, dumb HTTP.

use super::{
    limits::{BRANCH_BYTES, URL_BYTES},
    secret::Secret,
};
use std::{fmt, str::FromStr};

/// How a repository is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A connection of its own to git daemon: neither secret nor authentic.
    Git,
    /// Smart HTTP.
    Http,
    /// Smart HTTP over TLS.
    Https,
    /// A program run by an ssh server.
    Ssh,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Git, Self::Http, Self::Https, Self::Ssh];

    /// As URLs begin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Http => "http",
            Self::Https => "https",
            Self::Ssh => "ssh",
        }
    }

    /// The port if the URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Git => 9418,
            Self::Http => 80,
            Self::Https => 443,
            Self::Ssh => 22,
        }
    }
}

/// A repository elsewhere, and the branch of it that is meant. Shown without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// How to speak to it.
    pub scheme: Scheme,
    /// Who we are there.
    pub user: Option<String>,
    /// And what proves it (HTTP only).
    pub password: Option<Secret>,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port; the scheme's if the URL names none.
    pub port: u16,
    /// For HTTP as it stands in the URL, otherwise decoded; never empty.
    pub path: String,
    /// The branch, without `refs/heads/`; the one that the remote's HEAD names if there is none.
    pub branch: Option<String>,
}

impl Location {
    /// The host with the port where it is not the scheme's, as headers and `git://` name it.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme.name())?;
        if let Some(user) = &self.user {
            write!(formatter, "{}@", encoded(user, b""))?;
        }
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let http = matches!(self.scheme, Scheme::Http | Scheme::Https);
        let path = if http { self.path.clone() } else { encoded(&self.path, b"/") };
        write!(formatter, "{}{slash}{path}", self.authority())?;
        match &self.branch {
            Some(branch) => write!(formatter, "#{}", encoded(branch, b"/")),
            None => Ok(()),
        }
    }
}

/// A URL that is none of a repository. Whoever wrote it is at fault. It is not repeated, since it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLocation {
    /// Neither a scheme nor `host:path`.
    NoScheme,
    /// Some other protocol.
    Scheme,
    /// More than limits.rs allows.
    TooLong,
    /// There is none, or it has characters that no host has.
    Host,
    /// Not a number from 1 to 65535.
    Port,
    /// There is none.
    Path,
    /// Not one that git would take (git-check-ref-format).
    Branch,
    /// A `%` that no two hexadecimal digits follow, or what it makes is not text.
    Encoding,
    /// Control characters or blanks.
    Character,
    /// A password where none is sent: ssh uses keys, git:// nothing.
    Password,
}

impl fmt::Display for BadLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoScheme | Self::Scheme => {
                "a repository's URL begins with git://, ssh://, http:// or https://, or is user@host:path"
            }
            Self::TooLong => "the URL is too long",
            Self::Host => "the URL has no host, or one with characters that hosts do not have",
            Self::Port => "the port in the URL is not a number from 1 to 65535",
            Self::Path => {
                "the URL has no path: behind the host comes the repository, as in git://host/repository"
            }
            Self::Branch => "behind the # of the URL stands no name of a branch",
            Self::Encoding => {
                "the URL has a % that two hexadecimal digits do not follow; write %25 for a % itself"
            }
            Self::Character => "the URL has blanks or control characters; write %20 for a blank",
            Self::Password => "a password goes with http:// and https:// only; ssh takes --ssh-key",
        })
    }
}

impl std::error::Error for BadLocation {}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        if text.len() > URL_BYTES {
            return Err(BadLocation::TooLong);
        }
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(BadLocation::Character);
        }
        let (rest, branch) = match text.split_once('#') {
            Some((rest, branch)) => (rest, Some(branch)),
            None => (text, None),
        };
        let branch = branch.filter(|branch| !branch.is_empty()).map(branch_name).transpose()?;
        let location = match rest.split_once("://") {
            Some((scheme, rest)) => url(scheme, rest)?,
            None => scp(rest)?,
        };
        Ok(Self { branch, ..location })
    }
}

/// What stands behind `scheme://`.
fn url(scheme: &str, rest: &str) -> Result<Location, BadLocation> {
    let scheme = Scheme::ALL.into_iter().find(|known| known.name() == scheme).ok_or(BadLocation::Scheme)?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    // A password may have an @ that somebody forgot to encode.
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
        None => (None, None),
    };
    let password = password.filter(|password| !password.is_empty()).map(Secret::new);
    let http = matches!(scheme, Scheme::Http | Scheme::Https);
    if password.is_some() && !http {
        return Err(BadLocation::Password);
    }
    let (host, port) = host_and_port(host)?;
    let port = port.unwrap_or(scheme.default_port());
    let path = if http { path.trim_end_matches('/').to_owned() } else { decoded(path)? };
    if path.len() < 2 {
        return Err(BadLocation::Path);
    }
    // As git does (connect.c): behind the slash there may be a user's home.
    let path = if !http && path.starts_with("/~") { path[1..].to_owned() } else { path };
    if path.contains('\0') || (scheme == Scheme::Git && path.contains('\n')) {
        return Err(BadLocation::Character);
    }
    let user = user.filter(|user| !user.is_empty());
    Ok(Location { scheme, user, password, host, port, path, branch: None })
}

/// `user@host:path`.
fn scp(text: &str) -> Result<Location, BadLocation> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) if !user.contains([':', '/']) => (Some(user.to_owned()), rest),
        _ => (None, text),
    };
    let (host, path) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:").ok_or(BadLocation::Host)?,
        None => rest.split_once(':').ok_or(BadLocation::NoScheme)?,
    };
    // A colon behind a slash is part of a file's name, and files are not to be had here.
    if host.contains('/') {
        return Err(BadLocation::NoScheme);
    }
    if path.is_empty() {
        return Err(BadLocation::Path);
    }
    let user = user.filter(|user| !user.is_empty());
    let (scheme, port) = (Scheme::Ssh, Scheme::Ssh.default_port());
    Ok(Location {
        scheme,
        user,
        password: None,
        host: checked_host(host)?,
        port,
        path: path.to_owned(),
        branch: None,
    })
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), BadLocation> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(BadLocation::Host)?;
            let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
            (host, port.ok_or(BadLocation::Host)?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()),
        _ => Some(None),
    };
    let port = match port {
        Some(Some(0) | None) => return Err(BadLocation::Port),
        Some(port) => port,
        None => None,
    };
    Ok((checked_host(host)?, port))
}

fn checked_host(host: &str) -> Result<String, BadLocation> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    // One that begins with a dash would be an option to somebody (CVE-2017-1000117).
    if host.is_empty() || host.len() > 255 || host.starts_with('-') || !host.bytes().all(good) {
        return Err(BadLocation::Host);
    }
    Ok(host.to_owned())
}

/// A branch's name, by git-check-ref-format; `refs/heads/` in front of it may be written.
fn branch_name(text: &str) -> Result<String, BadLocation> {
    let name = decoded(text)?;
    let name = name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned();
    let forbidden = |character: char| character <= ' ' || "~^:?*[\\\x7f".contains(character);
    let bad = name.is_empty()
        || name.len() > BRANCH_BYTES
        || name.contains(forbidden)
        || name.contains("..")
        || name.contains("@{")
        || name == "@"
        || name.ends_with('.')
        || name.starts_with('-')
        || name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
    if bad { Err(BadLocation::Branch) } else { Ok(name) }
}

/// Percent-decoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Result<String, BadLocation> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or(BadLocation::Encoding)?;
                (high << 4 | low) as u8
            }
            _ => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| BadLocation::Encoding)
}

/// Percent-encoding of all but what is unreserved (RFC 3986 §2.3), or `kept`.
fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ if kept.contains(&byte) => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host, port and path of a URL, and how it is shown.
    #[track_caller]
    fn check(url: &str, host: &str, port: u16, path: &str, shown: &str) {
        let location: Location = url.parse().unwrap();
        assert_eq!((&*location.host, location.port, &*location.path), (host, port, path));
        assert_eq!(location.to_string(), shown);
        let again: Location = shown.parse().unwrap();
        assert_eq!(again.to_string(), shown);
    }

    #[test]
    fn urls_of_all_kinds_are_taken() {
        check("git://h/r.git", "h", 9418, "/r.git", "git://h/r.git");
        check("git://10.0.0.1:9419/a/b#main", "10.0.0.1", 9419, "/a/b", "git://10.0.0.1:9419/a/b#main");
        check("ssh://git@h/~u/r#x", "h", 22, "~u/r", "ssh://git@h/~u/r#x");
        check("ssh://git@[::1]:2222/r", "::1", 2222, "/r", "ssh://git@[::1]:2222/r");
        check("git@h:zones/r.git#release/1", "h", 22, "zones/r.git", "ssh://git@h/zones/r.git#release/1");
        check("[fe80::1]:r", "fe80::1", 22, "r", "ssh://[fe80::1]/r");
        check("https://h/r.git/", "h", 443, "/r.git", "https://h/r.git");
        check("http://h:8080/a%20b#refs/heads/main", "h", 8080, "/a%20b", "http://h:8080/a%20b#main");
        check("git://h/a%20b%23c", "h", 9418, "/a b#c", "git://h/a%20b%23c");
        check("git://h/r#", "h", 9418, "/r", "git://h/r");
    }

    #[test]
    fn a_password_is_kept_but_not_shown() {
        let location: Location = "https://me%40x:p%3Aw@h/r".parse().unwrap();
        assert_eq!(location.user.as_deref(), Some("me@x"));
        assert_eq!(location.password.as_ref().map(Secret::expose), Some("p:w"));
        assert_eq!(location.to_string(), "https://me%40x@h/r");
        assert!(!format!("{location:?}").contains("p:w"));
        let unencoded: Location = "https://me:p@w@h/r".parse().unwrap();
        assert_eq!(unencoded.password.as_ref().map(Secret::expose), Some("p@w"));
    }

    #[track_caller]
    fn refused(url: &str, expected: BadLocation) {
        assert_eq!(url.parse::<Location>(), Err(expected));
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        refused("", BadLocation::NoScheme);
        refused("/srv/git/r", BadLocation::NoScheme);
        refused("./a:b", BadLocation::NoScheme);
        refused("file:///srv/git/r", BadLocation::Scheme);
        refused("ftp://h/r", BadLocation::Scheme);
        refused("git://h", BadLocation::Path);
        refused("git://h/", BadLocation::Path);
        refused("git@h:", BadLocation::Path);
        refused("git:///r", BadLocation::Host);
        refused("ssh://-oProxyCommand=x/r", BadLocation::Host);
        refused("git://h:0/r", BadLocation::Port);
        refused("git://h:65536/r", BadLocation::Port);
        refused("git://h:+1/r", BadLocation::Port);
        refused("git://h/%zz", BadLocation::Encoding);
        refused("git://h/a%00b", BadLocation::Character);
        refused("git://h/a b", BadLocation::Character);
        refused("git://h/a%0ab", BadLocation::Character);
        refused("ssh://u:secret@h/r", BadLocation::Password);
        refused("git://h/r#a..b", BadLocation::Branch);
        refused("git://h/r#a%20b", BadLocation::Branch);
        refused("git://h/r#-a", BadLocation::Branch);
        refused(&format!("git://h/{}", "a".repeat(URL_BYTES)), BadLocation::TooLong);
    }
}
