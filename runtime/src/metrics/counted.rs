//! What is counted where there is no one object to count in: handshakes of TLS, responses of HTTP, lookups.

use super::source;
use std::cell::Cell;

/// Counts by kind, each with its name.
struct Counts<const N: usize> {
    names: [&'static str; N],
    values: [Cell<u64>; N],
}

impl<const N: usize> Counts<N> {
    const fn new(names: [&'static str; N]) -> Self {
        Self { names, values: [const { Cell::new(0) }; N] }
    }

    fn count(&self, kind: usize) {
        let value = &self.values[kind.min(N - 1)];
        value.set(value.get() + 1);
    }

    fn named(&self) -> Vec<(&'static str, u64)> {
        self.names.into_iter().zip(self.values.iter().map(Cell::get)).collect()
    }
}

thread_local! {
    static HANDSHAKES: Counts<3> = const { Counts::new(["full", "resumed", "failed"]) };
    static RESPONSES: Counts<5> = const { Counts::new(["1xx", "2xx", "3xx", "4xx", "5xx"]) };
    static LOOKUPS: Counts<3> = const { Counts::new(["asked", "remembered", "failed"]) };
}

/// How a handshake of TLS that a client began has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handshake {
    Full,
    Resumed,
    Failed,
}

/// Counts a handshake as server.
pub(crate) fn handshake(outcome: Handshake) {
    HANDSHAKES.with(|counts| counts.count(outcome as usize));
}

/// Counts a response as server of HTTP.
pub(crate) fn response(status: u16) {
    RESPONSES.with(|counts| counts.count(usize::from(status / 100).saturating_sub(1)));
}

/// How a lookup of the stub resolver has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    Asked,
    Remembered,
    Failed,
}

/// Counts a lookup.
pub(crate) fn lookup(outcome: Lookup) {
    LOOKUPS.with(|counts| counts.count(outcome as usize));
}

/// Measures lookups.
pub(super) fn start() {
    source("resolver", |samples| {
        let lookups = LOOKUPS.with(Counts::named);
        samples.counters("lookups", "Lookups of names, by how they ended.", "outcome", &lookups);
    });
}

/// Measures what only images with TLS have.
pub(crate) fn start_tls() {
    source("tls", |samples| {
        let handshakes = HANDSHAKES.with(Counts::named);
        samples.counters(
            "handshakes",
            "Handshakes that clients began, by how they ended.",
            "outcome",
            &handshakes,
        );
    });
    source("http", |samples| {
        let responses = RESPONSES.with(Counts::named);
        samples.counters("responses", "Responses, by the class of their status.", "class", &responses);
    });
}
