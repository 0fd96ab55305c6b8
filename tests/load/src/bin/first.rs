//! From nothing to the first answer: starts a server, asks until it answers, stops it, again and again.
//!
//! The clock runs from just before the spawn to the first answer's arrival, so that the server's loader, its boot
//! and the reading of its zones are all inside. Prints one line `microseconds=` per repeat.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use load::query::Queries;
use load::report::Report;

const USAGE: &str =
    "usage: first --server ADDR:PORT [--repeats N] [--patience SECONDS] [--pause SECONDS] QUERY -- COMMAND...
QUERY is one line of a query list, as \"www.example.org A ANSWER\". --pause is waited before each start.";

/// Between two attempts. A server that is not there drops the query in silence.
const ATTEMPT: Duration = Duration::from_micros(100);

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("first: {error}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    for _ in 0..options.repeats {
        std::thread::sleep(options.pause);
        match options.measure() {
            Ok(time) => Report::default().with("microseconds", time.as_micros()).print(),
            Err(error) => {
                eprintln!("first: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

struct Options {
    server: SocketAddr,
    repeats: u32,
    patience: Duration,
    pause: Duration,
    query: Queries,
    command: Vec<String>,
}

impl Options {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let (mut server, mut query, mut command) = (None, None, Vec::new());
        let (mut repeats, mut patience, mut pause) = (1, Duration::from_secs(5), Duration::ZERO);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("server") => server = Some(parser.value()?.parse()?),
                Long("repeats") => repeats = parser.value()?.parse()?,
                Long("patience") => patience = Duration::from_secs_f64(parser.value()?.parse()?),
                Long("pause") => pause = Duration::from_secs_f64(parser.value()?.parse()?),
                Value(line) if query.is_none() => query = Some(line.string()?),
                Value(word) => command.push(word.string()?),
                other => return Err(other.unexpected()),
            }
        }
        let query = Queries::parse(&query.ok_or("QUERY is missing")?).map_err(|error| error.to_string())?;
        if command.is_empty() {
            return Err("COMMAND is missing".into());
        }
        Ok(Self { server: server.ok_or("--server is missing")?, repeats, patience, pause, query, command })
    }

    fn measure(&self) -> Result<Duration, Box<dyn std::error::Error>> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(self.server)?;
        socket.set_read_timeout(Some(ATTEMPT))?;
        let (message, expect) = self.query.get(0);
        let start = Instant::now();
        let mut server =
            Server(Command::new(&self.command[0]).args(&self.command[1..]).stdout(Stdio::null()).spawn()?);
        let mut answer = [0; 1500];
        while start.elapsed() < self.patience {
            // Refused, unreachable and a full queue all mean: not yet.
            let _ = socket.send(message);
            let received = match socket.recv(&mut answer) {
                Ok(received) => received,
                Err(error) if is_not_yet(&error) => {
                    server.check_alive()?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let time = start.elapsed();
            if !expect.is_met_by(&answer[..received]) {
                return Err("the first answer is not the expected one".into());
            }
            return Ok(time);
        }
        Err(format!("no answer within {:?}", self.patience).into())
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

/// The started server; it is gone when this is dropped.
struct Server(Child);

impl Server {
    fn check_alive(&mut self) -> Result<(), String> {
        match self.0.try_wait() {
            Ok(Some(status)) => Err(format!("the server ended before it answered: {status}")),
            _ => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
