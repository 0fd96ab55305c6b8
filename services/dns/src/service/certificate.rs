//! The server's own certificate by ACME, in a zone of its own: what is published there is in the repository, and so in every
//! secondary, and the proofs of DNS-01 are seen by whoever asks us.

use super::{Server, VerifiedUpdate};
use crate::client::random_id;
use crate::limits::{PROPAGATION_SECONDS, UPDATE_SECONDS};
use crate::name::{Name, to_text};
use crate::published::{Change, Changeable, Published};
use crate::query::Rcode;
use crate::{Record, RecordType, zone_name};
use runtime::acme::Step;
use runtime::certificate::{Arguments, Way, Zone};
use runtime::connect::NetworkConnector;
use runtime::network::{Network, TcpOptions};
use runtime::{Stop, spawn};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// Keeps the certificate that the arguments describe, if they do.
pub fn start(arguments: Arguments, server: &Rc<RefCell<Server>>, network: &Network) -> Result<(), Stop> {
    let (certificates, can_change) = {
        let server = server.borrow();
        (server.encrypted.certificates.clone(), server.backend.is_some())
    };
    let zone = match arguments.hostname.as_ref().and_then(|names| names.list().first()) {
        Some(host) if can_change => {
            let own = OwnZone { server: server.clone(), host: host.clone() };
            let published = Published::new(own, host, Duration::from_secs(PROPAGATION_SECONDS));
            Some(Rc::new(published.map_err(Stop::Failed)?) as Rc<dyn Zone>)
        }
        _ => None, // zones that are baked in stay as they are
    };
    if arguments.tls_acme == Some(Way::Http01) {
        super::encrypted::answer_validations(network, certificates.clone())?;
    }
    let connector = NetworkConnector::new(network, TcpOptions::default());
    if let Some(keeper) = arguments.keeper(&certificates, connector, zone)? {
        let network = network.clone();
        spawn(async move {
            network.addressed().await;
            keeper.run().await;
        });
    }
    Ok(())
}

/// The zone here in which a host's name lies, at each moment; it may come later than we start, and go.
struct OwnZone {
    server: Rc<RefCell<Server>>,
    host: String,
}

impl OwnZone {
    fn apex(&self) -> Result<Vec<u8>, String> {
        let wire = self.name(self.host.strip_prefix("*.").unwrap_or(&self.host))?;
        let server = self.server.borrow();
        let zones = server.authority.zones();
        let mut name = Name::root(zones.key());
        name.read(&wire, zones.key()).map_err(|_| "it is no name")?;
        let zone =
            zones.find(&name, 0).ok_or_else(|| format!("{}: there is no zone for it here", self.host))?;
        Ok(zone.apex().to_vec())
    }
}

impl Changeable for OwnZone {
    fn name(&self, text: &str) -> Result<Vec<u8>, String> {
        Ok(zone_name(text, self.server.borrow().authority.zones().key())?.wire().to_vec())
    }

    fn lookup<'a>(&'a self, owner: &'a [u8], rtype: RecordType) -> Step<'a, Vec<Record>> {
        Box::pin(async move {
            self.apex()?;
            let server = self.server.borrow();
            let zones = server.authority.zones();
            let mut name = Name::root(zones.key());
            name.read(owner, zones.key()).map_err(|_| "it is no name")?;
            let mut records = zones.find(&name, 0).map_or_else(Vec::new, |zone| zone.records_at(&name));
            records.retain(|record| record.rtype == rtype);
            Ok(records)
        })
    }

    /// As an update that came with a key for the whole zone: by a commit that is pushed.
    fn change<'a>(&'a self, change: Change<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            let zone = self.apex()?;
            let backend = self.server.borrow().backend.clone().ok_or("nobody may change zones here")?;
            let message = change(&zone).message(random_id());
            let (scope, key) = (zone.clone(), "the server's own certificate".to_owned());
            let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let update = backend.update(VerifiedUpdate { zone: zone.clone(), scope, key, peer, message });
            match timeout(Duration::from_secs(UPDATE_SECONDS), update).await {
                Ok(Rcode::NoError) => Ok(()),
                Ok(rcode) => Err(format!("the zone {} cannot be changed: {rcode:?}", to_text(&zone))),
                Err(_) => Err(format!("the zone {} is not changed in time", to_text(&zone))),
            }
        })
    }
}
