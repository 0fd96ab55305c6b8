//! Memory after millions of good and bad queries: at the end as at minute one.
//!
//! A fifth of the queries is malformed. Resident memory is read after a minute, or after a tenth of the queries
//! where that comes sooner, and again at the end; the difference is growth.

use std::time::{Duration, Instant};

use super::load::Pace;
use super::peers::Peer;
use super::table::Bound;
use super::zones::ZoneSet;
use super::{Bench, interrupt};
use crate::Failure;

/// One part of the run; memory is looked at between parts.
const PART: Duration = Duration::from_secs(10);

/// The first look, at the latest.
const MINUTE: Duration = Duration::from_secs(60);

/// Growth that is counted as none: pages that one rare path touches for the first time.
const SLACK_BYTES: f64 = 64.0 * 1024.0;

/// Asks until the promised number of queries is answered.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut server = Peer::Skerry.start(bench, &zones)?;
    let start = Instant::now();
    let (mut answered, mut first_look) = (0.0, None);
    let wanted = bench.options.soak as f64;
    while answered < wanted {
        interrupt::check()?;
        let measured = bench.programs.measure(&server, &zones.mixed, Pace::Saturating, PART)?;
        server.process.check_alive()?;
        if measured.right < 0.999 {
            return Err(format!("only {:.2} % of the answers were right", measured.right * 100.0));
        }
        answered += measured.answered;
        if first_look.is_none() && (start.elapsed() >= MINUTE || answered >= wanted / 10.0) {
            first_look = Some((start.elapsed(), server.process.resident()));
        }
    }
    let end = server.process.resident();
    let (when, then) = first_look.unwrap_or((start.elapsed(), end));
    println!(
        "  {answered:.0} answers to well-formed queries in {:.0} s; resident {then} bytes after {:.0} s, {end} at the end",
        start.elapsed().as_secs_f64(),
        when.as_secs_f64()
    );
    bench.promises.note(
        format!("growth over {:.0} million queries, bytes", answered / 1e6),
        end as f64 - then as f64,
        Bound::AtMost(SLACK_BYTES),
    );
    server.stop(&bench.lab);
    Ok(())
}
