//! Who asks: cookies, and how many answers a network gets.

use super::Authority;
use crate::cookies::{CLIENT_OCTETS, Cookie, SERVER_OCTETS, Secrets};
use crate::message::{Section, Writer};
use crate::name::Name;
use crate::query::Rcode;
use crate::rate::{Kind, Limiter, Verdict};
use crate::zones::Zones;
use std::net::IpAddr;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Where it says that it is.
    pub address: IpAddr,
    /// Reads the clock, in seconds since 1970. Only called for cookies, and now and then where answers are limited.
    pub now: fn() -> u64,
}

/// What an answer has to do with a client's cookie.
#[derive(Clone, Copy)]
pub(super) struct Checked {
    /// The client has been sent it to where it is.
    pub is_good: bool,
    /// What it is sent now.
    pub halves: ([u8; CLIENT_OCTETS], [u8; SERVER_OCTETS]),
}

impl Authority {
    /// Makes cookies with these secrets.
    pub fn set_cookie_secrets(&mut self, secrets: Secrets) {
        self.secrets = Some(secrets);
    }

    /// Gives a network so many answers of one kind a second over UDP; clients with good cookies as many as they want.
    pub fn set_rate_limit(&mut self, answers: u16) -> Result<(), String> {
        self.limiter = Some(Limiter::new(answers, self.zones.key())?);
        Ok(())
    }

    /// Checks a cookie, and makes the next one.
    pub(super) fn cookie(&self, cookie: Cookie, client: Option<Client>) -> Option<Checked> {
        let (secrets, client) = (self.secrets.as_ref()?, client?);
        let now = (client.now)();
        let server = secrets.make(cookie.client, client.address, now);
        let is_good = secrets.is_good(&cookie, client.address, now);
        Some(Checked { is_good, halves: (cookie.client, server) })
    }

    /// Whether an error is not sent, since there have been too many. They are as long as the query, so none is truncated.
    pub(super) fn limit_error(&mut self, client: Option<Client>) -> bool {
        let (Some(limiter), Some(client)) = (&mut self.limiter, client) else { return false };
        let limited = limiter.count(client.address, Kind::Error, 0, client.now) != Verdict::Send;
        self.statistics.limited += u64::from(limited);
        limited
    }
}

/// What kind of answer this is, and the hash of what it is about.
pub(super) fn kind_of(rcode: Rcode, writer: &Writer<'_>, (zones, question): (&Zones, &Name)) -> (Kind, u64) {
    let about_zone = || {
        let zone = zones.find(question, 0);
        zone.map_or(0, |zone| question.hash(question.labels() - zone.labels()))
    };
    match rcode {
        Rcode::NoError if writer.counts[Section::Answer as usize] > 0 => (Kind::Answer, question.hash(0)),
        // Without an answer: a referral, or no data. What is asked for may be made up in both.
        Rcode::NoError => (Kind::Referral, about_zone()),
        Rcode::NxDomain => (Kind::NoName, about_zone()),
        _ => (Kind::Error, 0),
    }
}
