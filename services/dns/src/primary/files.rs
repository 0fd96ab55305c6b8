//! Which file is served in which version: what a commit changes, and nothing else, is read again.

use super::execute::{find_file, is_file};
use crate::check::{self, Checked, FileKind};
use crate::name::{HashKey, Name, to_text};
use crate::zone::Zone;
use crate::zonefile::{Warnings, ZoneError};
use log::{info, warn};
use std::{collections::BTreeMap, rc::Rc};
use store::{ObjectId, Repository};

/// What serves the zones, and knows the keys.
pub trait Server {
    /// The zone that is served under this name.
    fn zone(&self, apex: &Name) -> Option<Rc<Zone>>;
    /// How many are served.
    fn zones(&self) -> usize;
    /// Serves a zone from now on, instead of the one of that name.
    fn install(&mut self, apex: &Name, zone: Rc<Zone>) -> Result<(), String>;
    /// Serves the zone no longer.
    fn remove(&mut self, apex: &Name);
    /// Takes the keys of a file, of TSIG or for signing, instead of those it had before; warnings.
    fn load_keys(&mut self, file: &str, text: &[u8]) -> Result<Vec<String>, ZoneError>;
    /// Forgets the keys of a file.
    fn forget_keys(&mut self, file: &str);
}

/// See the module.
#[derive(Debug, Default)]
pub struct Files {
    /// Files at the top of the tree, in the version last looked at.
    seen: BTreeMap<String, ObjectId>,
    /// Zone files of which some version is served, or would be if it were good.
    zones: BTreeMap<String, Served>,
}

#[derive(Debug)]
struct Served {
    /// The zone's name on the wire.
    apex: Vec<u8>,
    /// The version that is served, if any of it could be.
    version: Option<ObjectId>,
}

/// Zones that were read already: file, version and zone.
pub type Prepared = [(String, ObjectId, Rc<Zone>)];

impl Files {
    /// The version of the file that is served.
    pub fn version(&self, file: &str) -> Option<ObjectId> {
        self.zones.get(file).and_then(|served| served.version)
    }

    /// Reads what is different in the commit `head`, and returns how many files that are. What cannot be read leaves what was
    /// served before, and says so. An error is one of the commit as a whole, and then nothing has changed.
    pub fn apply(
        &mut self,
        repository: &Repository,
        head: &ObjectId,
        prepared: &Prepared,
        key: &HashKey,
        server: &mut dyn Server,
    ) -> Result<usize, store::Error> {
        let now = files_of(repository, head)?;
        let seen = std::mem::take(&mut self.seen);
        let gone: Vec<String> = seen.keys().filter(|file| !now.contains_key(*file)).cloned().collect();
        let mut without_file = Vec::new();
        for file in &gone {
            if matches!(FileKind::of(file), FileKind::Keys | FileKind::SigningKey | FileKind::Identity) {
                info!("{file}: is gone, and its keys with it");
                server.forget_keys(file);
            }
            without_file.extend(self.zones.remove(file));
        }
        let mut changed = gone.len();
        for (file, id) in now.iter().filter(|(file, id)| seen.get(*file) != Some(*id)) {
            changed += 1;
            match FileKind::of(file) {
                FileKind::Keys | FileKind::SigningKey | FileKind::Identity => {
                    keys(repository, file, id, server);
                }
                _ => self.zone_file(repository, file, *id, prepared, key, server),
            }
        }
        for served in &without_file {
            // A second file for the same zone, passed over until now.
            if let Ok(Some((file, id))) = find_file(repository, head, &served.apex, key)
                && !self.zones.contains_key(&file)
            {
                self.zone_file(repository, &file, id, prepared, key, server);
            }
        }
        self.remove(without_file, key, server);
        self.seen = now;
        Ok(changed)
    }

    fn zone_file(
        &mut self,
        repository: &Repository,
        file: &str,
        id: ObjectId,
        prepared: &Prepared,
        key: &HashKey,
        server: &mut dyn Server,
    ) {
        let apex = match crate::zone_name(file, key) {
            Ok(apex) => apex,
            Err(reason) => return warn!("{}", ZoneError::about(file, reason)),
        };
        let other = self.zones.iter().find(|(name, served)| *name != file && served.apex == apex.wire());
        if let Some((other, _)) = other {
            return warn!("{file}: a second file for the zone of {other}, which is served");
        }
        let known = prepared.iter().find(|(name, version, _)| name == file && *version == id);
        let zone = match known {
            Some((.., zone)) => Ok((zone.clone(), None)),
            None => read(repository, file, id, key),
        };
        let before = server.zone(&apex);
        let installed = zone.and_then(|(zone, warnings)| {
            let serial = before.as_ref().map_or(Ok(()), |before| check::serial(before, &zone));
            server
                .install(&apex, zone.clone())
                .map_err(|reason| ZoneError::about(file, reason).to_string())?;
            Ok((zone, warnings, serial))
        });
        let served = Served { apex: apex.wire().to_vec(), version: Some(id) };
        match installed {
            Ok((zone, warnings, serial)) => {
                let (name, records) = (to_text(apex.wire()), zone.records());
                if let Some(warnings) = warnings {
                    info!(
                        "zone {name}: {records} records, {} octets, serial {}",
                        zone.octets(),
                        zone.serial()
                    );
                    report(&name, &warnings);
                }
                if let Err(reason) = serial {
                    warn!("{file}: {reason}"); // AD-18
                }
                self.zones.insert(file.to_string(), served);
            }
            Err(reason) => {
                let what =
                    if before.is_some() { "the version before is served on" } else { "it is not served" };
                warn!("{reason}; {what}");
                self.zones.entry(file.to_string()).or_insert(Served { version: None, ..served });
            }
        }
    }

    /// Zones whose files are gone. The last is kept: an empty branch is more likely an accident than a wish.
    fn remove(&self, gone: Vec<Served>, key: &HashKey, server: &mut dyn Server) {
        let mut name = Name::root(key);
        for served in gone {
            let is_elsewhere = self.zones.values().any(|other| other.apex == served.apex);
            if is_elsewhere || name.read(&served.apex, key).is_err() || server.zone(&name).is_none() {
                continue;
            }
            let shown = to_text(&served.apex);
            if server.zones() == 1 {
                warn!("zone {shown}: its file is gone, but it is the last: served on until there is another");
                continue;
            }
            info!("zone {shown}: its file is gone, and it is served no longer");
            server.remove(&name);
        }
    }
}

/// Zone and key files at the top of the tree.
fn files_of(repository: &Repository, commit: &ObjectId) -> Result<BTreeMap<String, ObjectId>, store::Error> {
    let mut files = BTreeMap::new();
    for (name, entry) in repository.tree(commit)?.list("")? {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        match FileKind::of(name) {
            FileKind::Other => {}
            _ if is_file(entry.mode) => _ = files.insert(name.to_string(), entry.id),
            _ if entry.mode == store::Mode::Link => {
                warn!("{name}: a symbolic link, which is not served; put the file itself here");
            }
            _ => {}
        }
    }
    Ok(files)
}

fn keys(repository: &Repository, file: &str, id: &ObjectId, server: &mut dyn Server) {
    let text = match repository.read_as(id, store::Kind::Blob) {
        Ok(object) => object.data,
        Err(error) => return warn!("{file}: {error}; the keys it had before are used"),
    };
    match server.load_keys(file, &text) {
        Ok(warnings) => warnings.iter().for_each(|warning| warn!("{warning}")),
        Err(error) => warn!("{error}; the keys it had before are used"),
    }
}

fn read(
    repository: &Repository,
    file: &str,
    id: ObjectId,
    key: &HashKey,
) -> Result<(Rc<Zone>, Option<Warnings>), String> {
    let object = repository.read_as(&id, store::Kind::Blob).map_err(|error| format!("{file}: {error}"))?;
    let Checked { zone, warnings, .. } =
        check::zone(file, &object.data, key).map_err(|error| error.to_string())?;
    Ok((Rc::new(zone), Some(warnings)))
}

/// Says what is odd about a zone.
pub fn report(name: &str, warnings: &Warnings) {
    for (line, reason) in &warnings.first {
        warn!("zone {name}: line {line}: {reason}");
    }
    if warnings.count > warnings.first.len() {
        warn!("zone {name}: {} more warnings", warnings.count - warnings.first.len());
    }
}
