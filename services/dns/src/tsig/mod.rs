//! TSIG: messages authenticated by a shared secret (RFC 8945).
//!
//! ```text
//! server   message ─► verify ─┬─ Signed { message, session } ─► answer ─► session.sign
//!                             └─ Failure ─► its answer: NOTAUTH with BADKEY, BADSIG, BADTIME, BADTRUNC
//! client   request ─► sign_request ─► session ─► session.check(answer), one or many
//! ```
//!
//! The time is a parameter. Truncated MACs are well-formed but refused (RFC 8945 §5.2.4 leaves that to the receiver).

mod key;
mod record;
mod session;

pub use key::{Algorithm, Key};
pub use record::{FUDGE_SECONDS, Tsig};
pub use session::{Answers, CheckError, Session};

use crate::packet::{Malformed, bare_answer};
use key::Digest;
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// Whether a message ends with a TSIG record, be it a good one or not.
pub fn is_signed(message: &[u8]) -> bool {
    record::is_there(message)
}

/// Why a signature was not accepted (RFC 8945 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The MAC is wrong.
    BadSig = 16,
    /// The key is not known, or not with this algorithm.
    BadKey = 17,
    /// The clocks differ by more than the fudge.
    BadTime = 18,
    /// The MAC is truncated.
    BadTrunc = 22,
}

/// NOTAUTH (RFC 8945 §5.2).
const NOTAUTH: u8 = 9;

/// A request whose signature was checked and is good.
#[derive(Debug)]
pub struct Signed {
    /// The message without the signature.
    pub message: Vec<u8>,
    /// What signs the answer.
    pub session: Session,
    /// When it was signed, in seconds since 1970.
    pub time: u64,
}

/// A request whose signature is not good.
#[derive(Debug)]
pub enum Failure {
    /// FORMERR, without a signature.
    Malformed,
    /// NOTAUTH, with this TSIG record.
    Rejected(Box<Rejected>),
}

/// What the answer to a bad signature is made of.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub error: Error,
    message: Vec<u8>,
    tsig: Tsig,
    /// The key, where its MAC was right: then the answer is signed.
    key: Option<Rc<Key>>,
    now: u64,
}

/// Checks the signature of a request. `None` where it has none. `find` looks a key up by its name in lower case. `now` in
/// seconds since 1970.
pub fn verify(
    message: &[u8],
    find: impl Fn(&[u8]) -> Option<Rc<Key>>,
    now: u64,
) -> Result<Option<Signed>, Failure> {
    let mut message = message.to_vec();
    let Some(tsig) = record::take_off(&mut message).map_err(|Malformed| Failure::Malformed)? else {
        return Ok(None);
    };
    // RFC 8945 §5.2.1: an unknown key, and then the MAC, the time, the truncation, in this order.
    let algorithm = Algorithm::from_name(&tsig.algorithm);
    let key = find(&tsig.key).filter(|key| Some(key.algorithm()) == algorithm);
    let rejected = |error, message, tsig, key| {
        Err(Failure::Rejected(Box::new(Rejected { error, message, tsig, key, now })))
    };
    let Some(key) = key else { return rejected(Error::BadKey, message, tsig, None) };
    // RFC 8945 §5.2.2.1
    if !(key.algorithm().least_octets()..=key.algorithm().octets()).contains(&tsig.mac.len()) {
        return Err(Failure::Malformed);
    }
    let mut digest = key.start();
    digest.update(&message);
    digest.update(&tsig.variables());
    if !is_mac(digest, &tsig.mac) {
        return rejected(Error::BadSig, message, tsig, None);
    }
    if !is_in_time(&tsig, now) {
        return rejected(Error::BadTime, message, tsig, Some(key));
    }
    if tsig.mac.len() < key.algorithm().octets() {
        return rejected(Error::BadTrunc, message, tsig, Some(key));
    }
    let time = tsig.time;
    let session = Session::new(key, tsig.mac);
    Ok(Some(Signed { message, session, time }))
}

/// Signs a request, as a client; what checks its answer. The message must not be longer than 65535 octets with the record.
pub fn sign_request(message: &mut Vec<u8>, key: &Rc<Key>, now: u64) -> Answers {
    let mut tsig = unsigned(message, key, now);
    let mut digest = key.start();
    digest.update(message);
    digest.update(&tsig.variables());
    tsig.mac = digest.finish();
    tsig.put_on(message);
    Answers::new(key.clone(), tsig.mac)
}

/// A record for `message` that lacks its MAC.
fn unsigned(message: &[u8], key: &Key, now: u64) -> Tsig {
    Tsig {
        key: key.name().to_vec(),
        algorithm: key.algorithm().name().to_vec(),
        time: now,
        fudge: FUDGE_SECONDS,
        mac: Vec::new(),
        original_id: message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id)),
        error: 0,
        other: Vec::new(),
    }
}

/// Whether `mac`, perhaps truncated, is what `digest` comes to; in constant time.
fn is_mac(digest: Digest, mac: &[u8]) -> bool {
    let whole = digest.finish();
    whole.get(..mac.len()).is_some_and(|part| part.ct_eq(mac).into())
}

/// RFC 8945 §5.2.3
fn is_in_time(tsig: &Tsig, now: u64) -> bool {
    now.abs_diff(tsig.time) <= u64::from(tsig.fudge)
}

impl Rejected {
    /// The answer (RFC 8945 §5.3.2): without a MAC where key or MAC are wrong, signed otherwise.
    pub fn answer(&self) -> Vec<u8> {
        let mut answer = bare_answer(&self.message, NOTAUTH).unwrap_or_default();
        let Tsig { key, algorithm, time, fudge, original_id, .. } = self.tsig.clone();
        let (error, mac, other) = (self.error as u16, Vec::new(), Vec::new());
        let mut tsig = Tsig { key, algorithm, time, fudge, mac, original_id, error, other };
        if self.error == Error::BadTime {
            // RFC 8945 §5.2.3: the client's time, so that it can check the MAC; ours beside it.
            tsig.other = self.now.to_be_bytes()[2..].to_vec();
        } else {
            tsig.time = self.now;
        }
        if let Some(key) = &self.key {
            let mut digest = key.start();
            digest.update(&(self.tsig.mac.len() as u16).to_be_bytes());
            digest.update(&self.tsig.mac);
            digest.update(&answer);
            digest.update(&tsig.variables());
            tsig.mac = digest.finish();
        }
        tsig.put_on(&mut answer);
        answer
    }
}

#[cfg(test)]
mod tests;
