//! The differences that are meant, each with the section that makes our answer right; all others fail.
//!
//! A rule is about one peer. Where the peers disagree with each other it says whom we follow, and then holds only for
//! replies in which that peer agrees with us: a mistake of ours that both peers do not make is never explained by it.

mod rules;

use crate::compare::{Difference, Outcome};
use crate::peers::Kind;
use crate::questions::Question;
use crate::reply::Reply;
use rules::{AA, FORMERR, NS};

pub use rules::RULES;

/// A difference, and where it was seen.
pub struct Case<'a> {
    /// The peer.
    pub kind: Kind,
    /// What both were asked.
    pub question: &'a Question,
    /// What we did.
    pub ours: &'a Outcome,
    /// What the peer did.
    pub theirs: &'a Outcome,
    /// One thing that differs.
    pub difference: &'a Difference,
    /// The other peer agrees with us in this thing, or was not asked, or its reply is one that no server should give.
    pub backed: bool,
}

/// Why a difference is meant.
pub struct Rule {
    /// The peer that differs.
    pub peer: Kind,
    /// What it does, what we do, and why.
    pub reason: &'static str,
    /// The other peer does as we do.
    follows_other: bool,
    /// There are replies of both; `applies` may look at them.
    applies: fn(&Case<'_>, &Reply, &Reply) -> bool,
}

/// What [`without_servers`] takes out of NSD's answers, and why.
pub const NO_SERVERS: &str =
    "an answer comes without the zone's NS records and their addresses (RFC 1034 4.3.2), NSD adds them";

/// NSD puts the zone's own NS records and their addresses beside every positive answer: its reply without them, if that
/// is the case and we do not.
pub fn without_servers(kind: Kind, ours: &Outcome, theirs: &Outcome) -> Option<Outcome> {
    let (Some(Ok(ours)), Some(Ok(theirs))) = (ours, theirs) else { return None };
    let positive = kind == Kind::Nsd && theirs.flags & AA != 0 && !theirs.sections[0].is_empty();
    let servers = &theirs.sections[1];
    if !positive
        || servers.is_empty()
        || !ours.sections[1].is_empty()
        || servers.iter().any(|r| r.rtype != NS)
    {
        return None;
    }
    let mut rest = theirs.clone();
    rest.sections[1].clear();
    let is_server =
        |owner: &str| servers.iter().any(|server| name_of(&server.data).eq_ignore_ascii_case(owner));
    rest.sections[2].retain(|record| ours.sections[2].contains(record) || !is_server(&record.owner));
    Some(Some(Ok(rest)))
}

fn name_of(wire: &[u8]) -> String {
    domain::base::Name::from_octets(wire).map(|name| name.to_string()).unwrap_or_default()
}

/// The reason for a difference, if it is one we want.
pub fn reason(case: &Case<'_>) -> Option<&'static Rule> {
    let silent = Reply::default();
    let ours = case.ours.as_ref().map_or(Some(&silent), |reply| reply.as_ref().ok())?;
    let theirs = case.theirs.as_ref().and_then(|reply| reply.as_ref().ok()).unwrap_or(&silent);
    RULES.iter().find(|rule| {
        let allowed = rule.peer == case.kind && (case.backed || !rule.follows_other);
        allowed && (rule.applies)(case, ours, theirs)
    })
}

/// Whether a peer's reply says nothing about ours, since the peer would not have the query at all.
pub fn is_beside_the_point(kind: Kind, question: &Question, theirs: &Outcome) -> bool {
    match (kind, theirs) {
        (Kind::Knot, Some(Ok(theirs))) => too_small_payload(question, theirs),
        (Kind::Knot | Kind::Bind, _) => true,
        (Kind::Nsd, Some(Ok(theirs))) if theirs.rcode == FORMERR => has_code(question),
        (Kind::Nsd, _) => goes_on(question),
    }
}

/// How `questions` calls a query that goes on behind its last record.
const TRAILING: &str = "two octets too many";

/// Whether there are octets behind the last record, on purpose or by chance.
fn goes_on(question: &Question) -> bool {
    let no_records = question.octets.get(6..12).is_some_and(|counts| counts == [0; 6]);
    let end = question.end().filter(|_| no_records);
    question.text.contains(TRAILING) || end.is_some_and(|end| end < question.octets.len())
}

fn has_code(question: &Question) -> bool {
    question.octets.get(3).is_some_and(|octet| octet & 0x0F != 0)
}

fn too_small_payload(question: &Question, theirs: &Reply) -> bool {
    question.payload.is_some_and(|payload| payload < 512) && theirs.edns.is_none()
}
