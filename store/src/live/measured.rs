//! What stores measure, all of an image's together: for whoever collects it (`runtime::metrics`).

use crate::Repository;
use std::cell::Cell;

thread_local! {
    static STORES: Stores = Stores::default();
}

/// Counted since boot, and the size of the store that was last looked at.
#[derive(Default)]
struct Stores {
    /// Done, failed.
    pulls: [Cell<u64>; 2],
    /// Accepted, refused since others were faster or for another reason, without a verdict.
    pushes: [Cell<u64>; 3],
    objects: Cell<u64>,
    packed: Cell<u64>,
}

/// How a push ended.
#[derive(Clone, Copy, Debug)]
pub enum Push {
    Accepted,
    Refused,
    Unknown,
}

fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Has the numbers collected.
pub fn start() {
    runtime::metrics::source("store", |samples| {
        STORES.with(|stores| {
            let [done, failed] = stores.pulls.each_ref().map(Cell::get);
            samples.counters(
                "pulls",
                "Looks at the remote.",
                "outcome",
                &[("done", done), ("failed", failed)],
            );
            let [accepted, refused, unknown] = stores.pushes.each_ref().map(Cell::get);
            let pushes = [("accepted", accepted), ("refused", refused), ("unknown", unknown)];
            samples.counters("pushes", "Pushes to the remote.", "outcome", &pushes);
            samples.gauge("objects", "Objects of the repository here.", stores.objects.get());
            samples.gauge("packed_bytes", "Bytes that they take.", stores.packed.get());
        });
    });
}

/// Counts a pull, after which the repository is this.
pub fn pulled(done: bool, repository: &Repository) {
    STORES.with(|stores| add(&stores.pulls[usize::from(!done)]));
    measure(repository);
}

/// Counts a push.
pub fn pushed(outcome: Push) {
    STORES.with(|stores| add(&stores.pushes[outcome as usize]));
}

/// Notes how large the repository is.
pub fn measure(repository: &Repository) {
    STORES.with(|stores| {
        stores.objects.set(repository.objects() as u64);
        stores.packed.set(u64::from(repository.packed_bytes()));
    });
}
