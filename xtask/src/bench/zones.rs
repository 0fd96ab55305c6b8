//! Zones and query lists of any size, the same from run to run.
//!
//! A host has an A and an AAAA record, every tenth also a TXT. The zone has besides what a zone has: SOA, name
//! servers, a wildcard, a delegation with glue. The lists ask for hosts at random, with and without EDNS, and in
//! the shares given below for what is not there.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// The zone's origin, without the final dot.
pub const ORIGIN: &str = "bench.example";

/// Distinct queries of a list: enough that no cache of the processor holds what they touch in a large zone.
const QUERIES: usize = 200_000;

/// A zone as a file, and what to ask it.
pub struct ZoneSet {
    /// The directory that holds nothing but the zone file.
    pub content: PathBuf,
    /// Well-formed queries, each with the answer that is expected.
    pub good: PathBuf,
    /// The same questions, all with DO.
    pub dnssec: PathBuf,
    /// The well-formed ones with a fifth of malformed ones among them.
    pub mixed: PathBuf,
}

impl ZoneSet {
    /// The zone file, named like the zone.
    pub fn zone_file(&self) -> PathBuf {
        self.content.join(ORIGIN)
    }

    /// Writes a zone of `records` records and its query lists below `directory`; both are kept if they are there.
    pub fn generate(directory: &Path, records: usize) -> Result<Self, Failure> {
        let content = directory.join(format!("zone-{records}"));
        let set = Self {
            good: directory.join(format!("queries-{records}")),
            dnssec: directory.join(format!("queries-dnssec-{records}")),
            mixed: directory.join(format!("queries-mixed-{records}")),
            content,
        };
        if !set.mixed.exists() {
            fs::create_dir_all(&set.content).map_err(|error| describe(&set.content, &error))?;
            let (zone, hosts) = zone(records);
            for (path, text) in [
                (&set.zone_file(), zone),
                (&set.good, queries(hosts, ["", " edns"], false)),
                (&set.dnssec, queries(hosts, [" do"; 2], false)),
                (&set.mixed, queries(hosts, ["", " edns"], true)),
            ] {
                fs::write(path, text).map_err(|error| describe(path, &error))?;
            }
        }
        Ok(set)
    }
}

fn describe(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display())
}

/// The zone's text and how many hosts are in it.
fn zone(records: usize) -> (String, usize) {
    let mut text = format!(
        "$ORIGIN {ORIGIN}.\n$TTL 3600\n\
         @ SOA ns1 hostmaster 1 7200 3600 1209600 300\n\
         @ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\nns2 A 192.0.2.2\n\
         *.wild A 192.0.2.3\nchild NS ns.child\nns.child A 192.0.2.4\n"
    );
    let (mut left, mut host) = (records.saturating_sub(8), 0usize);
    while left > 0 {
        let [_, high, middle, low] = (host as u32).to_be_bytes();
        writeln!(text, "h{host:06} A 10.{high}.{middle}.{low}").expect("a String takes every write");
        left -= 1;
        if left > 0 {
            writeln!(text, "h{host:06} AAAA 2001:db8::{:x}:{:x}", host >> 16, host & 0xffff)
                .expect("a String takes every write");
            left -= 1;
        }
        if left > 0 && host % 10 == 0 {
            writeln!(text, "h{host:06} TXT \"host number {host}\"").expect("a String takes every write");
            left -= 1;
        }
        host += 1;
    }
    // The last host may have lost its AAAA to the count.
    (text, host.saturating_sub(1))
}

/// Of a hundred queries: 65 A, 15 AAAA, 5 TXT, 5 MX without data, 5 of no such name, 3 wildcards, 2 delegations.
/// `options` are in turns those of each.
fn queries(hosts: usize, options: [&str; 2], with_malformed: bool) -> String {
    let mut text = String::with_capacity(QUERIES * 40);
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for number in 0..QUERIES {
        let host = random.below(hosts);
        let option = options[number % 2];
        let line = match random.below(100) {
            0..65 => format!("h{host:06}.{ORIGIN}. A ANSWER"),
            65..80 => format!("h{host:06}.{ORIGIN}. AAAA ANSWER"),
            80..85 => format!("h{:06}.{ORIGIN}. TXT ANSWER", host - host % 10),
            85..90 => format!("h{host:06}.{ORIGIN}. MX NODATA"),
            90..95 => format!("x{host:06}.{ORIGIN}. A NXDOMAIN"),
            95..98 => format!("w{host:06}.wild.{ORIGIN}. A ANSWER"),
            _ => format!("w{host:06}.child.{ORIGIN}. A NODATA"),
        };
        writeln!(text, "{line}{option}").expect("a String takes every write");
        if with_malformed && number % 4 == 0 {
            writeln!(text, "={} - MALFORMED", malformed(&mut random)).expect("a String takes every write");
        }
    }
    text
}

/// A message that no server should take: cut, with a pointer loop, with counts that lie, or noise.
fn malformed(random: &mut Xorshift) -> String {
    const QUESTION: &[u8] = b"\x07h000001\x05bench\x07example\0\0\x01\0\x01";
    let mut message = b"\0\0\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    message.extend(QUESTION);
    match random.below(6) {
        0 => message.truncate(2 + random.below(message.len() - 2)),
        1 => message.splice(12.., [0xc0, 12, 0, 1, 0, 1]).for_each(drop),
        2 => message[4] = 0xff,
        3 => message[11] = 9,
        4 => message[12] = 0x7f,
        _ => message.iter_mut().skip(2).for_each(|byte| *byte = random.below(256) as u8),
    }
    message.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Marsaglia's xorshift64.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(records: usize, hosts: usize) {
        let (text, counted) = zone(records);
        let lines = text.lines().filter(|line| !line.starts_with('$')).count();
        assert_eq!((lines, counted), (records, hosts));
    }

    #[test]
    fn a_zone_has_the_records_that_were_asked_for() {
        check(11, 0);
        check(1000, 471);
        check(100_000, 47_614);
    }

    #[test]
    fn a_fifth_of_the_mixed_list_is_malformed() {
        let list = queries(100, [""; 2], true);
        let malformed = list.lines().filter(|line| line.ends_with("MALFORMED")).count();
        assert_eq!(malformed * 5, list.lines().count());
    }
}
