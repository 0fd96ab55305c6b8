//! Commits: a tree, the commits it was made from, who made it, who put it there, and why.

use super::{Malformed, take_header};
use crate::{
    id::{Format, ObjectId},
    limits::PARENTS,
};
use std::fmt;

/// A commit. [`Commit::encode`] of what [`Commit::parse`] gave is what was parsed, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The root of its files.
    pub tree: ObjectId,
    /// What it was made from: none for the first, several for a merge.
    pub parents: Vec<ObjectId>,
    /// Who wrote the change, and when.
    pub author: Identity,
    /// Who made the commit, and when.
    pub committer: Identity,
    /// All other headers as they stand, each line with its end: `encoding`, `gpgsig`, `mergetag` …
    pub headers: Vec<u8>,
    /// Why; ends with a line end by convention.
    pub message: Vec<u8>,
}

impl Commit {
    /// Reads a commit.
    pub fn parse(format: Format, data: &[u8]) -> Result<Self, Malformed> {
        let mut rest = data;
        let id = |digits| {
            ObjectId::from_hex(digits)
                .filter(|id| id.format() == format)
                .ok_or(Malformed("a commit refers to what is no id"))
        };
        let tree = id(take_header(&mut rest, "tree").ok_or(Malformed("a commit has no tree"))?)?;
        let mut parents = Vec::new();
        while let Some(parent) = take_header(&mut rest, "parent") {
            if parents.len() == PARENTS {
                return Err(Malformed("a commit has more than 1024 parents"));
            }
            parents.push(id(parent)?);
        }
        let author = take_header(&mut rest, "author").ok_or(Malformed("a commit has no author"))?;
        let committer = take_header(&mut rest, "committer").ok_or(Malformed("a commit has no committer"))?;
        let (headers, message) = split_headers(rest)?;
        Ok(Self {
            tree,
            parents,
            author: Identity::parse(author)?,
            committer: Identity::parse(committer)?,
            headers: headers.into(),
            message: message.into(),
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = format!("tree {}\n", self.tree).into_bytes();
        for parent in &self.parents {
            data.extend_from_slice(format!("parent {parent}\n").as_bytes());
        }
        for (name, identity) in [("author ", &self.author), ("committer ", &self.committer)] {
            data.extend_from_slice(name.as_bytes());
            data.extend_from_slice(&identity.line);
            data.push(b'\n');
        }
        data.extend_from_slice(&self.headers);
        data.push(b'\n');
        data.extend_from_slice(&self.message);
        data
    }

    /// The first line of its message, as text.
    pub fn subject(&self) -> String {
        let line = self.message.split(|&byte| byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }
}

/// Headers, and the message behind the empty line. git writes commits without a message, and even without that line.
fn split_headers(rest: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut end = 0;
    loop {
        match &rest[end..] {
            [] => return Err(Malformed("a commit has no empty line behind its headers")),
            [b'\n', message @ ..] => return Ok((&rest[..end], message)),
            line => {
                let length = line.iter().position(|&byte| byte == b'\n');
                end += length.ok_or(Malformed("a commit ends within a header"))? + 1;
            }
        }
    }
}

/// Who, and when: `A U Thor <author@example.com> 1234567890 +0200`.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// As it stands in the object.
    line: Vec<u8>,
    /// Where the address begins and ends in it.
    email: (usize, usize),
    /// Seconds since 1970.
    seconds: i64,
}

impl Identity {
    /// Somebody, at a time in seconds since 1970. What git does not allow in a name or an address is left out, as git does.
    pub fn new(name: &str, email: &str, seconds: i64) -> Self {
        let clean = |text: &str| {
            let kept: String =
                text.chars().filter(|&character| !matches!(character, '<' | '>' | '\n' | '\0')).collect();
            // git's ident.c, `crud`.
            let crud = |character: char| character <= ' ' || ".,:;<>\"\\'".contains(character);
            kept.trim_matches(crud).to_owned()
        };
        let (name, email, seconds) = (clean(name), clean(email), seconds.max(0));
        let start = name.len() + 2;
        Self {
            email: (start, start + email.len()),
            line: format!("{name} <{email}> {seconds} +0000").into(),
            seconds,
        }
    }

    /// Reads what stands behind `author`, `committer` or `tagger`.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("an author, committer or tagger is not NAME <ADDRESS> SECONDS ZONE");
        let start = line.iter().position(|&byte| byte == b'<').ok_or(BAD)? + 1;
        let end = start + line[start..].iter().position(|&byte| byte == b'>').ok_or(BAD)?;
        let when = line[end + 1..].strip_prefix(b" ").ok_or(BAD)?;
        let (seconds, zone) = when.split_at(when.iter().position(|&byte| byte == b' ').ok_or(BAD)?);
        let seconds = std::str::from_utf8(seconds).ok().and_then(|digits| digits.parse().ok()).ok_or(BAD)?;
        match zone {
            [b' ', b'+' | b'-', digits @ ..]
                if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {}
            _ => return Err(BAD),
        }
        if line[..start - 1].contains(&b'>') || line.contains(&0) {
            return Err(BAD);
        }
        Ok(Self { line: line.into(), email: (start, end), seconds })
    }

    /// The name, as text.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.line[..self.email.0 - 1].trim_ascii_end()).into_owned()
    }

    /// The address, as text.
    pub fn email(&self) -> String {
        String::from_utf8_lossy(&self.line[self.email.0..self.email.1]).into_owned()
    }

    /// When, in seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// As it stands in an object.
    pub fn line(&self) -> &[u8] {
        &self.line
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.line.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const WHO: &str = "author A <a@b> 1 +0000\ncommitter C O M <c@d> 2 -0130\n";

    #[track_caller]
    fn check(text: &str, expect: Result<(), &str>) {
        let parsed = Commit::parse(Format::Sha1, text.as_bytes());
        if let Ok(commit) = &parsed {
            assert_eq!(commit.encode(), text.as_bytes());
        }
        assert_eq!(parsed.map(drop).map_err(|error| error.0), expect);
    }

    #[test]
    fn what_is_parsed_is_written_again_as_it_was() {
        check(&format!("{TREE}{WHO}\nWhy\n"), Ok(()));
        check(&format!("{TREE}parent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n{WHO}\n"), Ok(()));
        check(&format!("{TREE}{WHO}encoding latin-1\ngpgsig a\n b\n c\n\nWhy\n\nmore"), Ok(()));
        check(&format!("{TREE}author  <> 0 +0000\ncommitter x <> 99999999999 +1234\n\n"), Ok(()));
    }

    #[test]
    fn what_is_no_commit_is_refused() {
        check("", Err("a commit has no tree"));
        check("tree 4b82\n", Err("a commit refers to what is no id"));
        check(TREE, Err("a commit has no author"));
        check(&format!("{TREE}{WHO}"), Err("a commit has no empty line behind its headers"));
        check(&format!("{TREE}{WHO}encoding"), Err("a commit ends within a header"));
        let bad = "an author, committer or tagger is not NAME <ADDRESS> SECONDS ZONE";
        for who in
            ["A a@b 1 +0000", "A <a@b", "A <a@b> x +0000", "A <a@b> 1", "A <a@b> 1 0000", "A> <a@b> 1 +0000"]
        {
            check(&format!("{TREE}author {who}\ncommitter {who}\n\n"), Err(bad));
        }
    }

    #[test]
    fn identities_are_what_git_would_write() {
        let identity = Identity::new("A <U> Thor.\n", "a@b.example", 7);
        assert_eq!(identity.line(), b"A U Thor <a@b.example> 7 +0000");
        let parsed = Identity::parse(b"C O M <c@d> 2 -0130").unwrap();
        assert_eq!((parsed.name(), parsed.email(), parsed.seconds()), ("C O M".into(), "c@d".into(), 2));
    }
}
