//! What the service measures, for whoever collects it (`runtime::metrics`).

use std::cell::Cell;

thread_local! {
    static ROUNDS: [Cell<u64>; 2] = const { [const { Cell::new(0) }; 2] };
    static ORDERS: [Cell<u64>; 2] = const { [const { Cell::new(0) }; 2] };
    static WAITING: Cell<u64> = const { Cell::new(0) };
}

/// Has the numbers collected.
pub fn start() {
    runtime::metrics::source("acme", |samples| {
        let named = |[done, failed]: &[Cell<u64>; 2]| [("done", done.get()), ("failed", failed.get())];
        samples.counters("rounds", "Looks at the zone.", "outcome", &ROUNDS.with(named));
        samples.counters("orders", "Certificates that were ordered.", "outcome", &ORDERS.with(named));
        samples.gauge("waiting", "Requests that failed and are tried again later.", WAITING.get());
    });
}

fn count([done, failed]: &[Cell<u64>; 2], is_done: bool) {
    let counter = if is_done { done } else { failed };
    counter.set(counter.get() + 1);
}

/// Counts a look at the zone, after which so many requests wait.
pub fn round(is_done: bool, waiting: usize) {
    ROUNDS.with(|rounds| count(rounds, is_done));
    WAITING.set(waiting as u64);
}

/// Counts an order.
pub fn order(is_done: bool) {
    ORDERS.with(|orders| count(orders, is_done));
}
