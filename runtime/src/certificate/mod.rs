//! A service's certificates: given or obtained, shown by name, renewed under running connections.
//!
//! ```text
//!     PEM ───────────────────────────────────────────────────────────────► Certificates ─┬─► TlsAcceptor
//!     seed ─► Key ─┬─► request (PKCS #10) ─► Keeper: ACME, Zone ─► chain ─► Identity ┘    └─► http_01: port 80
//!                  └───────────────────────────────────────────────────────┘
//! ```
//! An image keeps nothing. From its seed it has the same key after each start, so the certificate that was issued before
//! fits it still and nobody has to issue another.
//!
//! Reading order: [`Certificates`], [`Seed`] and [`Key`], [`Issued`], [`Keeper`], [`Zone`], [`Arguments`].

mod arguments;
mod issued;
mod keeper;
mod key;
mod prover;
mod shown;
mod zone;

pub use arguments::{ARGUMENTS, Arguments, Names};
pub use issued::{Issued, Unreadable, host_names, sorted};
pub use keeper::{Issuer, Keeper, Wanted, Way};
pub use key::{BadNames, Key, Seed, ShortSeed};
pub use shown::Certificates;
pub use zone::Zone;
