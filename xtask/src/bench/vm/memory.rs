//! The smallest machine that serves, and what the host has resident for it and for one of ample size.
//!
//! *QEMU alone* is the same machine that was never started (`-S`, no kernel): what QEMU takes for itself. Emulation adds the
//! translated code, which grows with what the guest runs. *Guest* is the resident part of the one mapping that is the
//! machine's memory, whatever QEMU takes. All are read after a second of queries.

use std::time::Duration;

use super::System;
use super::system::Guest;
use crate::Failure;
use crate::bench::load::Pace;
use crate::bench::peers::Server;
use crate::bench::table::{self, Bound, Samples};
use crate::bench::zones::ZoneSet;
use crate::bench::{Bench, interrupt};

/// No machine is smaller, and none is tried that is larger, MiB.
const SEARCHED_MIB: (u32, u32) = (1, 256);

/// So many times in a row a size has to serve.
const STEADY: usize = 5;

/// Answers that have to be right for a size to count, in percent.
const RIGHT: f64 = 99.9;

const MIB: f64 = (1 << 20) as f64;

/// What the rounds gave for one size of one system, MiB.
#[derive(Default)]
struct Resident {
    rss: Samples,
    pss: Samples,
    beyond: Samples,
    guest: Samples,
}

/// Searches, then measures in turns.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut guests = Vec::new();
    let mut smallest = Vec::new();
    for system in System::BOTH {
        let guest = Guest::build(bench, system, &zones)?;
        let memory = search(bench, &guest, &zones)?;
        println!("  smallest -m that serves, {}: {memory} MiB", system.name());
        smallest.push(memory);
        guests.push(guest);
    }
    let sizes: Vec<(usize, u32)> = vec![
        (0, smallest[0]),
        (1, smallest[1]),
        (0, guests[0].system.ample_mib()),
        (1, guests[1].system.ample_mib()),
    ];
    let mut columns: Vec<Resident> = sizes.iter().map(|_| Resident::default()).collect();
    for _ in 0..bench.options.rounds {
        for (&(guest, memory), column) in sizes.iter().zip(&mut columns) {
            resident(bench, &guests[guest], &zones, memory, column)?;
        }
    }
    print(&guests, &sizes, &columns);
    let promises = &mut bench.promises;
    let ratio = f64::from(smallest[0]) / f64::from(smallest[1]);
    promises.note("smallest -m over the Linux VM's", ratio, Bound::AtMost(1.0 / 25.0));
    let over =
        |quantity: fn(&Resident) -> &Samples| quantity(&columns[0]).over(quantity(&columns[1])).median();
    promises.note(
        "guest memory resident over the Linux VM's",
        over(|it| &it.guest),
        Bound::AtMost(1.0 / 25.0),
    );
    promises.note(
        "host memory beyond QEMU alone over the Linux VM's",
        over(|it| &it.beyond),
        Bound::AtMost(1.0 / 25.0),
    );
    promises.note(
        "host memory with QEMU's over the Linux VM's",
        over(|it| &it.pss),
        Bound::AtMost(1.0 / 25.0),
    );
    Ok(())
}

fn print(guests: &[Guest], sizes: &[(usize, u32)], columns: &[Resident]) {
    let rows: Vec<Vec<String>> = sizes
        .iter()
        .zip(columns)
        .map(|((guest, memory), column)| {
            let Resident { rss, pss, beyond, guest: ram } = column;
            let name = format!("{} -m {memory}", guests[*guest].system.name());
            let cells = [rss, pss, beyond, ram].map(|samples| format!("{samples:.1}"));
            std::iter::once(name).chain(cells).collect()
        })
        .collect();
    table::print(&["MiB", "RSS of QEMU", "PSS of QEMU", "PSS beyond QEMU alone", "guest's own"], &rows);
}

/// By halves: what serves with less than a size that does not was not seen. Then upwards to a size that serves every time: close
/// to its end a system is killed now and not then.
fn search(bench: &Bench, guest: &Guest, zones: &ZoneSet) -> Result<u32, Failure> {
    let serves = |memory| {
        interrupt::check()?;
        let right = guest.start(bench, zones, memory).and_then(|server| ask(bench, server, zones, |_| ()));
        Ok::<bool, Failure>(right.is_ok())
    };
    let (mut too_small, mut enough) = SEARCHED_MIB;
    while enough - too_small > 1 {
        let memory = too_small.midpoint(enough);
        if serves(memory)? { enough = memory } else { too_small = memory }
    }
    for memory in enough..=SEARCHED_MIB.1 {
        let mut steady = true;
        for _ in 0..STEADY {
            steady = steady && serves(memory)?;
        }
        if steady {
            return Ok(memory);
        }
    }
    Err(format!("{} serves in no size up to {} MiB", guest.system.name(), SEARCHED_MIB.1))
}

/// One second of queries, then `look`, then the end. An error where not every answer was right.
fn ask<T>(bench: &Bench, server: Server, zones: &ZoneSet, look: impl Fn(&Server) -> T) -> Result<T, Failure> {
    let measured = bench.programs.measure(&server, &zones.good, Pace::Saturating, Duration::from_secs(1));
    let seen = look(&server);
    server.stop(&bench.lab);
    match measured? {
        measured if measured.right * 100.0 >= RIGHT => Ok(seen),
        measured => Err(format!("{:.1} % of the answers were right", measured.right * 100.0)),
    }
}

fn resident(
    bench: &Bench,
    guest: &Guest,
    zones: &ZoneSet,
    memory: u32,
    into: &mut Resident,
) -> Result<(), Failure> {
    let alone = alone(bench, guest, memory)?;
    let look = |server: &Server| {
        let process = &server.process;
        (
            process.resident() as f64,
            process.proportional() as f64,
            process.mapping(u64::from(memory) << 20) as f64,
        )
    };
    let attempt = || guest.start(bench, zones, memory).and_then(|server| ask(bench, server, zones, look));
    let mut seen = attempt();
    for _ in 1..STEADY {
        // Others' work on the machine may cost a second its answers, and a size at its end its server.
        interrupt::check()?;
        if seen.is_err() {
            seen = attempt();
        }
    }
    let (rss, pss, own) = seen?;
    into.rss.push(rss / MIB);
    into.pss.push(pss / MIB);
    into.beyond.push((pss - alone) / MIB);
    into.guest.push(own / MIB);
    Ok(())
}

/// Bytes of a QEMU that was not told to run anything.
fn alone(bench: &Bench, guest: &Guest, memory: u32) -> Result<f64, Failure> {
    guest.add_tap(bench)?;
    let mut words = guest.bare_words(memory);
    words.push("-S".into());
    let mut process = guest.spawn(bench, &words)?;
    interrupt::sleep(Duration::from_secs(1))?;
    process.check_alive()?;
    let bytes = process.proportional() as f64;
    drop(process);
    bench.lab.remove_link(guest.system.name());
    Ok(bytes)
}
