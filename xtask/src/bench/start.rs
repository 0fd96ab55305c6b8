//! From the tender's spawn to the first answer, and from guest entry to serving.
//!
//! The client knows the guest's Ethernet address beforehand: an address resolution that fails is repeated by Linux
//! after a second, which would be measured instead.
//!
//! The image serves after about 2 ms; on a busy machine it was seen to wait some 6 ms more for its first frame, until the
//! kernel had noticed in a worker of its own that the TAP has a program again. That is inside what is promised. What is not,
//! and printed, is a start on the interface of a guest that ended just before: the kernel takes that guest's network ring
//! apart first, and the tender waits for the interface.

use std::time::Duration;

use super::image::{GUEST_MAC, Image};
use super::load::Start;
use super::netns::Subnet;
use super::table::{Bound, Samples};
use super::zones::{ORIGIN, ZoneSet};
use super::{Bench, peers, said};
use crate::Failure;

/// Starts per run.
const REPEATS: usize = 30;

/// Between starts: longer than the kernel needs to let go of the interface.
const PAUSE: Duration = Duration::from_millis(150);

/// What has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Guest memory.
const MEMORY_MIB: u32 = 64;

/// Starts the image again and again.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
    let subnet = Subnet(0);
    bench.lab.add_tap("start", subnet)?;
    bench.lab.add_neighbour("start", subnet, GUEST_MAC)?;
    let server = format!("{}:53", subnet.server()).parse().expect("a subnet's addresses are addresses");
    let query = format!("ns1.{ORIGIN}. A ANSWER");
    let words = image.words(MEMORY_MIB, "start", subnet);
    let starts = |pause| -> Result<Samples, Failure> {
        let start = Start { server, query: &query, pause, patience: PATIENCE };
        let times = bench.programs.first_answers(&start, REPEATS, &words)?;
        Ok(times.into_iter().map(|microseconds| microseconds / 1000.0).collect())
    };
    let (starts, restarts) = (starts(PAUSE), starts(Duration::ZERO));
    bench.lab.remove_link("start");
    let (milliseconds, restarts) = (starts?, restarts?);
    println!("  {REPEATS} starts, ms: {milliseconds}; image {} bytes with its zone", image.bytes());
    println!("  the same at once after the end of the one before, ms: {restarts}");
    bench.promises.note("start to first answer, ms", milliseconds.median(), Bound::AtMost(10.0));
    inside(bench, &image, &zones)
}

/// From the image's first instruction to its sockets, as the image says: without tender, client and wire.
fn inside(bench: &mut Bench, image: &Image, zones: &ZoneSet) -> Result<(), Failure> {
    let mut milliseconds = Samples::default();
    for _ in 0..bench.options.rounds.max(5) {
        let server = peers::start_guest(bench, image, zones, "start", 0, MEMORY_MIB)?;
        let after = said::serving_after(&server.process.printed());
        server.stop(&bench.lab);
        milliseconds.push(after.ok_or("the image has not said when it was serving")? / 1000.0);
    }
    println!("  inside the guest, ms: {milliseconds}");
    bench.promises.note("guest entry to serving, ms", milliseconds.median(), Bound::AtMost(1.0));
    Ok(())
}
