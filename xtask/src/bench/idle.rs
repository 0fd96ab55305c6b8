//! What a server costs that nobody asks: CPU, and how often it wakes.

use super::peers::Peer;
use super::table::Bound;
use super::zones::ZoneSet;
use super::{Bench, interrupt};
use crate::Failure;

/// Watches an image that serves and is left alone.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let server = Peer::Skerry.start(bench, &zones)?;
    // What follows a start or a query (a neighbour to confirm, a flow to forget) is not idleness.
    interrupt::sleep(std::time::Duration::from_secs(2))?;
    let (cpu, switches) = (server.process.cpu(), server.process.context_switches());
    interrupt::sleep(bench.options.idle)?;
    let used = server.process.cpu().saturating_sub(cpu);
    let wakes = server.process.context_switches() - switches;
    let seconds = bench.options.idle.as_secs_f64();
    let percent = used.as_secs_f64() / seconds * 100.0;
    println!("  {seconds:.0} s: {used:?} of CPU = {percent:.4} % of a core, {wakes} context switches");
    bench.promises.note("CPU when idle, % of a core", percent, Bound::AtMost(0.1));
    server.stop(&bench.lab);
    Ok(())
}
