//! Which zones come from others: a task for each, begun when a key names a primary for it or a catalog lists it, and ended
//! when none does any more.

use super::Server;
use super::secondary::{self, Primary, Secondary};
use crate::keys::Right;
use crate::name::{Name, to_text};
use crate::zones::Absence;
use log::info;
use runtime::connect::Connect;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
use tokio::task::JoinHandle;

/// Where a zone comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// In the order they are asked.
    pub primaries: Vec<Primary>,
    /// Of a catalog's member: with another number it is another zone of the same name.
    incarnation: u64,
}

impl Source {
    fn is_same(&self, other: &Source) -> bool {
        let pairs = || self.primaries.iter().zip(&other.primaries);
        self.primaries.len() == other.primaries.len()
            && self.incarnation == other.incarnation
            && pairs().all(|((one, key), (two, other))| one == two && key.is_same(other))
    }
}

/// A zone that a task looks after.
struct Kept {
    source: Source,
    task: JoinHandle<()>,
}

/// Has every zone looked after that comes from others; for ever.
pub async fn run<C: Connect + Clone + 'static>(server: Rc<RefCell<Server>>, connector: C) {
    let changed = server.borrow().to_fetch.clone();
    let mut kept: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
    loop {
        server.borrow_mut().renew_catalog();
        let wanted = server.borrow().zones_to_fetch();
        kept.retain(|apex, kept| match wanted.get(apex) {
            Some(source) if source.is_same(&kept.source) => true,
            source => {
                kept.task.abort();
                let stays = source.is_some_and(|source| source.incarnation == kept.source.incarnation);
                server.borrow_mut().leave(apex, stays);
                false
            }
        });
        for (apex, source) in wanted {
            if !kept.contains_key(&apex)
                && let Some(secondary) = server.borrow_mut().look_after(&apex, &source)
            {
                let task = runtime::spawn(secondary::run(server.clone(), connector.clone(), secondary));
                kept.insert(apex, Kept { source, task });
            }
        }
        changed.notified().await;
    }
}

impl Server {
    /// The zones that we are to get from others: what transfer keys name a primary for, and we have no file of; and the
    /// members of catalogs, from where the catalog comes from.
    fn zones_to_fetch(&self) -> BTreeMap<Vec<u8>, Source> {
        let mut found = BTreeMap::<Vec<u8>, Source>::new();
        for entry in self.keys.iter().filter(|entry| entry.right == Some(Right::Transfer)) {
            let Some(primary) = entry.primary.filter(|_| !self.own.contains(&entry.domain)) else { continue };
            found.entry(entry.domain.clone()).or_default().primaries.push((primary, entry.key.clone()));
        }
        for source in found.values_mut() {
            source.primaries.sort_by(|(_, one), (_, other)| one.name().cmp(other.name()));
        }
        for (zone, owned) in self.catalogs.zones() {
            // RFC 9432 §5.2: what is here for another reason is none of the catalog's.
            if self.own.contains(zone) || found.get(zone).is_some_and(|source| source.incarnation == 0) {
                continue;
            }
            if let Some(catalog) = found.get(&owned.catalog) {
                let source = Source { incarnation: owned.incarnation, ..catalog.clone() };
                found.insert(zone.to_vec(), source);
            }
        }
        found
    }

    /// A zone that comes from others is looked after from now on.
    fn look_after(&mut self, apex: &[u8], source: &Source) -> Option<Rc<Secondary>> {
        let mut name = Name::root(self.authority.zones().key());
        name.read(apex, self.authority.zones().key()).ok()?;
        info!("zone {}: secondary, with {} primaries", to_text(apex), source.primaries.len());
        if !self.catalogs.contains(apex) {
            self.authority.zones_mut().set_absent(&name, Some(Absence::NotReady));
        }
        let secondary = Rc::new(Secondary::new(name, source.primaries.clone()));
        self.secondaries.insert(apex.to_vec(), secondary.clone());
        Some(secondary)
    }

    /// Nobody looks after the zone any more; or somebody else does, and it `stays`.
    fn leave(&mut self, apex: &[u8], stays: bool) {
        let Some(secondary) = self.secondaries.remove(apex) else { return };
        self.authority.zones_mut().set_absent(secondary.apex(), None);
        if !stays && !self.own.contains(apex) {
            info!(
                "zone {}: no key or catalog says any more where it comes from: it is served no longer",
                to_text(apex)
            );
            self.remove(secondary.apex());
        }
    }
}
