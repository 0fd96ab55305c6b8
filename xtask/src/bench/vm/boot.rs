//! From starting QEMU to the first right answer, both systems in turns.

use super::System;
use super::system::{Guest, PATIENCE};
use crate::Failure;
use crate::bench::load::Start;
use crate::bench::table::{self, Bound, Samples};
use crate::bench::zones::{ORIGIN, ZoneSet};
use crate::bench::{Bench, peers, said};

/// Starts both again and again.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let query = format!("ns1.{ORIGIN}. A ANSWER");
    let mut guests = Vec::new();
    for system in System::BOTH {
        guests.push((Guest::build(bench, system, &zones)?, Samples::default()));
    }
    for _ in 0..bench.options.rounds {
        for (guest, times) in &mut guests {
            guest.add_tap(bench)?;
            let words = guest.words(guest.system.ample_mib());
            let server = peers::address(guest.system.subnet());
            let start = Start { server, query: &query, pause: std::time::Duration::ZERO, patience: PATIENCE };
            for microseconds in bench.programs.first_answers(&start, 1, &words)? {
                times.push(microseconds / 1000.0);
            }
            bench.lab.remove_link(guest.system.name());
        }
    }
    let inside = inside(bench, &guests[0].0, &zones)?;
    let rows: Vec<_> =
        guests.iter().map(|(guest, times)| vec![guest.system.name().into(), format!("{times:.0}")]).collect();
    table::print(&["system", "ms"], &rows);
    println!("  of skerry-vm's, inside the image until it serves, ms: {inside:.1}; the rest is QEMU's");
    let [(_, skerry), (_, linux)] = &guests[..] else { return Ok(()) };
    let promises = &mut bench.promises;
    promises.note("boot to first answer, ms", skerry.median(), Bound::AtMost(1000.0));
    promises.note(
        "boot to first answer over the Linux VM's",
        skerry.over(linux).median(),
        Bound::AtMost(1.0 / 50.0),
    );
    Ok(())
}

/// From the image's first instruction to its sockets, as the image says.
fn inside(bench: &Bench, guest: &Guest, zones: &ZoneSet) -> Result<Samples, Failure> {
    let mut milliseconds = Samples::default();
    for _ in 0..bench.options.rounds {
        let server = guest.start(bench, zones, guest.system.ample_mib())?;
        let after = said::serving_after(&server.process.printed());
        server.stop(&bench.lab);
        milliseconds.push(after.ok_or("the image has not said when it was serving")? / 1000.0);
    }
    Ok(milliseconds)
}
