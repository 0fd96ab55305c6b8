//! What a zone was before: the last differences, so that who has an older version need not take the whole zone.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::{HISTORY_DIFFERENCES, HISTORY_RECORDS};
use crate::name::{HashKey, Name};
use crate::record::{Difference, Record};
use crate::zone::Zone;

/// The last differences of one zone, the latest at the end. Each begins where the one before it ends.
#[derive(Debug, Default)]
pub struct History {
    differences: VecDeque<Rc<Difference>>,
    records: usize,
}

impl History {
    /// Adds what has changed now. The oldest are forgotten; all are, where it does not begin where the last ended.
    pub fn push(&mut self, difference: Difference) {
        let Some((from, _)) = difference.serials() else { return self.clear() };
        if self.differences.back().is_some_and(|last| last.serials().map(|(_, to)| to) != Some(from)) {
            self.clear();
        }
        self.records += difference.len();
        self.differences.push_back(Rc::new(difference));
        while self.differences.len() > HISTORY_DIFFERENCES || self.records > HISTORY_RECORDS {
            let Some(oldest) = self.differences.pop_front() else { return };
            self.records -= oldest.len();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = History::default();
    }

    /// The differences that lead from the version `serial` to `current`; `None` if it is not known any more.
    pub fn since(&self, serial: u32, current: u32) -> Option<Vec<Rc<Difference>>> {
        let from = |difference: &Rc<Difference>| difference.serials().is_some_and(|(from, _)| from == serial);
        let start = self.differences.iter().position(from)?;
        let (_, to) = self.differences.back()?.serials()?;
        (to == current).then(|| self.differences.iter().skip(start).cloned().collect())
    }
}

/// What changes from one version of a zone to another, of which nothing else is known.
pub fn between(old: &Zone, new: &Zone, key: &HashKey) -> Difference {
    Difference { removed: missing(old, new, key), added: missing(new, old, key) }
}

/// The records of `one` that `other` does not have.
fn missing(one: &Zone, other: &Zone, key: &HashKey) -> Vec<Record> {
    let (mut name, mut missing) = (Name::root(key), Vec::new());
    for place in one.nodes_in_order() {
        let records = one.records_in(place);
        let Some(first) = records.first() else { continue };
        let there = match name.read(&first.owner, key) {
            Ok(_) => other.records_at(&name),
            Err(_) => Vec::new(),
        };
        missing.extend(records.into_iter().filter(|record| !there.contains(record)));
    }
    missing
}
