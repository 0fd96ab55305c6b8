//! Looks for one branch among a server's references, of which there may be any number.
//!
//! gitprotocol-v2, "ls-refs". None is kept but the one that is looked for, and some names for the error if it is missing.

use super::{
    advertisement::Advertisement,
    limits::REFERENCES,
    pkt_line::{Message, Packet},
    problem::{Names, Problem},
};
use crate::ObjectId;

/// How references that are branches begin.
const BRANCHES: &str = "refs/heads/";

/// The branch that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name, without `refs/heads/`.
    pub branch: String,
    /// Its commit; `None` if the branch is yet to be born, as in a new repository.
    pub id: Option<ObjectId>,
}

/// References as they come, of which one is looked for.
#[derive(Default)]
pub struct References {
    /// The branch that is looked for, or the one that HEAD names.
    branch: Option<String>,
    found: Option<ObjectId>,
    /// What HEAD names, if it names a branch.
    head: Option<String>,
    head_id: Option<ObjectId>,
    names: Names,
    count: usize,
}

impl References {
    /// Looks for `branch`, or if it is `None` for what HEAD names.
    pub fn looking_for(branch: Option<&str>) -> Self {
        Self { branch: branch.map(str::to_owned), ..Self::default() }
    }

    /// Takes a reference; without an id, one that is yet to be born.
    pub fn handle(&mut self, id: Option<ObjectId>, name: &[u8]) -> Result<(), Problem> {
        self.count += 1;
        if self.count > REFERENCES {
            return Err(Problem::Excess("references"));
        }
        if name == b"HEAD" {
            self.head_id = id;
        }
        let Some(name) = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(BRANCHES)) else {
            return Ok(());
        };
        self.names.add(name);
        if self.wanted() == Some(name) {
            self.found = id;
        }
        Ok(())
    }

    /// Takes what a symbolic reference names.
    pub fn handle_symbolic(&mut self, name: &str, target: &str) {
        if name == "HEAD" {
            self.head = target.strip_prefix(BRANCHES).map(str::to_owned);
        }
    }

    /// Takes a line of ls-refs; true if the packet was the last.
    pub fn handle_line(&mut self, packet: Packet<'_>) -> Result<bool, Problem> {
        const NONE: Problem = Problem::Protocol("a reference that is none");
        let line = match packet {
            Packet::Flush => return Ok(true),
            Packet::Data(_) => packet.line(),
            _ => None,
        };
        // A name that is not text is not looked for.
        let Some(line) = line else {
            self.count += 1;
            return if self.count > REFERENCES { Err(Problem::Excess("references")) } else { Ok(false) };
        };
        let mut words = line.split(' ');
        let (id, name) = words.next().zip(words.next()).ok_or(NONE)?;
        let id = if id == "unborn" { None } else { Some(ObjectId::from_hex(id.as_bytes()).ok_or(NONE)?) };
        for target in words.filter_map(|word| word.strip_prefix("symref-target:")) {
            self.handle_symbolic(name, target);
        }
        self.handle(id, name.as_bytes())?;
        Ok(false)
    }

    fn wanted(&self) -> Option<&str> {
        self.branch.as_deref().or(self.head.as_deref())
    }

    /// Whether what is looked for has come. If not, only all branches together tell whether the repository is empty.
    pub fn is_found(&self) -> bool {
        self.head().is_ok_and(|head| head.id.is_some())
    }

    /// The branch, once all references have come: unborn if there is no other one either.
    pub fn head(&self) -> Result<Head, Problem> {
        let branch = self.wanted().ok_or(Problem::NoHead)?.to_owned();
        let named_by_head = self.head.as_deref() == Some(&*branch);
        let id = self.found.or(self.head_id.filter(|_| named_by_head));
        match id {
            Some(id) if id.is_null() => Err(Problem::Protocol("a branch without a commit")),
            Some(_) => Ok(Head { branch, id }),
            None if self.names.count == 0 => Ok(Head { branch, id: None }),
            None => {
                Err(Problem::NoBranch { branch, known: self.names.first.clone(), count: self.names.count })
            }
        }
    }
}

/// Asks for references by protocol 2: for `branch` and HEAD, or for all branches.
pub fn request(advertisement: &Advertisement, branch: Option<&str>, all: bool) -> Vec<u8> {
    let mut message = Message::new();
    command(&mut message, "ls-refs", advertisement);
    message.line("symrefs");
    if advertisement
        .capability_value("ls-refs")
        .is_some_and(|value| value.split(' ').any(|word| word == "unborn"))
    {
        message.line("unborn");
    }
    message.line("ref-prefix HEAD");
    if all {
        message.line(format_args!("ref-prefix {BRANCHES}"));
    } else if let Some(branch) = branch {
        message.line(format_args!("ref-prefix {BRANCHES}{branch}"));
    }
    message.flush();
    message.into_bytes()
}

/// How a command of protocol 2 begins.
pub fn command(message: &mut Message, name: &str, advertisement: &Advertisement) {
    message.line(format_args!("command={name}"));
    if advertisement.can("agent") {
        message.line(format_args!("agent={AGENT}"));
    }
    if advertisement.can("object-format") {
        message.line(format_args!("object-format={}", advertisement.format().name()));
    }
    message.delimiter();
}

/// What we call ourselves.
pub const AGENT: &str = concat!("skerry/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[track_caller]
    fn check(branch: Option<&str>, lines: &[&str], expected: Result<(&str, bool), &str>) {
        let mut references = References::looking_for(branch);
        for line in lines {
            let line = line.replace("ID", A);
            assert!(!references.handle_line(Packet::Data(line.as_bytes())).unwrap());
        }
        assert!(references.handle_line(Packet::Flush).unwrap());
        let head = references.head();
        match expected {
            Ok((branch, born)) => {
                let head = head.unwrap();
                assert_eq!((&*head.branch, head.id.is_some()), (branch, born));
            }
            Err(expected) => assert_eq!(head.unwrap_err().to_string(), expected),
        }
    }

    #[test]
    fn the_branch_that_was_asked_for_is_found() {
        check(Some("a"), &["ID refs/heads/a", "ID refs/heads/ab"], Ok(("a", true)));
        check(Some("a"), &["ID refs/heads/ab"], Err("there is no branch 'a'; there is ab"));
        check(Some("a"), &[], Ok(("a", false)));
        check(Some("a"), &["unborn HEAD symref-target:refs/heads/a"], Ok(("a", false)));
    }

    #[test]
    fn without_one_it_is_what_head_names() {
        check(None, &["ID HEAD symref-target:refs/heads/m"], Ok(("m", true)));
        check(None, &["unborn HEAD symref-target:refs/heads/m"], Ok(("m", false)));
        check(None, &["ID HEAD"], Err(&Problem::NoHead.to_string()));
        check(None, &[], Err(&Problem::NoHead.to_string()));
        let unborn = ["unborn HEAD symref-target:refs/heads/m", "ID refs/heads/x"];
        check(None, &unborn, Err("there is no branch 'm'; there is x"));
    }

    #[test]
    fn endless_references_are_cut_off() {
        let mut references = References::looking_for(Some("x"));
        let error = (0..=REFERENCES).find_map(|_| references.handle(None, b"refs/heads/y").err());
        assert!(matches!(error, Some(Problem::Excess("references"))));
    }
}
