//! A million records beside a thousand: what the size of the zone costs a query.

use std::time::Duration;

use super::Bench;
use super::image::Image;
use super::load::Pace;
use super::peers;
use super::speed::{Column, HEADER};
use super::table::{self, Bound};
use super::zones::ZoneSet;
use crate::Failure;

/// Runs the image with both zones at once and asks them in turns.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let sizes = [1000, bench.options.records];
    let mut servers = Vec::new();
    for (number, records) in sizes.into_iter().enumerate() {
        let zones = ZoneSet::generate(&bench.lab.directory, records)?;
        let image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
        let (tap, memory) = (format!("scale{number}"), peers::guest_memory(&zones));
        servers.push((peers::start_guest(bench, &image, &zones, &tap, number as u8 * 10, memory)?, zones));
    }
    let mut columns = [Column::default(), Column::default()];
    for (server, zones) in &servers {
        bench.programs.measure(server, &zones.good, Pace::Saturating, Duration::from_secs(1))?;
    }
    for _ in 0..bench.options.rounds {
        for ((server, zones), column) in servers.iter().zip(&mut columns) {
            let seconds = bench.options.seconds;
            column.push(&bench.programs.measure(server, &zones.good, Pace::Saturating, seconds)?);
        }
    }
    let rows: Vec<_> = columns
        .iter()
        .zip(sizes)
        .map(|(column, records)| column.row(&format!("{records} records")))
        .collect();
    table::print(&HEADER, &rows);
    let ratio = columns[1].cpu.over(&columns[0].cpu);
    println!("  large over small {ratio}");
    let what = format!("CPU per query at {} records over that at 1000", sizes[1]);
    bench.promises.note(what, ratio.median(), Bound::AtMost(1.3));
    bench.promises.note(
        "answers as expected at that size, %",
        columns[1].right.median(),
        Bound::AtLeast(99.9),
    );
    for (server, _) in servers {
        server.stop(&bench.lab);
    }
    Ok(())
}
