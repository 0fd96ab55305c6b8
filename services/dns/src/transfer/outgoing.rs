//! A transfer that is being sent, message by message. It holds on to the zone as it was when the transfer began.

use std::rc::Rc;

use super::request::Request;
use super::writer::Writer;
use crate::dnssec::Edition;
use crate::limits::{HEADER_OCTETS, MESSAGE_OCTETS};
use crate::packet::set_count;
use crate::record::{Difference, Record, is_later};
use crate::types::RecordType;
use crate::zone::Zone;

/// The messages of a transfer.
pub struct Outgoing {
    records: Box<dyn Iterator<Item = Record>>,
    /// Taken from `records`, but did not fit into the message before.
    held: Option<Record>,
    /// The header of every message, and of the first one also the question.
    header: Vec<u8>,
    question: Vec<u8>,
    /// Whether the first message has an OPT record (RFC 5936 §2.2.5).
    has_opt: bool,
    first: bool,
    /// Of a signed zone, whose names have to be put in order first.
    edition: Option<Rc<Edition>>,
}

/// An OPT record that only says that we have EDNS.
const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

impl Outgoing {
    /// Answers `request` with `zone`; for IXFR with `differences` that lead from the client's version to it, if there are.
    pub fn new(request: &Request, zone: Rc<Zone>, differences: Option<Vec<Rc<Difference>>>) -> Outgoing {
        let records: Box<dyn Iterator<Item = Record>> = match (request.serial, differences) {
            // RFC 1995 §2: the client has this version, or a later one.
            (Some(serial), _) if !is_later(zone.serial(), serial) => Box::new(zone.soa().into_iter()),
            (_, Some(differences)) if worth_it(&differences, &zone) => Box::new(changes(&zone, differences)),
            _ => Box::new(whole(&zone)),
        };
        Outgoing::of(request, records)
    }

    /// Answers `request` with a signed zone: whole, or the SOA record alone where the client has this version.
    pub fn signed(request: &Request, edition: Rc<Edition>) -> Outgoing {
        let soa = edition.soa();
        let serial = soa.as_ref().and_then(Record::serial);
        let is_newer = request.serial.is_none_or(|has| serial.is_some_and(|serial| is_later(serial, has)));
        if !is_newer {
            return Outgoing::of(request, Box::new(soa.into_iter()));
        }
        let mut outgoing = Outgoing::of(
            request,
            Box::new(soa.clone().into_iter().chain(edition.clone().records()).chain(soa)),
        );
        outgoing.edition = Some(edition);
        outgoing
    }

    /// Does some of what there is to be done before the first message; whether there is nothing left.
    pub fn prepare(&self) -> bool {
        self.edition.as_ref().is_none_or(|edition| edition.prepare())
    }

    /// Only the SOA record: the answer over UDP to whoever should ask over TCP (RFC 1995 §2).
    pub fn soa_only(request: &Request, soa: Option<Record>) -> Outgoing {
        Outgoing::of(request, Box::new(soa.into_iter()))
    }

    fn of(request: &Request, records: Box<dyn Iterator<Item = Record>>) -> Outgoing {
        let (question, has_opt) = (request.question.clone(), request.has_opt);
        Outgoing {
            records,
            held: None,
            header: request.answer_header(),
            question,
            has_opt,
            first: true,
            edition: None,
        }
    }

    /// The next message, with so many octets left for its signature; `None` behind the last.
    pub fn next_message(&mut self, reserved: usize) -> Option<Vec<u8>> {
        let mut next = self.held.take().or_else(|| self.records.next());
        if next.is_none() && !self.first {
            return None;
        }
        let mut start = self.header.clone();
        let first = std::mem::replace(&mut self.first, false);
        if first {
            set_count(&mut start, 0, 1);
            start.extend_from_slice(&self.question);
        }
        let opt = if first && self.has_opt { &OPT[..] } else { &[] };
        let mut writer = Writer::new(&start, reserved + opt.len());
        while let Some(record) = next {
            if !writer.add(&record) {
                self.held = Some(record);
                break;
            }
            next = self.records.next();
        }
        let mut message = writer.finish();
        if !opt.is_empty() {
            message.extend_from_slice(opt);
            set_count(&mut message, 3, 1);
        }
        debug_assert!(message.len() >= HEADER_OCTETS && message.len() <= MESSAGE_OCTETS);
        Some(message)
    }
}

/// Whether differences are less than the zone (RFC 1995 §4).
fn worth_it(differences: &[Rc<Difference>], zone: &Zone) -> bool {
    let records: usize = differences.iter().map(|difference| difference.len()).sum();
    records as u64 <= zone.records()
}

/// The zone between its SOA record and the same again (RFC 5936 §2.2).
fn whole(zone: &Rc<Zone>) -> impl Iterator<Item = Record> + 'static {
    let soa = zone.soa();
    let (zone, places) = (zone.clone(), zone.nodes_in_order());
    let others = places.into_iter().flat_map(move |place| zone.records_in(place));
    let others = others.filter(|record| record.rtype != RecordType::SOA);
    soa.clone().into_iter().chain(others).chain(soa)
}

/// RFC 1995 §4: the new SOA record; of each difference the old one, what goes, the new one, what comes; the new one again.
fn changes(zone: &Zone, differences: Vec<Rc<Difference>>) -> impl Iterator<Item = Record> + 'static {
    let soa = zone.soa();
    let steps = differences.into_iter().flat_map(|difference| {
        let soa_first = |records: &[Record]| {
            let (soa, others): (Vec<Record>, Vec<Record>) =
                records.iter().cloned().partition(|record| record.rtype == RecordType::SOA);
            soa.into_iter().chain(others)
        };
        soa_first(&difference.removed).chain(soa_first(&difference.added)).collect::<Vec<_>>()
    });
    soa.clone().into_iter().chain(steps).chain(soa)
}
