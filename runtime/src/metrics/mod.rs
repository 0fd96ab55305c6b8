//! What an image measures: numbers that somebody else keeps, read when they are asked for.
//!
//! ```text
//!     source("dns", |samples| samples.counter("queries", ..)) ─┐
//!     memory, allocator, network, tcp, event_loop, log, ... ───┴─► collect ─┬─► influx: lines for `--monitor`
//!                                                                           └─► openmetrics: text for `--metrics-port`
//! ```
//! Counting is the increment of an integer that its owner has anyway. Nothing is gathered, named or put into words until a
//! collector asks, some six times a minute; then the work is that of the series, not of packets or connections.
//!
//! Reading order: [`source`], [`Samples`], [`Histogram`], then `influx` and `openmetrics`, `sources` (the runtime's own).

pub(crate) mod counted;
mod histogram;
pub mod influx;
pub mod openmetrics;
pub(crate) mod sources;

pub use histogram::Histogram;

use std::cell::RefCell;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts since boot; never falls.
    Counter,
    /// Is what it is now.
    Gauge,
}

/// Numbers of the same name.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// Who measured it: `dns`.
    pub source: &'a str,
    /// What: letters, digits, underscores.
    pub name: &'a str,
    /// The same for people.
    pub help: &'a str,
    /// Of what kind.
    pub kind: Kind,
    /// What tells the numbers of a family apart, if there are several.
    pub label: Option<&'a str>,
}

/// Puts numbers into words.
pub trait Sink {
    /// Takes a family: values with what the label says of each.
    fn family(&mut self, family: Family<'_>, values: &[(&str, u64)]);

    /// Takes a distribution.
    fn histogram(&mut self, source: &str, name: &str, help: &str, histogram: &Histogram);
}

/// Where a source puts its numbers.
pub struct Samples<'a> {
    source: &'static str,
    sink: &'a mut dyn Sink,
}

impl Samples<'_> {
    /// A number that counts since boot. Names are of letters, digits and underscores, without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, Kind::Counter, None, &[("", value)]);
    }

    /// Several of the same name, told apart by a label: `("rcode", &[("NOERROR", 3)])`.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.family(name, help, Kind::Counter, Some(label), values);
    }

    /// A number that is what it is now.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, Kind::Gauge, None, &[("", value)]);
    }

    /// Several of the same name, told apart by a label.
    pub fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.family(name, help, Kind::Gauge, Some(label), values);
    }

    /// A distribution of seconds.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.sink.histogram(self.source, name, help, histogram);
    }

    fn family(&mut self, name: &str, help: &str, kind: Kind, label: Option<&str>, values: &[(&str, u64)]) {
        self.sink.family(Family { source: self.source, name, help, kind, label }, values);
    }
}

/// Somebody who has numbers.
struct Source {
    name: &'static str,
    enabled: bool,
    collect: Collect,
}

type Collect = Box<dyn Fn(&mut Samples<'_>)>;

thread_local! {
    static SOURCES: RefCell<Vec<Source>> = const { RefCell::new(Vec::new()) };
}

/// Has `collect` asked for its numbers whenever somebody collects. A source that there is already is replaced.
pub fn source(name: &'static str, collect: impl Fn(&mut Samples<'_>) + 'static) {
    SOURCES.with_borrow_mut(|sources| {
        let collect: Collect = Box::new(collect);
        match sources.iter_mut().find(|source| source.name == name) {
            Some(source) => source.collect = collect,
            None => sources.push(Source { name, enabled: true, collect }),
        }
    });
}

/// Asks every source that is enabled. A source must not add sources.
pub fn collect(sink: &mut dyn Sink) {
    SOURCES.with_borrow(|sources| {
        for source in sources.iter().filter(|source| source.enabled) {
            (source.collect)(&mut Samples { source: source.name, sink });
        }
    });
}

/// The sources there are, and whether each is asked.
pub(crate) fn enabled() -> Vec<(&'static str, bool)> {
    SOURCES.with_borrow(|sources| sources.iter().map(|source| (source.name, source.enabled)).collect())
}

/// Has a source asked, or not; all of them if it is `None`. Whether there is one.
pub(crate) fn enable(name: Option<&str>, enabled: bool) -> bool {
    SOURCES.with_borrow_mut(|sources| {
        let chosen = sources.iter_mut().filter(|source| name.is_none_or(|name| name == source.name));
        chosen.map(|source| source.enabled = enabled).count() > 0
    })
}
