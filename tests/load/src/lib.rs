//! Load for the benches: what asks the questions, and the floor that answers for free.
//!
//! Four programs, each one job, each reporting one line of `key=value` pairs that `cargo xtask bench` reads:
//!
//! ```text
//!   generator    queries ──► UDP server    saturates one core of a server from another core
//!   connections  queries ──► TCP server    over a few random ones of N open connections
//!   first        starts a server, asks until the first answer arrives
//!   floor        the least a program on a TAP can do: one read, one write, addresses swapped
//! ```
//!
//! Not here: network namespaces, pinning, other servers, medians. Those are `xtask/src/bench/`.
//!
//! Reading order: [`query`] is what is asked and expected, [`window`] what is outstanding, [`batch`] how
//! datagrams enter and leave in bulk, [`frame`] what the floor does to a frame, [`report`] what is printed.

pub mod batch;
pub mod frame;
pub mod limits;
pub mod query;
pub mod report;
pub mod window;
