//! `cargo xtask bench dns`: every number that is promised about the DNS image, measured beside its peers;
//! `cargo xtask bench linux-vm`: the image beside a Linux virtual machine ([`vm`]); `cargo xtask bench store`: clones of the git
//! store beside git's ([`store`]); `cargo xtask bench web`: the web server beside nginx ([`web`]).
//!
//! ```text
//!    CPU 0                                   CPU 1
//!    floor ── TAP ──────────────┐
//!    image ── TAP ──────────────┤ network namespace   generator
//!    NSD ──── veth, namespace ──┤ of the client       connections
//!    Knot ─── veth, namespace ──┘                     first
//! ```
//!
//! Rows that are compared are measured in turns, several rounds of them; what is printed is the median with the
//! smallest and the largest. A promise is judged by the median. Numbers from a machine that does other work at
//! the same time are worth nothing: the load average is printed first.
//!
//! Reading order: [`rows`] is what is measured, one module each; [`peers`] starts the servers, [`netns`] gives
//! them a network, [`process`] reads their clocks, [`load`] drives the clients, [`table`] prints and judges.

mod connections;
mod exits;
mod idle;
mod image;
mod interrupt;
mod load;
mod memory;
mod netns;
mod options;
mod peers;
mod process;
mod said;
mod scale;
mod signed;
mod size;
mod soak;
mod speed;
mod start;
mod store;
mod table;
mod vm;
mod web;
mod zones;

use std::process::ExitCode;

use crate::Failure;
use netns::Lab;
use options::Options;
use table::{Bound, Promises};

/// A row: its name for `--only`, what it shows, how it is measured.
struct Row {
    name: &'static str,
    shows: &'static str,
    measure: fn(&mut Bench) -> Result<(), Failure>,
}

/// Rows that are measured together.
struct Suite {
    name: &'static str,
    /// Turns of every compared row, if none are asked for.
    rounds: usize,
    /// In the order they are measured.
    rows: &'static [Row],
}

/// What can be measured.
const SUITES: &[Suite] = &[
    Suite { name: "dns", rounds: 9, rows: ROWS },
    Suite { name: "linux-vm", rounds: 5, rows: vm::ROWS },
    Suite { name: "store", rounds: 3, rows: store::ROWS },
    Suite { name: "web", rounds: 3, rows: web::ROWS },
];

/// The rows about the DNS image beside its peers.
const ROWS: &[Row] = &[
    Row { name: "speed", shows: "CPU per query beside the floor, NSD and Knot", measure: speed::measure },
    Row { name: "scale", shows: "a million records beside a thousand", measure: scale::measure },
    Row { name: "signed", shows: "signed answers beside unsigned ones", measure: signed::measure },
    Row { name: "connections", shows: "10 000 TCP connections beside 10", measure: connections::measure },
    Row { name: "start", shows: "from spawn to the first answer", measure: start::measure },
    Row { name: "idle", shows: "CPU of a server that nobody asks", measure: idle::measure },
    Row { name: "memory", shows: "what records cost, and the smallest guest", measure: memory::measure },
    Row { name: "size", shows: "bytes of the image", measure: size::measure },
    Row { name: "exits", shows: "hvt exits per packet", measure: exits::measure },
    Row { name: "soak", shows: "memory after millions of good and bad queries", measure: soak::measure },
];

/// What every row is given.
struct Bench {
    options: Options,
    lab: Lab,
    programs: load::Programs,
    promises: Promises,
}

/// `bench dns|linux-vm|store|web [--seconds N] [--rounds N] [--only ROW]...`; success when every promise that was measured holds.
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let options = match options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::help());
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(format!("bench: {error}\n{}", options::help())),
    };
    interrupt::watch()?;
    let lab = Lab::create()?;
    let programs = load::Programs::build()?;
    let mut bench = Bench { options, lab, programs, promises: Promises::default() };
    println!("load average {}", process::load_average());
    for row in bench.options.suite.rows {
        if bench.options.only.is_empty() || bench.options.only.iter().any(|name| name == row.name) {
            println!("\n{}: {}", row.name, row.shows);
            if let Err(failure) = (row.measure)(&mut bench) {
                interrupt::check()?;
                println!("  FAILED: {failure}");
                bench.promises.note(format!("the row '{}'", row.name), f64::NAN, Bound::AtLeast(0.0));
            }
        }
    }
    Ok(bench.promises.print())
}
