//! What an answer costs in the core, without network and image: `cargo bench -p dns`.
//!
//! For zones of a thousand and of a million records it prints nanoseconds per query, the median of some rounds, and with
//! them how the large zone compares with the small: the same code runs, so what differs are cache misses. For counts of
//! instructions run one case under callgrind, where `--one` leaves all others out and does each query once. The bench `signed`
//! counts what signatures cost.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='answer::answer' target/release/deps/answer-… --one 1000
//! ```

use dns::{Authority, HashKey, Transport, Zones};
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

/// Different queries in a list: what they touch in a large zone does not fit into any cache.
const QUERIES: usize = 200_000;

/// Rounds over the list; the median counts.
const ROUNDS: usize = 7;

/// Records of the zones.
const SIZES: [usize; 2] = [1_000, 1_000_000];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--one") {
        let records = arguments.get(at + 1).and_then(|size| size.parse().ok()).expect("--one RECORDS");
        let (mut authority, queries) = (serve(records), queries(records));
        return println!("{} octets answered", answer(&mut authority, &queries[..20_000]));
    }
    let mut servers: Vec<_> = SIZES.iter().map(|records| (serve(*records), queries(*records))).collect();
    let mut rounds = [const { Vec::new() }; SIZES.len()];
    for _ in 0..ROUNDS {
        for ((authority, queries), rounds) in servers.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            black_box(answer(authority, queries));
            rounds.push(start.elapsed().as_nanos() as f64 / queries.len() as f64);
        }
    }
    let medians = rounds.map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    });
    for (records, nanoseconds) in SIZES.iter().zip(medians) {
        println!("{records:8} records: {nanoseconds:6.1} ns a query");
    }
    println!("large over small: {:.2}", medians[1] / medians[0]);
}

/// Answers all queries; the octets of the answers. A function of its own, so that callgrind can tell it.
#[inline(never)]
fn answer(authority: &mut Authority, queries: &[Vec<u8>]) -> usize {
    let mut buffer = [0; 1500];
    let answers = queries.iter().map(|query| {
        buffer[..query.len()].copy_from_slice(query);
        authority.answer(Transport::Udp, &mut buffer, query.len()).unwrap_or(0)
    });
    answers.sum()
}

/// A server with a zone of hosts with two addresses each.
fn serve(records: usize) -> Authority {
    let mut zones = Zones::new(HashKey::new(*b"not secret, a bench only"));
    let mut text = "$TTL 1h\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n".to_string();
    for host in 0..records / 2 {
        let [.., high, middle, low] = host.to_be_bytes();
        let (upper, lower) = (host >> 16, host & 0xFFFF);
        writeln!(text, "h{host:06} A 10.{high}.{middle}.{low}\n AAAA 2001:db8::{upper:x}:{lower:x}")
            .expect("a string takes all");
    }
    zones.load("bench.example", &mut text.as_bytes()).expect("the zone is good");
    Authority::new(zones)
}

/// Of ten queries eight are about hosts, one about a type that is not there, one about a name that is not; every second
/// one has an OPT record.
fn queries(records: usize) -> Vec<Vec<u8>> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    (0..QUERIES)
        .map(|number| {
            let (host, rtype) = (random(records / 2), [1, 1, 1, 1, 1, 1, 28, 28, 15, 1][number % 10]);
            let label = format!("{}{host:06}", if number % 10 == 9 { "x" } else { "h" });
            let mut query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0".to_vec();
            for part in [label.as_str(), "bench", "example"] {
                query.push(part.len() as u8);
                query.extend(part.as_bytes());
            }
            query.extend([0, 0, rtype, 0, 1]);
            if number % 4 < 2 {
                query[11] = 1;
                query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
            }
            query
        })
        .collect()
}
