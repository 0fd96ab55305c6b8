//! What differs between two replies to the same query.

use crate::reply::{Record, Reply};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// One replied, the other did not: `true` if it was us.
    Answered(bool),
    /// A reply cannot be parsed: `true` if it is ours.
    Malformed(bool, String),
    /// The response codes, ours first.
    Rcode(u16, u16),
    /// Header flags, ours first.
    Flags(u16, u16),
    /// The question, case included.
    Question,
    /// The identifiers, ours first.
    Identifier(u16, u16),
    /// Records of a section: only ours, only theirs.
    Section(usize, Vec<Record>, Vec<Record>),
    /// The OPT record.
    Edns(String),
}

impl Difference {
    /// Whether both are about the same thing, whatever it is.
    pub fn is_like(&self, other: &Difference) -> bool {
        let section = |difference: &Difference| match difference {
            Difference::Section(number, ..) => Some(*number),
            _ => None,
        };
        std::mem::discriminant(self) == std::mem::discriminant(other) && section(self) == section(other)
    }
}

/// What a server did with a query.
pub type Outcome = Option<Result<Reply, String>>;

/// The differences, in no order.
pub fn differences(ours: &Outcome, theirs: &Outcome) -> Vec<Difference> {
    let (ours, theirs) = match (ours, theirs) {
        (None, None) => return Vec::new(),
        (Some(Err(error)), _) => return vec![Difference::Malformed(true, error.clone())],
        (_, Some(Err(error))) => return vec![Difference::Malformed(false, error.clone())],
        (Some(Ok(_)), None) => return vec![Difference::Answered(true)],
        (None, Some(Ok(_))) => return vec![Difference::Answered(false)],
        (Some(Ok(ours)), Some(Ok(theirs))) => (ours, theirs),
    };
    let mut found = Vec::new();
    if ours.rcode != theirs.rcode {
        found.push(Difference::Rcode(ours.rcode, theirs.rcode));
    }
    if ours.flags != theirs.flags {
        found.push(Difference::Flags(ours.flags, theirs.flags));
    }
    if ours.question != theirs.question {
        found.push(Difference::Question);
    }
    if ours.identifier != theirs.identifier {
        found.push(Difference::Identifier(ours.identifier, theirs.identifier));
    }
    for number in 0..3 {
        let (a, b) = (&ours.sections[number], &theirs.sections[number]);
        if a != b {
            let only =
                |a: &std::collections::BTreeSet<Record>, b| a.difference(b).cloned().collect::<Vec<_>>();
            found.push(Difference::Section(number, only(a, b), only(b, a)));
        }
    }
    let shown = |reply: &Reply| format!("{:?}", reply.edns);
    if shown(ours) != shown(theirs) {
        found.push(Difference::Edns(format!("{} / {}", shown(ours), shown(theirs))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Case, reason};
    use crate::peers::Kind;
    use crate::questions::Question;
    use crate::reply::parse;

    /// `a.example. A`, answered with 192.0.2.1.
    const REPLY: &[u8] = b"\0\x01\x84\0\0\x01\0\x01\0\0\0\0\x01a\x07example\0\0\x01\0\x01\
        \xC0\x0C\0\x01\0\x01\0\0\0\x3C\0\x04\xC0\0\x02\x01";

    /// Changes one octet of our reply: something must differ, and no rule may explain it.
    #[track_caller]
    fn check(at: usize, octet: u8) {
        let mut changed = REPLY.to_vec();
        changed[at] = octet;
        let (ours, theirs) = (Some(parse(&changed)), Some(parse(REPLY)));
        let found = differences(&ours, &theirs);
        assert!(!found.is_empty(), "no difference");
        let question = Question::plain("a.example.", 1);
        for kind in [Kind::Nsd, Kind::Knot] {
            for difference in &found {
                let (ours, theirs) = (&ours, &theirs);
                let case = Case { kind, question: &question, ours, theirs, difference, backed: false };
                assert!(reason(&case).is_none(), "{difference:?} is explained for {kind:?}");
            }
        }
    }

    #[test]
    fn a_reply_that_is_wrong_in_one_octet_is_reported() {
        check(1, 2); // identifier
        check(2, 0x80); // not authoritative
        check(2, 0x86); // truncated
        check(3, 3); // NXDOMAIN
        check(5, 0); // no question
        check(7, 0); // no answer
        check(13, b'A'); // the question's case
        check(26, 2); // type
        check(29, 0x3D); // TTL
        check(38, 2); // address
    }

    #[test]
    fn equal_replies_do_not_differ() {
        assert_eq!(differences(&Some(parse(REPLY)), &Some(parse(REPLY))), []);
        assert_eq!(differences(&None, &None), []);
        assert_eq!(differences(&Some(parse(REPLY)), &None), [Difference::Answered(true)]);
    }
}
