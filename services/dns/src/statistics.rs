//! Counters, since nothing is logged per packet.

use crate::query::Rcode;
use std::fmt;

/// How many messages there were of each kind since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages of all kinds.
    pub queries: u64,
    /// Messages without an answer: too short, or answers themselves.
    pub dropped: u64,
    /// Messages without an answer for want of memory.
    pub out_of_memory: u64,
    /// Answers that were not sent, since their network had too many of them.
    pub limited: u64,
    /// Answers that were sent truncated for the same reason.
    pub slipped: u64,
    /// Answers with the truncation flag.
    pub truncated: u64,
    /// Answers by response code.
    rcodes: [u64; 16],
}

/// Response codes by number (RFC 1035 §4.1.1 and the registry of IANA), those that we give.
const CODES: [(usize, &str); 11] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
];

impl fmt::Display for Statistics {
    /// What is not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queries {}", self.queries)?;
        let named = [
            ("dropped", self.dropped),
            ("out_of_memory", self.out_of_memory),
            ("truncated", self.truncated),
            ("limited", self.limited),
            ("slipped", self.slipped),
        ];
        for (name, value) in named.into_iter().chain(self.by_rcode()).filter(|(_, value)| *value != 0) {
            write!(f, ", {name} {value}")?;
        }
        Ok(())
    }
}

impl Statistics {
    /// Answers with this response code.
    pub fn with_rcode(&self, rcode: Rcode) -> u64 {
        self.rcodes[rcode as usize]
    }

    /// Answers by response code, with its name.
    pub fn by_rcode(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.iter().map(|&(code, name)| (name, self.rcodes[code]))
    }

    pub(crate) fn count(&mut self, rcode: Rcode, truncated: bool) {
        self.rcodes[rcode as usize] += 1;
        self.truncated += u64::from(truncated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_said() {
        let mut statistics = Statistics { queries: 3, dropped: 1, ..Statistics::default() };
        statistics.count(Rcode::NoError, true);
        statistics.count(Rcode::NotAuth, false);
        assert_eq!(statistics.to_string(), "queries 3, dropped 1, truncated 1, NOERROR 1, NOTAUTH 1");
    }
}
