//! Certificates for requests that stand in the DNS: a hidden secondary that asks an ACME authority for them and writes them
//! beside the requests.
//!
//! ```text
//!                  ┌──── zone (AXFR) ────► plan: which requests are due ──► order (RFC 8555) ◄──► authority
//!  DNS primary ◄───┤ NOTIFY, every day                                        │
//!                  └◄─ UPDATE: _acme-challenge TXT, then the certificate ─────┘
//! ```
//!
//! At `_letsencrypt._tcp.HOST` TLSA records (RFC 6698) hold, by their first three numbers:
//!
//! | usage | selector | matching | data |
//! |---|---|---|---|
//! | 3 | 255 (private) | 0 | the request (PKCS #10, DER), from whoever wants a certificate for HOST |
//! | 3 | 0 | 0 | the certificate (DER) |
//! | 0 | 0 | 0 | a certificate between it and the authority (DER) |
//!
//! Services find their certificate there: [`Published`] at a [`primary::Primary`] is a [`runtime::certificate::Zone`]. This service keeps nothing but
//! what it is told at the start; its account's key comes from a seed.
//!
//! [`tlsa`] and [`plan`] are pure: records and a time in, what is to be done out.
//!
//! Reading order: [`tlsa`], [`plan`], [`primary`], [`service`].

pub mod limits;
mod measured;
pub mod plan;
pub mod primary;
pub mod service;

pub use dns::{published::Published, tlsa};
