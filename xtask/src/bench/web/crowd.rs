//! Ten thousand connections on which nobody asks anything, in a small guest: what somebody else's requests cost beside them.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use super::requests::{GUEST, ask};
use super::servers::{Peer, Server};
use super::site::{SMALL, Site};
use crate::Failure;
use crate::bench::Bench;
use crate::bench::image::Image;
use crate::bench::netns::{Lab, command_in};
use crate::bench::peers::CLIENT_CPU;
use crate::bench::table::{self, Bound, Samples};

/// Idle connections beside which the same is asked.
const CROWDS: [usize; 3] = [10, 1_000, 10_000];
/// Until they have given back what they do not need.
const PAUSE: Duration = Duration::from_secs(3);

/// Few, more, many.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let site = Site::create(&bench.lab.directory, false)?;
    let image = Image::of_package("web")?;
    let mut costs = CROWDS.map(|_| Samples::default());
    let mut kept = CROWDS.map(|_| Samples::default());
    for _ in 0..bench.options.rounds {
        for (index, crowd) in CROWDS.into_iter().enumerate() {
            let server = Server::start(Peer::Image(GUEST), bench, &image, &site)?;
            let measured = beside(bench, &server, crowd);
            server.stop(&bench.lab);
            let (cost, still) = measured?;
            costs[index].push(cost);
            kept[index].push(still);
        }
    }
    let rows: Vec<Vec<String>> = (0..CROWDS.len())
        .map(|index| vec![CROWDS[index].to_string(), costs[index].to_string(), format!("{:.0}", kept[index])])
        .collect();
    table::print(&["idle connections", "CPU us a request", "answered afterwards"], &rows);
    let [few, _, many] = &costs;
    let ratio = many.over(few).median();
    bench.promises.note("CPU a request beside 10 000 idle over beside 10", ratio, Bound::AtMost(1.1));
    bench.promises.note("idle connections answered afterwards", kept[2].median(), Bound::AtLeast(10_000.0));
    Ok(())
}

/// Microseconds of CPU a request beside `crowd` idle connections, and how many of these were answered afterwards.
fn beside(bench: &Bench, server: &Server, crowd: usize) -> Result<(f64, f64), Failure> {
    let mut command = command_in(Lab::CLIENT, Some(CLIENT_CPU), &bench.programs.idlers.to_string_lossy());
    command.args(["--server", &format!("{}:80", server.subnet.server()), "--path", &format!("/{SMALL}")]);
    command.args(["--connections", &crowd.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start the idlers: {error}"))?;
    let input = child.stdin.take();
    let mut output = BufReader::new(child.stdout.take().expect("stdout was asked for"));
    let mut line = String::new();
    output.read_line(&mut line).map_err(|error| format!("idlers: {error}"))?;
    if line.trim() != "ready" {
        let _ = child.wait();
        return Err(format!("the idle connections did not open: {}", server.process.printed()));
    }
    std::thread::sleep(PAUSE);
    let measured = ask(bench, server, "http", bench.options.seconds);
    drop(input);
    let mut text = String::new();
    output.read_to_string(&mut text).map_err(|error| format!("idlers: {error}"))?;
    let _ = child.wait();
    let (answered, _, used) = measured?;
    let kept = text.trim().strip_prefix("kept=").and_then(|number| number.parse().ok()).unwrap_or(0.0);
    Ok((used.server.as_secs_f64() * 1e6 / answered, kept))
}
