//! NOTIFY (RFC 1996): telling secondaries that a zone has changed, until they answer; a state machine without sockets.

use crate::keys::is_at_or_below;
use crate::limits::NOTIFICATIONS;
use crate::packet::{Packet, put_record, set_count};
use crate::query::CLASS_IN;
use crate::record::Record;
use crate::tsig::{self, Answers, Key};
use std::net::SocketAddr;
use std::rc::Rc;

/// The opcode (RFC 1996 §3).
pub const OPCODE: u8 = 4;

/// Seconds after each sending until the next, as long as there is no answer; a day in all (RFC 1996 §3.6). The reference's.
const DELAYS_SECONDS: [u64; 12] = [1, 1, 1, 4, 13, 20, 20, 120, 420, 900, 2100, 82_800];

/// All notifications that have not been answered.
#[derive(Debug, Default)]
pub struct Notifier {
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    target: SocketAddr,
    zone: Vec<u8>,
    soa: Record,
    key: Option<Rc<Key>>,
    id: u16,
    sent: usize,
    due_ms: u64,
    answers: Option<Answers>,
}

/// The message: which zone, and its new SOA record as a hint (RFC 1996 §3.7).
fn message(zone: &[u8], soa: &Record, id: u16) -> Vec<u8> {
    let mut message = crate::transfer::question(zone, soa.rtype, id);
    message[2] = OPCODE << 3 | crate::query::AA;
    put_record(&mut message, soa, CLASS_IN);
    set_count(&mut message, 1, 1);
    message
}

impl Notifier {
    /// Tells `target` about `zone`, instead of what it has not yet answered about that zone. `id` should be random.
    pub fn notify(
        &mut self,
        target: SocketAddr,
        zone: &[u8],
        soa: Record,
        key: Option<Rc<Key>>,
        id: u16,
        now_ms: u64,
    ) {
        self.pending.retain(|pending| pending.target != target || pending.zone != zone);
        if self.pending.len() < NOTIFICATIONS {
            let zone = zone.to_vec();
            self.pending.push(Pending { target, zone, soa, key, id, sent: 0, due_ms: now_ms, answers: None });
        }
    }

    /// Forgets what is to be told about a zone that is no longer served.
    pub fn forget(&mut self, zone: &[u8]) {
        self.pending.retain(|pending| pending.zone != zone);
    }

    /// The next message that is due, and for whom. `unix` in seconds, for signatures.
    pub fn poll_send(&mut self, now_ms: u64, unix: u64) -> Option<(SocketAddr, Vec<u8>)> {
        self.pending.retain(|pending| pending.due_ms > now_ms || pending.sent < DELAYS_SECONDS.len());
        let pending = self.pending.iter_mut().find(|pending| pending.due_ms <= now_ms)?;
        pending.due_ms = now_ms + 1_000 * DELAYS_SECONDS[pending.sent];
        pending.sent += 1;
        let mut message = message(&pending.zone, &pending.soa, pending.id);
        if let Some(key) = &pending.key {
            pending.answers = Some(tsig::sign_request(&mut message, key, unix));
        }
        Some((pending.target, message))
    }

    /// When the next message is due.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.pending.iter().map(|pending| pending.due_ms).min()
    }

    /// Takes what may be an answer. Any response code ends it: the other side has heard of it (RFC 1996 §4.8).
    pub fn handle_answer(&mut self, source: SocketAddr, answer: &[u8], unix: u64) {
        self.pending.retain_mut(|pending| {
            let mut answer = answer.to_vec();
            let is_genuine = match &mut pending.answers {
                Some(answers) => answers.check(&mut answer, unix).is_ok(),
                None => pending.sent > 0,
            };
            !(is_genuine && pending.target == source && is_answer_to(&answer, pending))
        });
    }

    /// How many are not answered.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether all are answered.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

fn is_answer_to(answer: &[u8], pending: &Pending) -> bool {
    let Ok(mut packet) = Packet::new(answer) else { return false };
    let is_it = packet.is_answer() && packet.opcode() == OPCODE && packet.id() == pending.id;
    let about = |zone: &[u8]| is_at_or_below(zone, &pending.zone) && is_at_or_below(&pending.zone, zone);
    is_it && (packet.count(0) == 0 || packet.question().is_ok_and(|question| about(&question.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::bare_answer;
    use crate::types::RecordType;

    const ZONE: &[u8] = b"\x07example\x03org\0";

    fn target() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], 53))
    }

    fn notifier(key: Option<Rc<Key>>) -> Notifier {
        let soa = Record { owner: ZONE.to_vec(), rtype: RecordType::SOA, ttl: 60, data: vec![0; 22] };
        let mut notifier = Notifier::default();
        notifier.notify(target(), ZONE, soa.clone(), key.clone(), 1, 0);
        notifier.notify(target(), ZONE, soa, key, 7, 0); // instead of the one before
        notifier
    }

    #[test]
    fn it_is_told_again_until_it_is_answered_and_not_for_ever() {
        let mut notifier = notifier(None);
        let (mut times, mut first) = (Vec::new(), Vec::new());
        while let Some(now) = notifier.deadline_ms() {
            let Some((to, message)) = notifier.poll_send(now, 0) else { break };
            assert!(to == target() && notifier.poll_send(now, 0).is_none());
            (first, _) = (message, times.push(now / 1000));
        }
        assert_eq!(times, [0, 1, 2, 3, 7, 20, 40, 60, 180, 600, 1500, 3600]);
        assert_eq!(first[..12], *b"\0\x07\x24\0\0\x01\0\x01\0\0\0\0");
        assert!(notifier.is_empty());
    }

    #[track_caller]
    fn check(source: SocketAddr, change: impl Fn(&mut Vec<u8>), is_answered: bool) {
        let mut notifier = notifier(None);
        let (_, message) = notifier.poll_send(0, 0).unwrap();
        let mut answer = bare_answer(&message, 0).unwrap();
        change(&mut answer);
        notifier.handle_answer(source, &answer, 0);
        assert_eq!(notifier.is_empty(), is_answered);
    }

    #[test]
    fn only_an_answer_to_it_ends_it() {
        check(target(), |_| {}, true);
        check(target(), |answer| answer[3] = 5, true);
        check(target(), |answer| answer[1] ^= 1, false);
        check(target(), |answer| answer[2] = 0x80, false);
        check(target(), |answer| answer[13] ^= 1, false);
        check(target(), |answer| answer.truncate(3), false);
        check(SocketAddr::from(([192, 0, 2, 8], 53)), |_| {}, false);
    }

    #[test]
    fn what_was_signed_is_answered_with_a_signature() {
        let key = Rc::new(Key::new(b"\x01k\0", tsig::Algorithm::Sha256, b"secret"));
        let mut notifier = notifier(Some(key.clone()));
        let (_, message) = notifier.poll_send(0, 1000).unwrap();
        notifier.handle_answer(target(), &bare_answer(&message, 0).unwrap(), 1000);
        assert_eq!(notifier.len(), 1);
        let mut signed = tsig::verify(&message, |_| Some(key.clone()), 1000).unwrap().unwrap();
        let mut answer = bare_answer(&signed.message, 0).unwrap();
        signed.session.sign(&mut answer, 1000);
        notifier.handle_answer(target(), &answer, 1000);
        assert!(notifier.is_empty());
    }
}
