//! Zones from server to server: whole (AXFR, RFC 5936) and what changed (IXFR, RFC 1995); both sides, without sockets.
//!
//! ```text
//! server   request ─► Request ─► Outgoing (zone, history) ─► messages, each to be signed and sent
//! client   Request::message ─► … ─► messages, each checked ─► Incoming ─► UpToDate │ Whole zone │ Differences
//! ```

mod history;
mod incoming;
mod outgoing;
mod request;
mod writer;

pub use history::{History, between};
pub use incoming::{Incoming, Outcome, Progress, TransferError};
pub use outgoing::Outgoing;
pub use request::{Request, question};

#[cfg(test)]
mod tests;
