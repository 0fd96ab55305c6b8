//! What a remote may make us read, keep and wait for: unit, why so much, and what happens beyond.
//!
//! What its packs may contain is bounded by [`crate::limits`].

/// Bytes of one packet with its length, as the protocol has them (gitprotocol-common, "pkt-line Format"). Longer ones are no
/// pkt-line.
pub const PACKET_BYTES: usize = 65_520;

/// Bytes of a packet's content.
pub const PACKET_DATA_BYTES: usize = PACKET_BYTES - 4;

/// Bytes read from a connection at once.
pub const READ_BYTES: usize = 16 * 1024;

/// Lines of what a server can do. git sends about 10, on one line before protocol 2. More are refused.
pub const CAPABILITIES: usize = 256;

/// References that a server may list. Where all have to be read (protocol 0, or to name those there are), the largest public
/// repositories have some 100,000. None is kept but the one that was asked for. More are refused.
pub const REFERENCES: usize = 1_000_000;

/// Branches that an error names, so that it stays one line.
pub const BRANCHES_NAMED: usize = 16;

/// Bytes of a branch's name, as file systems have paths.
pub const BRANCH_BYTES: usize = 1_024;

/// Commits that we name to be told only what is new. They are the head that was taken last and its forebears; one would do,
/// the others help where history was rewritten.
pub const HAVES: usize = 64;

/// Boundaries of a shallow history, of ours and of theirs. A clone of depth 1 has one. More are refused.
pub const SHALLOWS: usize = 65_536;

/// Packets of one answer that carry no data: progress messages and signs of life. git sends one every five seconds, and
/// progress some times a second unless asked not to, which we do. More are refused.
pub const IDLE_PACKETS: usize = 16_384;

/// Bytes of progress and error messages that are kept for the error that may follow.
pub const MESSAGE_BYTES: usize = 512;

/// Bytes of a URL. Longer ones are refused.
pub const URL_BYTES: usize = 2_048;

/// Seconds without a byte from the remote until it is given up. git's own sign of life comes every five.
pub const SILENCE_SECONDS: u64 = 30;

/// Seconds for connecting, with TLS and ssh's key exchange and authentication.
pub const OPEN_SECONDS: u64 = 60;

/// Seconds for asking where the branch is.
pub const LIST_SECONDS: u64 = 60;

/// Seconds for a fetch, whatever it brings: some 100 MB over a slow line.
pub const FETCH_SECONDS: u64 = 900;

/// Seconds for a push, the remote's hooks included. Beyond it the outcome is unknown and is looked for.
pub const PUSH_SECONDS: u64 = 120;

/// Pushes tried for one change, as others may always be faster; then the change is returned with an error.
pub const PUSH_ATTEMPTS: u32 = 32;

/// Times that the pause after a lost race doubles: up to 200 ms. With it a change is given up after some ten seconds, and
/// whoever asked for it is told while they still listen.
pub const RACE_DOUBLINGS: u32 = 4;

/// Milliseconds waited at most before the second attempt; twice as many before each next one, up to [`BACKOFF_MS_MAX`].
pub const BACKOFF_MS: u64 = 25;

/// Milliseconds waited at most before an attempt.
pub const BACKOFF_MS_MAX: u64 = 2_000;

/// Times that the remote is looked at to learn what came of a push that broke off, a pause of up to
/// [`BACKOFF_MS_MAX`] before each; then the outcome is said to be unknown.
pub const LOOKS: u32 = 8;

/// Pushes that break off without a verdict, and of which the remote shows nothing, until the outcome is said to be unknown.
pub const UNKNOWN_PUSHES: u32 = 4;

/// Bytes that are unpacked before other tasks get their turn: some milliseconds.
pub const RESOLVE_BYTES: u64 = 1 << 20;

/// Bytes that a repository may grow by before what nobody needs is dropped, if it has not doubled.
pub const GROWTH_BYTES: u32 = 1 << 20;

/// Redirections on the same host that the first request follows, the request itself included.
pub const HTTP_REDIRECTIONS: usize = 4;

/// Bytes of one answer over HTTP that is an error, of which a line is shown.
pub const HTTP_ERROR_BYTES: usize = 4_096;

const _: () = assert!(READ_BYTES <= PACKET_BYTES && BRANCH_BYTES < PACKET_DATA_BYTES);
const _: () = assert!(BACKOFF_MS <= BACKOFF_MS_MAX && LIST_SECONDS <= FETCH_SECONDS);
