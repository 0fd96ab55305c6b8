//! Every limit of the load programs, with its unit, its source and what happens beyond it.

use std::time::Duration;

/// Datagrams per system call. More gains nothing measurable; fewer cost a system call each.
pub const BATCH: usize = 64;

/// Bytes of one answer that are looked at; a longer answer is cut, which the header check does not mind.
pub const ANSWER_BYTES: usize = 1500;

/// Bytes of one query: a name of 255, header, type, class and an OPT record. A longer line is refused.
pub const QUERY_BYTES: usize = 512;

/// Outstanding queries per socket. IDs have 15 bits for slot and generation; the top bit marks queries that
/// are sent without waiting for an answer.
pub const WINDOW_MAX: usize = 4096;

/// UDP sockets of one generator.
pub const SOCKETS_MAX: usize = 1024;

/// After this long without an answer a query is counted as lost and its slot used again.
pub const LOSS: Duration = Duration::from_millis(500);

/// How often a generator looks for lost queries.
pub const SWEEP: Duration = Duration::from_millis(50);

/// Connections of one `connections` run: source ports of one address to one server are 28 232 by default.
pub const CONNECTIONS_MAX: usize = 28_000;

/// A TCP connect, write or read that takes longer fails the run.
pub const TCP_PATIENCE: Duration = Duration::from_secs(5);

/// The frame buffer of the floor: an Ethernet frame of a 1500-byte MTU with a VLAN tag.
pub const FRAME_BYTES: usize = 1518;

const _: () = assert!(WINDOW_MAX.is_power_of_two() && WINDOW_MAX <= 1 << 15);
const _: () = assert!(QUERY_BYTES >= 12 + 255 + 4 + 11);
