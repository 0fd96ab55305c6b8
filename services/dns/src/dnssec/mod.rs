//! DNSSEC: zones are signed while they are being asked for (RFC 4033 to 4035, 4470, 5155, 7129).
//!
//! ```text
//!   key files, seeds ─► keyring ─┐                                     ┌─► cache: made before
//!                                ├─► signed (keys, duties by the clock) ─► signer ─┤
//!   zone ────────────────────────┘            │                        └─► canonical ─► key (ring)
//!                                             └─► proof ─► neighbours: what does not exist
//! ```
//!
//! What is signed is kept, so what was signed before costs no signature; and finished `answers` are, so an answer that was given
//! before costs not much more than copying it. Read `schedule` for what keys do when, and
//! `proof` for what answers have. Why it is done so: docs/decisions/dnssec.md.

mod answers;
mod arrived;
mod bitmap;
mod cache;
mod canonical;
mod edition;
mod hashes;
mod key;
mod keyfile;
mod keyring;
pub mod limits;
mod neighbours;
mod proof;
mod schedule;
mod signed;
mod signer;
mod signing;

pub use answers::{Asked, Finished};
pub use arrived::{Arrived, Witness, put_signatures};
pub use edition::Edition;
pub use key::{Algorithm, SigningKey};
pub use keyfile::is_key_file;
pub use keyring::Seeds;
pub use proof::{At, Prover};
pub use schedule::{Duties, Times};
pub use signed::{Denial, SignedZone};
pub use signer::Signer;
pub(crate) use signing::Signing;
