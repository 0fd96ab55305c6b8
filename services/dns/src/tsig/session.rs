//! The answers to a signed request: signed by the server one after the other, checked by the client (RFC 8945 §5.3, §5.4).

use super::key::{Digest, Key};
use super::record::{self, Tsig};
use super::{Error, is_in_time, is_mac, unsigned};
use crate::limits::TSIG_UNSIGNED;
use crate::packet::{Malformed, Packet};
use std::rc::Rc;

/// The server's side: signs the answers to one request, each.
#[derive(Debug)]
pub struct Session {
    pub(super) key: Rc<Key>,
    /// The MAC before: of the request, then of each answer.
    pub(super) prior: Vec<u8>,
    first: bool,
}

impl Session {
    pub(super) fn new(key: Rc<Key>, prior: Vec<u8>) -> Session {
        Session { key, prior, first: true }
    }

    /// The key that the request was signed with.
    pub fn key(&self) -> &Rc<Key> {
        &self.key
    }

    /// The MAC of the request, or of what was signed last: no two messages have the same.
    pub fn mac(&self) -> &[u8] {
        &self.prior
    }

    /// Octets that a signature takes.
    pub fn octets(&self) -> usize {
        let (key, algorithm) = (self.key.name().len(), self.key.algorithm());
        Tsig::octets(key, algorithm.name().len(), algorithm.octets())
    }

    /// Signs the next answer.
    pub fn sign(&mut self, answer: &mut Vec<u8>, now: u64) {
        let mut tsig = unsigned(answer, &self.key, now);
        let mut digest = continued(&self.key, &self.prior);
        digest.update(answer);
        match std::mem::replace(&mut self.first, false) {
            true => digest.update(&tsig.variables()),
            false => digest.update(&tsig.timers()), // RFC 8945 §5.3.1
        }
        self.prior = digest.finish();
        tsig.mac.clone_from(&self.prior);
        tsig.put_on(answer);
    }
}

/// Why an answer is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckError {
    /// It is no message.
    Malformed,
    /// It has no signature where it must have one.
    Unsigned,
    /// It is signed with another key or algorithm.
    WrongKey,
    /// The MAC is wrong or truncated.
    WrongMac,
    /// Our clocks differ by more than the fudge.
    WrongTime,
    /// The server says why it did not accept our signature.
    Server(Error),
}

impl std::fmt::Display for CheckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CheckError::Malformed => "the answer is malformed",
            CheckError::Unsigned => "the answer is not signed",
            CheckError::WrongKey => "the answer is signed with another key",
            CheckError::WrongMac => "the answer's signature is wrong",
            CheckError::WrongTime => "the answer was signed at another time: check the clocks",
            CheckError::Server(Error::BadKey) => "the server does not know the key",
            CheckError::Server(Error::BadSig) => "the server finds our signature wrong: check the secret",
            CheckError::Server(Error::BadTime) => "the server's clock differs from ours: check the clocks",
            CheckError::Server(Error::BadTrunc) => "the server wants longer signatures",
        })
    }
}

impl std::error::Error for CheckError {}

impl From<Malformed> for CheckError {
    fn from(_: Malformed) -> CheckError {
        CheckError::Malformed
    }
}

/// The client's side: checks the answers to one request.
#[derive(Debug)]
pub struct Answers {
    key: Rc<Key>,
    prior: Vec<u8>,
    first: bool,
    /// Messages without a signature since the last with one, as digested.
    since: Option<DebugDigest>,
    unsigned: usize,
}

/// A digest that does not show what is in it.
struct DebugDigest(Digest);

impl std::fmt::Debug for DebugDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Answers {
    pub(super) fn new(key: Rc<Key>, prior: Vec<u8>) -> Answers {
        Answers { key, prior, first: true, since: None, unsigned: 0 }
    }

    /// Checks the next answer and takes its signature off. Of a stream of messages the first must have one, and then at
    /// least every hundredth; whether the last had one, [`is_complete`](Answers::is_complete) says. What an unsigned one
    /// says is only to be believed once a later signature has covered it.
    pub fn check(&mut self, answer: &mut Vec<u8>, now: u64) -> Result<(), CheckError> {
        let Some(tsig) = record::take_off(answer)? else { return self.add_unsigned(answer) };
        if tsig.key != self.key.name() || tsig.algorithm != self.key.algorithm().name() {
            return Err(CheckError::WrongKey);
        }
        // RFC 8945 §5.4.1 and §5.4.2: without a MAC it is no proof of anything, but tells whoever looks for a reason.
        match (tsig.error, tsig.mac.is_empty()) {
            (16, true) => return Err(CheckError::Server(Error::BadSig)),
            (17, true) => return Err(CheckError::Server(Error::BadKey)),
            _ => {}
        }
        let mut digest = match self.since.take() {
            Some(DebugDigest(digest)) => digest,
            None => continued(&self.key, &self.prior),
        };
        digest.update(answer);
        match std::mem::replace(&mut self.first, false) {
            true => digest.update(&tsig.variables()),
            false => digest.update(&tsig.timers()),
        }
        if tsig.mac.len() != self.key.algorithm().octets() || !is_mac(digest, &tsig.mac) {
            return Err(CheckError::WrongMac);
        }
        match tsig.error {
            18 => return Err(CheckError::Server(Error::BadTime)),
            22 => return Err(CheckError::Server(Error::BadTrunc)),
            _ if !is_in_time(&tsig, now) => return Err(CheckError::WrongTime),
            _ => {}
        }
        (self.prior, self.unsigned) = (tsig.mac, 0);
        Ok(())
    }

    /// Whether the last answer had a signature, so that all are proved (RFC 8945 §5.3.1: it must have).
    pub fn is_complete(&self) -> bool {
        !self.first && self.unsigned == 0
    }

    fn add_unsigned(&mut self, answer: &[u8]) -> Result<(), CheckError> {
        Packet::new(answer)?;
        self.unsigned += 1;
        if self.first || self.unsigned > TSIG_UNSIGNED {
            return Err(CheckError::Unsigned);
        }
        let mut digest = match self.since.take() {
            Some(DebugDigest(digest)) => digest,
            None => continued(&self.key, &self.prior),
        };
        digest.update(answer);
        self.since = Some(DebugDigest(digest));
        Ok(())
    }
}

/// A digest that goes on from the MAC before, its length in front (RFC 8945 §4.3.1).
fn continued(key: &Key, prior: &[u8]) -> Digest {
    let mut digest = key.start();
    digest.update(&(prior.len() as u16).to_be_bytes());
    digest.update(prior);
    digest
}
