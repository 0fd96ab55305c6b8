//! The rules, sorted by whom we follow, and what they look at.

use super::{Case, Rule, goes_on, has_code, too_small_payload};
use crate::compare::Difference;
use crate::peers::Kind;
use crate::reply::{EdnsOption, Reply, TWICE};

const A: u16 = 1;
pub const NS: u16 = 2;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const IXFR: u16 = 251;
const AXFR: u16 = 252;
const ANY: u16 = 255;
const CLASS_ANY: u16 = 255;

pub const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const NOTAUTH: u16 = 9;
const BADVERS: u16 = 16;

/// The option of RFC 7873 §4.
const COOKIE: u16 = 10;

pub const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const DO: u16 = 0x8000;

const fn follow_nsd(reason: &'static str, applies: fn(&Case<'_>, &Reply, &Reply) -> bool) -> Rule {
    Rule { peer: Kind::Knot, reason, follows_other: true, applies }
}

const fn follow_knot(reason: &'static str, applies: fn(&Case<'_>, &Reply, &Reply) -> bool) -> Rule {
    Rule { peer: Kind::Nsd, reason, follows_other: true, applies }
}

const fn follow_neither(
    peer: Kind,
    reason: &'static str,
    applies: fn(&Case<'_>, &Reply, &Reply) -> bool,
) -> Rule {
    Rule { peer, reason, follows_other: false, applies }
}

/// All there are. The reply of a peer that did not reply, or not so that it can be read, is an empty one.
pub static RULES: [Rule; 37] = [
    // What both peers do otherwise, or each in its own way.
    follow_neither(
        Kind::Nsd,
        "ANY: all records, not a truncated answer over UDP (RFC 1035 3.2.3; RFC 8482 4 allows less)",
        any_in_full,
    ),
    follow_neither(
        Kind::Knot,
        "ANY: all records, not one set over UDP (RFC 1035 3.2.3; RFC 8482 4 allows less)",
        any_in_full,
    ),
    follow_neither(
        Kind::Nsd,
        "FORMERR for another number of questions keeps RD (RFC 1035 4.1.1: it is copied); Knot is silent",
        |case, ours, theirs| {
            flags(case, RD) && ours.rcode == FORMERR && theirs.rcode == FORMERR && ours.question.is_empty()
        },
    ),
    follow_neither(
        Kind::Nsd,
        "a chain through a DNAME record that leads below itself is followed to our limit, not once (RFC 6672 3.2)",
        chain_limit,
    ),
    follow_neither(
        Kind::Knot,
        "a chain through a DNAME record that leads below itself is followed to our limit, not Knot's (RFC 6672 3.2)",
        chain_limit,
    ),
    follow_neither(
        Kind::Nsd,
        "NOTIFY and UPDATE without a key are refused (RFC 2136 3.3), NSD says NXDOMAIN or NOTAUTH",
        without_key,
    ),
    follow_neither(
        Kind::Knot,
        "NOTIFY and UPDATE without a key are refused (RFC 2136 3.3), Knot says NOTAUTH",
        without_key,
    ),
    follow_neither(
        Kind::Nsd,
        "FORMERR for a message over TCP that is a header and nothing else (RFC 1035 4.1.1), NSD closes",
        |case, ours, _| {
            bare_error(ours)
                && case.question.tcp
                && case.question.octets.len() < 12 + 5
                && matches!(case.difference, Difference::Answered(true))
        },
    ),
    follow_neither(
        Kind::Nsd,
        "an answer to class ANY has no AA flag (RFC 1035 6.2: never authoritative), NSD sets it behind a CNAME record",
        |case, ours, _| ours.question_class() == Some(CLASS_ANY) && is_chain(ours) && flags(case, AA),
    ),
    follow_neither(
        Kind::Knot,
        "a cookie is answered with one (RFC 7873 5.2.3), Knot's module would send BADCOOKIE instead and is off",
        |case, ours, theirs| {
            let has =
                |reply: &Reply| reply.edns.iter().any(|edns| edns.2.iter().any(|(code, _)| *code == COOKIE));
            let same = without_cookies(ours) == without_cookies(theirs);
            matches!(case.difference, Difference::Edns(_)) && has(ours) && !has(theirs) && same
        },
    ),
    // Where we do as Knot does.
    follow_neither(
        Kind::Nsd,
        "an OPT record that is cut off makes a query malformed, whatever its version (RFC 1035 4.1.1), NSD says BADVERS",
        |_, ours, theirs| bare_error(ours) && ours.rcode == FORMERR && theirs.rcode == BADVERS,
    ),
    follow_knot(
        "SVCB and HTTPS records come with addresses of their targets (RFC 9460 4.1), NSD adds none",
        |case, ours, _| {
            let has_service = ours.sections[0].iter().any(|record| matches!(record.rtype, 64 | 65));
            has_service && matches!(case.difference, Difference::Section(2, _, theirs) if theirs.is_empty())
        },
    ),
    follow_knot("DO is copied also into BADVERS (RFC 3225 3), NSD clears it", |case, ours, theirs| {
        let flags = |reply: &Reply| reply.edns.as_ref().map_or(0, |edns| edns.1);
        let edns = matches!(case.difference, Difference::Edns(_));
        edns && ours.rcode == BADVERS && theirs.rcode == BADVERS && flags(ours) == flags(theirs) | DO
    }),
    follow_knot(
        "BADVERS and NOTIMP clear AA, TC, RA, Z, AD and CD (RFC 1035 4.1.1: they are the server's), NSD returns them",
        |case, ours, theirs| {
            let rejected = matches!(ours.rcode, BADVERS | NOTIMP) && ours.rcode == theirs.rcode;
            rejected && flags(case, AA | TC | 0x00F0) && ours.flags & (AA | TC | 0x00F0) == 0
        },
    ),
    follow_knot(
        "REFUSED for another class keeps the question (RFC 1034 3.7: it is part of a response), NSD drops it",
        |case, ours, theirs| {
            let bare = ours.rcode == REFUSED && theirs.rcode == REFUSED && theirs.question.is_empty();
            bare && case.question.class() != Some(1) && matches!(case.difference, Difference::Question)
        },
    ),
    follow_neither(
        Kind::Nsd,
        "REFUSED for another class has no extended error; NSD says Not Supported (RFC 8914 4.22: may)",
        |case, ours, theirs| {
            let edns = matches!(case.difference, Difference::Edns(_));
            let error = without_cookies(theirs).is_some_and(|(.., options)| options == [(15, vec![0, 21])]);
            edns && ours.rcode == REFUSED && error && case.question.class() != Some(1)
        },
    ),
    follow_neither(
        Kind::Nsd,
        "class ANY: negative answers have the SOA record as well (RFC 2308 3), NSD leaves it out",
        |case, ours, _| {
            let only_soa = matches!(case.difference, Difference::Section(1, ours, theirs)
                if theirs.is_empty() && ours.iter().all(|record| record.rtype == SOA));
            only_soa && ours.question_class() == Some(CLASS_ANY)
        },
    ),
    follow_neither(
        Kind::Nsd,
        "NSEC3 at a CNAME record follows it (RFC 1034 4.3.2 3a: all types but CNAME do), NSD does not",
        |case, ours, _| ours.question_type() == Some(50) && cname_not_followed(case, ours),
    ),
    follow_neither(
        Kind::Nsd,
        "a query's response code is not looked at (RFC 1035 4.1.1: it is part of responses), NSD says FORMERR",
        |case, ours, theirs| has_code(case.question) && theirs.rcode == FORMERR && ours.rcode != FORMERR,
    ),
    follow_neither(
        Kind::Nsd,
        "octets behind the last record make a query malformed (RFC 1035 4.1: a message has five sections), NSD skips them",
        |case, ours, theirs| goes_on(case.question) && bare_error(ours) && theirs.rcode != FORMERR,
    ),
    follow_knot(
        "addresses outside of the child zone may be left out of a referral (RFC 9471 3.2), NSD truncates for them",
        |case, ours, theirs| {
            let referral =
                ours.flags & AA == 0 && ours.sections[0].is_empty() && !ours.sections[1].is_empty();
            referral && flags(case, TC) && theirs.truncated() && ours.sections == theirs.sections
        },
    ),
    follow_knot(
        "addresses for which there is room are added (RFC 1034 4.3.2 6), NSD has none left beside its NS records",
        |case, _, theirs| {
            let has_servers = theirs.sections[1].iter().any(|record| record.rtype == NS);
            let fewer = matches!(case.difference, Difference::Section(2, _, theirs) if theirs.is_empty());
            !case.question.tcp && has_servers && fewer && theirs.flags & AA != 0
        },
    ),
    // Where we do as NSD does.
    follow_neither(
        Kind::Knot,
        "RRSIG and NSEC at a CNAME record follow it (RFC 1034 4.3.2 3a: all types but CNAME do), Knot does not",
        |case, ours, _| matches!(ours.question_type(), Some(46 | 47)) && cname_not_followed(case, ours),
    ),
    follow_neither(
        Kind::Knot,
        "chains are followed from zone to zone (RFC 1034 4.3.2 3a: go back to step 1), Knot ends at the zone's edge",
        chain_goes_on,
    ),
    follow_neither(
        Kind::Knot,
        "an EDNS payload below 512 counts as 512 (RFC 6891 6.2.3), Knot says FORMERR or has no OPT record",
        |case, _, theirs| too_small_payload(case.question, theirs),
    ),
    follow_neither(
        Kind::Knot,
        "FORMERR and NOTIMP are a bare header (RFC 1035 4.1.1 asks for no more), Knot returns question and OPT",
        |case, ours, theirs| {
            bare_error(ours)
                && (ours.rcode == theirs.rcode || theirs.rcode == FORMERR)
                && matches!(
                    case.difference,
                    Difference::Question | Difference::Edns(_) | Difference::Rcode(..)
                )
        },
    ),
    follow_neither(
        Kind::Knot,
        "FORMERR where the question cannot be read (RFC 1035 4.1.1), Knot is silent",
        |case, ours, _| bare_error(ours) && matches!(case.difference, Difference::Answered(true)),
    ),
    follow_nsd(
        "FORMERR where records that are no part of a query follow the question (RFC 1035 4.1.1), Knot skips them",
        |case, ours, theirs| {
            bare_error(ours) && case.question.text.contains("SPOILED") && theirs.rcode != FORMERR
        },
    ),
    follow_neither(
        Kind::Knot,
        "an answer to class ANY has no AA flag (RFC 1035 6.2: never authoritative), Knot sets it",
        |case, ours, _| ours.question_class() == Some(CLASS_ANY) && flags(case, AA),
    ),
    follow_nsd(
        "transfers are refused (RFC 5936 2.2.1: policy), Knot says NOTAUTH, for another class NOTIMP",
        |case, ours, theirs| {
            let refused = ours.rcode == REFUSED && matches!(theirs.rcode, NOTAUTH | NOTIMP);
            refused
                && matches!(ours.question_type(), Some(IXFR | AXFR))
                && ours.sections.iter().all(|section| section.is_empty())
                && matches!(case.difference, Difference::Rcode(..) | Difference::Edns(_))
        },
    ),
    follow_nsd(
        "RT and KX records come with addresses of their hosts (RFC 1183 3.3, RFC 2230 3), Knot adds none",
        |case, ours, _| {
            let has_host = ours.sections[0].iter().any(|record| matches!(record.rtype, 21 | 36));
            has_host && matches!(case.difference, Difference::Section(2, _, theirs) if theirs.is_empty())
        },
    ),
    follow_nsd(
        "CNAME records in a loop and addresses of two records are there once (RFC 2181 5: no record twice), not so in Knot",
        |case, _, _| *case.difference == Difference::Malformed(false, TWICE.to_string()),
    ),
    follow_nsd(
        "BADVERS before the options of that version are looked at (RFC 6891 6.1.3), Knot says FORMERR for them",
        |_, ours, theirs| ours.rcode == BADVERS && theirs.rcode == FORMERR,
    ),
    follow_nsd(
        "glue is for referrals only (RFC 2181 5.4.1), Knot also adds it beside MX and SRV records",
        |case, ours, _| {
            let addresses = matches!(case.difference, Difference::Section(2, ours, theirs)
                if ours.is_empty() && theirs.iter().all(|record| matches!(record.rtype, A | AAAA)));
            addresses && ours.sections[0].iter().any(|record| !matches!(record.rtype, NS))
        },
    ),
    follow_neither(
        Kind::Knot,
        "a negative answer without room for its SOA record is truncated (RFC 2308 3: it must have it), not Knot's",
        negative_without_room,
    ),
    follow_neither(
        Kind::Nsd,
        "the same where NSD, for class ANY, has no SOA record to make room for",
        |case, ours, theirs| {
            ours.question_class() == Some(CLASS_ANY) && negative_without_room(case, ours, theirs)
        },
    ),
    follow_nsd(
        "what fits with names compressed (RFC 1035 4.1.4) is sent in full, Knot truncates more than it must",
        |case, ours, theirs| {
            let less = matches!(case.difference, Difference::Flags(..))
                || matches!(case.difference, Difference::Section(_, _, theirs) if theirs.is_empty());
            less && !case.question.tcp && !ours.truncated() && theirs.truncated()
        },
    ),
];

/// What an OPT record says besides a cookie.
fn without_cookies(reply: &Reply) -> Option<(u8, u16, Vec<EdnsOption>)> {
    let (version, flags, options) = reply.edns.clone()?;
    Some((version, flags, options.into_iter().filter(|(code, _)| *code != COOKIE).collect()))
}

/// Whether only these header flags differ.
fn flags(case: &Case<'_>, only: u16) -> bool {
    matches!(case.difference, Difference::Flags(ours, theirs) if (ours ^ theirs) & !only == 0)
}

fn bare_error(ours: &Reply) -> bool {
    matches!(ours.rcode, FORMERR | NOTIMP) && ours.length == 12
}

/// Nothing differs but the flag for truncation, and for class ANY that for authority.
fn negative_without_room(case: &Case<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let only = if ours.question_class() == Some(CLASS_ANY) { TC | AA } else { TC };
    let same = ours.sections == theirs.sections && ours.sections[1].is_empty();
    let negative = ours.sections[0].iter().all(|record| matches!(record.rtype, 5 | 39));
    flags(case, only) && ours.truncated() && !theirs.truncated() && same && negative
}

/// The opcodes 4 and 5.
fn without_key(case: &Case<'_>, ours: &Reply, _: &Reply) -> bool {
    let operation = ours.flags >> 11 & 0x0F;
    let about_it = matches!(
        case.difference,
        Difference::Rcode(..) | Difference::Question | Difference::Edns(_) | Difference::Flags(..)
    );
    matches!(ours.rcode, REFUSED | FORMERR | NOTAUTH | NOTIMP) && matches!(operation, 4 | 5) && about_it
}

fn any_in_full(case: &Case<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let more = ours.sections[0].len() >= theirs.sections[0].len();
    ours.question_type() == Some(ANY)
        && (more || ours.truncated())
        && match case.difference {
            Difference::Section(0, _, theirs) => theirs.is_empty() || ours.truncated(),
            // The shorter answer of the peer may leave room for more.
            Difference::Section(2, _, added) => {
                added.is_empty() || ours.truncated() || theirs.sections[0].len() < ours.sections[0].len()
            }
            Difference::Flags(..) => {
                flags(case, TC) || ours.question_class() == Some(CLASS_ANY) && flags(case, TC | AA)
            }
            _ => false,
        }
}

/// The peer denies the type at the first name; we return the CNAME and what it leads to.
fn cname_not_followed(case: &Case<'_>, ours: &Reply) -> bool {
    let chain = ours.sections[0].iter().any(|record| record.rtype == 5);
    let denied = match case.difference {
        Difference::Section(_, _, theirs) => theirs.iter().all(|record| record.rtype == SOA),
        Difference::Rcode(_, theirs) => *theirs == 0,
        _ => false,
    };
    chain && denied
}

fn is_chain(reply: &Reply) -> bool {
    reply.sections[0].iter().any(|record| matches!(record.rtype, 5 | 39))
}

/// The peer's answer is the beginning of ours, and ends with a CNAME record.
fn chain_goes_on(case: &Case<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let beginning = theirs.sections[0].is_subset(&ours.sections[0]);
    let only_chain = theirs.sections[0].iter().all(|record| matches!(record.rtype, 5 | 39));
    is_chain(theirs)
        && beginning
        && only_chain
        && theirs.sections[1].is_empty()
        && matches!(case.difference, Difference::Section(..) | Difference::Rcode(_, 0))
}

/// Both answers are nothing but a chain, and one is the beginning of the other.
fn chain_limit(case: &Case<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let only_chain = |reply: &Reply| reply.sections[0].iter().all(|record| matches!(record.rtype, 5 | 39));
    let (a, b) = (&ours.sections[0], &theirs.sections[0]);
    matches!(case.difference, Difference::Section(0, ..))
        && case.question.text.contains(".self.dname.test.")
        && only_chain(ours)
        && only_chain(theirs)
        && (a.is_subset(b) || b.is_subset(a))
}
