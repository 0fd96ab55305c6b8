//! Catalog zones as the service has them: those that are followed, and the one that it offers.

use super::Server;
use crate::catalog;
use crate::client::unix_seconds;
use crate::keys::Right;
use crate::limits::CATALOGS;
use crate::name::{Name, to_text};
use crate::tsig::Key;
use crate::zone::Zone;
use log::{info, warn};
use runtime::{Argument, Stop};
use std::rc::Rc;

/// `--catalog`
pub const CATALOG: Argument = Argument {
    name: "catalog",
    value: "ZONE",
    help: "a catalog of zones to be fetched from where it comes from itself: what the key of its primary names",
};

/// `--offer-catalog`
pub const OFFER_CATALOG: Argument = Argument {
    name: "offer-catalog",
    value: "ZONE",
    help: "a catalog of all zones that are ours by a file; who may transfer it may transfer them",
};

/// Sets up what the arguments say.
pub fn set_up(server: &mut Server, follow: &[String], offer: Option<&str>) -> Result<(), Stop> {
    if follow.len() > CATALOGS {
        return Err(Stop::Failed(format!("--catalog: there are more than {CATALOGS}")));
    }
    let key = *server.authority.zones().key();
    let name = |argument, text: &str| {
        crate::zone_name(text, &key).map_err(|reason| Stop::Failed(format!("--{argument}={text}: {reason}")))
    };
    for text in follow {
        server.follow_catalog(&name("catalog", text)?);
    }
    if let Some(text) = offer {
        server.offer_catalog(name("offer-catalog", text)?);
    }
    Ok(())
}

/// The catalog that is offered.
pub(super) struct Offered {
    apex: Name,
    /// The zones that it listed last.
    zones: Option<Vec<Vec<u8>>>,
}

impl Server {
    /// Follows a catalog, once it is there.
    pub fn follow_catalog(&mut self, apex: &Name) {
        self.catalogs.follow(apex.wire());
        self.hide(apex);
    }

    /// Offers a catalog of all zones that are ours by a file.
    pub fn offer_catalog(&mut self, apex: Name) {
        self.hide(&apex);
        self.offered = Some(Offered { apex, zones: None });
        self.to_fetch.notify_one();
    }

    /// RFC 9432 §7: a list of all zones is not for everybody.
    fn hide(&mut self, apex: &Name) {
        if !self.policy.open_transfers {
            self.authority.zones_mut().hide(apex);
        }
    }

    /// Whether the key gives the right to transfer this zone: it does by its name; or by the name of the catalog that lists the zone.
    pub(super) fn may_transfer(&self, key: &Key, zone: &[u8]) -> bool {
        let listed_in = self.offered.as_ref().filter(|_| self.own.contains(zone));
        self.keys.allows(key, Right::Transfer, zone)
            || listed_in.is_some_and(|catalog| self.keys.allows(key, Right::Transfer, catalog.apex.wire()))
    }

    /// The name of the catalog that lists this zone, if one is offered.
    pub(super) fn catalog_of(&self, zone: &Zone) -> Option<&[u8]> {
        let offered = self.offered.as_ref().filter(|_| self.own.contains(zone.apex()))?;
        Some(offered.apex.wire())
    }

    /// Takes in what a catalog lists now, if this is one that is followed.
    pub(super) fn follow(&mut self, zone: &Zone) {
        if !self.catalogs.contains(zone.apex()) {
            return;
        }
        let (shown, serial) = (to_text(zone.apex()), zone.serial());
        let members = match catalog::read(zone) {
            Ok(members) => members,
            Err(broken) => {
                // RFC 9432 §5.1: nothing is removed for it.
                return warn!(
                    "catalog {shown}: serial {serial} is broken: {broken}; its zones stay as they were"
                );
            }
        };
        let count = members.len();
        for news in self.catalogs.update(zone.apex(), members) {
            match news {
                catalog::News::Clash(..) => warn!("catalog {shown}: {news}"),
                catalog::News::Added(ref added) if self.is_ours_otherwise(added) => {
                    warn!(
                        "catalog {shown}: zone {} is passed over: a file or a key here has it",
                        to_text(added)
                    );
                }
                _ => info!("catalog {shown}: {news}"),
            }
        }
        info!("catalog {shown}: serial {serial}, {count} zones");
        self.to_fetch.notify_one();
    }

    /// Whether the zone is here for another reason than a catalog (RFC 9432 §5.2).
    fn is_ours_otherwise(&self, zone: &[u8]) -> bool {
        let names_primary = |entry: &crate::keys::KeyEntry| entry.primary.is_some() && entry.domain == zone;
        self.own.contains(zone) || self.keys.iter().any(names_primary)
    }

    /// Makes the catalog that is offered anew, if it would list other zones.
    pub(super) fn renew_catalog(&mut self) {
        let Some(offered) = &self.offered else { return };
        let apex = offered.apex.clone();
        if self.own.contains(apex.wire()) {
            return warn!(
                "catalog {}: a file has a zone of this name, which is served instead",
                to_text(apex.wire())
            );
        }
        let zones: Vec<Vec<u8>> =
            self.own.iter().filter(|zone| !self.catalogs.contains(zone)).cloned().collect();
        if offered.zones.as_ref() == Some(&zones) {
            return;
        }
        // Later than the one before, be it of the image that ran before.
        let next = self.authority.zones().get(&apex).map_or(0, |old| old.serial().wrapping_add(1));
        let serial = next.max(unix_seconds() as u32);
        let records = catalog::compose(apex.wire(), zones.iter().map(Vec::as_slice), serial);
        let made = Zone::from_records(&apex, records, self.authority.zones().key());
        let installed = made.and_then(|(zone, _)| self.install(&apex, Rc::new(zone)));
        match installed {
            Ok(()) => info!("catalog {}: serial {serial}, {} zones", to_text(apex.wire()), zones.len()),
            Err(reason) => warn!("catalog {}: cannot be offered: {reason}", to_text(apex.wire())),
        }
        if let Some(offered) = &mut self.offered {
            offered.zones = Some(zones);
        }
    }
}
