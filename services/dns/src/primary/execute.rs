//! Updates carried out on a commit: each that changes something becomes a commit on top of the one before.
//!
//! It is run again, from the beginning, when somebody else was faster: **prerequisites are judged by the zone that the
//! update is committed on**, never by one that was there a moment ago.

use super::message;
use crate::check::{self, FileKind};
use crate::limits::{EDIT_OCTETS_PER_OCTET, SPARE_OCTETS};
use crate::name::{HashKey, Name, to_text};
use crate::query::Rcode;
use crate::update::evaluate;
use crate::zone::Zone;
use crate::zonefile::edit::edit;
use std::{net::IpAddr, rc::Rc};
use store::{Edits, ObjectId, Repository};

/// An update whose signature and right have been checked.
#[derive(Clone, Debug)]
pub struct Update {
    /// The zone's name on the wire, lower case.
    pub zone: Vec<u8>,
    /// The name at or below which the key may change records.
    pub scope: Vec<u8>,
    /// The key's name, as text.
    pub key: String,
    /// Who sent it.
    pub peer: IpAddr,
    /// The message without its signature.
    pub message: Vec<u8>,
}

/// What came of one update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the client is told.
    pub rcode: Rcode,
    /// What the log is told.
    pub note: String,
}

/// What came of all.
#[derive(Debug)]
pub struct Outcome {
    /// The last commit: the base where nothing changed.
    pub head: ObjectId,
    /// One for each update.
    pub answers: Vec<Answer>,
    /// The zones as they are in the last commit, of those that changed.
    pub zones: Vec<(String, ObjectId, Rc<Zone>)>,
}

/// What it needs to know besides the commit.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The key of the names' hashes.
    pub key: &'c HashKey,
    /// Seconds since 1970.
    pub now: i64,
    /// The zone that was read from this version of a file, if that is known.
    pub known: &'c dyn Fn(&str, &ObjectId) -> Option<Rc<Zone>>,
}

/// A zone that is being worked on.
struct Work {
    apex: Vec<u8>,
    file: String,
    id: ObjectId,
    text: Vec<u8>,
    zone: Rc<Zone>,
    changed: bool,
}

/// Carries out all of `updates` on `base`.
pub fn execute(
    repository: &mut Repository,
    base: ObjectId,
    updates: &[Update],
    context: Context<'_>,
) -> Result<Outcome, store::Error> {
    let (mut works, mut head, mut answers) = (Vec::<Work>::new(), base, Vec::new());
    for update in updates {
        let work = match works.iter().position(|work| work.apex == update.zone) {
            Some(known) => Ok(known),
            None => Work::open(repository, &head, &update.zone, context)?.map(|work| {
                works.push(work);
                works.len() - 1
            }),
        };
        answers.push(match work {
            Ok(number) => works[number].carry_out(repository, &mut head, update, context)?,
            Err(answer) => answer,
        });
    }
    let zones = works.into_iter().filter(|work| work.changed).map(|work| (work.file, work.id, work.zone));
    Ok(Outcome { head, answers, zones: zones.collect() })
}

impl Work {
    /// Reads the zone's file in this commit. An inner error is what the client is told.
    fn open(
        repository: &Repository,
        commit: &ObjectId,
        apex: &[u8],
        context: Context<'_>,
    ) -> Result<Result<Work, Answer>, store::Error> {
        let Some((file, id)) = find_file(repository, commit, apex, context.key)? else {
            let note = format!("the branch has no file for the zone {}", to_text(apex));
            return Ok(Err(Answer { rcode: Rcode::ServFail, note }));
        };
        let text = repository.read_as(&id, store::Kind::Blob)?.data.to_vec();
        let zone = match (context.known)(&file, &id) {
            Some(zone) => zone,
            None => match check::zone(&file, &text, context.key) {
                Ok(checked) => Rc::new(checked.zone),
                Err(error) => {
                    let note = format!(
                        "{error}; the file on the branch has to be repaired before it can be changed"
                    );
                    return Ok(Err(Answer { rcode: Rcode::ServFail, note }));
                }
            },
        };
        Ok(Ok(Work { apex: apex.to_vec(), file, id, text, zone, changed: false }))
    }

    fn carry_out(
        &mut self,
        repository: &mut Repository,
        head: &mut ObjectId,
        update: &Update,
        context: Context<'_>,
    ) -> Result<Answer, store::Error> {
        let Update { key, peer, .. } = update;
        let by = format!("{}: update by {peer} with key {key}", self.file);
        let answer = |rcode, note: &dyn std::fmt::Display| Answer { rcode, note: format!("{by}: {note}") };
        let difference = match evaluate(&update.message, &self.zone, &update.scope, context.key) {
            Ok(difference) if difference.is_empty() => {
                return Ok(answer(Rcode::NoError, &"nothing to change"));
            }
            Ok(difference) => difference,
            Err(rcode) => return Ok(answer(rcode, &format_args!("not carried out: {rcode:?}"))),
        };
        if let Err(reason) = check_memory(self.text.len()) {
            return Ok(answer(Rcode::ServFail, &reason));
        }
        let text = match edit(&self.apex, &self.text, &difference) {
            Ok(text) => text,
            Err(error) => return Ok(answer(Rcode::ServFail, &error)),
        };
        // What the zone's checks would refuse on the next pull must not get there.
        let zone = match check::zone(&self.file, &text, context.key) {
            Ok(checked) => checked.zone,
            Err(error) => {
                return Ok(answer(Rcode::Refused, &format_args!("would leave no good zone: {error}")));
            }
        };
        let mut edits = Edits::default();
        edits.write(&self.file, text.as_slice()).map_err(store::Error::from)?;
        let tree = repository.edit(Some(head), &edits)?;
        let author = message::author(key, context.now);
        let message = message::message(&self.file, *peer, &difference);
        *head = repository.commit(tree, &[*head], &author, &message)?;
        let id = repository.tree(head)?.get(&self.file)?.map_or(self.id, |entry| entry.id);
        let serials = format!("serial {} -> {}", self.zone.serial(), zone.serial());
        (self.id, self.text, self.zone, self.changed) = (id, text, Rc::new(zone), true);
        Ok(answer(Rcode::NoError, &format_args!("{serials}, {} records, commit {head}", difference.len())))
    }
}

/// Whether there is memory to change a file of so many octets: small allocations do not fail, they end the image.
fn check_memory(octets: usize) -> Result<(), String> {
    let platform::Memory { total, used } = platform::memory();
    let (free, needed) = (total.saturating_sub(used), octets * EDIT_OCTETS_PER_OCTET + SPARE_OCTETS);
    if total == 0 || free >= needed {
        return Ok(());
    }
    Err(format!(
        "changing a file of {octets} octets takes {needed} octets of memory, and {free} are free; give the guest more (--mem)"
    ))
}

/// The file for a zone: usually it has the zone's name, but case and a final dot may differ.
pub fn find_file(
    repository: &Repository,
    commit: &ObjectId,
    apex: &[u8],
    key: &HashKey,
) -> Result<Option<(String, ObjectId)>, store::Error> {
    let tree = repository.tree(commit)?;
    let usual = to_text(apex);
    let usual = usual.trim_end_matches('.');
    if let Ok(Some(entry)) = tree.get(usual)
        && is_file(entry.mode)
        && FileKind::of(usual) == FileKind::Zone
    {
        return Ok(Some((usual.to_string(), entry.id)));
    }
    for (name, entry) in tree.list("")? {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        let is_zone = is_file(entry.mode) && FileKind::of(name) == FileKind::Zone;
        if is_zone && names(name, apex, key) {
            return Ok(Some((name.to_string(), entry.id)));
        }
    }
    Ok(None)
}

fn names(file: &str, apex: &[u8], key: &HashKey) -> bool {
    crate::zone_name(file, key).is_ok_and(|name: Name| name.wire() == apex)
}

/// An ordinary file; links and folders are not followed.
pub fn is_file(mode: store::Mode) -> bool {
    matches!(mode, store::Mode::File | store::Mode::Executable)
}
