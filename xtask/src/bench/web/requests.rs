//! Many requests for a small page, by wrk, over connections that are kept.

use std::time::{Duration, Instant};

use super::servers::{Clocks, Guest, Peer, Server};
use super::site::{SMALL, Site};
use crate::Failure;
use crate::bench::Bench;
use crate::bench::image::Image;
use crate::bench::netns::{Lab, command_in};
use crate::bench::peers::CLIENT_CPU;
use crate::bench::table::{self, Bound, Samples};

/// Connections of the generator.
const CONNECTIONS: &str = "64";
/// Seconds before each measurement: connections are opened, and buffers warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// A core is busy from this part of the time on.
const BUSY: f64 = 0.95;

/// What is asked over the wire.
pub const GUEST: Guest = Guest { tender: &[], memory: 64 };

/// What was measured of one server.
#[derive(Default)]
struct Column {
    rate: Samples,
    cpu: Samples,
    busy: Samples,
}

/// In the clear.
pub fn clear(bench: &mut Bench) -> Result<(), Failure> {
    compare(bench, "http", 0.75, 1.5)
}

/// Over TLS.
pub fn encrypted(bench: &mut Bench) -> Result<(), Failure> {
    compare(bench, "https", 0.9, 1.2)
}

fn compare(bench: &mut Bench, scheme: &str, cpu: f64, rate: f64) -> Result<(), Failure> {
    let site = Site::create(&bench.lab.directory, false)?;
    let image = Image::of_package("web")?;
    let (mut ours, mut theirs) = (Column::default(), Column::default());
    for _ in 0..bench.options.rounds {
        for (peer, column) in [(Peer::Image(GUEST), &mut ours), (Peer::Nginx, &mut theirs)] {
            let server = Server::start(peer, bench, &image, &site)?;
            let measured = ask(bench, &server, scheme, WARM_UP)
                .and_then(|_| ask(bench, &server, scheme, bench.options.seconds));
            server.stop(&bench.lab);
            let (answered, seconds, used) = measured?;
            column.rate.push(answered / seconds);
            column.cpu.push(used.server.as_secs_f64() * 1e6 / answered);
            column.busy.push(used.core.as_secs_f64() / seconds);
        }
    }
    let row = |name: &str, column: &Column| {
        vec![
            name.into(),
            format!("{}", column.cpu),
            format!("{:.0}", column.rate),
            format!("{}", column.busy),
        ]
    };
    table::print(
        &[scheme, "CPU us a request", "requests/s", "core busy"],
        &[row("image", &ours), row("nginx", &theirs)],
    );
    let what = |what: &str| format!("{scheme}: {what} over nginx's");
    bench.promises.note(what("CPU a request"), ours.cpu.over(&theirs.cpu).median(), Bound::AtMost(cpu));
    if ours.busy.median() >= BUSY && theirs.busy.median() >= BUSY {
        bench.promises.note(what("requests/s"), ours.rate.over(&theirs.rate).median(), Bound::AtLeast(rate));
    } else {
        println!("  the rates are the generator's: a core was less than {BUSY} busy");
    }
    Ok(())
}

/// Asks for `duration`: answers, seconds, and what the server used.
pub fn ask(
    bench: &Bench,
    server: &Server,
    scheme: &str,
    duration: Duration,
) -> Result<(f64, f64, Clocks), Failure> {
    let url = format!("{scheme}://{}/{SMALL}", server.subnet.server());
    let mut wrk = command_in(Lab::CLIENT, Some(CLIENT_CPU), "wrk");
    let seconds = duration.as_secs_f64().ceil().to_string();
    wrk.current_dir(&bench.lab.directory).args(["-t1", "-c", CONNECTIONS, "-d", &seconds, &url]);
    let (before, start) = (server.clocks(), Instant::now());
    let output =
        wrk.output().map_err(|error| format!("cannot start wrk: {error}; sudo apt-get install wrk"))?;
    let (used, seconds) = (server.clocks().since(before), start.elapsed().as_secs_f64());
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
    if let Some(failed) = failed {
        return Err(format!("wrk: {}", failed.trim()));
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let answered: f64 =
        requests.and_then(|(number, _)| number.parse().ok()).ok_or(format!("wrk said: {text}"))?;
    Ok((answered, seconds, used))
}
