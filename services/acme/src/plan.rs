//! Which requests of a zone are due: records and a time in, tasks out.

use crate::limits::{RENEWAL_DAYS, RENEWAL_PART, REQUESTS};
use dns::{
    Record,
    tlsa::{self, Content, Issued, Request},
};
use std::{collections::BTreeMap, fmt};

/// A certificate to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Where request and certificate stand, on the wire.
    pub owner: Vec<u8>,
    /// The host, in text.
    pub host: String,
    /// What the certificate is to be for.
    pub names: Vec<String>,
    /// The request, in DER.
    pub request: Vec<u8>,
    /// Why.
    pub reason: Reason,
    /// All TLSA records that stand there: what the update is made for.
    pub found: Vec<Record>,
}

/// Why a certificate is to be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none.
    Missing,
    /// What stands there is none that could be read.
    Unreadable,
    /// It is for another key or for other names.
    OtherRequest,
    /// It ends soon: in so many seconds, less than none if it has ended.
    Ending(i64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no certificate"),
            Self::Unreadable => f.write_str("the certificate is unreadable"),
            Self::OtherRequest => f.write_str("the certificate is for another key or other names"),
            Self::Ending(seconds) => write!(f, "the certificate ends in {} h", seconds / 3_600),
        }
    }
}

/// Why a request is not looked at (LE-06). Whoever wrote it has to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// More than one request.
    Requests,
    /// More than one certificate.
    Certificates,
    /// The request cannot be read.
    Unreadable,
    /// The request is not for the host it stands at.
    OtherHost,
    /// The request names something that is not in the zone, where we cannot answer a challenge.
    OtherZone,
    /// The zone has more requests than limits.rs allows.
    TooMany,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("there is more than one request"),
            Self::Certificates => f.write_str("there is more than one certificate"),
            Self::Unreadable => f.write_str("the request is unreadable, or not for host names alone"),
            Self::OtherHost => f.write_str("the request is not for this host"),
            Self::OtherZone => f.write_str("the request names something outside of the zone"),
            Self::TooMany => write!(f, "the zone has more than {REQUESTS} requests"),
        }
    }
}

/// What is to be done in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Certificates to be ordered.
    pub tasks: Vec<Task>,
    /// Hosts that are skipped, and why.
    pub skipped: Vec<(String, Skipped)>,
    /// Hosts whose certificate is as it should be.
    pub done: usize,
    /// Seconds until the first of those is due.
    pub next: Option<u64>,
}

/// Looks through a zone's records; `apex` is its name on the wire, `now` in seconds since 1970.
pub fn plan(apex: &[u8], records: impl Iterator<Item = Record>, now: u64) -> Plan {
    let mut hosts: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in records {
        if let Some(host) = tlsa::host(&record) {
            hosts.entry(tlsa::host_text(host)).or_default().push(record);
        }
    }
    let (zone, mut plan) = (tlsa::host_text(apex), Plan::default());
    for (host, found) in hosts {
        if plan.tasks.len() + plan.done >= REQUESTS {
            plan.skipped.push((host, Skipped::TooMany));
            break;
        }
        match task(&zone, &host, found, now) {
            Ok(Found::Due(task)) => plan.tasks.push(task),
            Ok(Found::DueIn(seconds)) => {
                plan.done += 1;
                plan.next = Some(plan.next.map_or(seconds, |next| next.min(seconds)));
            }
            Ok(Found::Nothing) => {}
            Err(reason) => plan.skipped.push((host, reason)),
        }
    }
    plan
}

/// What was found of a host.
enum Found {
    /// No request.
    Nothing,
    /// A request that is due.
    Due(Task),
    /// A certificate that does for so many seconds.
    DueIn(u64),
}

/// What is to be done for a host.
fn task(zone: &str, host: &str, found: Vec<Record>, now: u64) -> Result<Found, Skipped> {
    let (mut requests, mut certificates) = (Vec::new(), Vec::new());
    for record in &found {
        match tlsa::content(record) {
            Content::Request(der) => requests.push(der),
            Content::Certificate(der) => certificates.push(der),
            Content::Intermediate(_) | Content::Other => {}
        }
    }
    let der = match requests[..] {
        [] => return Ok(Found::Nothing), // nobody asks any more
        [der] => der.to_vec(),
        _ => return Err(Skipped::Requests),
    };
    let request = tlsa::read_request(&der).map_err(|_| Skipped::Unreadable)?;
    if !request.names.iter().any(|name| name == host || name.strip_prefix("*.") == Some(host)) {
        return Err(Skipped::OtherHost);
    }
    if !request.names.iter().all(|name| is_in(name, zone)) {
        return Err(Skipped::OtherZone);
    }
    let outcome = match certificates[..] {
        [] => Err(Reason::Missing),
        [der] => match Issued::read(der) {
            Ok(issued) => due(&request, &issued, now),
            Err(_) => Err(Reason::Unreadable),
        },
        _ => return Err(Skipped::Certificates),
    };
    let Request { names, .. } = request;
    let owner = found.first().map(|record| record.owner.clone()).unwrap_or_default();
    Ok(match outcome {
        Ok(seconds) => Found::DueIn(seconds),
        Err(reason) => Found::Due(Task { owner, host: host.to_owned(), names, request: der, reason, found }),
    })
}

fn is_in(name: &str, zone: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
    let below = name.strip_suffix(zone).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    name.bytes().all(plain) && (below || zone.is_empty())
}

/// Why a certificate does no longer do for a request (LE-05), or for how many seconds it does.
fn due(request: &Request, issued: &Issued, now: u64) -> Result<u64, Reason> {
    if issued.key != request.key || !request.names.iter().all(|name| issued.names.contains(name)) {
        return Err(Reason::OtherRequest);
    }
    let part = issued.until.saturating_sub(issued.from) / RENEWAL_PART;
    let renewal = issued.until.saturating_sub((RENEWAL_DAYS * 24 * 3_600).min(part));
    match renewal.checked_sub(now) {
        Some(seconds @ 1..) => Ok(seconds),
        _ => Err(Reason::Ending(issued.until as i64 - now as i64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns::RecordType;
    use rcgen::{CertificateParams, KeyPair};

    const APEX: &[u8] = b"\x07example\x03org\x00";
    const HOST: &[u8] = b"\x03www\x07example\x03org\x00";
    const DAY: u64 = 24 * 3_600;
    /// 2026-01-01
    const START: u64 = 1_767_225_600;

    struct Keys(KeyPair, KeyPair);

    impl Keys {
        fn new() -> Self {
            Self(KeyPair::generate().unwrap(), KeyPair::generate().unwrap())
        }
    }

    fn params(names: &[&str]) -> CertificateParams {
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .map(|mut params| {
                params.distinguished_name = rcgen::DistinguishedName::new();
                params
            })
            .unwrap()
    }

    fn request(key: &KeyPair, names: &[&str]) -> Record {
        tlsa::request_record(&tlsa::owner(HOST), params(names).serialize_request(key).unwrap().der(), 60)
    }

    /// A certificate from 2026-01-01 for 90 days.
    fn certificate(key: &KeyPair, names: &[&str]) -> Record {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 4, 1);
        tlsa::certificate_record(&tlsa::owner(HOST), params.self_signed(key).unwrap().der(), 60)
    }

    /// What is planned for records at www.example.org, so many days into 2026.
    #[track_caller]
    fn check(records: Vec<Record>, day: u64, expected: Result<Option<Reason>, Skipped>) {
        let plan = plan(APEX, records.into_iter(), START + day * DAY);
        let outcome = match (&plan.tasks[..], &plan.skipped[..]) {
            ([], []) => Ok(None),
            ([task], []) => Ok(Some(task.reason)),
            ([], [(host, reason)]) if host == "www.example.org" => Err(*reason),
            _ => panic!("{plan:?}"),
        };
        assert_eq!(outcome, expected);
    }

    const NAME: &[&str] = &["www.example.org"];

    #[test]
    fn a_request_without_a_certificate_is_due() {
        let Keys(key, _) = Keys::new();
        check(vec![request(&key, NAME)], 0, Ok(Some(Reason::Missing)));
        check(vec![request(&key, &["*.www.example.org", "example.org"])], 0, Ok(Some(Reason::Missing)));
        check(vec![certificate(&key, NAME)], 0, Ok(None));
        check(vec![], 0, Ok(None));
    }

    #[test]
    fn a_certificate_is_renewed_two_weeks_before_its_end() {
        let Keys(key, _) = Keys::new();
        let records = || vec![request(&key, NAME), certificate(&key, NAME)];
        check(records(), 0, Ok(None));
        check(records(), 75, Ok(None));
        check(records(), 76, Ok(Some(Reason::Ending(14 * DAY as i64))));
        check(records(), 91, Ok(Some(Reason::Ending(-(DAY as i64)))));
    }

    #[test]
    fn the_next_renewal_is_known() {
        let Keys(key, _) = Keys::new();
        let plan = plan(APEX, [request(&key, NAME), certificate(&key, NAME)].into_iter(), START);
        assert_eq!((plan.done, plan.next), (1, Some(76 * DAY)));
    }

    #[test]
    fn a_certificate_for_something_else_is_replaced() {
        let Keys(key, other) = Keys::new();
        check(vec![request(&key, NAME), certificate(&other, NAME)], 0, Ok(Some(Reason::OtherRequest)));
        let more = &["www.example.org", "a.example.org"];
        check(vec![request(&key, more), certificate(&key, NAME)], 0, Ok(Some(Reason::OtherRequest)));
        check(vec![request(&key, NAME), certificate(&key, more)], 0, Ok(None));
        let broken = tlsa::certificate_record(&tlsa::owner(HOST), b"nonsense", 60);
        check(vec![request(&key, NAME), broken], 0, Ok(Some(Reason::Unreadable)));
    }

    #[test]
    fn what_is_ambiguous_is_skipped() {
        let Keys(key, other) = Keys::new();
        check(vec![request(&key, NAME), request(&other, NAME)], 0, Err(Skipped::Requests));
        let two = vec![request(&key, NAME), certificate(&key, NAME), certificate(&other, NAME)];
        check(two, 0, Err(Skipped::Certificates));
    }

    #[test]
    fn requests_are_for_their_host_and_zone() {
        let Keys(key, _) = Keys::new();
        check(vec![request(&key, &["a.example.org"])], 0, Err(Skipped::OtherHost));
        check(vec![request(&key, &["www.example.org", "www.example.net"])], 0, Err(Skipped::OtherZone));
        check(vec![request(&key, &["www.example.org", "notexample.org"])], 0, Err(Skipped::OtherZone));
        check(vec![request(&key, &["www.example.org", "a b.example.org"])], 0, Err(Skipped::OtherZone));
        let nonsense = tlsa::request_record(&tlsa::owner(HOST), b"nonsense", 60);
        check(vec![nonsense], 0, Err(Skipped::Unreadable));
    }

    #[test]
    fn other_records_do_not_matter() {
        let Keys(key, _) = Keys::new();
        let address = Record { rtype: RecordType::A, data: vec![192, 0, 2, 1], ..request(&key, NAME) };
        let other = Record { data: vec![3, 1, 1, 0], ..request(&key, NAME) };
        check(vec![address, other, request(&key, NAME), certificate(&key, NAME)], 0, Ok(None));
    }
}
