//! A zone signed with NSEC and with NSEC3 beside the same zone unsigned, on spt: the same questions, all with DO.
//!
//! Three guests run the same image in turns. The first two seconds, which are not counted, make all signatures: the list asks for
//! names that do not exist too, but for no more of them than are kept (services/dns/benches/signed.rs counts what others cost).

use std::time::Duration;

use super::Bench;
use super::image::Image;
use super::load::Pace;
use super::peers;
use super::speed::{Column, HEADER};
use super::table::{self, Bound};
use super::zones::ZoneSet;
use crate::Failure;

/// Thirty-two octets that are no secret.
const SEED: &str = "--dnssec-seed=YSBzZWVkIG9mIGEgYmVuY2ggaXMgbm8gc2VjcmV0ISE=";

/// A name in the table, the interface, and what the image is told.
const GUESTS: [(&str, &str, &[&str]); 3] = [
    ("unsigned", "signed0", &[]),
    ("NSEC", "signed1", &[SEED, "--dnssec-denial=nsec"]),
    ("NSEC3", "signed2", &[SEED, "--dnssec-denial=nsec3"]),
];

/// Asks the guests in turns and judges what signatures cost.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut servers = Vec::new();
    for (number, (_, tap, arguments)) in GUESTS.into_iter().enumerate() {
        let mut image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
        image.arguments.extend(arguments.iter().map(ToString::to_string));
        let memory = peers::guest_memory(&zones);
        servers.push(peers::start_guest(bench, &image, &zones, tap, 20 + number as u8, memory)?);
    }
    let mut columns = GUESTS.map(|_| Column::default());
    for server in &servers {
        bench.programs.measure(server, &zones.dnssec, Pace::Saturating, Duration::from_secs(2))?;
    }
    for _ in 0..bench.options.rounds {
        for (server, column) in servers.iter().zip(&mut columns) {
            let seconds = bench.options.seconds;
            column.push(&bench.programs.measure(server, &zones.dnssec, Pace::Saturating, seconds)?);
        }
    }
    let rows: Vec<_> = columns.iter().zip(GUESTS).map(|(column, (name, ..))| column.row(name)).collect();
    table::print(&HEADER, &rows);
    let [unsigned, signed @ ..] = &columns;
    for (column, (name, ..)) in signed.iter().zip(&GUESTS[1..]) {
        let ratio = column.cpu.over(&unsigned.cpu);
        println!("  {name} over unsigned {ratio}");
        let promises = &mut bench.promises;
        promises.note(
            format!("CPU per answer with {name} over unsigned"),
            ratio.median(),
            Bound::AtMost(1.5),
        );
        promises.note(
            format!("answers with {name} as expected, %"),
            column.right.median(),
            Bound::AtLeast(99.9),
        );
    }
    for server in servers {
        server.stop(&bench.lab);
    }
    Ok(())
}
