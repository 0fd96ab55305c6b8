//! Sites: what is at each path of a version of the repository, ready to be sent.
//!
//! ```text
//!     commit ─► load ─┬─ files: listed ─► dates: one walk over history for all ─► blobs, shared with the version before
//!                     ├─ links resolved, directories, _redirects, 404.html
//!                     └─► Sites, complete or not at all ─► compress: afterwards, a piece at a time
//! ```
//! A version does not change once it is there, but that compressed forms are added.

pub mod compress;
pub mod dates;
pub mod file;
pub mod links;
pub mod load;
pub mod mime;
pub mod redirects;

pub use file::{Blob, Coding, File, Variant};
pub use load::{Broken, Loader, Settings};

use crate::target::{Target, encoded};
use links::Destination;
use redirects::Redirects;
use std::{collections::HashMap, rc::Rc};
use store::ObjectId;

/// What a directory shows.
pub const INDEX: &[u8] = b"index.html";

/// What is sent with status 404.
pub const ERROR_PAGE: &[u8] = b"404.html";

/// The one name with a dot in front that is not hidden (RFC 8615).
pub const WELL_KNOWN: &[u8] = b".well-known";

/// The directory whose site answers for hosts that have none of their own.
pub const DEFAULT_SITE: &str = "default";

/// All sites of one version.
#[derive(Debug, Default)]
pub struct Sites {
    commit: Option<ObjectId>,
    /// By host, in small letters.
    hosts: HashMap<Box<str>, Rc<Site>>,
    /// That of hosts that are not among these.
    default: Option<Rc<Site>>,
    /// The directory that the only site is in; none where directories are hosts.
    root: Option<Box<[u8]>>,
}

impl Sites {
    /// The version.
    pub fn commit(&self) -> Option<ObjectId> {
        self.commit
    }

    /// The site of a host, which is in small letters and without a port.
    pub fn of(&self, host: &str) -> Option<&Site> {
        self.hosts.get(host).or(self.default.as_ref()).map(|site| &**site)
    }

    /// Each site once.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        let mut seen: Vec<*const Site> = Vec::new();
        self.hosts.values().chain(&self.default).map(|site| &**site).filter(move |site| {
            let is_new = !seen.contains(&std::ptr::from_ref(*site));
            seen.push(*site);
            is_new
        })
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.iter().map(|site| site.files().count()).sum()
    }

    /// The file at a path of the repository.
    fn file_at(&self, path: &[u8]) -> Option<&Rc<File>> {
        let (site, path) = match &self.root {
            Some(root) => (self.default.as_ref()?, load::below(root, path)?),
            None => {
                let (host, path) = load::split_host(path)?;
                (self.hosts.get(&*host)?, path)
            }
        };
        match site.entries.get(path) {
            Some(Entry::File(file)) => Some(file),
            _ => None,
        }
    }
}

/// What one host shows.
#[derive(Debug, Default)]
pub struct Site {
    entries: HashMap<Box<[u8]>, Entry>,
    redirects: Redirects,
    error_page: Option<Rc<File>>,
    has_links: bool,
}

/// What is at a path.
#[derive(Clone, Debug)]
enum Entry {
    File(Rc<File>),
    Directory {
        /// What it shows.
        index: Option<Rc<File>>,
    },
    Link(Destination),
}

/// What comes of looking up a target.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    /// A file.
    File(&'a File),
    /// It is at this location, path and query.
    Moved(String),
    /// Nothing.
    Nothing,
}

impl Site {
    /// What is at a target.
    pub fn find(&self, target: &Target<'_>) -> Found<'_> {
        let moved =
            |path: String| Found::Moved(target.query.map_or(path.clone(), |query| format!("{path}?{query}")));
        match self.entries.get(&*target.path) {
            Some(Entry::File(file)) if !target.is_directory => Found::File(file),
            Some(Entry::Directory { index: Some(file) }) if target.is_directory => Found::File(file),
            Some(Entry::Directory { .. }) if !target.is_directory => {
                moved(encoded(&[&*target.path, b"/"].concat()))
            }
            Some(Entry::Link(destination)) => moved(destination.location(&[])),
            None if self.has_links => match self.below_link(&target.path) {
                Some((destination, rest)) => {
                    let slash: &[u8] = if target.is_directory { b"/" } else { b"" };
                    moved(destination.location(&[rest, slash].concat()))
                }
                None => Found::Nothing,
            },
            _ => Found::Nothing,
        }
    }

    /// The link that a path leads through, to a directory, and what is behind it.
    fn below_link<'p>(&self, path: &'p [u8]) -> Option<(&Destination, &'p [u8])> {
        let slashes = path.iter().enumerate().filter(|(_, octet)| **octet == b'/');
        for (slash, _) in slashes {
            match self.entries.get(&path[..slash]) {
                Some(Entry::Directory { .. }) => {}
                Some(Entry::Link(destination)) if destination.is_directory() => {
                    return Some((destination, &path[slash + 1..]));
                }
                _ => return None,
            }
        }
        None
    }

    /// The file at a path, whatever way it is asked for.
    pub fn file(&self, path: &[u8]) -> Option<&File> {
        match self.entries.get(path)? {
            Entry::File(file) => Some(file),
            Entry::Directory { index } => index.as_deref(),
            Entry::Link(_) => None,
        }
    }

    /// Where things are that are not here.
    pub fn redirects(&self) -> &Redirects {
        &self.redirects
    }

    /// What is sent with status 404, if there is something.
    pub fn error_page(&self) -> Option<&File> {
        self.error_page.as_deref()
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = &Rc<File>> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::File(file) => Some(file),
            _ => None,
        })
    }
}
