//! What the service measures, for whoever collects it (`runtime::metrics`).

use super::Server;
use std::{cell::RefCell, rc::Rc};

/// Has the numbers of `server` collected.
pub fn start(server: &Rc<RefCell<Server>>) {
    let server = server.clone();
    runtime::metrics::source("dns", move |samples| {
        let server = server.borrow();
        let authority = server.authority();
        let (statistics, zones) = (authority.statistics(), authority.zones());
        samples.counter("queries", "Messages of all kinds.", statistics.queries);
        let answers: Vec<_> = statistics.by_rcode().collect();
        samples.counters("answers", "Answers, by response code.", "rcode", &answers);
        let unanswered = [
            ("malformed", statistics.dropped),
            ("out_of_memory", statistics.out_of_memory),
            ("rate_limited", statistics.limited),
        ];
        samples.counters("unanswered", "Messages without an answer, by reason.", "reason", &unanswered);
        samples.counter("truncated", "Answers with the truncation flag.", statistics.truncated);
        samples.counter("slipped", "Answers truncated for their network's rate.", statistics.slipped);
        samples.gauge("zones", "Zones that are served.", zones.count() as u64);
        samples.gauge("records", "Records in all zones.", zones.records());
        samples.gauge("transfers", "Transfers that are under way.", server.transfers as u64);
    });
}
