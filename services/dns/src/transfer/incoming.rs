//! A transfer that is being received: messages in, and in the end a zone or what changed of it.

use crate::keys::is_at_or_below;
use crate::limits::TTL_SECONDS;
use crate::name::{HashKey, Name};
use crate::packet::{Malformed, Packet};
use crate::query::CLASS_IN;
use crate::record::{Difference, Record, is_later};
use crate::zone::build;
use crate::zone::{Builder, Zone};

/// A transfer in progress.
pub struct Incoming<'k> {
    apex: Name,
    key: &'k HashKey,
    id: u16,
    /// The serial number that we have: of an IXFR.
    ours: Option<u32>,
    /// Octets of records that may still come.
    room: usize,
    awaited: Awaited<'k>,
    /// The SOA record that the transfer began with, and has to end with.
    first: Option<Record>,
    differences: Vec<Difference>,
    whole: Option<Box<Zone>>,
}

/// What the next record is. Of differences the last is being filled.
enum Awaited<'k> {
    Soa,
    Second,
    Whole(Box<Builder<'k>>),
    Removed,
    Added,
    Nothing,
}

/// What has come of a message.
#[derive(Debug)]
pub enum Progress {
    /// There are more.
    More,
    /// It was the last.
    Done(Outcome),
}

/// What has come of a transfer.
#[derive(Debug)]
pub enum Outcome {
    /// We have the server's version, or a later one.
    UpToDate,
    /// The zone.
    Whole(Box<Zone>),
    /// What changed, step by step.
    Differences(Vec<Difference>),
}

/// Why a transfer failed: always the server's fault, or the network's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// A message is none, or not one of this transfer.
    Malformed,
    /// The server answers with this response code.
    Rcode(u8),
    /// The records do not come in the order of a transfer (RFC 5936 §2.2, RFC 1995 §4).
    Order,
    /// The zone is larger than what there is memory for.
    TooLarge,
    /// The records are no zone that could be served.
    Zone(String),
}

impl std::fmt::Display for TransferError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TransferError::Malformed => f.write_str("the primary sends what is no transfer"),
            TransferError::Rcode(5) => f.write_str("the primary refuses: check its access list and the key"),
            TransferError::Rcode(9) => {
                f.write_str("the primary does not serve the zone, or the key is wrong")
            }
            TransferError::Rcode(rcode) => write!(f, "the primary answers with response code {rcode}"),
            TransferError::Order => f.write_str("the primary sends the records in the wrong order"),
            TransferError::TooLarge => f.write_str("the zone does not fit into memory: give more (--mem)"),
            TransferError::Zone(reason) => write!(f, "the zone cannot be served: {reason}"),
        }
    }
}

impl std::error::Error for TransferError {}

impl From<Malformed> for TransferError {
    fn from(_: Malformed) -> TransferError {
        TransferError::Malformed
    }
}

impl<'k> Incoming<'k> {
    /// The answer to a request with this identifier: for IXFR, `ours` is the serial number in it. Records may have `room`
    /// octets in all.
    pub fn new(apex: &Name, id: u16, ours: Option<u32>, room: usize, key: &'k HashKey) -> Incoming<'k> {
        let (apex, awaited, differences) = (apex.clone(), Awaited::Soa, Vec::new());
        Incoming { apex, key, id, ours, room, awaited, first: None, differences, whole: None }
    }

    /// Takes the next message, which has been checked and has no signature any more.
    pub fn handle_message(&mut self, message: &[u8]) -> Result<Progress, TransferError> {
        let mut packet = Packet::new(message)?;
        if !packet.is_answer() || packet.opcode() != 0 || packet.id() != self.id || packet.count(0) > 1 {
            return Err(TransferError::Malformed);
        }
        if packet.rcode() != 0 {
            return Err(TransferError::Rcode(packet.rcode()));
        }
        if packet.count(0) == 1 && !packet.question()?.name.eq_ignore_ascii_case(self.apex.wire()) {
            return Err(TransferError::Malformed);
        }
        if packet.count(1) == 0 {
            return Err(TransferError::Order);
        }
        for _ in 0..packet.count(1) {
            let entry = packet.record()?;
            if entry.class != CLASS_IN
                || entry.record.rtype.is_meta()
                || matches!(self.awaited, Awaited::Nothing)
            {
                return Err(TransferError::Order);
            }
            let size = size_of::<Record>() + entry.record.owner.len() + entry.record.data.len();
            self.room = self.room.checked_sub(size).ok_or(TransferError::TooLarge)?;
            self.handle_record(entry.record)?;
        }
        match self.awaited {
            Awaited::Nothing => Ok(Progress::Done(self.finish())),
            _ => Ok(Progress::More),
        }
    }

    fn handle_record(&mut self, mut record: Record) -> Result<(), TransferError> {
        // RFC 2181 §8: what is above counts as 0.
        record.ttl = if record.ttl > TTL_SECONDS { 0 } else { record.ttl };
        let serial = record.serial().filter(|_| record.owner.eq_ignore_ascii_case(self.apex.wire()));
        match (std::mem::replace(&mut self.awaited, Awaited::Nothing), serial) {
            (Awaited::Soa, Some(serial)) => {
                self.first = Some(record);
                // RFC 1995 §2: one SOA record that is not newer.
                if self.ours.is_none_or(|ours| is_later(serial, ours)) {
                    self.awaited = Awaited::Second;
                }
            }
            (Awaited::Second, Some(serial)) if self.ours == Some(serial) => self.begin_difference(record),
            (Awaited::Second, _) => {
                let mut builder = Box::new(Builder::new(&self.apex, self.key));
                let first = self.first.clone().ok_or(TransferError::Order)?;
                self.add(&mut builder, &first)?;
                self.awaited = Awaited::Whole(builder);
                return self.handle_record(record);
            }
            (Awaited::Whole(builder), Some(_)) => {
                if Some(&record) != self.first.as_ref() {
                    return Err(TransferError::Order); // the zone changed on the way
                }
                let (zone, _) = builder.finish_lenient(&self.apex).map_err(TransferError::Zone)?;
                self.whole = Some(Box::new(zone));
            }
            (Awaited::Whole(mut builder), None) => {
                self.add(&mut builder, &record)?;
                self.awaited = Awaited::Whole(builder);
            }
            (Awaited::Removed, Some(_)) => {
                self.last()?.added.push(record);
                self.awaited = Awaited::Added;
            }
            (Awaited::Removed, None) => {
                self.last()?.removed.push(record);
                self.awaited = Awaited::Removed;
            }
            (Awaited::Added, Some(serial)) => {
                let reached = self.last()?.added.first().and_then(Record::serial);
                if reached != Some(serial) {
                    return Err(TransferError::Order);
                }
                if reached != self.first.as_ref().and_then(Record::serial) {
                    self.begin_difference(record);
                }
            }
            (Awaited::Added, None) => {
                self.last()?.added.push(record);
                self.awaited = Awaited::Added;
            }
            (Awaited::Soa, None) | (Awaited::Nothing, _) => return Err(TransferError::Order),
        }
        Ok(())
    }

    fn begin_difference(&mut self, soa: Record) {
        self.differences.push(Difference { removed: vec![soa], added: Vec::new() });
        self.awaited = Awaited::Removed;
    }

    fn last(&mut self) -> Result<&mut Difference, TransferError> {
        self.differences.last_mut().ok_or(TransferError::Order)
    }

    /// Adds a record of the whole zone; one that is outside of it is left out (RFC 5936 §3).
    fn add(&self, builder: &mut Builder<'k>, record: &Record) -> Result<(), TransferError> {
        if !is_at_or_below(&record.owner, self.apex.wire()) {
            return Ok(());
        }
        let mut owner = Name::root(self.key);
        owner.read(&record.owner, self.key).map_err(|_| TransferError::Malformed)?;
        let Record { rtype, ttl, ref data, .. } = *record;
        let added = builder.add(&owner, build::Record { rtype, ttl, data });
        added.map(drop).map_err(TransferError::Zone)
    }

    fn finish(&mut self) -> Outcome {
        if let Some(zone) = self.whole.take() {
            return Outcome::Whole(zone);
        }
        let differences = std::mem::take(&mut self.differences);
        if differences.is_empty() { Outcome::UpToDate } else { Outcome::Differences(differences) }
    }
}
