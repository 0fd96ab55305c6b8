//! Counters, since nothing is logged per packet.

use crate::query::Rcode;

/// How many messages there were of each kind since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages of all kinds.
    pub queries: u64,
    /// Messages without an answer: too short, or answers themselves.
    pub dropped: u64,
    /// Messages without an answer for want of memory.
    pub out_of_memory: u64,
    /// Answers with the truncation flag.
    pub truncated: u64,
    /// Answers by response code.
    rcodes: [u64; 16],
}

impl Statistics {
    /// Answers with this response code.
    pub fn with_rcode(&self, rcode: Rcode) -> u64 {
        self.rcodes[rcode as usize]
    }

    pub(crate) fn count(&mut self, rcode: Rcode, truncated: bool) {
        self.rcodes[rcode as usize] += 1;
        self.truncated += u64::from(truncated);
    }
}
