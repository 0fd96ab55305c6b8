//! What the runtime itself measures.

use super::{Histogram, counted, source};
use crate::{
    log,
    network::{Counters, Network, TcpStates},
};
use std::{cell::Cell, time::Duration};
use tokio::time::{Instant, sleep};

/// How often it is looked how late a timer is.
const LAG_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    static LAG: Histogram = const { Histogram::new() };
    static LOOP: Loop = const { Loop { turns: Cell::new(0), sleeps: Cell::new(0) } };
}

/// What the event loop did.
struct Loop {
    turns: Cell<u64>,
    sleeps: Cell<u64>,
}

/// Counts a turn of the event loop, which sleeps after it or goes on.
pub(crate) fn count_turn(sleeps: bool) {
    LOOP.with(|counts| {
        counts.turns.set(counts.turns.get() + 1);
        counts.sleeps.set(counts.sleeps.get() + u64::from(sleeps));
    });
}

/// Looks how late a timer is, for ever. This is what keeps a measured image from sleeping for longer.
pub(crate) async fn watch_lag() {
    loop {
        let due = Instant::now() + LAG_EVERY;
        sleep(LAG_EVERY).await;
        LAG.with(|lag| lag.observe(due.elapsed()));
    }
}

/// Measures what every image has, on these networks.
pub(crate) fn start(networks: Vec<(&'static str, Network)>) {
    counted::start();
    source("memory", |samples| {
        let platform::Memory { total, used } = platform::memory();
        samples.gauge("total_bytes", "Bytes that the heap can hold.", total as u64);
        samples.gauge("used_bytes", "Bytes of the heap that are allocated.", used as u64);
    });
    source("allocator", |samples| {
        let platform::Allocations { made, failed, most } = platform::allocations();
        samples.counter("allocations", "Blocks that were allocated.", made);
        samples.counter("failures", "Requests for memory that could not be met.", failed);
        samples.gauge("peak_bytes", "Most bytes that were allocated at a time.", most as u64);
    });
    source("event_loop", |samples| {
        LOOP.with(|counts| {
            samples.counter("turns", "Turns of the event loop.", counts.turns.get());
            samples.counter("sleeps", "Turns after which there was nothing to do.", counts.sleeps.get());
        });
        LAG.with(|lag| {
            samples.histogram("lag_seconds", "How late a timer is that is due every second.", lag);
        });
        samples.counter(
            "uptime_seconds",
            "Seconds since boot.",
            platform::clock::since_entry() / 1_000_000_000,
        );
    });
    source("log", |samples| {
        let counts = log::counts();
        let levels: Vec<_> =
            ["error", "warn", "info", "debug", "trace"].into_iter().zip(counts.lines).collect();
        samples.counters("lines", "Lines that were logged, by level.", "level", &levels);
        samples.counter("lost", "Messages that did not fit into the collector's queue.", counts.lost);
        samples.gauge(
            "queued_bytes",
            "Bytes of messages that the collector may not have yet.",
            counts.queued as u64,
        );
        samples.counter("connections", "Connections to the collector.", counts.connected);
    });
    let of_tcp = networks.clone();
    source("network", move |samples| {
        let counters: Vec<_> = networks.iter().map(|(name, network)| (*name, network.counters())).collect();
        let Some((_, first)) = counters.first() else { return };
        for (index, (name, help, _)) in first.described().enumerate() {
            let value = |counters: &Counters| counters.named().nth(index).map_or(0, |(_, value)| value);
            let values: Vec<_> =
                counters.iter().map(|(network, counters)| (*network, value(counters))).collect();
            samples.counters(name, help.trim(), "network", &values);
        }
    });
    source("tcp", move |samples| {
        let states: Vec<_> = of_tcp.iter().map(|(name, network)| (*name, network.tcp_states())).collect();
        let mut gauges = |name, help, number: fn(&TcpStates) -> usize| {
            let values: Vec<_> =
                states.iter().map(|(network, states)| (*network, number(states) as u64)).collect();
            samples.gauges(name, help, "network", &values);
        };
        gauges("flows", "Connections in any state.", |states| states.flows);
        gauges("backlog", "Connections that wait to be accepted.", |states| states.backlog);
        gauges("time_wait", "Connections in TIME-WAIT.", |states| states.time_wait);
        let ports: Vec<_> = states
            .iter()
            .flat_map(|(_, states)| &states.ports)
            .map(|(port, count)| (port.to_string(), *count as u64))
            .collect();
        let ports: Vec<_> = ports.iter().map(|(port, count)| (port.as_str(), *count)).collect();
        samples.gauges("connections", "Connections that came to a port.", "port", &ports);
    });
}
