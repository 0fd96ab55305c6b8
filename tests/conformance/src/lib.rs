//! Conformance of the DNS service: the same zones, the same queries, and NSD and Knot for comparison.
//!
//! ```text
//!  generate ─► zones ──► ours (the image on spt and hvt, or --core: without an image), NSD, Knot
//!  questions ─────────►  each of them ─► reply ─► compare ─► explain ─► one line of counts
//! ```
//!
//! It does not compare speed, and it does not judge: a difference is either in the table of `explain`, with the RFC
//! that makes our answer right, or it fails the run.

pub mod ask;
pub mod compare;
pub mod explain;
pub mod generate;
pub mod image;
pub mod peers;
pub mod questions;
pub mod random;
pub mod reply;
pub mod run;
pub mod server;
