//! From a commit to its sites, in steps between which others get their turn.
//!
//! ```text
//!     Loader::new: list ─► step: dates ─► step: blobs, as long as there is room ─► finish: sites, or why not
//! ```
//! Everything that can be wrong with a version shows before it is served.

use super::{
    DEFAULT_SITE, ERROR_PAGE, Entry, INDEX, Site, Sites, WELL_KNOWN,
    dates::Dates,
    file::{Blob, File},
    links::{self, Node},
    mime::MimeTypes,
    redirects::{self, BadRule, Redirects},
};
use crate::limits::{DATES_STEP_COMMITS, ENTRIES};
use runtime::http::Bytes;
use std::{collections::HashMap, fmt, rc::Rc};
use store::{Error, Existing, Mode, ObjectId, Repository, object::Kind};

/// What of the repository is served, and how.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The directory that is the site, or has the sites; empty is the repository's root.
    pub root: Vec<u8>,
    /// Whether the directories there are sites, named like their hosts.
    pub by_host: bool,
    /// Types beside the usual.
    pub mime_types: MimeTypes,
}

/// A file or link of the version.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its path in the repository.
    pub path: Box<[u8]>,
    /// What it is.
    pub existing: Existing,
}

/// Why a version is not served. The version before is, if there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The repository cannot be read.
    Store(Error),
    /// No file is where files are looked for.
    Empty,
    /// There are more files than limits.rs allows.
    TooMany,
    /// Memory does not suffice for a file of so many octets besides what there is.
    NoRoom(String, usize),
    /// The list of redirects of a site has a line that is no rule.
    BadRedirects(String, BadRule),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(formatter),
            Self::Empty => {
                formatter.write_str("there is no file to serve; look at --root and --host-directories")
            }
            Self::TooMany => write!(formatter, "there are more than {ENTRIES} files"),
            Self::NoRoom(path, octets) => {
                write!(formatter, "no memory for {path}, {octets} octets: start the image with more (--mem)")
            }
            Self::BadRedirects(path, BadRule { line, reason }) => {
                write!(formatter, "{path}: line {line}: {reason}")
            }
        }
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// A version being loaded.
pub struct Loader {
    settings: Rc<Settings>,
    head: ObjectId,
    files: Vec<Listed>,
    dates: Option<Dates>,
    modified: Vec<i64>,
    /// Blobs of the version before, then of this one.
    old: HashMap<ObjectId, Rc<Blob>>,
    blobs: HashMap<ObjectId, Rc<Blob>>,
    next: usize,
    warnings: Warnings,
}

/// What is odd in a version that is served nevertheless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// The first.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Warnings {
    fn add(&mut self, path: &[u8], reason: &str) {
        const SHOWN: usize = 8;
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(format!("{}: {reason}", shown(path)));
        }
    }
}

/// A path for a message.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().map(|it| if it.is_control() { '?' } else { it }).collect()
}

impl Loader {
    /// Lists what is in the commit `head`; `old` is the version before, whose blobs and dates are used again.
    pub fn new(
        repository: &Repository,
        head: ObjectId,
        settings: &Rc<Settings>,
        old: &Sites,
    ) -> Result<Self, Broken> {
        let mut files = Vec::new();
        let mut is_too_many = false;
        repository.tree(&head)?.walk(&mut |path, existing| {
            if files.len() >= ENTRIES {
                is_too_many = true;
            } else if existing.mode.is_blob() && is_served(settings, path.as_bytes()) {
                files.push(Listed { path: path.as_bytes().into(), existing });
            }
            Ok(())
        })?;
        if is_too_many {
            return Err(Broken::TooMany);
        }
        if files.is_empty() {
            return Err(Broken::Empty);
        }
        let known = old.commit().map(|commit| {
            let time = |file: &Listed| {
                let before = old.file_at(&file.path)?;
                (before.blob.id() == file.existing.id).then_some(before.modified)
            };
            (commit, files.iter().map(time).collect())
        });
        let dates = Dates::new(repository, head, &files, known)?;
        let blobs = old.iter().flat_map(Site::files).map(|file| (file.blob.id(), file.blob.clone()));
        Ok(Self {
            settings: settings.clone(),
            head,
            dates: Some(dates),
            modified: Vec::new(),
            old: blobs.collect(),
            blobs: HashMap::new(),
            next: 0,
            files,
            warnings: Warnings::default(),
        })
    }

    /// Goes on; returns whether everything has been read. `room` says whether there is memory for so many octets more.
    pub fn step(&mut self, repository: &Repository, room: &dyn Fn(usize) -> bool) -> Result<bool, Broken> {
        if let Some(dates) = &mut self.dates {
            if dates.step(repository, DATES_STEP_COMMITS)? {
                self.modified = self.dates.take().map(Dates::finish).unwrap_or_default();
            }
            return Ok(false);
        }
        let Some(file) = self.files.get(self.next) else { return Ok(true) };
        self.next += 1;
        let id = file.existing.id;
        if self.blobs.contains_key(&id) {
            return Ok(false);
        }
        let blob = match self.old.get(&id) {
            Some(blob) => blob.clone(),
            None => Rc::new(Blob::new(id, read(repository, file, room)?)),
        };
        self.blobs.insert(id, blob);
        Ok(false)
    }

    /// The version, complete.
    pub fn finish(mut self) -> Result<(Sites, Warnings), Broken> {
        let mut sites = Sites { commit: Some(self.head), ..Sites::default() };
        let all: Vec<(usize, Box<[u8]>)> =
            self.files.iter().map(|file| file.path.clone()).enumerate().collect();
        if !self.settings.by_host {
            let root = self.settings.root.clone();
            let files = all.iter().filter_map(|(number, path)| Some((*number, below(&root, path)?)));
            sites.default = Some(Rc::new(self.site(&files.collect::<Vec<_>>(), &root)?));
            sites.root = Some(root.into());
            return Ok((sites, self.warnings));
        }
        let root = self.settings.root.clone();
        let mut hosts: HashMap<Box<str>, Vec<(usize, &[u8])>> = HashMap::new();
        let mut aliases = Vec::new();
        for (number, path) in &all {
            let Some(path) = below(&root, path) else { continue };
            match split_host(path) {
                Some((host, path)) => hosts.entry(host).or_default().push((*number, path)),
                None if self.files[*number].existing.mode == Mode::Link => aliases.push((*number, path)),
                None => {} // a README beside the sites
            }
        }
        for (host, files) in hosts {
            let prefix = [&root[..], if root.is_empty() { b"" } else { b"/" }, host.as_bytes()].concat();
            let site = self.site(&files, &prefix)?;
            sites.hosts.insert(host, Rc::new(site));
        }
        for (number, path) in aliases {
            let target =
                self.blobs.get(&self.files[number].existing.id).map(|blob| blob.identity().octets.clone());
            let name = |octets: &[u8]| {
                let name = octets.strip_prefix(b"./").unwrap_or(octets);
                std::str::from_utf8(name.strip_suffix(b"/").unwrap_or(name)).ok().map(str::to_ascii_lowercase)
            };
            let site = target.and_then(|target| sites.hosts.get(&*name(&target)?).cloned());
            match (name(path), site) {
                (Some(host), Some(site)) => drop(sites.hosts.insert(host.into(), site)),
                _ => self.warnings.add(path, "the link leads to no site"),
            }
        }
        sites.default = sites.hosts.get(DEFAULT_SITE).cloned();
        if sites.hosts.is_empty() { Err(Broken::Empty) } else { Ok((sites, self.warnings)) }
    }

    /// The site of these files, by their numbers and paths in it. `prefix` is where it is in the repository.
    fn site(&mut self, files: &[(usize, &[u8])], prefix: &[u8]) -> Result<Site, Broken> {
        let mut site = Site::default();
        let mut links: HashMap<&[u8], Bytes> = HashMap::new();
        site.entries.insert(Box::default(), Entry::Directory { index: None });
        for &(number, path) in files {
            let listed = &self.files[number];
            let Some(blob) = self.blobs.get(&listed.existing.id) else { continue };
            if path == redirects::FILE {
                let bad = |rule| Broken::BadRedirects(shown(&listed.path), rule);
                site.redirects = Redirects::parse(&blob.identity().octets).map_err(bad)?;
                continue;
            }
            for (slash, _) in path.iter().enumerate().filter(|(_, octet)| **octet == b'/') {
                if !site.entries.contains_key(&path[..slash]) {
                    site.entries.insert(path[..slash].into(), Entry::Directory { index: None });
                }
            }
            if listed.existing.mode == Mode::Link {
                links.insert(path, blob.identity().octets.clone());
            } else {
                let content_type = self.settings.mime_types.of(path);
                let file = File::new(blob.clone(), content_type, self.modified[number]);
                site.entries.insert(path.into(), Entry::File(Rc::new(file)));
            }
        }
        self.add_links(&mut site, &links, prefix);
        site.add_indexes();
        site.error_page = match site.entries.get(ERROR_PAGE) {
            Some(Entry::File(file)) => Some(file.clone()),
            _ => None,
        };
        Ok(site)
    }

    fn add_links(&mut self, site: &mut Site, links: &HashMap<&[u8], Bytes>, prefix: &[u8]) {
        let entries = &site.entries;
        let at = |path: &[u8]| match (links.get(path), entries.get(path)) {
            (Some(target), _) => Some(Node::Link(target)),
            (None, Some(Entry::File(_))) => Some(Node::File),
            (None, Some(Entry::Directory { .. })) => Some(Node::Directory),
            _ => None,
        };
        let mut resolved = Vec::new();
        for (path, target) in links {
            match links::resolve(path, target, &at) {
                Some(destination) => resolved.push((*path, destination)),
                None => {
                    let path = [prefix, if prefix.is_empty() { b"" } else { b"/" }, path].concat();
                    self.warnings.add(&path, "the link leads nowhere, or out of the site");
                }
            }
        }
        site.has_links = !resolved.is_empty();
        site.entries.extend(resolved.into_iter().map(|(path, to)| (path.into(), Entry::Link(to))));
    }
}

impl Site {
    /// Says of each directory what it shows: its index, or the file that this links to.
    fn add_indexes(&mut self) {
        let indexes: Vec<(Box<[u8]>, Rc<File>)> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Directory { .. }))
            .filter_map(|(path, _)| {
                let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let mut entry = self.entries.get(&[path, slash, INDEX].concat()[..])?;
                if let Entry::Link(links::Destination::File(path)) = entry {
                    entry = self.entries.get(path)?;
                }
                match entry {
                    Entry::File(file) => Some((path.clone(), file.clone())),
                    _ => None,
                }
            })
            .collect();
        for (path, file) in indexes {
            self.entries.insert(path, Entry::Directory { index: Some(file) });
        }
    }
}

/// Reads a blob, if there is room for it twice: inflated by the repository, and for good.
fn read(repository: &Repository, file: &Listed, room: &dyn Fn(usize) -> bool) -> Result<Bytes, Broken> {
    let no_room = |octets| Broken::NoRoom(shown(&file.path), octets);
    if !room(0) {
        return Err(no_room(0));
    }
    let object = match repository.read_as(&file.existing.id, Kind::Blob) {
        Err(Error::OutOfMemory) => return Err(no_room(0)),
        object => object?,
    };
    let octets = object.data.len();
    let mut copy = Vec::new();
    if !room(octets) || copy.try_reserve_exact(octets).is_err() {
        return Err(no_room(octets));
    }
    copy.extend_from_slice(&object.data);
    Ok(copy.into())
}

/// A path below a directory; the whole path below the root.
pub(super) fn below<'p>(directory: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    match directory {
        [] => Some(path),
        directory => path.strip_prefix(directory)?.strip_prefix(b"/"),
    }
}

/// The host whose directory a path begins with, in small letters, and what is behind it.
pub(super) fn split_host(path: &[u8]) -> Option<(Box<str>, &[u8])> {
    let slash = path.iter().position(|&octet| octet == b'/')?;
    let host = std::str::from_utf8(&path[..slash]).ok()?;
    Some((host.to_ascii_lowercase().into(), &path[slash + 1..]))
}

/// Whether a file is for visitors: it is below the root, and no name of its path is hidden.
fn is_served(settings: &Settings, path: &[u8]) -> bool {
    let Some(path) = below(&settings.root, path) else { return false };
    let top = usize::from(settings.by_host);
    path.split(|&octet| octet == b'/')
        .enumerate()
        .all(|(depth, name)| !name.starts_with(b".") || (name == WELL_KNOWN && depth == top))
}
