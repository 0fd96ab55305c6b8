//! A DNS load generator that saturates one core of a server from another core.
//!
//! Several connected UDP sockets, each with a window of outstanding queries that it keeps full; datagrams enter
//! and leave in batches. An answer counts when its ID is awaited; its header is compared with what the list
//! expects. It never sleeps: a client that has to be woken makes the server pay for waking it.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use load::batch::{Incoming, Outgoing};
use load::limits;
use load::query::{Expect, Queries};
use load::report::{Report, cpu_time};
use load::window::{UNTRACKED, Window};

const USAGE: &str = "usage: generator --server ADDR:PORT --queries FILE [--seconds N] [--count N]
    [--sockets N] [--window N] [--rate QUERIES_PER_SECOND] [--echo]
--window is per socket. --echo: the server is an echo, its answers are counted by ID alone.";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("generator: {error}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match Generator::new(&options).and_then(|mut generator| generator.run(&options)) {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generator: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    server: SocketAddr,
    queries: PathBuf,
    duration: Duration,
    count: u64,
    sockets: usize,
    window: usize,
    rate: Option<f64>,
    echo: bool,
}

impl Options {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let (mut server, mut queries) = (None, None);
        let mut options = Self {
            server: SocketAddr::from(([127, 0, 0, 1], 53)),
            queries: PathBuf::new(),
            duration: Duration::from_secs(5),
            count: u64::MAX,
            sockets: 8,
            window: 16,
            rate: None,
            echo: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("server") => server = Some(parser.value()?.parse()?),
                Long("queries") => queries = Some(parser.value()?.into()),
                Long("seconds") => options.duration = Duration::from_secs_f64(parser.value()?.parse()?),
                Long("count") => options.count = parser.value()?.parse()?,
                Long("sockets") => options.sockets = parser.value()?.parse()?,
                Long("window") => options.window = parser.value()?.parse()?,
                Long("rate") => options.rate = Some(parser.value()?.parse()?),
                Long("echo") => options.echo = true,
                other => return Err(other.unexpected()),
            }
        }
        options.server = server.ok_or("--server is missing")?;
        options.queries = queries.ok_or("--queries is missing")?;
        if !(1..=limits::SOCKETS_MAX).contains(&options.sockets) {
            return Err("--sockets is 1 to 1024".into());
        }
        if !(1..=limits::WINDOW_MAX).contains(&options.window) {
            return Err("--window is 1 to 4096".into());
        }
        Ok(options)
    }
}

struct Flow {
    socket: UdpSocket,
    window: Window,
    cursor: usize,
}

#[derive(Default)]
struct Counters {
    sent: u64,
    answered: u64,
    lost: u64,
    unexpected: u64,
    wrong: u64,
    malformed_sent: u64,
    malformed_answered: u64,
}

struct Generator {
    queries: Queries,
    flows: Vec<Flow>,
    outgoing: Outgoing,
    incoming: Incoming,
    counters: Counters,
    echo: bool,
}

impl Generator {
    fn new(options: &Options) -> Result<Self, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(&options.queries)
            .map_err(|error| format!("{}: {error}", options.queries.display()))?;
        let queries = Queries::parse(&text)?;
        let mut flows = Vec::with_capacity(options.sockets);
        for number in 0..options.sockets {
            let unspecified: SocketAddr =
                if options.server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
            let socket = UdpSocket::bind(unspecified)?;
            socket.connect(options.server)?;
            // Each flow starts elsewhere in the list, so that together they spread over all of it.
            let cursor = queries.len() / options.sockets * number;
            flows.push(Flow { socket, window: Window::new(options.window), cursor });
        }
        Ok(Self {
            queries,
            flows,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            counters: Counters::default(),
            echo: options.echo,
        })
    }

    fn run(&mut self, options: &Options) -> Result<Report, Box<dyn std::error::Error>> {
        let start = Instant::now();
        let mut next_sweep = limits::SWEEP;
        let elapsed = loop {
            let now = start.elapsed();
            let total = self.counters.sent + self.counters.malformed_sent;
            if now >= options.duration || total >= options.count {
                break now;
            }
            let allowed = options.rate.map_or(u64::MAX, |rate| (rate * now.as_secs_f64()) as u64);
            self.step(now, allowed)?;
            if now >= next_sweep {
                next_sweep = now + limits::SWEEP;
                self.give_up(now);
            }
        };
        let report = self.report(elapsed);
        self.drain(start)?;
        let outstanding: usize = self.flows.iter().map(|flow| flow.window.outstanding()).sum();
        Ok(report.with("lost", self.counters.lost + outstanding as u64))
    }

    /// One turn around the sockets: take answers, refill the window, as long as fewer than `allowed` were sent.
    fn step(&mut self, now: Duration, allowed: u64) -> std::io::Result<()> {
        for index in 0..self.flows.len() {
            self.receive(index)?;
            let sent = self.counters.sent + self.counters.malformed_sent;
            self.send(index, now, allowed.saturating_sub(sent))?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> std::io::Result<()> {
        let Self { queries, flows, incoming, counters, .. } = self;
        let flow = &mut flows[index];
        incoming.receive(&flow.socket)?;
        for answer in incoming.messages() {
            let Some(id) = answer.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else {
                counters.unexpected += 1;
                continue;
            };
            if id & UNTRACKED != 0 {
                counters.malformed_answered += 1;
            } else if let Some(query) = flow.window.answered(id) {
                counters.answered += 1;
                let met = self.echo || queries.get(query as usize).1.is_met_by(answer);
                counters.wrong += u64::from(!met);
            } else {
                counters.unexpected += 1;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, now: Duration, allowed: u64) -> std::io::Result<()> {
        let Self { queries, flows, outgoing, counters, .. } = self;
        let flow = &mut flows[index];
        let mut left = allowed;
        while left > 0 && flow.window.free() > 0 && !outgoing.is_full() {
            let (message, expect) = queries.get(flow.cursor);
            if expect == Expect::Malformed {
                outgoing.push(message, flow.window.untracked());
                counters.malformed_sent += 1;
            } else if let Some(id) = flow.window.take(flow.cursor as u32, now.as_millis() as u32) {
                outgoing.push(message, id);
                counters.sent += 1;
            }
            flow.cursor = if flow.cursor + 1 == queries.len() { 0 } else { flow.cursor + 1 };
            left -= 1;
        }
        outgoing.send(&flow.socket)?;
        Ok(())
    }

    fn give_up(&mut self, now: Duration) {
        for flow in &mut self.flows {
            self.counters.lost +=
                flow.window.give_up(now.as_millis() as u32, limits::LOSS.as_millis() as u32);
        }
    }

    /// Takes late answers until none is outstanding or the patience for a lost one is over.
    fn drain(&mut self, start: Instant) -> std::io::Result<()> {
        let end = start.elapsed() + limits::LOSS;
        while start.elapsed() < end && self.flows.iter().any(|flow| flow.window.outstanding() > 0) {
            for index in 0..self.flows.len() {
                self.receive(index)?;
            }
        }
        Ok(())
    }

    fn report(&self, elapsed: Duration) -> Report {
        let counters = &self.counters;
        Report::default()
            .with("seconds", elapsed.as_secs_f64())
            .with("cpu_seconds", cpu_time().as_secs_f64())
            .with("sent", counters.sent)
            .with("answered", counters.answered)
            .with("wrong", counters.wrong)
            .with("unexpected", counters.unexpected)
            .with("malformed_sent", counters.malformed_sent)
            .with("malformed_answered", counters.malformed_answered)
    }
}
