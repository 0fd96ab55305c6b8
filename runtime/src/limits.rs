//! Everything that is bounded: unit, why so much, and what happens beyond.

/// Frames taken in one turn before other work gets its turn. Enough that a turn's fixed cost (a clock reading, a look at
/// the executor's futex) vanishes, few enough that a timer is at most some hundred microseconds late.
pub const BATCH: usize = 64;

/// Turns with nothing but fast-path frames after which the clock is read for the sake of timers, although nothing asked.
pub const TURNS_PER_CLOCK: u32 = 16;

/// Segments one flow may send in one visit before the others get their turn.
pub const SEGMENTS_PER_VISIT: usize = 32;

/// Bytes of a UDP or ICMP packet put together from fragments; what is longer is dropped and counted. The number of
/// packets being put together at once is smoltcp's feature `reassembly-buffer-count-4`, so that is 64 KiB in all.
pub const REASSEMBLED_BYTES: usize = 16 * 1024;

/// Seconds until an incomplete packet is forgotten (RFC 1122 §3.3.2 wants 60 at most, attackers like them long).
pub const REASSEMBLY_SECONDS: u64 = 15;

/// Connections of the whole image. Beyond it a SYN is dropped and counted. Memory is what really limits: 10 000 connections
/// that rest are about 5 MB, besides what the service keeps of each.
pub const FLOWS: usize = 65_536;

/// Bytes of a connection besides its buffers: socket, places in tables, the task that serves it.
pub const CONNECTION_BYTES: usize = 2 * 1024;

/// Bytes of memory that are left alone by what can be refused: the accepting of a connection, whose SYN is then dropped and
/// counted, and of a socket. What is small and cannot fail (a task, a timer, a log line) finds room there.
pub const MEMORY_RESERVE: usize = 512 * 1024;

/// The reserve is at least this part of all memory, for what the allocator needs for itself grows with what it holds.
pub const MEMORY_RESERVE_PART: usize = 16;

/// Seconds that a SYN's answer can be acknowledged at least; twice as long at most. A peer on the other side of the world whose
/// acknowledgement gets lost several times needs some 30.
pub const COOKIE_SECONDS: u64 = 64;

/// Bytes of a new connection's receive buffer, and so of its first window: a request's head or a TLS ClientHello with
/// post-quantum key shares fits. More grow as they are used, up to what the service allows.
pub const FIRST_RECEIVE_BYTES: usize = 4 * 1024;

/// Bytes of a new connection's send buffer: a small answer. It grows with the first that does not fit.
pub const FIRST_SEND_BYTES: usize = 4 * 1024;

/// Bytes of a receive buffer of an accepted connection at most: windows are sent without scaling, so that the buffer may grow after the
/// handshake. That is 5 Mbit/s from somebody 100 ms away, enough for what servers are sent.
pub const RECEIVE_BYTES_MAX: usize = 65_535;

/// Buffers grow while this part of all memory is free afterwards. Beyond, connections go on with those that they have.
pub const GROWTH_PART: usize = 4;

/// Seconds in which nothing happened after which a connection without anything under way gives its buffers back.
pub const REST_SECONDS: u64 = 1;

/// Bytes that a service takes at once to answer on a connection that wakes, and cannot be refused: buffers of hyper and what it reads into.
/// A connection wakes if there are as many, for it and for all others of the same turn; else its peer has to say it again.
pub const ANSWER_BYTES: usize = 24 * 1024;

/// Bytes of each buffer of a connection that only has to say that it is over.
pub const LAST_BYTES: usize = 256;

/// Connections in TIME-WAIT, each with its buffers for 10 s (smoltcp's value). The oldest goes first; if its peer
/// retransmits a FIN it gets a RST.
pub const TIME_WAIT: usize = 1_024;

/// Seconds a connection that the service has let go of may take to finish without hearing from its peer.
pub const CLOSING_SECONDS: u64 = 30;

/// Questions for a neighbour's hardware address, one a second, until a connection with something to send to it is given up.
/// Linux asks three times.
pub const NEIGHBOUR_QUESTIONS: u32 = 8;

/// Seconds without an answer until an attempt to connect fails, the lookup of the name included.
pub const CONNECT_SECONDS: u64 = 30;

/// How long connecting waits for a DHCP lease, and how often it looks. Servers answer within milliseconds, or a second where
/// they check that nobody has the address; without a lease it goes on with IPv6 alone.
pub const LEASE_MS: u64 = 4_000;
/// See [`LEASE_MS`].
pub const LEASE_LOOK_MS: u64 = 10;

/// Addresses of a host that are tried until connecting to it fails. They share [`CONNECT_SECONDS`].
pub const CONNECT_ADDRESSES: usize = 4;

/// Answers a second to packets that nobody asked for: ICMP errors and RSTs (RFC 1812 §4.3.2.8). Beyond it they are dropped
/// and counted, so that nobody is flooded through us.
pub const ERRORS_PER_SECOND: u64 = 100;

/// Errors that may be sent at once after a quiet time.
pub const ERROR_BURST: u64 = 50;

/// UDP sockets, responders included. Each is looked at for every datagram off the fast path.
pub const UDP_SOCKETS: usize = 32;

/// Listening ports, looked through for each SYN.
pub const LISTENERS: usize = 16;

/// Milliseconds that a UDP datagram waits for its neighbour's hardware address before what the socket holds is dropped.
pub const UNRESOLVED_MS: u64 = 3_000;

/// Lookups of a resolver that are on their way at once; others wait. Each takes a UDP socket of about 5 KiB.
pub const RESOLVER_QUERIES: usize = 8;

/// Name servers that are asked, in their order.
pub const RESOLVER_SERVERS: usize = 4;

/// Times that each server is asked, for 1, 2 and 4 s, until a lookup fails.
pub const RESOLVER_ROUNDS: u32 = 3;

/// Answers that a resolver remembers. The first to end makes room for another.
pub const RESOLVER_CACHE: usize = 256;

/// Octets of an answer's data that is remembered; a larger one is asked for each time.
pub const RESOLVER_CACHED_OCTETS: usize = 2_048;

/// Seconds that an answer is remembered at most, whatever its owner says (RFC 8767 §4 suggests a week; we reboot).
pub const RESOLVER_SECONDS: u32 = 86_400;

/// The same of the answer that there is nothing (RFC 2308 §5: one to three hours at most).
pub const RESOLVER_NEGATIVE_SECONDS: u32 = 900;

/// Seconds that a TLS handshake may take, as client or server. Three round trips to the other side of the world and the
/// retransmission of each; beyond it the connection is dropped.
pub const TLS_HANDSHAKE_SECONDS: u64 = 15;

/// TLS sessions that a client remembers, so that it is spared signatures when it comes again. Beyond it the oldest is forgotten.
/// About 2 KiB each. A server's sessions are in its clients' hands.
pub const TLS_SESSIONS: usize = 64;

/// Certificates of a server's own chain.
pub const TLS_CHAIN: usize = 8;

/// Certificates and fingerprints that a client trusts, besides the web's authorities.
pub const TRUST_ANCHORS: usize = 256;

/// Seconds without any progress of an HTTP exchange until it fails: a peer that takes nothing, sends nothing, or thinks about
/// its response. A git server may index a pack for that long before it says something.
pub const HTTP_PATIENCE_SECONDS: u64 = 60;

/// Seconds that a client may take to send the head of a request, and that our own client keeps a connection without one.
pub const HTTP_IDLE_SECONDS: u64 = 30;

/// Seconds that a server keeps a connection of HTTP/1.1 between two requests. It costs next to nothing then; nginx has 75 too.
pub const HTTP_KEEP_SECONDS: u64 = 75;

/// Seconds without a request after which a connection of HTTP/1.1 gives back the memory that speaking takes, some 10 KiB. Whoever
/// loads a page asks again sooner; to begin again costs less than a microsecond.
pub const HTTP_REST_SECONDS: u64 = 1;

/// Connections that an HTTP client keeps. The one kept for longest makes room for another.
pub const HTTP_CONNECTIONS: usize = 4;

/// Bytes of a request's or response's head, and of what HTTP/1.1 reads or writes at a time; beyond it status 431, or an error.
/// nginx has 32 KiB for a request's.
pub const HTTP_HEAD_BYTES: usize = 32 * 1024;

/// Bytes of a body in memory that are handed over at a time: what a connection copies for a slow reader, in HTTP/1.1 together with
/// [`HTTP_HEAD_BYTES`].
pub const HTTP_FRAME_BYTES: usize = 16 * 1024;

/// Fields of a head in HTTP/1.1; beyond it status 431, or an error.
pub const HTTP_HEADERS: usize = 100;

/// Requests at a time on a connection of HTTP/2; a client has to wait with more (RFC 9113 §5.1.2).
pub const HTTP_STREAMS: u32 = 32;

/// Bytes that a peer may send ahead of what was read in HTTP/2, in a stream and in all streams of a connection, and that we
/// hold ready to send.
pub const HTTP_WINDOW_BYTES: u32 = 128 * 1024;

/// Octets of a seed at least: 128 bits, if they are digits of base64 drawn at random.
pub const SEED_OCTETS: usize = 22;

/// Certificates of a service, by the names that clients ask for. About 8 KiB each.
pub const CERTIFICATES: usize = 64;

/// Octets of a certificate that is looked into: an ordinary one has 1 to 2 KiB.
pub const CERTIFICATE_OCTETS: usize = 16 * 1024;

/// Host names of a certificate (Let's Encrypt has 100 at most; each is validated by itself).
pub const CERTIFICATE_NAMES: usize = 32;

/// Seconds between two looks for a first certificate. Whoever issues it takes about as long.
pub const CERTIFICATE_WAIT_SECONDS: u64 = 10;

/// Octets of an answer of an ACME authority: a chain of eight RSA certificates has about 16 KiB.
pub const ACME_ANSWER_OCTETS: usize = 256 * 1024;

/// Seconds until an authority must have validated the names, and then until it must have issued. Let's Encrypt takes some
/// ten.
pub const ACME_ORDER_SECONDS: u64 = 120;

/// Seconds that everything about one certificate may take, with the time that proofs take to be seen (an hour at most).
pub const ACME_TASK_SECONDS: u64 = 3_600 + 4 * ACME_ORDER_SECONDS;

/// Seconds that an authority may tell us to wait while an order is under way; if it wants more the order fails.
pub const ACME_WAIT_SECONDS_ORDER: u64 = 3_600;

/// Seconds that an authority may tell us to wait until another attempt: Let's Encrypt's limits are by the week.
pub const ACME_WAIT_SECONDS: u64 = 7 * 24 * 3_600;

/// Seconds until another attempt where there is no certificate; doubled with each. Let's Encrypt allows five failed
/// validations of a name an hour: these are 2, 4, 8, 16 and 32 minutes.
pub const ACME_ATTEMPT_SECONDS: u64 = 120;

/// The same, at most.
pub const ACME_ATTEMPT_SECONDS_MOST: u64 = 24 * 3_600;

/// Seconds between two looks at the clock, which the host may set: a certificate is renewed that late at most.
pub const ACME_LOOK_SECONDS: u64 = 3_600;

/// Boot arguments.
pub const ARGUMENTS: usize = 256;

/// Bytes of one boot argument.
pub const ARGUMENT_BYTES: usize = 4_096;

/// Bytes of a configuration document.
pub const DOCUMENT_BYTES: usize = 256 * 1024;

/// Tables and arrays inside each other in a configuration document.
pub const DOCUMENT_DEPTH: usize = 16;

/// Seconds between two lines of counters, at most: a day.
pub const COUNTERS_SECONDS: u64 = 86_400;

/// Modules named in `--log-level` and `--logs`.
pub const LOG_MODULES: usize = 64;

/// Sources that are remembered for whoever asks who has said something; later ones are logged and not remembered.
pub const LOG_SOURCES: usize = 64;

/// Bytes of a line on the console; what is beyond is left out. rsyslog takes as much (`$MaxMessageSize`).
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// Bytes of a message of syslog at most, whatever `--syslog-size` says.
pub const SYSLOG_MESSAGE_BYTES: usize = 8 * 1024;

/// Bytes of a message of syslog if nothing is said: what every collector should take (RFC 5424 §6.1), and over UDP what every
/// path does without fragments: 1280 (RFC 8200 §5) without the headers.
pub const SYSLOG_STREAM_BYTES: usize = 2_048;
/// See [`SYSLOG_STREAM_BYTES`].
pub const SYSLOG_DATAGRAM_BYTES: usize = 1_232;

/// Bytes of a message of syslog at least: what every collector must take (RFC 5424 §6.1).
pub const SYSLOG_LEAST_BYTES: usize = 480;

/// Kibibytes of messages that wait for the collector, if `--syslog-queue` does not say: some 400 messages. Beyond it messages
/// are lost and counted.
pub const SYSLOG_QUEUE_KIB: usize = 64;

/// The same at most.
pub const SYSLOG_QUEUE_MOST_KIB: usize = 16 * 1024;

/// Bytes of messages that are written at once.
pub const SYSLOG_BATCH_BYTES: usize = 16 * 1024;

/// Seconds of silence after which a collector, and whoever is at the control port, is asked for a sign of life. Firewalls and
/// our tender's user-mode network forget a connection that is silent for 30.
pub const REPORTS_KEEP_ALIVE_SECONDS: u64 = 20;

/// Seconds for which a message is kept at least after the collector's host has acknowledged it. A collector that has not read
/// it by then is so far behind that it would lose messages anyway.
pub const SYSLOG_KEPT_SECONDS: u64 = 5;

/// Milliseconds until it is looked whether a collector's host has acknowledged what was written, which makes room in the queue.
pub const SYSLOG_LOOK_MS: u64 = 50;

/// Seconds that a collector may take nothing until its connection is given up.
pub const SYSLOG_PATIENCE_SECONDS: u64 = 60;

/// Seconds between two times that measurements are sent (LM-05 of the family we come from).
pub const MONITOR_SECONDS: u64 = 10;

/// Seconds that a database may take nothing until its connection is given up; the next measurements are as good.
pub const MONITOR_PATIENCE_SECONDS: u64 = 5;

/// Bytes of the request for measurements, and seconds that its client may take for all of it.
pub const SCRAPE_REQUEST_BYTES: usize = 4 * 1024;
/// See [`SCRAPE_REQUEST_BYTES`].
pub const SCRAPE_SECONDS: u64 = 10;

/// Seconds that such a client may take to close the connection after its answer. VictoriaMetrics leaves that to us, and comes
/// again every second where it is told to.
pub const SCRAPE_LINGER_SECONDS: u64 = 1;

/// Clients at a time of the measurements, and of the control port.
pub const MANAGEMENT_CONNECTIONS: usize = 8;

/// Bytes of a line on the control port. The longest that makes sense is a list of all sources.
pub const CONTROL_LINE_BYTES: usize = 4 * 1024;

/// Seconds that somebody on the control port may say nothing.
pub const CONTROL_IDLE_SECONDS: u64 = 120;

/// Milliseconds until a collector is tried again, doubling from the least to the most.
pub const SYSLOG_PAUSE_LEAST_MS: u64 = 250;
/// See [`SYSLOG_PAUSE_LEAST_MS`].
pub const SYSLOG_PAUSE_MOST_MS: u64 = 8_000;

const _: () =
    assert!(SYSLOG_STREAM_BYTES <= SYSLOG_MESSAGE_BYTES && SYSLOG_MESSAGE_BYTES < SYSLOG_BATCH_BYTES);

const _: () = assert!(REASSEMBLED_BYTES <= 65_535 && TIME_WAIT <= FLOWS);
const _: () = assert!(FIRST_RECEIVE_BYTES <= RECEIVE_BYTES_MAX && RECEIVE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(RESOLVER_QUERIES < UDP_SOCKETS);
const _: () = assert!(ERROR_BURST <= ERRORS_PER_SECOND);
const _: () =
    assert!(ACME_ATTEMPT_SECONDS < ACME_ATTEMPT_SECONDS_MOST && ACME_WAIT_SECONDS_ORDER <= ACME_WAIT_SECONDS);
