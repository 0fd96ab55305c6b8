//! Memory after millions of good and bad queries: at the end as at minute one.
//!
//! A fifth of the queries is malformed. The image says every few seconds how much memory it uses; what it says after
//! a minute, or after a tenth of the queries where that comes sooner, is compared with what it says at the end.
//! Resident memory of the process is compared too: there, pages touched for the first time count as growth.

use std::time::{Duration, Instant};

use super::image::Image;
use super::load::Pace;
use super::peers::{self, Server};
use super::table::Bound;
use super::zones::ZoneSet;
use super::{Bench, interrupt, said};
use crate::Failure;

/// One part of the run; memory is looked at between parts.
const PART: Duration = Duration::from_secs(10);

/// The first look, at the latest.
const MINUTE: Duration = Duration::from_secs(60);

/// How often the image says what it uses, in seconds.
const REPORT_SECONDS: u64 = 2;

/// Guest memory: what the image's description says.
const MEMORY_MIB: u32 = 16;

/// Growth of resident memory that is counted as none: pages that one rare path touches for the first time.
const SLACK_BYTES: f64 = 64.0 * 1024.0;

/// Memory at one moment, in bytes.
#[derive(Clone, Copy)]
struct Look {
    after: Duration,
    used: f64,
    resident: f64,
}

/// Asks until the promised number of queries is sent.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
    image.arguments.push(format!("--counters={REPORT_SECONDS}"));
    let mut server = peers::start_guest(bench, &image, &zones, "soak", 0, MEMORY_MIB)?;
    let start = Instant::now();
    let (mut sent, mut answered, mut first_look) = (0.0, 0.0, None);
    let wanted = bench.options.soak as f64;
    while sent < wanted {
        let measured = bench.programs.measure(&server, &zones.mixed, Pace::Saturating, PART)?;
        server.process.check_alive()?;
        if measured.right < 0.999 {
            return Err(format!("only {:.2} % of the answers were right", measured.right * 100.0));
        }
        (sent, answered) = (sent + measured.sent, answered + measured.answered);
        if first_look.is_none() && (start.elapsed() >= MINUTE || sent >= wanted / 10.0) {
            first_look = Some(look(&server, start)?);
        }
    }
    let last = look(&server, start)?;
    let first = first_look.unwrap_or(last);
    println!("  {sent:.0} queries sent, {answered:.0} of them well-formed and answered");
    for Look { after, used, resident } in [first, last] {
        println!("  after {:>4.0} s: {used:.0} bytes used, {resident:.0} resident", after.as_secs_f64());
    }
    let millions = sent / 1e6;
    let promises = &mut bench.promises;
    promises.note(
        format!("growth of used memory over {millions:.0} million queries, bytes"),
        last.used - first.used,
        Bound::AtMost(0.0),
    );
    promises.note(
        "growth of resident memory, bytes",
        last.resident - first.resident,
        Bound::AtMost(SLACK_BYTES),
    );
    server.stop(&bench.lab);
    Ok(())
}

/// Waits for the image's next report, and reads it.
fn look(server: &Server, start: Instant) -> Result<Look, Failure> {
    interrupt::sleep(Duration::from_secs(REPORT_SECONDS + 1))?;
    let used =
        said::memory(&server.process.printed()).ok_or("the image has not said how much memory it uses")?;
    Ok(Look { after: start.elapsed(), used, resident: server.process.resident() as f64 })
}
