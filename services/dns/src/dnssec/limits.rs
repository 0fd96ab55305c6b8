//! Limits of signing: every bound with its unit, its source and what happens at it.

/// Octets of a signature of either algorithm (RFC 6605 §4, RFC 8080 §4).
pub const SIGNATURE_OCTETS: usize = 64;

/// Octets of an RRSIG record's data before the signer's name (RFC 4034 §3.1).
pub const RRSIG_HEADER: usize = 18;

/// Seconds that a signature is valid for, at least: made anew after half of them, what is left is a week, which is longer than
/// usual TTLs and the outage of a secondary over a weekend. With longer TTLs it is twice the longest.
pub const SIGNATURE_SECONDS: u32 = 14 * 86_400;

/// Seconds by which a signature is dated back, for resolvers whose clocks are late (RFC 6781 §4.4.2.2; BIND's number).
pub const INCEPTION_SECONDS: u64 = 3_600;

/// Seconds of the TTL of DNSKEY, CDS and CDNSKEY records (RFC 6781 §4.4.1: some hours at most, as a roll-over waits for it).
pub const DNSKEY_TTL_SECONDS: u32 = 3_600;

/// Seconds until all secondaries are taken to have a change: Dprp of RFC 7583 §3.1. An hour, Knot's number for propagation.
pub const PROPAGATION_SECONDS: u64 = 3_600;

/// Signatures kept, of sets and of denials, if nothing else is said: 112 octets each. What is not kept is made again, for some
/// tens of microseconds; entries that were used least recently go first.
pub const SIGNATURES: usize = 8_192;

/// Octets of an answer and its name that is kept as it went out: what fits into a UDP answer of usual size (RFC 9715 §3.2 has
/// 1400), with a name. A longer one is put together each time.
pub const ANSWER_OCTETS: usize = 1_400 + 255;

/// Octets of the two rings of finished answers (what is there; what is denied or made of a wildcard) for each signature that is
/// kept: an address with its signature and its name has some 170, what denies a name 500. By default that is 1 MiB each; a slot of
/// 40 octets comes on top. What does not fit makes the oldest go, and is put together again when it is asked for.
pub const RING_OCTETS_PER_SIGNATURE: usize = 128;

/// A ring has room for ten of the longest answers, or there is none.
pub const RING_OCTETS_LEAST: usize = 16 * 1024;

/// Names that are put in order in one go before a signed zone is transferred, some 5 ms of hashing; others are answered in between.
pub const CHAIN_SLICE: usize = 4_096;

/// Signatures that are kept of a transfer for the next one, 64 octets each: 4 MiB. What is behind them is signed each time.
pub const EDITION_SIGNATURES: usize = 65_536;

/// Octets that a name takes while its zone is being transferred signed; without memory for them the transfer is refused.
pub const CHAIN_OCTETS_PER_NAME: usize = 128;

/// Zones whose signatures are kept for the next transfer. With more, all are forgotten.
pub const EDITIONS: usize = 16;

/// Seconds after which a signed zone that has not changed gets a higher serial number, so that secondaries fetch new signatures:
/// a quarter of the least that signatures are valid for, which leaves a secondary ten days to come.
pub const RENEWAL_SECONDS: u64 = SIGNATURE_SECONDS as u64 / 4;

/// From when the hours are counted that are added to serial numbers: 2026-01-01, so that the sum stays near the file's number.
pub const SERIAL_EPOCH: u64 = 1_767_225_600;

/// Iterations of NSEC3 in a zone that arrives signed. With more (RFC 9276 §3.2: resolvers take them for unsigned) it is served without
/// its NSEC3 records: each would cost as many hashes for every name that somebody makes up.
pub const NSEC3_ITERATIONS: u16 = 150;

/// NSEC or NSEC3 records in a proof: closest encloser, next closer name, wildcard, and what opt-out adds. More are left out.
pub const PROOF_LINKS: usize = 6;

/// Seeds at a time: the one in use, the next, the one before, and one to spare. More: the image does not start.
pub const SEEDS: usize = 4;

/// Octets of a seed, at least as many as a key has (RFC 8032 §5.1.5). Shorter: the image does not start.
pub const SEED_OCTETS_LEAST: usize = 32;

/// Seconds that a zone-signing key from a seed is in use, at least: it is published before and after for longer than the
/// largest TTL in use, a week. Shorter: the image does not start.
pub const KEY_LIFETIME_SECONDS_LEAST: u64 = 14 * 86_400;

/// Octets of a key file: some ten times what `dnssec-keygen` writes. A longer one is refused.
pub const KEY_FILE_OCTETS: usize = 16 * 1024;

/// Keys in files. Of more the files are refused.
pub const SIGNING_KEYS: usize = 4096;

/// Lines about zones whose keys changed that are kept until they are asked for. What is more is not said.
pub const NEWS: usize = 256;

const _: () = assert!(ANSWER_OCTETS < u16::MAX as usize && ANSWER_OCTETS * 9 < RING_OCTETS_LEAST);
