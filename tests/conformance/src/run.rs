//! One run: zones, servers, queries, and a report for each of our servers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::ask::Server;
use crate::compare::{Outcome, differences};
use crate::explain::{self, Case};
use crate::generate::{ZoneFile, zones};
use crate::image::Image;
use crate::peers::{self, Kind, Peer};
use crate::questions::{Question, questions};
use crate::reply::parse;
use crate::server;

/// Queries on one connection at most, one behind the other.
const QUERIES_PER_CONNECTION: usize = 7;

/// Between two malformed queries to NSD, which answers 100 of them in a second (`ERROR_RATELIMIT` in its query.c).
const PAUSE: Duration = Duration::from_millis(11);

/// Until NSD counts from zero again.
const NEW_COUNT: Duration = Duration::from_secs(1);

/// A zone that all servers have.
const COMMON_ZONE: &str = "edge.test";

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of zones and queries.
    pub seed: u64,
    /// Queries made at random, beside those about every hand-written name.
    pub queries: usize,
    /// Our core behind sockets of this process, not the images.
    pub core: bool,
    /// Differences that a report shows in full; of the rest it says how many.
    pub show: usize,
    /// Only write the zone files into this folder.
    pub write_zones: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { seed: 1, queries: 5000, core: false, show: 20, write_zones: None }
    }
}

/// What came out for one of our servers.
#[derive(Debug, Default)]
pub struct Report {
    subject: String,
    comparisons: usize,
    equal: usize,
    explained: BTreeMap<String, usize>,
    unexplained: Vec<String>,
    show: usize,
}

impl Report {
    /// Differences without a reason.
    pub fn unexplained(&self) -> usize {
        self.unexplained.len()
    }

    fn compare(&mut self, question: &Question, ours: &Outcome, theirs: &[(Kind, &Outcome)]) {
        let mut found = Vec::new();
        for (kind, theirs) in theirs {
            let rest = explain::without_servers(*kind, ours, theirs);
            found.push(differences(ours, rest.as_ref().unwrap_or(theirs)));
            if rest.is_some() {
                *self.explained.entry(format!("{kind:?}: {}", explain::NO_SERVERS)).or_default() += 1;
            }
        }
        for (number, (kind, theirs_now)) in theirs.iter().enumerate() {
            self.comparisons += 1;
            self.equal += usize::from(found[number].is_empty());
            for difference in &found[number] {
                let disagrees = |other: usize| {
                    let (kind, theirs) = theirs[other];
                    let differs = found[other].iter().any(|found| found.is_like(difference));
                    differs && !explain::is_beside_the_point(kind, question, theirs)
                };
                let backed = !(0..theirs.len()).any(|other| other != number && disagrees(other));
                let case = Case { kind: *kind, question, ours, theirs: theirs_now, difference, backed };
                self.judge(&case);
            }
        }
    }

    fn judge(&mut self, case: &Case<'_>) {
        let Case { kind, question, ours, theirs, difference, .. } = case;
        match explain::reason(case) {
            Some(rule) => *self.explained.entry(format!("{kind:?}: {}", rule.reason)).or_default() += 1,
            None => self.unexplained.push(format!(
                "{kind:?} {} {}\n  {difference:?}\n  query  {}\n  ours   {ours:?}\n  theirs {theirs:?}",
                if question.tcp { "TCP" } else { "UDP" },
                question.text,
                question.octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>(),
            )),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in self.unexplained.iter().take(self.show) {
            writeln!(f, "{difference}")?;
        }
        for (reason, count) in &self.explained {
            writeln!(f, "  {count:6} × {reason}")?;
        }
        let explained: usize = self.explained.values().sum();
        let Self { subject, comparisons, equal, unexplained, .. } = self;
        writeln!(
            f,
            "{subject}: {comparisons} comparisons, {equal} equal, {explained} differences explained, {} unexplained",
            unexplained.len()
        )
    }
}

/// Runs the comparison with both peers, for each of our servers; tells `done` of each.
pub fn run(options: &Options, mut done: impl FnMut(&Report)) -> Result<(), String> {
    let zones = zones(options.seed).map_err(|error| format!("cannot read the zones: {error}"))?;
    if let Some(folder) = &options.write_zones {
        return write(&zones, folder).map_err(|error| format!("{}: {error}", folder.display()));
    }
    let questions = questions(&zones, options.queries, options.seed);
    let (nsd, knot) = (peers::start(Kind::Nsd, &zones)?, peers::start(Kind::Knot, &zones)?);
    let theirs = [(Kind::Nsd, ask_peer(&nsd, &questions)?), (Kind::Knot, ask_peer(&knot, &questions)?)];
    drop((nsd, knot));
    let mut judge = |subject: &str, ours: Vec<Outcome>| {
        let mut report = Report { subject: subject.to_string(), show: options.show, ..Report::default() };
        for (number, question) in questions.iter().enumerate() {
            let theirs = theirs.iter().filter(|(kind, _)| peers::reads(*kind, &question.text));
            let theirs: Vec<_> = theirs.map(|(kind, outcomes)| (*kind, &outcomes[number])).collect();
            report.compare(question, &ours[number], &theirs);
        }
        done(&report);
    };
    if options.core {
        let server = Server::new(server::start(&zones)?, COMMON_ZONE);
        judge("the core", ask_all(server, &questions, "the core")?);
        return Ok(());
    }
    for name in images() {
        let image = Image::start(name, &zones)?;
        judge(name, ask_all(image.server(COMMON_ZONE), &questions, name)?);
    }
    Ok(())
}

/// The images that this machine can run, the large one and the small one; one that it cannot is named.
fn images() -> Vec<&'static str> {
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match kvm {
        Ok(_) => vec!["dns.spt", "dns-static.hvt"],
        Err(error) => {
            println!("SKIPPED dns-static.hvt: /dev/kvm: {error}");
            vec!["dns.spt"]
        }
    }
}

fn write(zones: &[ZoneFile], folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    zones.iter().try_for_each(|zone| std::fs::write(folder.join(&zone.name), &zone.text))
}

/// Asks a peer. What it dropped is asked once more, alone and slowly: NSD answers at most 100 malformed queries a second,
/// and Knot ends a connection in the middle when it is busy.
fn ask_peer(peer: &Peer, questions: &[Question]) -> Result<Vec<Outcome>, String> {
    let (address, name) = (peer.address, peer.kind.package());
    let failed = |error: std::io::Error| format!("{name} cannot be asked: {error}");
    let mut outcomes = ask_all(Server::new(address, COMMON_ZONE), questions, name)?;
    let mut server = Server::new(address, COMMON_ZONE).map_err(failed)?;
    sleep(NEW_COUNT);
    for (question, outcome) in questions.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
        sleep(PAUSE);
        let reply = match question.tcp {
            true => server.ask_tcp(&[&question.octets]).map(|mut replies| replies.pop().flatten()),
            false => server.ask_udp(&question.octets),
        };
        *outcome = reply.map_err(failed)?.map(|octets| parse(&octets));
    }
    Ok(outcomes)
}

/// Asks all questions, each alone over UDP, or together with its neighbours on one TCP connection.
fn ask_all(
    server: std::io::Result<Server>,
    questions: &[Question],
    name: &str,
) -> Result<Vec<Outcome>, String> {
    let mut server = server.map_err(|error| format!("{name} cannot be asked: {error}"))?;
    let mut outcomes = Vec::new();
    while let [question, rest @ ..] = &questions[outcomes.len()..] {
        let replies = if question.tcp {
            let joins = |other: &&Question| other.tcp && !other.alone && !question.alone;
            let together = 1 + rest.iter().take(QUERIES_PER_CONNECTION - 1).take_while(joins).count();
            let queries: Vec<&[u8]> = questions[outcomes.len()..][..together]
                .iter()
                .map(|question| question.octets.as_slice())
                .collect();
            server.ask_tcp(&queries)
        } else {
            server.ask_udp(&question.octets).map(|reply| vec![reply])
        };
        let replies =
            replies.map_err(|error| format!("{name} was asked for {}, and then: {error}", question.text))?;
        outcomes.extend(replies.into_iter().map(|reply| reply.map(|octets| parse(&octets))));
    }
    Ok(outcomes)
}
