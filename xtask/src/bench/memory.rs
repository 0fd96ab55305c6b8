//! What records cost in memory: a thousand in the smallest guest, a million within 300 bytes each.

use std::time::Duration;

use super::Bench;
use super::image::Image;
use super::load::Pace;
use super::peers::{self, Server};
use super::said;
use super::table::Bound;
use super::zones::ZoneSet;
use crate::Failure;

/// Guest memory in which a thousand records are served.
const SMALL_MIB: u32 = 8;

/// Bytes that a record may cost, all in all.
const BYTES_PER_RECORD: usize = 300;

/// Serves both zones in what they are promised to fit in.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let Served { right, .. } = serve(bench, 1000, SMALL_MIB)?;
    println!("  1000 records, --mem={SMALL_MIB}: {right:.2} % of the answers as expected");
    bench.promises.note(
        format!("answers with 1000 records in {SMALL_MIB} MiB, %"),
        right,
        Bound::AtLeast(99.9),
    );

    let records = bench.options.records;
    let room = SMALL_MIB + (records * BYTES_PER_RECORD).div_ceil(1 << 20) as u32;
    let Served { right, resident, zone } = serve(bench, records, room)?;
    let (each, resident) = (zone / records as f64, resident / records as f64);
    println!(
        "  {records} records, --mem={room}: {right:.2} % as expected; bytes per record: {each:.0} of the zone, as the \
         image says, {resident:.0} resident with everything else"
    );
    bench.promises.note(
        format!("answers with {records} records in {room} MiB, %"),
        right,
        Bound::AtLeast(99.9),
    );
    bench.promises.note("bytes per record", each, Bound::AtMost(BYTES_PER_RECORD as f64));
    bench.promises.note("bytes resident per record", resident, Bound::AtMost(BYTES_PER_RECORD as f64));
    Ok(())
}

/// What came of serving a zone.
struct Served {
    /// Share of right answers, in percent.
    right: f64,
    /// Resident bytes of tender and guest.
    resident: f64,
    /// Bytes that the zone takes, as the image says.
    zone: f64,
}

fn serve(bench: &Bench, records: usize, memory: u32) -> Result<Served, Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, records)?;
    let image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
    let server: Server = peers::start_guest(bench, &image, &zones, "memory", 0, memory)
        .map_err(|failure| format!("{records} records in {memory} MiB: {failure}"))?;
    let measured = bench.programs.measure(&server, &zones.good, Pace::Saturating, Duration::from_secs(2))?;
    let resident = server.process.resident() as f64;
    let zone = said::zone_octets(&server.process.printed()).unwrap_or(f64::NAN);
    server.stop(&bench.lab);
    Ok(Served { right: measured.right * 100.0, resident, zone })
}
