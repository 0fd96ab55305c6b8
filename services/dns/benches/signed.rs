//! What an answer costs with signatures, beside the same answer without: `cargo bench -p dns --bench signed`.
//!
//! The same questions, all of them with DO, are asked of a zone unsigned, signed with NSEC and signed with NSEC3, and the
//! instructions are counted by valgrind: each zone in a process of its own, each kind of question by itself. They are asked twice
//! before it counts, so what is counted is warm. A kind that costs more than [`BOUND`] times as much signed ends the bench with
//! an error. Two more are printed and not bounded: answers of which only the signatures are kept, as after a change of
//! the zone; and those about names that nobody has asked for before, which are never warm.
//!
//! ```text
//!   signed ─► valgrind signed --count plain|nsec|nsec3 ─► counted (one kind of question) ─► a dump each
//! ```

use dns::dnssec::{Denial, Seeds};
use dns::{Authority, HashKey, Transport, Zones};
use std::fmt::Write;
use std::hint::black_box;
use std::process::{Command, ExitCode};

/// Instructions of a signed answer over those of an unsigned one, at most.
const BOUND: f64 = 1.5;

/// Different questions of a kind.
const QUESTIONS: usize = 500;

/// What is asked: the name, with the number of the question for `#`; and the type.
const KINDS: [(&str, &str, u16); 8] = [
    ("an address", "h#", 1),
    ("an alias and its address", "alias#", 1),
    ("servers, with addresses", "", 2),
    ("no such type", "h#", 15),
    ("no such name", "x#", 1),
    ("made of a wildcard", "w#.wild", 16),
    ("referral, unsigned child", "www.open#", 1),
    ("referral, signed child", "www.safe#", 1),
];

/// Asked only once, when it counts: each answer costs a signature.
const FRESH: (&str, &str, u16) = ("no such name, never asked", "fresh#", 1);

const NOW: u64 = 1_800_000_000;

const ZONES: [&str; 3] = ["plain", "nsec", "nsec3"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--count") {
        Some(at) => {
            count_all(&arguments[at + 1]);
            ExitCode::SUCCESS
        }
        None => compare(),
    }
}

/// Counts all zones and compares.
fn compare() -> ExitCode {
    let counts = match ZONES.map(measure) {
        [Ok(plain), Ok(nsec), Ok(nsec3)] => [plain, nsec, nsec3],
        [plain, ..] => {
            eprintln!("signed: {}", plain.err().unwrap_or_else(|| "a signed zone cannot be counted".into()));
            return ExitCode::FAILURE;
        }
    };
    println!("{:30} {:>8} {:>14} {:>14}", "instructions an answer", "unsigned", "NSEC", "NSEC3");
    let (mut sums, mut is_within) = ([0.0; 3], true);
    let other = [("an address, put together again", "", 0), FRESH];
    for (number, (kind, ..)) in KINDS.into_iter().chain(other).enumerate() {
        let row = counts.each_ref().map(|counts| counts[number]);
        print_row(kind, row);
        if number < KINDS.len() {
            is_within &= row[1..].iter().all(|signed| signed / row[0] <= BOUND);
            (0..3).for_each(|zone| sums[zone] += row[zone] / KINDS.len() as f64);
        }
    }
    print_row("all but the last two, evenly", sums);
    println!("at most {BOUND} times once warm: {}", if is_within { "yes" } else { "NO" });
    if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_row(kind: &str, [plain, nsec, nsec3]: [f64; 3]) {
    println!("{kind:30} {plain:8.0} {nsec:8.0} {:4.2}x {nsec3:8.0} {:4.2}x", nsec / plain, nsec3 / plain);
}

/// Instructions an answer, of each kind, as a process under valgrind has counted them.
fn measure(zone: &str) -> Result<Vec<f64>, String> {
    let folder = std::env::temp_dir().join(format!("dns-signed-{}-{zone}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = folder.join("out");
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=signed::counted", "--dump-after=signed::counted"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(this)
        .args(["--count", zone])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}; apt-get install valgrind"))?;
    if !valgrind.status.success() {
        return Err(String::from_utf8_lossy(&valgrind.stderr).into_owned());
    }
    let counts = (1..=KINDS.len() + 2).map(|number| read_dump(&folder.join(format!("out.{number}"))));
    let counts = counts.collect();
    let _ = std::fs::remove_dir_all(&folder);
    counts
}

/// The instructions of one dump, for each question.
fn read_dump(file: &std::path::Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
    total.map(|total| total / QUESTIONS as f64).ok_or_else(|| format!("{}: no total", file.display()))
}

/// The process that is counted.
fn count_all(zone: &str) {
    let mut authority = serve(match zone {
        "nsec" => Some(Denial::Nsec),
        "nsec3" => Some(Denial::Nsec3),
        _ => None,
    });
    let kinds = KINDS.map(|(_, name, rtype)| questions(name, rtype));
    for _ in 0..2 {
        kinds.iter().for_each(|questions| warm(&mut authority, questions));
    }
    let made = authority.signatures_made();
    for questions in &kinds {
        counted(&mut authority, questions);
    }
    authority.set_time(NOW + 1);
    counted(&mut authority, &kinds[0]);
    assert_eq!(authority.signatures_made(), made, "what is counted is warm");
    counted(&mut authority, &questions(FRESH.1, FRESH.2));
}

/// What valgrind counts. It must not be the same code as [`warm`]: then the compiler makes one function of both.
#[inline(never)]
fn counted(authority: &mut Authority, questions: &[Vec<u8>]) {
    black_box("counted");
    ask(authority, questions);
}

#[inline(never)]
fn warm(authority: &mut Authority, questions: &[Vec<u8>]) {
    ask(authority, questions);
}

#[inline(always)]
fn ask(authority: &mut Authority, questions: &[Vec<u8>]) {
    let mut buffer = [0; 1500];
    for question in questions {
        buffer[..question.len()].copy_from_slice(question);
        black_box(authority.answer(Transport::Udp, &mut buffer, question.len()));
    }
}

/// A server with a zone in which there is something for each kind.
fn serve(denial: Option<Denial>) -> Authority {
    let mut zones = Zones::new(HashKey::new(*b"not secret, a bench only"));
    let mut text = "$TTL 1h\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ NS ns2\n\
        ns A 192.0.2.1\n AAAA 2001:db8::1\nns2 A 192.0.2.2\n AAAA 2001:db8::2\n*.wild TXT wild\n"
        .to_string();
    for host in 0..QUESTIONS {
        let (high, low) = (host >> 8, host & 255);
        writeln!(
            text,
            "h{host} A 10.0.{high}.{low}\n AAAA 2001:db8::1:{host:x}\nalias{host} CNAME h{host}\n\
             open{host} NS ns.open{host}\nns.open{host} A 10.1.{high}.{low}\n\
             safe{host} NS ns.safe{host}\n DS {host} 13 2 {host:064x}\nns.safe{host} A 10.2.{high}.{low}"
        )
        .expect("a string takes all");
    }
    zones.load("bench.example", &mut text.as_bytes()).expect("the zone is good");
    let mut authority = Authority::new(zones);
    if let Some(denial) = denial {
        let seeds = Seeds::new(&[vec![1; 32]], None).expect("the seed is long enough");
        authority.sign(seeds, denial, (1 << 14, 1 << 14));
        authority.set_time(NOW);
    }
    authority
}

/// Questions of one kind, with DO and room for 1232 octets.
fn questions(name: &str, rtype: u16) -> Vec<Vec<u8>> {
    let question = |number: usize| {
        let name = name.replace('#', &number.to_string());
        let mut query = b"\0\0\0\0\0\x01\0\0\0\0\0\x01".to_vec();
        for label in name.split('.').filter(|label| !label.is_empty()).chain(["bench", "example"]) {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, rtype as u8, 0, 1]);
        query.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
        query
    };
    (0..QUESTIONS).map(question).collect()
}
