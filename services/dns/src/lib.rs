//! Authoritative DNS server: zones from RFC 1035 zone files, answers over UDP and TCP.
//!
//! The core is pure: octets in, octets out. It has no socket, no clock, no logger, and after loading it allocates
//! nothing; whoever has a query calls one function:
//!
//! ```
//! use dns::{Authority, HashKey, Transport, Zones};
//!
//! let mut zones = Zones::new(HashKey::new([7; 24])); // random in earnest
//! let text = "@ 1h SOA ns hostmaster 1 1d 2h 4w 1h\n@ 1h NS ns\nns 1h A 192.0.2.1\n";
//! zones.load("example.org", &mut text.as_bytes()).unwrap();
//! let mut authority = Authority::new(zones);
//!
//! let mut buffer = [0; 512];
//! let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02nS\x07example\x03org\0\0\x01\0\x01";
//! buffer[..query.len()].copy_from_slice(query);
//! let length = authority.answer(Transport::Udp, &mut buffer, query.len()).unwrap();
//! assert!(buffer[..length].ends_with(&[192, 0, 2, 1]));
//! ```
//!
//! ```text
//!  zonefile ─► zone (Builder ─► Zone) ─► zones ─┐
//!                                               ├─► authority ─► answer
//!  query (parse in place) ──────────────────────┘       └─► message (write in place)
//!
//!  all else: packet ─► tsig, keys ─┬─► transfer (AXFR, IXFR) ─► records
//!                                  ├─► update ─► Difference
//!                                  └─► notify
//! ```
//!
//! What is not a plain query has its own modules, just as pure but for their memory; [`service`] is where clock, network and
//! whoever keeps the zones come together. No recursion, ever.

mod authority;
pub mod catalog;
pub mod check;
pub mod client;
pub mod content;
pub mod cookies;
pub mod dnssec;
pub mod keys;
pub mod limits;
mod message;
mod name;
pub mod notify;
mod opt;
pub mod packet;
pub mod primary;
pub mod published;
mod query;
pub mod rate;
mod record;
pub mod service;
mod statistics;
pub mod tlsa;
pub mod transfer;
pub mod tsig;
mod types;
pub mod update;
mod zone;
mod zonefile;
mod zones;

pub use authority::{Authority, Client, Handled, Transport};
pub use name::{HashKey, Name, NameError, to_text};
pub use query::Rcode;
pub use record::{Difference, Record, is_later, soa_field};
pub use statistics::Statistics;
pub use types::RecordType;
pub use zone::Zone;
pub use zonefile::edit::{EditError, edit};
pub use zonefile::{Warnings, ZoneError, zone_name};
pub use zones::{Absence, Loaded, Zones};
