//! CPU per query of the servers, in turns; and queries per second where the server was the limit.
//!
//! Saturated: the generator keeps its windows full, the server always has work and pays for no sleep. Paced: a
//! steady rate well below that, each query on its own, so that every server sleeps and is woken. The promise is
//! judged on the saturated one, which is what a core can carry; the other is printed because it is what most
//! servers do most of the time.

use std::path::Path;
use std::time::Duration;

use super::load::{Measured, Pace};
use super::peers::{Peer, Server};
use super::table::{self, Bound, Samples};
use super::zones::ZoneSet;
use super::{Bench, interrupt};
use crate::Failure;

/// A server's core counts as the limit from here on.
const SATURATED: f64 = 0.95;

/// What the rounds gave for one server.
#[derive(Default)]
pub struct Column {
    pub rate: Samples,
    pub cpu: Samples,
    pub busy: Samples,
    pub ready: Samples,
    pub core: Samples,
    pub right: Samples,
}

impl Column {
    /// Adds one round.
    pub fn push(&mut self, measured: &Measured) {
        self.rate.push(measured.rate);
        self.cpu.push(measured.cpu);
        self.busy.push(measured.busy * 100.0);
        self.ready.push(measured.ready * 100.0);
        self.core.push(measured.core * 100.0);
        self.right.push(measured.right * 100.0);
    }

    /// A line of the table; the rate only where the server's core was the limit.
    pub fn row(&self, name: &str) -> Vec<String> {
        let limit = if self.is_saturated() { "" } else { " client" };
        vec![
            name.to_owned(),
            self.cpu.to_string(),
            format!("{:.1}", self.busy),
            format!("{:.1}", self.ready.median()),
            format!("{:.0}", self.core.median()),
            format!("{:.0}{limit}", self.rate),
            format!("{:.2}", self.right.median()),
        ]
    }
}

impl Column {
    /// Whether the server was the limit: it could hardly have run for longer. On a machine that does other work too,
    /// it gave more when left alone.
    pub fn is_saturated(&self) -> bool {
        self.ready.median() >= SATURATED * 100.0
    }
}

/// The columns of [`Column::row`].
pub const HEADER: [&str; 7] =
    ["server", "CPU us/query", "busy %", "busy or ready %", "core busy %", "q/s (limit)", "right %"];

/// Runs the servers in turns and judges the ratios.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut servers = Vec::new();
    for peer in Peer::ALL {
        if peer == Peer::SkerryHvt && !Path::new("/dev/kvm").exists() {
            println!("  SKIPPED skerry-hvt: there is no /dev/kvm here");
            continue;
        }
        servers.push(peer.start(bench, &zones)?);
    }
    let rate = bench.options.rate;
    let saturated = rounds(bench, &servers, &zones.good, Pace::Saturating)?;
    print("saturated", &servers, &saturated);
    let paced = rounds(bench, &servers, &zones.good, Pace::Rate(rate))?;
    print(&format!("paced, {rate} q/s"), &servers, &paced);
    judge(bench, &saturated);
    for server in servers {
        server.stop(&bench.lab);
    }
    Ok(())
}

/// Every server once a round; the columns are in the servers' order.
pub fn rounds(bench: &Bench, servers: &[Server], queries: &Path, pace: Pace) -> Result<Vec<Column>, Failure> {
    let mut columns: Vec<Column> = servers.iter().map(|_| Column::default()).collect();
    // The first queries find cold caches, empty ARP tables and sleepy processors.
    for server in servers {
        bench.programs.measure(server, queries, pace, Duration::from_secs(1))?;
    }
    for _ in 0..bench.options.rounds {
        for (server, column) in servers.iter().zip(&mut columns) {
            interrupt::sleep(Duration::from_millis(100))?;
            column.push(&bench.programs.measure(server, queries, pace, bench.options.seconds)?);
        }
    }
    Ok(columns)
}

fn print(title: &str, servers: &[Server], columns: &[Column]) {
    println!("  {title}");
    let names = servers.iter().map(|server| server.peer.name());
    let rows: Vec<_> = columns.iter().zip(names).map(|(column, name)| column.row(name)).collect();
    table::print(&HEADER, &rows);
    if let [floor, skerry, nsd, knot, ..] = columns {
        let ratio = |other: &Column| skerry.cpu.over(&other.cpu);
        println!(
            "  CPU of skerry over floor {}, over nsd {}, over knot {}",
            ratio(floor),
            ratio(nsd),
            ratio(knot)
        );
        let filtered = servers.iter().position(|server| server.peer == Peer::FloorSandboxed);
        if let Some(filtered) = filtered.and_then(|at| columns.get(at)) {
            println!(
                "  of that, what the kernel takes to check system calls: floor-filter over floor {}; skerry over \
                 floor-filter {}",
                filtered.cpu.over(&floor.cpu),
                ratio(filtered)
            );
        }
    }
}

fn judge(bench: &mut Bench, columns: &[Column]) {
    let [floor, skerry, nsd, knot, ..] = columns else { return };
    let promises = &mut bench.promises;
    let ratio = |other: &Column| skerry.cpu.over(&other.cpu).median();
    promises.note("CPU per query over the floor's", ratio(floor), Bound::AtMost(1.10));
    promises.note("CPU per query over NSD's", ratio(nsd), Bound::AtMost(0.65));
    promises.note("CPU per query over Knot's", ratio(knot), Bound::AtMost(0.90));
    promises.note("answers as expected, %", skerry.right.median(), Bound::AtLeast(99.9));
    if skerry.is_saturated() && nsd.is_saturated() {
        let over = skerry.rate.over(&nsd.rate).median();
        promises.note("queries per second over NSD's", over, Bound::AtLeast(1.5));
    } else {
        println!("  no promise on queries per second: a server's core was less than 95 % busy");
    }
}
