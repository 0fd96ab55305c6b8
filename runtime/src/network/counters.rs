//! What the network has counted since boot. A malformed packet is a number here, never a log line.

use super::classify::Reason;
use std::fmt;

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)+) => {
        /// Numbers since boot; read with `Network::counters`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: u64,)+
        }

        impl Counters {
            /// Every counter with its name, in the order of the fields.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// Every counter with its name and what it counts.
            pub fn described(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($help)+), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames received.
    frames_in,
    /// Frames sent.
    frames_out,
    /// Frames that the host did not take.
    not_taken,
    /// Datagrams answered on the fast path.
    fast_answers,
    /// Datagrams that a responder chose not to answer.
    unanswered,
    /// Dropped: lengths or versions that cannot be.
    malformed,
    /// Dropped: a wrong checksum.
    bad_checksum,
    /// Dropped: for somebody else, or an Ethernet type that we do not speak.
    not_for_us,
    /// Dropped: from an address that cannot be answered.
    martian,
    /// Dropped: a fragment that is not put together.
    fragment,
    /// Dropped unanswered, since errors are rate-limited.
    errors_suppressed,
    /// Datagrams dropped because their neighbour has no hardware address.
    unresolved,
    /// SYNs answered, of which nothing is remembered until the answer is acknowledged.
    openings,
    /// Connections opened, in both directions.
    connections,
    /// Times that a connection in which nothing was under way gave its buffers back.
    rested,
    /// Times that the buffers of a connection grew.
    grown,
    /// SYNs dropped because a listener's queue of connections to be accepted was full.
    backlog_full,
    /// SYNs dropped because a listener had as many connections as it may.
    connection_limit,
    /// Connections dropped from TIME-WAIT to make room for another.
    time_wait_dropped,
    /// Connections refused, or segments of resting ones dropped, because there was no memory for them.
    no_memory,
}

impl fmt::Display for Counters {
    /// What is not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, value) in self.named().filter(|(_, value)| *value != 0) {
            write!(f, "{between}{name} {value}")?;
            between = ", ";
        }
        Ok(())
    }
}

impl Counters {
    pub(crate) fn dropped(&mut self, reason: Reason) {
        *match reason {
            Reason::Malformed => &mut self.malformed,
            Reason::Checksum => &mut self.bad_checksum,
            Reason::NotForUs => &mut self.not_for_us,
            Reason::Martian => &mut self.martian,
            Reason::Fragment => &mut self.fragment,
        } += 1;
    }
}
