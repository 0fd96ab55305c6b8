//! What can go wrong with a remote, and what an operator is to do then.

use super::limits::{BRANCHES_NAMED, MESSAGE_BYTES};
use crate::{ObjectId, openssh::wire::Truncated, signature::BadSignature};
use std::{fmt, io};

/// Something went wrong with a remote. Displayed it is one line that names the remote; no secret is in it.
#[derive(Debug)]
pub struct RemoteError {
    location: Box<str>,
    /// What went wrong.
    pub problem: Problem,
}

impl RemoteError {
    /// Names the remote, as it is displayed, that a problem is with.
    pub fn new(location: impl fmt::Display, problem: Problem) -> Self {
        Self { location: location.to_string().into(), problem }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.location, self.problem)
    }
}

impl std::error::Error for RemoteError {}

impl RemoteError {
    /// Whether the same may succeed later without anybody doing anything: the remote cannot be reached, or others were
    /// faster. Otherwise an operator has to look.
    pub fn is_temporary(&self) -> bool {
        match &self.problem {
            Problem::Connect(_) | Problem::Silent { .. } | Problem::Slow { .. } | Problem::Closed { .. } => {
                true
            }
            Problem::Raced(_) | Problem::NotSeen => true,
            Problem::Http { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

impl From<crate::Error> for Problem {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::OutOfMemory => crate::PackError::OutOfMemory.into(),
            error => Self::Content(format!("what came from the server is no good: {error}")),
        }
    }
}

impl From<Truncated> for Problem {
    fn from(_: Truncated) -> Self {
        Self::Ssh("the server sends a message that ends too early".into())
    }
}

impl From<crate::PackError> for Problem {
    fn from(error: crate::PackError) -> Self {
        Self::Content(format!("the server sent {error}"))
    }
}

/// What went wrong with a remote. Text that the remote sent is printable and short.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be connected to; the error says why and what to do.
    Connect(io::Error),
    /// It said nothing for this long.
    Silent {
        /// Seconds.
        seconds: u64,
    },
    /// It did not finish in the time that it has.
    Slow {
        /// What it was to do.
        what: &'static str,
        /// Seconds.
        seconds: u64,
    },
    /// The connection ended before the answer did; what the remote's program had to say, if anything.
    Closed {
        /// What the remote's program printed as an error.
        complaint: Option<String>,
        /// Why the connection broke, if it did not just end.
        cause: Option<io::Error>,
    },
    /// What listens there speaks something else.
    NotGit {
        /// What it says instead.
        seen: String,
    },
    /// git there says no, in these words.
    Refused(String),
    /// Its answer breaks the protocol.
    Protocol(&'static str),
    /// Its answer is larger than limits.rs allows.
    Excess(&'static str),
    /// There is no such branch.
    NoBranch {
        /// The branch that was asked for.
        branch: String,
        /// Those there are, up to a number.
        known: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// No branch was asked for, and the remote's HEAD names none.
    NoHead,
    /// It did not move the branch, and says why; and what its hooks printed.
    PushRefused {
        /// Its reason.
        reason: String,
        /// Its hooks' words.
        messages: String,
    },
    /// Others have pushed first, this many times.
    Raced(u32),
    /// The branch is where it was after a push broke off; it may yet be moved.
    NotSeen,
    /// The branch was moved to a history that does not follow from what we know.
    Rewritten,
    /// It has another hash than before.
    OtherFormat,
    /// What it sent is no good, or too large for the image's limits.
    Content(String),
    /// The branch's head is not signed by anybody who is allowed to.
    Signature {
        /// The head.
        head: ObjectId,
        /// Why it does not count as signed.
        reason: BadSignature,
    },
    /// A commit of ours would not be taken for that reason, so it is not sent.
    OwnSignature(BadSignature),
    /// Its key is not the one that was given.
    HostKey {
        /// The fingerprint of the key it has.
        seen: String,
        /// Whether one was given at all.
        pinned: bool,
    },
    /// It does not take our key or password.
    Authentication {
        /// How we tried.
        how: &'static str,
        /// Whom we said to be.
        user: String,
    },
    /// Something is missing or wrong among the arguments.
    Argument(String),
    /// ssh failed otherwise.
    Ssh(String),
    /// The HTTP server answers with an error.
    Http {
        /// The status.
        status: u16,
        /// What it says, or what to do.
        message: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(formatter, "{error}"),
            Self::Silent { seconds } => write!(formatter, "the server has said nothing for {seconds} s"),
            Self::Slow { what, seconds } => write!(formatter, "{what} was not finished after {seconds} s"),
            Self::Closed { complaint: Some(complaint), .. } => {
                write!(formatter, "the server says '{complaint}' and closed the connection")
            }
            Self::Closed { cause: Some(cause), .. } => write!(formatter, "the connection broke: {cause}"),
            Self::Closed { .. } => {
                formatter.write_str("the server closed the connection before it had answered")
            }
            Self::NotGit { seen } => write!(
                formatter,
                "what answers there is no git server, or not by this protocol: it says '{seen}'; check scheme, \
                 port and path of --remote"
            ),
            Self::Refused(message) => write!(formatter, "the server refuses: {message}"),
            Self::Protocol(what) => write!(formatter, "the server breaks git's protocol: {what}"),
            Self::Excess(what) => write!(formatter, "the server sends more than is taken: {what}"),
            Self::NoBranch { branch, known, count } => no_branch(formatter, branch, known, *count),
            Self::NoHead => formatter.write_str(
                "the server's HEAD names no branch: say which is meant with #BRANCH at the end of --remote",
            ),
            Self::PushRefused { reason, messages } if messages.is_empty() => {
                write!(formatter, "the server refuses the push: {reason}")
            }
            Self::PushRefused { reason, messages } => {
                write!(formatter, "the server refuses the push: {reason}; it says: {messages}")
            }
            Self::Raced(attempts) => {
                write!(formatter, "others have pushed first {attempts} times in a row; try again later")
            }
            Self::NotSeen => {
                formatter.write_str("the push broke off, and the branch has not been moved so far")
            }
            Self::Rewritten => {
                formatter.write_str("the push broke off, and meanwhile the branch's history was rewritten")
            }
            Self::OtherFormat => formatter
                .write_str("the repository has another object format than before: restart to clone it anew"),
            Self::Content(what) => formatter.write_str(what),
            Self::Signature { head, reason } => write!(
                formatter,
                "commit {head}, the branch's head, is not taken: {reason} (--allowed-signers)"
            ),
            Self::OwnSignature(reason) => write!(
                formatter,
                "nothing can be pushed that --allowed-signers takes: {reason}; give --signing-key, one of those keys"
            ),
            Self::HostKey { seen, pinned: true } => write!(
                formatter,
                "the ssh server's key is not the one of --ssh-host-key: it has {seen}; somebody may be in between. \
                 If the server has got a new key, give --ssh-host-key={seen}"
            ),
            Self::HostKey { seen, pinned: false } => write!(
                formatter,
                "the ssh server has the key {seen}; if that is right, give --ssh-host-key={seen}"
            ),
            Self::Authentication { how, user } => {
                write!(formatter, "the server does not let '{user}' in with {how}")
            }
            Self::Argument(what) => formatter.write_str(what),
            Self::Ssh(what) => write!(formatter, "ssh: {what}"),
            Self::Http { status, message } => write!(formatter, "HTTP status {status}: {message}"),
        }
    }
}

fn no_branch(
    formatter: &mut fmt::Formatter<'_>,
    branch: &str,
    known: &[String],
    count: usize,
) -> fmt::Result {
    write!(formatter, "there is no branch '{branch}'")?;
    if known.is_empty() {
        return formatter.write_str("; the repository is empty: push a first commit to it");
    }
    write!(formatter, "; there {} {}", if count == 1 { "is" } else { "are" }, known.join(", "))?;
    if count > known.len() {
        write!(formatter, " and {} more", count - known.len())?;
    }
    Ok(())
}

/// Names that are kept of those there are.
#[derive(Default)]
pub struct Names {
    /// The first of them.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Names {
    /// One more.
    pub fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < BRANCHES_NAMED {
            self.first.push(printable(name.as_bytes()));
        }
    }
}

/// Text of a remote as a log line can take it: printable, on one line, of limited length.
pub fn printable(text: &[u8]) -> String {
    let cut = &text[..text.len().min(MESSAGE_BYTES)];
    let mut line = String::new();
    for character in String::from_utf8_lossy(cut).chars() {
        match character {
            '\n' | '\r' | '\t' | ' ' if line.is_empty() || line.ends_with(' ') => {}
            '\n' | '\r' | '\t' => line.push(' '),
            _ if character.is_control() || is_direction(character) => line.push('?'),
            _ => line.push(character),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Characters that turn the direction of writing round, or have no width: they make a line look like another.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The last that a remote had to say to people, for the error that may follow.
#[derive(Default)]
pub struct Messages(Vec<u8>);

impl Messages {
    /// Takes more; the beginning is forgotten.
    pub fn add(&mut self, text: &[u8]) {
        let text = &text[text.len().saturating_sub(MESSAGE_BYTES)..];
        self.0.extend_from_slice(text);
        let beyond = self.0.len().saturating_sub(MESSAGE_BYTES);
        self.0.drain(..beyond);
    }

    /// What there is to show.
    pub fn text(&self) -> String {
        printable(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problem: Problem, expected: &str) {
        assert_eq!(RemoteError::new("git://h/r", problem).to_string(), format!("git://h/r: {expected}"));
    }

    #[test]
    fn a_missing_branch_is_answered_with_those_there_are() {
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let branch = "x".to_owned();
        check(
            Problem::NoBranch { branch: branch.clone(), known: known(&["a", "b"]), count: 9 },
            "there is no branch 'x'; there are a, b and 7 more",
        );
        check(
            Problem::NoBranch { branch: branch.clone(), known: known(&["main"]), count: 1 },
            "there is no branch 'x'; there is main",
        );
        check(
            Problem::NoBranch { branch, known: Vec::new(), count: 0 },
            "there is no branch 'x'; the repository is empty: push a first commit to it",
        );
    }

    #[test]
    fn a_wrong_host_key_says_which_argument_would_be_right() {
        let seen = "SHA256:abc".to_owned();
        let error = Problem::HostKey { seen, pinned: true }.to_string();
        assert!(
            error.contains("it has SHA256:abc") && error.ends_with("--ssh-host-key=SHA256:abc"),
            "{error}"
        );
    }

    #[test]
    fn text_of_the_remote_stays_on_its_line() {
        for (text, expected) in [
            ("  a\r\nb\x1b[31m\tc \n".as_bytes(), "a b?[31m c"),
            ("x\u{202e}y".as_bytes(), "x?y"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert!(printable(&[b'a'; 100_000]).len() <= MESSAGE_BYTES);
    }

    #[test]
    fn the_last_messages_are_kept() {
        let mut messages = Messages::default();
        messages.add(&[b'a'; 10_000]);
        messages.add(b"end");
        assert_eq!(messages.text().len(), MESSAGE_BYTES);
        assert!(messages.text().ends_with("aend"));
    }
}
