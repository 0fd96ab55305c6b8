//! Response-rate limiting: answers of one kind to one network are so many a second, so that we are no amplifier.
//!
//! As NSD does it: a bucket for source network, kind of answer and what it is about; its rate is halved with every second. Of the
//! answers above the limit every second is sent truncated, so that a client whose address somebody else uses asks again over
//! TCP; the others are dropped. The table has a fixed size; two that want the same bucket take it from each other, which only
//! lets more through.

use crate::name::HashKey;
use std::net::IpAddr;

/// Buckets: 12 octets each, 192 KiB in all. More networks at a time share them, and some go unlimited.
pub const BUCKETS: usize = 16 * 1024;

/// Of so many answers above the limit one is sent truncated, and the others are not sent; the number of NSD, Knot and BIND.
pub const SLIP: u16 = 2;

/// Answers a second at least, since the clock is not read for every one.
pub const LIMIT_LEAST: u16 = 8;

/// Kinds of answers, which are limited each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is one; about the name that was asked for.
    Answer,
    /// No such name; about the zone, whatever names are made up in it.
    NoName,
    /// A referral, or no data of this type; about the zone.
    Referral,
    /// An error; about nothing.
    Error,
}

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// It is sent without records and with the truncation flag.
    Truncate,
    /// It is not sent.
    Drop,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Whose it is.
    tag: u32,
    /// The second it counts, of the clock that the caller has.
    second: u32,
    /// Answers in this second.
    count: u16,
    /// Answers a second before.
    rate: u16,
}

/// See the module.
pub struct Limiter {
    buckets: Vec<Bucket>,
    key: HashKey,
    limit: u16,
    /// The clock is read for one in so many answers, which must be few against the limit.
    stride: u16,
    since_read: u16,
    second: u32,
    slipped: u16,
}

impl Limiter {
    /// Allows so many answers a second. Fails where there is no memory for the table.
    pub fn new(limit: u16, key: &HashKey) -> Result<Limiter, String> {
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(BUCKETS).map_err(|_| "no memory for the table of rates".to_string())?;
        buckets.resize(BUCKETS, Bucket::default());
        let limit = limit.max(LIMIT_LEAST);
        let stride = (limit / 8).min(64);
        Ok(Limiter { buckets, key: *key, limit, stride, since_read: stride, second: 0, slipped: 0 })
    }

    /// Counts an answer to `client`, about what has the hash `about`; `now` reads a clock, in seconds.
    pub fn count(&mut self, client: IpAddr, kind: Kind, about: u64, now: impl FnOnce() -> u64) -> Verdict {
        self.since_read += 1;
        if self.since_read >= self.stride {
            (self.since_read, self.second) = (0, now() as u32);
        }
        let hash = self.key.mix(network(client) ^ (kind as u64) << 60, about);
        let (tag, second) = (hash as u32, self.second);
        let at = (hash >> 32) as usize % BUCKETS;
        let Some(bucket) = self.buckets.get_mut(at) else { return Verdict::Send };
        if bucket.tag != tag {
            *bucket = Bucket { tag, second, count: 0, rate: 0 };
        }
        bucket.pass_to(second);
        bucket.count = bucket.count.saturating_add(1);
        if bucket.count.max(bucket.rate.saturating_add(bucket.count / 2)) <= self.limit {
            return Verdict::Send;
        }
        self.slipped = (self.slipped + 1) % SLIP;
        if self.slipped == 0 { Verdict::Truncate } else { Verdict::Drop }
    }
}

impl Bucket {
    /// Halves the rate with every second, and adds half of what was counted.
    fn pass_to(&mut self, second: u32) {
        let passed = second.wrapping_sub(self.second);
        if passed == 0 {
            return;
        }
        let rate = self.rate / 2 + self.count / 2;
        self.rate = rate.checked_shr(passed - 1).unwrap_or(0);
        (self.second, self.count) = (second, 0);
    }
}

/// A /24 of IPv4, a /56 of IPv6: what one customer of a provider has.
fn network(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => u64::from(u32::from(address) >> 8),
        IpAddr::V6(address) => (u128::from(address) >> 72) as u64 | 1 << 58,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limit: u16) -> Limiter {
        Limiter::new(limit, &HashKey::new([3; 24])).unwrap()
    }

    /// Of so many answers in one second, how many are sent, truncated, dropped.
    fn flood(limiter: &mut Limiter, client: &str, about: u64, second: u64, answers: usize) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..answers {
            let verdict = limiter.count(client.parse().unwrap(), Kind::Answer, about, || second);
            counts[verdict as usize] += 1;
        }
        counts
    }

    #[test]
    fn a_flood_is_limited_and_a_client_in_it_can_go_on() {
        let mut limiter = limiter(100);
        assert_eq!(flood(&mut limiter, "192.0.2.1", 7, 1, 100), [100, 0, 0]);
        assert_eq!(flood(&mut limiter, "192.0.2.99", 7, 1, 100), [0, 50, 50]);
        // Another network, another name, another kind.
        assert_eq!(flood(&mut limiter, "192.0.3.1", 7, 1, 1), [1, 0, 0]);
        assert_eq!(flood(&mut limiter, "192.0.2.1", 8, 1, 1), [1, 0, 0]);
        assert_eq!(limiter.count("192.0.2.1".parse().unwrap(), Kind::NoName, 7, || 1), Verdict::Send);
    }

    #[test]
    fn a_network_is_forgiven_when_the_flood_is_over() {
        let mut limiter = limiter(8);
        assert_eq!(flood(&mut limiter, "2001:db8::1", 7, 1, 1000)[0], 8);
        assert_eq!(flood(&mut limiter, "2001:db8:0:ff::2", 7, 2, 4), [0, 2, 2]);
        assert_eq!(flood(&mut limiter, "2001:db8::1", 7, 30, 8), [8, 0, 0]);
    }

    #[test]
    fn what_stays_below_the_limit_is_never_limited() {
        let mut limiter = limiter(50);
        for second in 1..1000 {
            assert_eq!(flood(&mut limiter, "192.0.2.1", 7, second, 25), [25, 0, 0], "second {second}");
        }
    }
}
