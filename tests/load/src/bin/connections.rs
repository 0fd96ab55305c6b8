//! Many open TCP connections to a DNS server, queries over a few random ones at a time.
//!
//! Whatever the number of connections, the traffic is the same: a handful of connections is drawn, each is sent
//! one query, each answer is read. What the server pays per packet can so be compared between ten and ten
//! thousand. The program opens everything, prints `ready`, waits for a line on standard input, and only then
//! begins to ask: the caller reads the server's clocks at that moment and again when the program has ended.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use load::limits;
use load::query::{Expect, Queries};
use load::report::{Report, cpu_time};
use nix::libc::linger;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};

const USAGE: &str =
    "usage: connections --server ADDR:PORT --queries FILE [--connections N] [--active N] [--seconds N]";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("connections: {error}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match run(&options) {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("connections: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    server: SocketAddr,
    queries: PathBuf,
    connections: usize,
    active: usize,
    duration: Duration,
}

impl Options {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let (mut server, mut queries) = (None, None);
        let (mut connections, mut active, mut duration) = (10, 10, Duration::from_secs(5));
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("server") => server = Some(parser.value()?.parse()?),
                Long("queries") => queries = Some(parser.value()?.into()),
                Long("connections") => connections = parser.value()?.parse()?,
                Long("active") => active = parser.value()?.parse()?,
                Long("seconds") => duration = Duration::from_secs_f64(parser.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        if !(1..=limits::CONNECTIONS_MAX).contains(&connections) || !(1..=connections).contains(&active) {
            return Err("--connections is 1 to 28000, --active 1 to that".into());
        }
        let server = server.ok_or("--server is missing")?;
        let queries = queries.ok_or("--queries is missing")?;
        Ok(Self { server, queries, connections, active, duration })
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(options: &Options) -> Result<Report, Failure> {
    let text = std::fs::read_to_string(&options.queries)
        .map_err(|error| format!("{}: {error}", options.queries.display()))?;
    let queries = Queries::parse(&text)?;
    raise_descriptor_limit(options.connections)?;
    let opening = Instant::now();
    let mut connections = open(options)?;
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    let opened = opening.elapsed();

    let mut traffic = Traffic { queries, cursor: 0, random: Xorshift(0x9e37_79b9_7f4a_7c15), wrong: 0 };
    let (start, mut answered) = (Instant::now(), 0);
    while start.elapsed() < options.duration {
        answered += traffic.round(&mut connections, options.active)?;
    }
    Ok(Report::default()
        .with("seconds", start.elapsed().as_secs_f64())
        .with("cpu_seconds", cpu_time().as_secs_f64())
        .with("connections", connections.len())
        .with("opening_seconds", opened.as_secs_f64())
        .with("answered", answered)
        .with("wrong", traffic.wrong))
}

fn raise_descriptor_limit(connections: usize) -> Result<(), Failure> {
    let wanted = connections as u64 + 64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
            .map_err(|error| format!("{wanted} open files are needed (ulimit -n): {error}"))?;
    }
    Ok(())
}

fn open(options: &Options) -> Result<Vec<TcpStream>, Failure> {
    let mut connections = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let stream = TcpStream::connect_timeout(&options.server, limits::TCP_PATIENCE)
            .map_err(|error| format!("connection {} of {}: {error}", number + 1, options.connections))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits::TCP_PATIENCE))?;
        stream.set_write_timeout(Some(limits::TCP_PATIENCE))?;
        // They end with a RST: in TIME-WAIT the ports of three rounds would be more than there are.
        setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        connections.push(stream);
    }
    Ok(connections)
}

struct Traffic {
    queries: Queries,
    cursor: usize,
    random: Xorshift,
    wrong: u64,
}

impl Traffic {
    /// One query each over `active` connections drawn at random, then one answer each.
    fn round(&mut self, connections: &mut [TcpStream], active: usize) -> Result<u64, Failure> {
        // The drawn ones are moved to the front, so that none is drawn twice.
        for place in 0..active {
            let drawn = place + self.random.below(connections.len() - place);
            connections.swap(place, drawn);
        }
        let mut expected = [Expect::Answer; 64];
        for chunk in connections[..active].chunks_mut(expected.len()) {
            for (stream, expect) in chunk.iter_mut().zip(&mut expected) {
                *expect = self.ask(stream)?;
            }
            for (stream, expect) in chunk.iter_mut().zip(expected) {
                self.wrong += u64::from(!read_answer(stream, expect)?);
            }
        }
        Ok(active as u64)
    }

    fn ask(&mut self, stream: &mut TcpStream) -> Result<Expect, Failure> {
        for _ in 0..self.queries.len() {
            self.cursor = if self.cursor + 1 == self.queries.len() { 0 } else { self.cursor + 1 };
            let (message, expect) = self.queries.get(self.cursor);
            if expect == Expect::Malformed {
                continue;
            }
            // RFC 1035 §4.2.2: two bytes of length before the message, in one segment (RFC 7766 §8).
            let mut framed = [0; limits::QUERY_BYTES + 2];
            framed[..2].copy_from_slice(&(message.len() as u16).to_be_bytes());
            framed[2..][..message.len()].copy_from_slice(message);
            stream.write_all(&framed[..message.len() + 2])?;
            return Ok(expect);
        }
        Err("no well-formed query in the list".into())
    }
}

fn read_answer(stream: &mut TcpStream, expect: Expect) -> Result<bool, Failure> {
    let mut answer = [0; limits::ANSWER_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut answer[filled..])?;
        if read == 0 {
            return Err("the server closed a connection, or an answer is larger than a segment".into());
        }
        filled += read;
        if let [high, low, message @ ..] = &answer[..filled]
            && message.len() >= usize::from(u16::from_be_bytes([*high, *low]))
        {
            return Ok(expect.is_met_by(message));
        }
    }
}

/// Marsaglia's xorshift64: draws that repeat from run to run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
