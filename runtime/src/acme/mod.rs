//! Certificates from an authority by ACME (RFC 8555): account, order, proofs, chain.
//!
//! ```text
//!     key ─► Authority ── order ──► names to be proved ─► Prover: HTTP-01, TLS-ALPN-01, DNS-01
//!                │                                           │ shown, validated, withdrawn
//!                └── request ─► chain ◄──────────────────────┘
//! ```
//! The protocol is instant-acme's, over our HTTP client (docs/decisions/tls.md). Who keeps a service's certificate is
//! [`certificate::Keeper`](crate::certificate::Keeper); services/acme orders for others.
//!
//! What the authority says is not trusted beyond its certificates: it has no say in which names are proved, sizes and times are
//! limited, and its words go into one line of the log at most.

mod authority;
mod error;
mod http;
mod proof;

pub use authority::{Account, Authority, Chain, Order};
pub use error::Error;
pub use proof::{Challenge, Proof, Prover, Step};
