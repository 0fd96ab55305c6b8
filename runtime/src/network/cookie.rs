//! SYN cookies: what a listener has to remember of a SYN until it is acknowledged stands in the number that it answers with
//! (RFC 4987 §3.6). So a flood of SYNs takes no memory, and displaces nobody.
//!
//! ```text
//!  31                            8   7     5     4      3        0
//! │ SipHash of ends, peer's number, minute, options │ size │ selective │ scale or 15 │
//! ```
//! Unlike Linux's they have room for all options that we know, and no time stamps are needed for them: so every
//! connection is opened in this way, not only those during a flood. The price: a SYN-ACK that gets lost is not repeated by us, but
//! on the peer's next SYN, after the second that Linux waits as well; and if the peer's acknowledgement gets lost, and it waits for us to say
//! something first, it waits in vain. Our services let the client speak first.

use super::{flows::FourTuple, rest::Peer, timers::Micros};
use crate::limits::COOKIE_SECONDS;
use std::hash::{BuildHasher, RandomState};

/// Sizes of segments that fit a cookie; a peer's own is rounded down. RFC 9293 §3.7.1's default, IPv6's least MTU, tunnels,
/// Ethernet by IPv6 and IPv4, jumbo frames.
const SIZES: [u16; 8] = [536, 1_220, 1_340, 1_380, 1_400, 1_440, 1_460, 8_940];
/// Who knows nothing of window scaling.
const NO_SCALE: u32 = 15;
/// RFC 7323 §2.3: shifts beyond this are taken to be this.
const SCALE_MAX: u8 = 14;

/// Cookies that are remembered, so that somebody whose first segments come in disorder is not sent away. Each takes four bytes.
const REMEMBERED: usize = 1_024;

/// What makes cookies, and knows them again.
#[derive(Debug)]
pub struct Cookies {
    key: RandomState,
    sent: Box<[u32; REMEMBERED]>,
}

impl Default for Cookies {
    fn default() -> Self {
        Self { key: RandomState::default(), sent: Box::new([0; REMEMBERED]) }
    }
}

impl Cookies {
    /// The number to answer a SYN with that has the number `number`, and what is kept of `peer` in it.
    pub fn make(&mut self, tuple: &FourTuple, number: u32, peer: &Peer, now: Micros) -> u32 {
        let size = SIZES.iter().rposition(|&size| size <= peer.segment).unwrap_or(0) as u32;
        let scale = peer.scale.map_or(NO_SCALE, |scale| scale.min(SCALE_MAX).into());
        let options = size << 5 | u32::from(peer.selective) << 4 | scale;
        let cookie = self.complete(tuple, number, options, minute(now));
        self.sent[place(cookie)] = cookie;
        cookie
    }

    /// Whether `cookie` is one of the last that were made, for whomever.
    pub fn is_recent(&self, cookie: u32) -> bool {
        self.sent[place(cookie)] == cookie
    }

    /// The peer who acknowledges `cookie` with a segment before which its number was `number`, if the cookie is ours.
    pub fn check(
        &self,
        tuple: &FourTuple,
        number: u32,
        cookie: u32,
        window: u16,
        now: Micros,
    ) -> Option<Peer> {
        let minute = minute(now);
        let ours = [minute, minute - 1]
            .iter()
            .any(|&minute| self.complete(tuple, number, cookie & 0xff, minute) == cookie);
        ours.then(|| Peer {
            segment: SIZES[(cookie >> 5 & 7) as usize],
            scale: (cookie & 15 != NO_SCALE).then_some((cookie & 15) as u8),
            selective: cookie & 16 != 0,
            window,
        })
    }

    fn complete(&self, tuple: &FourTuple, number: u32, options: u32, minute: Micros) -> u32 {
        (self.key.hash_one((tuple, number, options, minute)) as u32) << 8 | options
    }
}

fn place(cookie: u32) -> usize {
    (cookie >> 8) as usize % REMEMBERED
}

/// A cookie is good for this part of time and the next.
fn minute(now: Micros) -> Micros {
    now / (COOKIE_SECONDS as Micros * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn tuple(port: u16) -> FourTuple {
        FourTuple::new(([10, 0, 0, 2], 80).into(), ([10, 0, 0, 1], port).into())
    }

    /// A peer that says `peer` of itself is remembered as `expect`.
    #[track_caller]
    fn check(peer: (u16, Option<u8>, bool), expect: (u16, Option<u8>, bool)) {
        let (mut cookies, now) = (Cookies::default(), 1_000 * SECOND);
        let peer = Peer { segment: peer.0, scale: peer.1, selective: peer.2, window: 0 };
        let cookie = cookies.make(&tuple(1), 7, &peer, now);
        let known = cookies.check(&tuple(1), 7, cookie, 99, now).expect("it is ours");
        assert_eq!(
            (known.segment, known.scale, known.selective, known.window),
            (expect.0, expect.1, expect.2, 99)
        );
    }

    #[test]
    fn options_are_remembered() {
        check((1_460, Some(7), true), (1_460, Some(7), true));
        check((1_440, Some(0), false), (1_440, Some(0), false));
        check((8_960, Some(14), true), (8_940, Some(14), true));
        check((1_459, None, false), (1_440, None, false));
        check((536, Some(255), true), (536, Some(14), true));
        check((0, None, true), (536, None, true));
        check((u16::MAX, None, true), (8_940, None, true));
    }

    #[test]
    fn nobody_else_can_use_one_and_nobody_for_long() {
        let mut cookies = Cookies::default();
        let peer = Peer { segment: 1_460, scale: Some(7), selective: true, window: 0 };
        let start = 1_000 * SECOND;
        let cookie = cookies.make(&tuple(1), 7, &peer, start);
        let good = |tuple: &FourTuple, number, cookie, after: i64| {
            cookies.check(tuple, number, cookie, 0, start + after * SECOND).is_some()
        };
        let lifetime = COOKIE_SECONDS as i64;
        assert!(good(&tuple(1), 7, cookie, 0) && good(&tuple(1), 7, cookie, lifetime));
        assert!(!good(&tuple(1), 7, cookie, 2 * lifetime));
        assert!(!good(&tuple(2), 7, cookie, 0) && !good(&tuple(1), 8, cookie, 0));
        assert!(!(0..32).any(|bit| good(&tuple(1), 7, cookie ^ 1 << bit, 0)));
        assert!(
            !good(&tuple(1), 7, Cookies::default().make(&tuple(1), 7, &peer, start), 0),
            "another image's"
        );
    }
}
