//! Limits: every bound of this service with its unit, its source and what happens at it.

/// Octets of a domain name on the wire, the root's octet included (RFC 1035 §2.3.4). Longer: FORMERR, or a zone file error.
pub const NAME_OCTETS: usize = 255;

/// Octets of a label (RFC 1035 §2.3.4). Longer: FORMERR, or a zone file error.
pub const LABEL_OCTETS: usize = 63;

/// Labels of a name without the root: 127 of one octet fill 255 octets.
pub const LABELS: usize = 127;

/// Octets of a message header (RFC 1035 §4.1.1). Shorter datagrams are dropped.
pub const HEADER_OCTETS: usize = 12;

/// Octets of a UDP answer to a query without EDNS (RFC 1035 §4.2.1); also the least that an OPT record can ask for
/// (RFC 6891 §6.2.3).
pub const UDP_OCTETS_WITHOUT_EDNS: usize = 512;

/// Octets of the largest UDP answer unless `--udp-size` says otherwise: 1280 (least IPv6 MTU) less headers, the number
/// of DNS Flag Day 2020 and the default of NSD and Knot. More is truncated, and the client asks again over TCP.
pub const UDP_OCTETS: usize = 1232;

/// Octets of a UDP answer that may be asked for with `--udp-size`: what NSD and Knot use at most. Outside of it the image
/// does not start.
pub const UDP_OCTETS_MOST: usize = 4096;

/// Octets of any message: the length over TCP has 16 bits (RFC 1035 §4.2.2).
pub const MESSAGE_OCTETS: usize = 65_535;

/// CNAME and DNAME records followed in one answer; NSD's number. The client follows the rest.
pub const CHAIN_LINKS: usize = 10;

/// Suffixes remembered for name compression in one answer. Names after that are only compressed against the earlier.
pub const COMPRESSION_ENTRIES: usize = 100;

/// Names in an answer whose addresses are looked up for the additional section. The client looks up the rest.
pub const ADDITIONAL_NAMES: usize = 64;

/// Octets of all records of one RRset: more cannot be sent in one message with header, question and OPT record.
/// The zone is refused.
pub const RRSET_OCTETS: usize = MESSAGE_OCTETS - HEADER_OCTETS - (NAME_OCTETS + 4) - 17;

/// Octets of one zone file entry, its comments and line breaks included: an rdata of 65535 octets, each written as
/// `\DDD`, with room for line breaks. The zone is refused.
pub const ENTRY_OCTETS: usize = 512 * 1024;

/// Seconds of the largest TTL (RFC 2181 §8); what is above counts as negative. The zone is refused.
pub const TTL_SECONDS: u32 = i32::MAX as u32;

/// Warnings kept for one zone; of the rest only the number.
pub const WARNINGS: usize = 8;

/// Octets read at once from the archive of zone files.
pub const READ_AHEAD_OCTETS: usize = 16 * 1024;

/// Updates that wait for a push, and that are pushed together: one commit each. More are answered with SERVFAIL, and the
/// client tries again.
pub const UPDATES_TOGETHER: usize = 64;

/// Octets of memory that changing a zone file takes, for each octet of the file (tests/edit_memory.rs); where there is less, the
/// update is answered with SERVFAIL. Short records are the worst case.
pub const EDIT_OCTETS_PER_OCTET: usize = 24;

/// Seconds between two looks at the remote unless `--poll` says otherwise: what a person who pushed is willing to wait where no
/// NOTIFY is sent.
pub const POLL_SECONDS: u64 = 60;

/// Seconds between two tries to reach the remote at the start, at most; they begin with one and double.
pub const START_PAUSE_SECONDS_MOST: u64 = 60;

/// Seconds between two looks at the remote at least, for the remote's sake.
pub const POLL_SECONDS_LEAST: u64 = 1;

/// Seconds between two looks at the remote at most: a day.
pub const POLL_SECONDS_MOST: u64 = 86_400;

/// Octets of a request or certificate that is looked into; RFC 6698 records are not longer either.
pub const DER_OCTETS: usize = 16 * 1024;

/// Certificates between ours and the authority's.
pub const INTERMEDIATES: usize = 7;

/// Seconds that others may keep a request, and with it the certificate.
pub const REQUEST_TTL: u32 = 600;

/// Seconds that others may keep the record of a challenge, which is another each time.
pub const CHALLENGE_TTL: u32 = 10;

/// Connections on port 80, where an authority validates by HTTP-01: Let's Encrypt comes from five places at a time.
pub const VALIDATIONS: usize = 16;

/// Seconds that the proof of a name in a zone of our own is given to reach the zone's other name servers, which are notified.
pub const PROPAGATION_SECONDS: u64 = 10;

const _: () = assert!(UDP_OCTETS >= UDP_OCTETS_WITHOUT_EDNS && UDP_OCTETS <= MESSAGE_OCTETS);
const _: () = assert!(LABELS * 2 < NAME_OCTETS);

/// Connections at a time. More SYNs are dropped and counted; memory may be the limit before, at about 5 KiB each.
pub const TCP_CONNECTIONS: usize = 16_384;

/// Octets that a client may send ahead of the message being answered: a dozen of pipelined queries. Every connection has
/// them, idle or not.
pub const TCP_RECEIVE_OCTETS: usize = 1024;

/// Octets written ahead of what a client has acknowledged; a larger answer waits for the client in between. More than one
/// segment, so that the client does not hold its acknowledgement back. Every connection has them, idle or not.
pub const TCP_SEND_OCTETS: usize = 2 * 1024;

/// Seconds of silence after which a connection is closed (RFC 7766 §6.2.3: some seconds; BIND's default).
pub const TCP_IDLE_SECONDS: u64 = 30;

/// Octets of memory left to the executor and the network, whose small allocations must not fail. Where there is less,
/// queries and connections over TCP are dropped and counted; UDP needs no memory.
pub const SPARE_OCTETS: usize = 128 * 1024;

/// Keys in all key files. A file with more is refused; the keys of before stay.
pub const KEYS: usize = 4096;

/// Messages of a transfer between two that are signed (RFC 8945 §5.3.1). More: the transfer is not believed.
pub const TSIG_UNSIGNED: usize = 99;

/// Octets of a message of a transfer: as far as compression pointers reach. A record that is larger has one for itself.
pub const TRANSFER_MESSAGE_OCTETS: usize = 16 * 1024;

/// Differences kept of a zone for IXFR. Who has an older version gets the whole zone. The reference keeps 5.
pub const HISTORY_DIFFERENCES: usize = 100;

/// Records in the differences kept of a zone, at some 100 octets each. Who has an older version gets the whole zone.
pub const HISTORY_RECORDS: usize = 10_000;

/// Notifications that wait for an answer. With more, secondaries learn of changes when they refresh.
pub const NOTIFICATIONS: usize = 4096;

/// Seconds that a primary may be silent between two steps of an exchange. Longer: the transfer failed and is tried again.
pub const ANSWER_SECONDS: u64 = 20;

/// Updates whose signatures are remembered, at some 200 octets each. With more in ten minutes, an old one is refused even if it
/// is new.
pub const REPLAYS: usize = 16_384;

/// Seconds after which an update that is not done is answered with SERVFAIL. nsupdate waits 3 s by default, three times, and
/// longer over TCP; a slow push takes longer than either.
pub const UPDATE_SECONDS: u64 = 60;

/// Connections over QUIC at a time. More are refused; memory may be the limit before.
pub const QUIC_CONNECTIONS: usize = 4096;

/// Connections over QUIC whose handshake is under way, before whoever comes has to show first that it is reached at its address (RFC
/// 9000 §8.1.2), which costs it a round trip.
pub const QUIC_UNVALIDATED: usize = 32;

/// Seconds that a handshake over QUIC may take. Longer: the connection is closed.
pub const QUIC_HANDSHAKE_SECONDS: u64 = 10;

/// Octets of memory that have to be free for another connection over QUIC.
pub const QUIC_CONNECTION_OCTETS: usize = 64 * 1024;

/// Streams of a connection over QUIC at a time, each with one message. The client waits with others.
pub const QUIC_STREAMS: u32 = 100;

/// Octets that a client may send ahead over QUIC, on a stream and in all: a whole message.
pub const QUIC_STREAM_OCTETS: u32 = 2 + MESSAGE_OCTETS as u32;

/// Octets of a client's messages that are not here yet as a whole, of one connection. With more it is closed.
pub const QUIC_READING_OCTETS: usize = 2 * (2 + MESSAGE_OCTETS);

/// Octets that are kept for a client until it acknowledges them. A larger answer waits for the client in between.
pub const QUIC_WINDOW_OCTETS: u64 = 128 * 1024;

/// Datagrams over QUIC that wait to be taken, or to be sent. More are lost, and sent again.
pub const QUIC_QUEUE: usize = 64;
/// See [`QUIC_QUEUE`].
pub const QUIC_QUEUE_OCTETS: usize = 96 * 1024;

/// Answers to datagrams of no connection over QUIC (Retry, version negotiation, refusals) that wait to be sent. More are lost.
pub const QUIC_RESPONSES: usize = 64;

/// Updates and notifications over UDP that wait for a task. More are dropped, and the client sends them again.
pub const LATE_DATAGRAMS: usize = 64;

/// Updates and notifications over UDP that are being carried out. With more, datagrams wait.
pub const LATE_TASKS: usize = 256;

/// Updates that are being handed on to primaries. More are answered with SERVFAIL.
pub const FORWARDS: usize = 32;

/// Attempts to send an answer while the queue of datagrams is full, and the pause between two. After a second it is lost, and the
/// client asks again.
pub const LATE_SENDS: usize = 500;
/// See [`LATE_SENDS`].
pub const LATE_PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// Transfers that are sent at a time, at up to 40 KiB each and four octets a name. More are answered with SERVFAIL.
pub const TRANSFERS: usize = 32;

/// Zones that a catalog may list; each takes some 4 KiB besides its records. A catalog with more is not followed, and what it said
/// before holds.
pub const CATALOG_MEMBERS: usize = 4096;

/// Catalogs that are followed. More: the image does not start.
pub const CATALOGS: usize = 64;

/// Zones that are being asked for or fetched at a time, so that a catalog of thousands does not open thousands of connections. The
/// others wait their turn.
pub const FETCHES: usize = 32;

/// Secondaries of a zone that are told of changes. Others learn of them when they refresh.
pub const SECONDARIES: usize = 64;

/// Secondaries of a zone that are remembered because they asked. The one silent the longest is forgotten.
pub const SECONDARIES_REMEMBERED: usize = 16;

/// Seconds between two questions to a primary at least, whatever the SOA record says, for the primary's sake.
pub const REFRESH_SECONDS_LEAST: u64 = 5;

/// Seconds between two questions to a primary at most, whatever the SOA record says: BIND's four weeks.
pub const REFRESH_SECONDS_MOST: u64 = 28 * 24 * 3600;

/// Seconds until a zone that was never fetched is asked for again; twice as many each time. An image that gets its address by
/// DHCP has it by then.
pub const FIRST_RETRY_SECONDS: u64 = 1;

/// Seconds between two attempts to fetch a zone for the first time, at most.
pub const FIRST_RETRY_SECONDS_MOST: u64 = 120;

/// Seconds that a refresh may take in all: a zone of 100 MB at 256 kbit/s. Longer: it failed and is tried again.
pub const TRANSFER_SECONDS: u64 = 3600;

/// Milliseconds between two questions to a primary, however many notifications there are.
pub const REFRESH_PAUSE_MS: u64 = 500;
