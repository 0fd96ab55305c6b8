//! `_redirects`: a list of paths that are elsewhere, in the form that Netlify, Cloudflare and GitLab Pages read.
//!
//! ```text
//! # from         to                     status; 301 if not given
//! /old           /new
//! /blog/*        https://blog.example.org/:splat  302
//! /u/:name/feed  /feeds/:name.xml
//! /app/*         /app/index.html        200
//! /closed        /                      302!
//! ```
//! The first rule that fits counts, and files come before rules that have no `!`. With 200, 404 or 410 the file at `to` is sent, under
//! the path that was asked for. Not here: proxies, other hosts in `from`, queries, conditions; such a line makes the version a
//! broken one, so that nobody waits for what never happens.

use crate::{
    limits::{REDIRECT_PATTERNS, REDIRECTS, REDIRECTS_BYTES},
    target::{Target, encoded},
};
use runtime::http::StatusCode;
use std::collections::HashMap;

/// The file's name, at the root of a site. It is not served.
pub const FILE: &[u8] = b"_redirects";

/// A list of rules.
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Vec<Rule>,
    /// First rule for a path without placeholders.
    exact: HashMap<Box<[u8]>, usize>,
    /// Rules with placeholders, in their order.
    patterns: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Rule {
    from: Vec<Part>,
    to: String,
    status: StatusCode,
    /// Whether it comes before files.
    is_forced: bool,
}

/// A segment of what a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(Box<[u8]>),
    /// Any one segment, by this name.
    Any(String),
    /// Whatever is left.
    Splat,
}

/// Where a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Redirected to a location.
    Location(StatusCode, String),
    /// The file at this path of the site, with this status.
    File(StatusCode, Vec<u8>),
}

/// A line that is no rule: the site's author is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRule {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl Redirects {
    /// Reads a list.
    pub fn parse(text: &[u8]) -> Result<Self, BadRule> {
        let whole = |reason| BadRule { line: 1, reason };
        if text.len() > REDIRECTS_BYTES {
            return Err(whole("the file is too large: 256 KiB at most"));
        }
        let text = std::str::from_utf8(text).map_err(|_| whole("the file is not UTF-8"))?;
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> =
                line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            if words.is_empty() {
                continue;
            }
            let bad = |reason| BadRule { line: number + 1, reason };
            let rule = Rule::parse(&words).map_err(bad)?;
            list.add(rule).map_err(bad)?;
        }
        Ok(list)
    }

    fn add(&mut self, rule: Rule) -> Result<(), &'static str> {
        let number = self.rules.len();
        if number >= REDIRECTS {
            return Err("more rules than 2048");
        }
        if let Some(path) = rule.exact() {
            self.exact.entry(path.into()).or_insert(number);
        } else if self.patterns.len() >= REDIRECT_PATTERNS {
            return Err("more than 128 rules with * or :name");
        } else {
            self.patterns.push(number);
        }
        self.rules.push(rule);
        Ok(())
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where the path of a target is by these rules; only by those that come before files, if `is_forced`.
    pub fn find(&self, target: &Target<'_>, is_forced: bool) -> Option<Elsewhere> {
        if self.rules.is_empty() {
            return None;
        }
        let fits = |number: &usize| self.rules[*number].is_forced || !is_forced;
        let exact = self.exact.get(&*target.path).copied().filter(fits);
        let patterns =
            self.patterns.iter().copied().take_while(|number| exact.is_none_or(|exact| *number < exact));
        for number in patterns.filter(fits) {
            if let Some(found) = self.rules[number].apply(target) {
                return Some(found);
            }
        }
        self.rules[exact?].apply(target)
    }
}

impl Rule {
    fn parse(words: &[&str]) -> Result<Self, &'static str> {
        let (&from, &to, status) = match words {
            [from, to] => (from, to, "301"),
            [from, to, status] => (from, to, *status),
            [_] => return Err("there is no target"),
            _ => return Err("conditions and queries are not supported: FROM TO STATUS"),
        };
        let (status, is_forced) = match status.strip_suffix('!') {
            Some(status) => (status, true),
            None => (status, false),
        };
        const STATUS: &str = "the status is none of 200, 301, 302, 303, 307, 308, 404, 410";
        let status = match status {
            "200" | "301" | "302" | "303" | "307" | "308" | "404" | "410" => {
                status.parse().map_err(|_| STATUS)?
            }
            "" => StatusCode::MOVED_PERMANENTLY,
            _ => return Err(STATUS),
        };
        let rule = Self { from: parts(from)?, to: to.into(), status, is_forced };
        rule.check_target()?;
        Ok(rule)
    }

    /// Where a rule leads, with a host or not, and that no placeholder can become one.
    fn check_target(&self) -> Result<(), &'static str> {
        let is_location = self.status.is_redirection();
        match self.to.strip_prefix("https://").or_else(|| self.to.strip_prefix("http://")) {
            Some(_) if !is_location => return Err("proxies are not supported: the target is a path"),
            Some(rest) => {
                let host = rest.split('/').next().unwrap_or_default();
                let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
                if name.is_empty() || !port.bytes().all(|octet| octet.is_ascii_digit()) {
                    return Err("the target's host is none");
                }
            }
            None if self.to.starts_with('/') && !self.to.starts_with("//") => {}
            None => return Err("the target is neither a path from / nor a URL of http or https"),
        }
        if !self.to.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the target has characters that a URL has to encode");
        }
        Ok(())
    }

    /// The path it is for, if it is for one.
    fn exact(&self) -> Option<Vec<u8>> {
        let names = self.from.iter().map(|part| match part {
            Part::Name(name) => Some(&**name),
            _ => None,
        });
        names.collect::<Option<Vec<_>>>().map(|names| names.join(&b'/'))
    }

    /// Where it leads from a path, if it is for that.
    fn apply(&self, target: &Target<'_>) -> Option<Elsewhere> {
        let captures = self.captures(&target.path)?;
        let is_location = self.status.is_redirection();
        let mut to = String::with_capacity(self.to.len() + 16);
        let mut rest = &self.to[..];
        // Behind the host, so that a port is none.
        let host = rest
            .find("://")
            .map_or(0, |at| rest[at + 3..].find('/').map_or(rest.len(), |slash| at + 3 + slash));
        to.push_str(&rest[..host]);
        rest = &rest[host..];
        while let Some(at) = rest.find(':') {
            to.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            match captures.iter().find(|(name, _)| *name == &rest[..end]) {
                Some((_, value)) => {
                    to.push_str(&encoded(value)[1..]);
                    rest = &rest[end..];
                }
                None => to.push(':'),
            }
        }
        to.push_str(rest);
        if is_location {
            // As Netlify does: what was asked for goes along, unless the rule has a query of its own.
            if let (Some(query), false) = (target.query, to.contains('?')) {
                to = format!("{to}?{query}");
            }
            return Some(Elsewhere::Location(self.status, to));
        }
        let path = to.split(['?', '#']).next().unwrap_or_default();
        let target = Target::new(path, None).ok()?;
        Some(Elsewhere::File(self.status, target.path.into_owned()))
    }

    /// What its placeholders stand for, if the path fits.
    fn captures<'a>(&'a self, path: &'a [u8]) -> Option<Vec<(&'a str, &'a [u8])>> {
        let mut captures = Vec::new();
        let mut rest = Some(path).filter(|path| !path.is_empty());
        for part in &self.from {
            if *part == Part::Splat {
                captures.push(("splat", rest.take().unwrap_or_default()));
                break;
            }
            let whole = rest?;
            let end = whole.iter().position(|&octet| octet == b'/');
            let segment = &whole[..end.unwrap_or(whole.len())];
            match part {
                Part::Name(name) if **name != *segment => return None,
                Part::Any(name) => captures.push((name, segment)),
                _ => {}
            }
            rest = end.map(|end| &whole[end + 1..]);
        }
        rest.is_none().then_some(captures)
    }
}

/// The segments that a rule is for.
fn parts(from: &str) -> Result<Vec<Part>, &'static str> {
    if from.contains('?') || !from.starts_with('/') {
        return Err("what is redirected is not a path from /");
    }
    let target = Target::new(from, None).map_err(|_| "what is redirected is no path")?;
    let mut parts = Vec::new();
    let segments: Vec<&[u8]> =
        target.path.split(|&octet| octet == b'/').filter(|it| !it.is_empty()).collect();
    for (number, segment) in segments.iter().enumerate() {
        parts.push(match segment {
            [b'*'] if number + 1 == segments.len() => Part::Splat,
            segment if segment.contains(&b'*') => return Err("a * is the last segment, or none"),
            [b':', name @ ..] if !name.is_empty() => Part::Any(String::from_utf8_lossy(name).into_owned()),
            segment => Part::Name((*segment).into()),
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\n\
        /old /new\n\
        /old /never\n\
        /caf%C3%A9/  https://example.org/c 302 # why\n\
        /blog/* https://blog.example.org:8080/p/:splat 307\n\
        /blog/x /never\n\
        /u/:name/feed /feeds/:name.xml 308\n\
        /q /new?a=1\n\
        /app/* /app/index.html 200\n\
        /closed /maintenance 302!\n\
        /gone/* /gone.html 410!\n";

    /// Where `path` leads: location or file, behind the status.
    #[track_caller]
    fn check(path: &str, is_forced: bool, expected: &str) {
        let list = Redirects::parse(LIST.as_bytes()).unwrap();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let found = match list.find(&Target::new(path, query).unwrap(), is_forced) {
            None => String::new(),
            Some(Elsewhere::Location(status, to)) => format!("{} {to}", status.as_u16()),
            Some(Elsewhere::File(status, path)) => {
                format!("{} file {}", status.as_u16(), String::from_utf8_lossy(&path))
            }
        };
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        check("/old", false, "301 /new");
        check("/old/", false, "301 /new");
        check("/old?x=1", false, "301 /new?x=1");
        check("/q?x=1", false, "301 /new?a=1");
        check("/café", false, "302 https://example.org/c");
        check("/blog/x", false, "307 https://blog.example.org:8080/p/x");
        check("/new", false, "");
        check("/", false, "");
    }

    #[test]
    fn placeholders_stand_for_what_was_asked_for() {
        check("/blog", false, "307 https://blog.example.org:8080/p/");
        check("/blog/a/b%20c", false, "307 https://blog.example.org:8080/p/a/b%20c");
        check("/u/me/feed", false, "308 /feeds/me.xml");
        check("/u/%0d%0aX:y/feed", false, "308 /feeds/%0D%0AX:y.xml");
        check("/u/feed", false, "");
        check("/u/a/b/feed", false, "");
    }

    #[test]
    fn a_file_can_be_sent_instead() {
        check("/app/any/where", false, "200 file app/index.html");
        check("/gone/x", false, "410 file gone.html");
    }

    #[test]
    fn only_forced_rules_come_before_files() {
        check("/old", true, "");
        check("/closed", true, "302 /maintenance");
        check("/gone/x", true, "410 file gone.html");
    }

    #[test]
    fn what_is_no_rule_is_told_by_its_line() {
        for (line, reason) in [
            ("/a", "there is no target"),
            ("a /b", "what is redirected is not a path from /"),
            ("https://other/a /b", "what is redirected is not a path from /"),
            ("/a%zz /b", "what is redirected is no path"),
            ("/a /b 404x", "the status is none of 200, 301, 302, 303, 307, 308, 404, 410"),
            ("/a id=:id /b 301", "conditions and queries are not supported: FROM TO STATUS"),
            ("/*/a /b", "a * is the last segment, or none"),
            ("/a b", "the target is neither a path from / nor a URL of http or https"),
            ("/a //evil.example/", "the target is neither a path from / nor a URL of http or https"),
            ("/a https://x/ 200", "proxies are not supported: the target is a path"),
            ("/a /ü", "the target has characters that a URL has to encode"),
            ("/a https:///x", "the target's host is none"),
            ("/* https://:splat/", "the target's host is none"),
            ("/* https://x:splat/", "the target's host is none"),
        ] {
            let error = Redirects::parse(format!("\n{line}\n").as_bytes()).unwrap_err();
            assert_eq!(error, BadRule { line: 2, reason }, "{line}");
        }
        let many = "/a /b\n".repeat(REDIRECTS + 1);
        assert_eq!(Redirects::parse(many.as_bytes()).unwrap_err().line, REDIRECTS + 1);
        let many = "/a/* /b\n".repeat(REDIRECT_PATTERNS + 1);
        assert_eq!(Redirects::parse(many.as_bytes()).unwrap_err().line, REDIRECT_PATTERNS + 1);
    }
}
