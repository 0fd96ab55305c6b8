//! Ten thousand open TCP connections beside ten: what the number of connections costs a packet.

use super::Bench;
use super::image::Image;
use super::peers;
use super::table::{self, Bound, Samples};
use super::zones::ZoneSet;
use crate::Failure;

const FEW: usize = 10;
const MANY: usize = 10_000;

/// Guest memory. Ten thousand fit 64 MiB; those of the round before whose RST was lost are there for 30 s more.
const MEMORY_MIB: u32 = 128;

/// The same traffic over a few random connections out of few and out of many.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
    let server = peers::start_guest(bench, &image, &zones, "skerry", 0, MEMORY_MIB)?;
    let mut columns =
        [(FEW, Samples::default(), Samples::default()), (MANY, Samples::default(), Samples::default())];
    let mut rows = Vec::new();
    for _ in 0..bench.options.rounds {
        for (connections, cpu, rate) in &mut columns {
            let seconds = bench.options.seconds;
            let (measured, frames) = bench.programs.measure_connections(
                &server,
                &zones.good,
                *connections,
                seconds,
                &bench.lab,
            )?;
            cpu.push(measured.cpu * measured.answered / frames);
            rate.push(measured.rate);
            if measured.right < 1.0 {
                return Err("an answer over TCP was not the expected one".into());
            }
        }
    }
    for (connections, cpu, rate) in &columns {
        rows.push(vec![connections.to_string(), cpu.to_string(), format!("{rate:.0}")]);
    }
    table::print(&["connections", "CPU us/frame", "q/s"], &rows);
    let ratio = columns[1].1.over(&columns[0].1);
    println!("  many over few {ratio}");
    let what = format!("CPU per frame with {MANY} connections over that with {FEW}");
    bench.promises.note(what, ratio.median(), Bound::AtMost(1.2));
    server.stop(&bench.lab);
    Ok(())
}
