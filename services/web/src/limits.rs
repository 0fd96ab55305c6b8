//! Everything that is bounded: unit, why so much, and what happens beyond.

/// Bytes of a request's path. nginx takes lines of 8 KiB; beyond it status 414.
pub const PATH_BYTES: usize = 4_096;

/// Files, directories and links of all sites together. A version with more is not served; memory ends most sites before.
pub const ENTRIES: usize = 100_000;

/// Symbolic links followed until a path is found. Linux has 40; beyond it the link leads nowhere.
pub const LINKS: usize = 16;

/// Bytes that a symbolic link's target has at most, as on Linux.
pub const LINK_BYTES: usize = 4_096;

/// Lines of a `_redirects` file, and bytes of it. Netlify and Cloudflare take some 2000 lines. Beyond it the version is not
/// served.
pub const REDIRECTS: usize = 2_048;
/// See [`REDIRECTS`].
pub const REDIRECTS_BYTES: usize = 256 * 1024;

/// Rules of a `_redirects` file with a `*` or a `:name`, which are tried one after the other for each path that nothing else
/// is at.
pub const REDIRECT_PATTERNS: usize = 128;

/// Types by extension that `--mime-type` may add.
pub const MIME_TYPES: usize = 256;

/// Ranges that one request may ask for. More than that is an attack or a mistake (RFC 9110 §14.2), and gets the whole file.
pub const RANGES: usize = 16;

/// Bytes between two ranges below which both are sent as one: about what a part's head takes (RFC 9110 §14.2).
pub const RANGE_GAP: u64 = 80;

/// Entity tags looked at in one condition. A cache has a handful of versions; beyond it the condition does not match.
pub const ENTITY_TAGS: usize = 256;

/// Bytes from which on a file is also kept compressed. Less fits into a packet or two whatever one does.
pub const COMPRESSED_BYTES_LEAST: usize = 512;

/// A compressed form is kept if it takes at most this many sixteenths of the file: what saves less only costs memory.
pub const COMPRESSED_SIXTEENTHS: usize = 15;

/// Bytes that are compressed before others get their turn: about a millisecond.
pub const COMPRESS_STEP_BYTES: usize = 32 * 1024;

/// Commits whose differences are looked at before others get their turn, while the dates of files are looked up.
pub const DATES_STEP_COMMITS: usize = 64;

/// Commits that are looked at for the dates of files. What was not changed in the last of them gets the date of the oldest.
pub const DATES_COMMITS: usize = 1_000_000;

/// Bytes of memory that loading leaves free, for connections; and the part of all memory that it is at least.
pub const FREE_BYTES: usize = 3 * 1024 * 1024;
/// See [`FREE_BYTES`].
pub const FREE_PART: usize = 8;

/// Connections over HTTP and over HTTPS, each. More SYNs are dropped; peers repeat them. Memory is what really limits.
pub const CONNECTIONS: usize = 20_000;

/// Bytes that a peer may send ahead of what was read, at most. A request's head seldom has more than the 2 KiB that fit a buffer
/// before it grows.
pub const RECEIVE_BYTES: usize = 16 * 1024;

/// Bytes that may be written ahead of what a peer has acknowledged, at most: what bounds a connection's speed over a long way. A
/// connection has as many only while it is sent a large file.
pub const SEND_BYTES: usize = 256 * 1024;

/// Seconds between two looks at the remote, unless `--poll` says otherwise; and what that may say.
pub const POLL_SECONDS: u64 = 60;
/// See [`POLL_SECONDS`].
pub const POLL_SECONDS_LEAST: u64 = 1;
/// See [`POLL_SECONDS`].
pub const POLL_SECONDS_MOST: u64 = 86_400;

/// Seconds between two tries at most, as long as there is no copy of the repository.
pub const START_PAUSE_SECONDS_MOST: u64 = 60;

/// Bytes of a call of the webhook. GitHub's have 25 MB at most; they are read for their signature and not kept.
pub const HOOK_BYTES: usize = 25 * 1024 * 1024;

/// Calls of the webhook that are read at a time; beyond it status 503.
pub const HOOK_CALLS: usize = 8;

/// Calls with a good signature that may come at once, and seconds until there may be another; beyond it status 429. A pull
/// that is under way serves all who have called before it began.
pub const HOOK_BURST: u32 = 20;
/// See [`HOOK_BURST`].
pub const HOOK_SECONDS: u64 = 2;

/// Seconds that a call waits for what comes of it. GitHub and GitLab give up after 10.
pub const HOOK_WAIT_SECONDS: u64 = 8;

/// Seconds that a signature with a time in it is good, as Standard Webhooks recommends.
pub const HOOK_TOLERANCE_SECONDS: i64 = 300;

/// Characters of a webhook's secret at least: 128 bits, if they are digits of base64 drawn at random.
pub const HOOK_SECRET_LEAST: usize = 16;

/// Bytes of a body that nobody wants and that is read nevertheless; whoever sends more is interrupted.
pub const UNWANTED_BYTES: usize = 64 * 1024;

/// Bytes of each part of an access log's line that a client chose.
pub const LOGGED_BYTES: usize = 256;

const _: () = assert!(RANGES <= 64 && COMPRESSED_SIXTEENTHS < 16);
