//! The load programs, from tests/load: built once, run in the client's namespace, their report read.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::netns::{Lab, command_in};
use super::peers::{CLIENT_CPU, SERVER_CPU, Server};
use super::{interrupt, process};
use crate::{Failure, cargo};

/// Sockets of a saturating generator, and queries outstanding on each. Together they are what can wait in front of a
/// server, and must fit its queue (500 frames of a TAP, 212 KiB of a UDP socket).
const SOCKETS: &str = "4";
/// See [`SOCKETS`].
const WINDOW: &str = "64";

/// A load program that takes longer than it was told, by this much, is stuck.
const OVERTIME: Duration = Duration::from_secs(60);

/// Where the programs are.
pub struct Programs {
    /// The least a server on a TAP can do.
    pub floor: PathBuf,
    generator: PathBuf,
    connections: PathBuf,
    first: PathBuf,
    /// What a program can write to a TAP.
    pub writer: PathBuf,
    /// HTTP connections on which nothing is asked.
    pub idlers: PathBuf,
}

/// What a load program printed: numbers by name.
#[derive(Debug, Default)]
pub struct Report(HashMap<String, f64>);

/// How hard to ask.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As fast as the server answers.
    Saturating,
    /// So many queries per second.
    Rate(u32),
}

/// How a first answer is waited for.
pub struct Start<'a> {
    /// Where it comes from.
    pub server: SocketAddr,
    /// One line of a query list.
    pub query: &'a str,
    /// Waited before each start.
    pub pause: Duration,
    /// Waited for the answer.
    pub patience: Duration,
}

/// One measurement of one server.
pub struct Measured {
    /// Answers.
    pub answered: f64,
    /// Answers per second.
    pub rate: f64,
    /// Microseconds of the server's CPU per answer.
    pub cpu: f64,
    /// Share of its processor that the server used.
    pub busy: f64,
    /// Share of the time that the server was running, or would have been if others had not had its processor.
    pub ready: f64,
    /// Share of its processor that was used at all, by the server or by others.
    pub core: f64,
    /// Queries sent, malformed ones included.
    pub sent: f64,
    /// Share of the well-formed queries that got the answer that was expected.
    pub right: f64,
}

impl Report {
    /// Reads one line of `key=value` pairs.
    fn parse(line: &str) -> Result<Self, Failure> {
        let pair = |word: &str| {
            let (key, value) = word.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        };
        let pairs: Option<HashMap<_, _>> = line.split_whitespace().map(pair).collect();
        pairs.filter(|pairs| !pairs.is_empty()).map(Self).ok_or_else(|| format!("not a report: '{line}'"))
    }

    /// The number called `key`; zero if the program does not report it.
    pub fn get(&self, key: &str) -> f64 {
        self.0.get(key).copied().unwrap_or(0.0)
    }
}

impl Programs {
    /// Builds them in release mode.
    pub fn build() -> Result<Self, Failure> {
        cargo::check(&mut cargo::cargo(&["build", "--quiet", "--release", "--package", "load"]))?;
        let target = cargo::target_directory();
        let path = |name| target.join("release").join(name);
        Ok(Self {
            floor: path("floor"),
            generator: path("generator"),
            connections: path("connections"),
            first: path("first"),
            writer: path("writer"),
            idlers: path("idlers"),
        })
    }

    fn command(&self, program: &Path) -> Command {
        command_in(Lab::CLIENT, Some(CLIENT_CPU), &program.to_string_lossy())
    }

    /// Whether the server answers a first query now.
    pub fn probe(&self, server: SocketAddr, queries: &Path) -> Result<bool, Failure> {
        let mut command = self.command(&self.generator);
        command.args(["--server", &server.to_string(), "--count", "1", "--seconds", "0.2"]);
        command.args(["--sockets", "1", "--window", "1", "--echo", "--queries"]).arg(queries);
        let report = finish(start(&mut command)?, Duration::from_secs(1))?;
        Ok(report.get("sent") > 0.0 && report.get("lost") == 0.0)
    }

    /// Asks for `duration` and reads the server's clocks around it.
    pub fn measure(
        &self,
        server: &Server,
        queries: &Path,
        pace: Pace,
        duration: Duration,
    ) -> Result<Measured, Failure> {
        let mut command = self.command(&self.generator);
        command.args(["--server", &server.address.to_string(), "--queries"]).arg(queries);
        command.args(["--seconds", &duration.as_secs_f64().to_string()]);
        match pace {
            Pace::Saturating => drop(command.args(["--sockets", SOCKETS, "--window", WINDOW])),
            Pace::Rate(rate) => drop(command.args(["--rate", &rate.to_string()])),
        }
        if server.peer.is_echo() {
            command.arg("--echo");
        }
        let before = Clocks::read(server);
        let report = finish(start(&mut command)?, duration + OVERTIME)?;
        Measured::new(&report, Clocks::read(server).since(before))
    }

    /// Opens `connections` TCP connections, then asks over a few of them; the same clocks, and the frames.
    pub fn measure_connections(
        &self,
        server: &Server,
        queries: &Path,
        connections: usize,
        duration: Duration,
        lab: &Lab,
    ) -> Result<(Measured, f64), Failure> {
        let mut command = self.command(&self.connections);
        command.args(["--server", &server.address.to_string(), "--queries"]).arg(queries);
        command.args(["--connections", &connections.to_string()]);
        command.args(["--seconds", &duration.as_secs_f64().to_string()]);
        command.stdin(Stdio::piped());
        let mut running = start(&mut command)?;
        let mut line = String::new();
        running.output.read_line(&mut line).map_err(|error| format!("connections: {error}"))?;
        if line.trim() != "ready" {
            finish(running, OVERTIME)?;
            return Err(format!("connections did not open: '{line}'"));
        }
        let (before, frames) = (Clocks::read(server), lab.frames(&server.interface)?);
        let mut input = running.child.stdin.take().expect("stdin was asked for");
        input.write_all(b"go\n").map_err(|error| format!("connections: {error}"))?;
        let report = finish(running, duration + OVERTIME)?;
        let used = Clocks::read(server).since(before);
        let frames = (lab.frames(&server.interface)? - frames) as f64;
        Ok((Measured::new(&report, used)?, frames))
    }

    /// Starts `words` `repeats` times and returns the microseconds to the first answer of each.
    pub fn first_answers(
        &self,
        first: &Start<'_>,
        repeats: usize,
        words: &[String],
    ) -> Result<Vec<f64>, Failure> {
        let mut command = command_in(Lab::CLIENT, None, &self.first.to_string_lossy());
        command.args(["--server", &first.server.to_string(), "--repeats", &repeats.to_string()]);
        command.args(["--pause", &first.pause.as_secs_f64().to_string()]);
        command.args(["--patience", &first.patience.as_secs_f64().to_string(), first.query, "--"]);
        let mut running = start(command.args(words))?;
        let mut text = String::new();
        running.output.read_to_string(&mut text).map_err(|error| format!("first: {error}"))?;
        let times: Result<Vec<f64>, Failure> =
            text.lines().map(|line| Ok(Report::parse(line)?.get("microseconds"))).collect();
        times.and_then(|times| match times.len() {
            count if count == repeats => Ok(times),
            count => Err(format!("{count} of {repeats} starts gave an answer")),
        })
    }
}

impl Measured {
    fn new(report: &Report, used: Clocks) -> Result<Self, Failure> {
        let (answered, seconds) = (report.get("answered"), report.get("seconds"));
        if answered == 0.0 || seconds == 0.0 {
            return Err(format!("no answer came: {report:?}"));
        }
        let asked = answered + report.get("lost");
        Ok(Self {
            answered,
            rate: answered / seconds,
            cpu: used.server.as_secs_f64() * 1e6 / answered,
            busy: used.server.as_secs_f64() / seconds,
            ready: (used.server + used.waited).as_secs_f64() / seconds,
            core: used.core.as_secs_f64() / seconds,
            sent: report.get("sent") + report.get("malformed_sent"),
            right: (answered - report.get("wrong")) / asked,
        })
    }
}

/// Clocks at one moment, or the difference of two.
#[derive(Clone, Copy, Default)]
struct Clocks {
    /// What the server has used so far, as [`process`] defines it.
    server: Duration,
    /// What it has waited for its processor.
    waited: Duration,
    /// What its processor was used by anybody.
    core: Duration,
}

impl Clocks {
    fn read(server: &Server) -> Self {
        Self {
            server: server.process.cpu() + process::softirq_thread(SERVER_CPU),
            waited: server.process.waited(),
            core: process::processor(SERVER_CPU),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            waited: self.waited.saturating_sub(before.waited),
            core: self.core.saturating_sub(before.core),
        }
    }
}

/// A load program and its output; killed if it is dropped before it has ended.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command) -> Result<Running, Failure> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let output = BufReader::new(child.stdout.take().expect("stdout was asked for"));
    Ok(Running { child, output })
}

fn finish(mut running: Running, patience: Duration) -> Result<Report, Failure> {
    let status = interrupt::wait_for(patience, || {
        running.child.try_wait().map_err(|error| format!("a load program: {error}"))
    })?;
    match status {
        Some(status) if status.success() => {
            let mut line = String::new();
            running.output.read_to_string(&mut line).map_err(|error| format!("a load program: {error}"))?;
            Report::parse(line.lines().last().unwrap_or_default())
        }
        Some(status) => Err(format!("a load program failed: {status}")),
        None => Err(format!("a load program did not end within {} s", patience.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_numbers_by_name() {
        let report = Report::parse("seconds=2 answered=1000 wrong=10 lost=0").unwrap();
        let used = Clocks { server: Duration::from_secs(1), ..Clocks::default() };
        let measured = Measured::new(&report, used).unwrap();
        assert_eq!((measured.rate, measured.cpu, measured.busy, measured.right), (500.0, 1000.0, 0.5, 0.99));
        assert!(Report::parse("").is_err());
        assert!(Report::parse("generator: no such file").is_err());
        let silence = Report::parse("seconds=2 answered=0").unwrap();
        assert!(Measured::new(&silence, Clocks::default()).is_err());
    }
}
