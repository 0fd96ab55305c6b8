//! Large files over one connection by curl; and as a bound what a program can write to a TAP.

use std::time::{Duration, Instant};

use super::servers::{Guest, Peer, Server};
use super::site::{LARGE, LARGE_BYTES, Site};
use crate::Failure;
use crate::bench::Bench;
use crate::bench::image::Image;
use crate::bench::netns::{Lab, Subnet, command_in};
use crate::bench::peers::{CLIENT_CPU, SERVER_CPU};
use crate::bench::table::{self, Bound, Samples};

/// The file is there packed and as it is served.
const MEMORY_MIB: u32 = 512;
/// Downloads of one server in a row, of which the fastest counts.
const REPEATS: usize = 3;

const OFFLOADED: Peer = Peer::Image(Guest { tender: &[], memory: MEMORY_MIB });
/// As any tender of Solo5 has it.
const PLAIN: Peer = Peer::Image(Guest { tender: &["--no-ring", "--no-offload"], memory: MEMORY_MIB });
const RING: Peer = Peer::Image(Guest { tender: &["--no-offload"], memory: MEMORY_MIB });

/// Downloads from each, in turns.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let site = Site::create(&bench.lab.directory, true)?;
    let image = Image::of_package("web")?;
    let peers = [
        ("image, offload", OFFLOADED),
        ("image, ring", RING),
        ("image, plain", PLAIN),
        ("nginx", Peer::Nginx),
    ];
    let mut rates = peers.map(|_| (Samples::default(), Samples::default()));
    let mut writer = Samples::default();
    for _ in 0..bench.options.rounds {
        for ((_, peer), (rate, cpu)) in peers.iter().zip(&mut rates) {
            let server = Server::start(*peer, bench, &image, &site)?;
            let measured = download(&server);
            server.stop(&bench.lab);
            let (seconds, used) = measured?;
            rate.push(mebibytes(seconds));
            cpu.push(used.as_secs_f64() * 1e3);
        }
        writer.push(mebibytes(write_to_tap(bench)?));
    }
    let mut rows: Vec<Vec<String>> = peers
        .iter()
        .zip(&rates)
        .map(|((name, _), (rate, cpu))| vec![(*name).into(), format!("{rate:.0}"), format!("{cpu:.0}")])
        .collect();
    rows.push(vec!["write() to a TAP".into(), format!("{writer:.0}"), String::new()]);
    table::print(&["64 MiB", "MiB/s", "server's CPU ms"], &rows);
    let [(offloaded, _), _, (plain, _), (nginx, _)] = &rates;
    let (to_nginx, to_writer) = (offloaded.over(nginx).median(), plain.over(&writer).median());
    bench.promises.note("download with offload over nginx's", to_nginx, Bound::AtLeast(0.8));
    bench.promises.note("download on plain Solo5 over write()", to_writer, Bound::AtLeast(0.9));
    Ok(())
}

fn mebibytes(seconds: f64) -> f64 {
    LARGE_BYTES as f64 / f64::from(1 << 20) / seconds
}

/// The fastest of some downloads in seconds, and the server's CPU.
fn download(server: &Server) -> Result<(f64, Duration), Failure> {
    let urls = LARGE.map(|name| format!("http://{}/{name}", server.subnet.server()));
    let mut best = (f64::INFINITY, Duration::ZERO);
    for _ in 0..REPEATS {
        let mut curl = command_in(Lab::CLIENT, Some(CLIENT_CPU), "curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
        curl.args(["--write-out", "%{size_download} %{time_total}\\n"]);
        for url in &urls {
            curl.args(["--output", "/dev/null", url]);
        }
        let before = server.clocks();
        let output = curl.output().map_err(|error| format!("cannot start curl: {error}"))?;
        let used = server.clocks().since(before).server;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let size: f64 = numbers.iter().step_by(2).sum();
        let seconds: f64 = numbers.iter().skip(1).step_by(2).sum();
        if size as usize != LARGE_BYTES {
            return Err(format!("curl: {text} {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        if seconds < best.0 {
            best = (seconds, used);
        }
    }
    Ok(best)
}

/// Seconds in which a program writes as many bytes of data, in frames of the usual size, to somebody who takes and drops them.
fn write_to_tap(bench: &Bench) -> Result<f64, Failure> {
    let (subnet, interface) = (Subnet(0), "writer");
    bench.lab.add_tap(interface, subnet)?;
    let mut command = command_in(Lab::CLIENT, Some(SERVER_CPU), &bench.programs.writer.to_string_lossy());
    command.args(["--tap", interface, "--source", &subnet.server(), "--destination", &subnet.client()]);
    command.args(["--bytes", &LARGE_BYTES.to_string()]);
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("cannot start the writer: {error}"))?;
    let elapsed = start.elapsed();
    bench.lab.remove_link(interface);
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = text.trim().strip_prefix("seconds=").and_then(|number| number.parse().ok());
    seconds
        .filter(|seconds| *seconds <= elapsed.as_secs_f64())
        .ok_or_else(|| format!("the writer: {text}{}", String::from_utf8_lossy(&output.stderr).trim()))
}
