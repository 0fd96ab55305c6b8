//! `bench web`: the web image beside nginx, and what a TAP takes.
//!
//! ```text
//!    CPU 0                                     CPU 1
//!    image ── TAP ──────────────┐ namespace    wrk, curl
//!    nginx ── veth, namespace ──┤ of the       git daemon
//!    writer ─ TAP ──────────────┘ client
//! ```
//!
//! The files are the same, no access is logged, both have one core. A rate is compared only where the servers kept their core busy:
//! else it is the generator's.

mod bulk;
mod crowd;
mod requests;
mod servers;
mod site;

use super::Row;

/// What is measured.
pub const ROWS: &[Row] = &[
    Row {
        name: "http",
        shows: "requests for 1 KiB over kept connections, beside nginx",
        measure: requests::clear,
    },
    Row { name: "https", shows: "the same over TLS 1.3", measure: requests::encrypted },
    Row {
        name: "download",
        shows: "64 MiB, with and without offload, beside nginx and a writer",
        measure: bulk::measure,
    },
    Row {
        name: "crowd",
        shows: "requests beside 10, 1000 and 10 000 idle connections in 64 MiB",
        measure: crowd::measure,
    },
];
