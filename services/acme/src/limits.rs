//! Everything that is bounded: unit, why so much, and what happens beyond.

/// Seconds that a query or an update may take at the primary, connecting included; then it failed.
pub const EXCHANGE_SECONDS: u64 = 60;

/// Seconds that the transfer of a zone may take; then it failed.
pub const TRANSFER_SECONDS: u64 = 120;

/// Octets of a zone's records; a larger zone is refused. The primary is trusted, but not with all memory.
pub const ZONE_OCTETS: usize = 16 << 20;

/// Requests that are served in a zone; those behind are skipped with a log line.
pub const REQUESTS: usize = 1_000;

/// Seconds that a record of a challenge is given to reach all name servers, if nothing else is said.
pub const PROPAGATION_SECONDS: u64 = 10;

/// The same, at most.
pub const PROPAGATION_SECONDS_MOST: u64 = 3_600;

/// Days before its end from which on a certificate is renewed (LE-05)...
pub const RENEWAL_DAYS: u64 = 14;

/// ...but not before this part of its time is left: there are certificates for six days.
pub const RENEWAL_PART: u64 = 3;

/// Seconds between two looks at a zone of which no NOTIFY comes (LE-05).
pub const ROUND_SECONDS: u64 = 24 * 3_600;

/// Seconds between two looks, however many NOTIFYs come: our own updates make the primary send some.
pub const ROUND_SECONDS_LEAST: u64 = 5;

/// Octets of a NOTIFY; a longer one is not answered. It has a name, perhaps an SOA record and a signature.
pub const NOTIFY_OCTETS: usize = 1_500;

/// Seconds that a connection with NOTIFYs may take.
pub const NOTIFY_SECONDS: u64 = 10;

/// Seconds until another try where the primary could not be reached.
pub const RETRY_SECONDS: u64 = 60;

/// Seconds until a request that failed is tried again; doubled with each failure. Let's Encrypt allows five failed
/// validations an hour.
pub const FAILED_SECONDS: u64 = 1_800;

/// The same, at most.
pub const FAILED_SECONDS_MOST: u64 = 24 * 3_600;

const _: () = assert!(FAILED_SECONDS <= FAILED_SECONDS_MOST && ROUND_SECONDS_LEAST < RETRY_SECONDS);
