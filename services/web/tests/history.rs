//! Dates of files over made-up histories: the same as the store's answer for each path, in one walk, whatever was known before; and
//! what a version has in common with the one before is shared.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runtime::http::{HeaderMap, Method};
use std::rc::Rc;
use store::{Edits, Format, Identity, Limits, ObjectId, Repository};
use web::{
    answer::{Policy, answer},
    site::{Broken, Loader, Settings, Site, Sites},
};

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (number ^ (number >> 31)) % bound
    }
}

/// Commits, the latest last: each changes, adds or removes some of 12 files on one or two of those before it. Clocks go back now
/// and then.
fn history(repository: &mut Repository, random: &mut Random, commits: u64) -> Vec<ObjectId> {
    let mut all: Vec<ObjectId> = Vec::new();
    for number in 0..commits {
        let recent = |random: &mut Random, all: &[ObjectId]| {
            all[all.len() - 1 - random.below(all.len().min(4) as u64) as usize]
        };
        let mut parents = Vec::new();
        if !all.is_empty() {
            parents.push(recent(random, &all));
            let other = recent(random, &all);
            if random.below(4) == 0 && !parents.contains(&other) {
                parents.push(other);
            }
        }
        let base = parents.first().map(|parent| repository.read_commit(parent).unwrap().tree);
        let mut edits = Edits::default();
        edits.write("always", "here").unwrap();
        for _ in 0..=random.below(3) {
            let path = format!("d{}/f{}", random.below(3), random.below(4));
            if random.below(5) == 0 {
                edits.remove(&path).unwrap();
            } else {
                edits.write(&path, format!("{}", random.below(4))).unwrap();
            }
        }
        let Ok(tree) = repository.edit(base.as_ref(), &edits) else { continue };
        let seconds = 1_000_000 + 10 * number as i64 - random.below(25) as i64;
        let author = Identity::new("a", "a@example.org", seconds);
        all.push(repository.commit(tree, &parents, &author, "x\n").unwrap());
    }
    all
}

fn load(repository: &Repository, head: ObjectId, old: &Sites) -> Result<Sites, Broken> {
    let mut loader = Loader::new(repository, head, &Rc::new(Settings::default()), old)?;
    while !loader.step(repository, &|_| true)? {}
    loader.finish().map(|(sites, _)| sites)
}

fn site(sites: &Sites) -> &Site {
    sites.of("any").unwrap()
}

#[track_caller]
fn check(repository: &Repository, head: ObjectId, sites: &Sites, seed: u64) {
    repository
        .tree(&head)
        .unwrap()
        .walk(&mut |path, _| {
            let (_, commit) = repository.last_modified(&head, path.as_bytes())?.unwrap();
            let modified = site(sites).file(path.as_bytes()).unwrap().modified;
            assert_eq!(modified, commit.committer.seconds(), "seed {seed}: {path:?}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn dates_are_those_of_the_log() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut repository = Repository::new(Format::Sha1, Limits::default());
        let all = history(&mut repository, &mut random, 30);
        let mut before = Sites::default();
        for _ in 0..4 {
            let head = all[random.below(all.len() as u64) as usize];
            let sites = load(&repository, head, &before).unwrap();
            check(&repository, head, &sites, seed);
            before = sites;
        }
    }
}

#[test]
fn what_is_the_same_is_shared() {
    let mut repository = Repository::new(Format::Sha256, Limits::default());
    let mut commit = |text: &str, parent: Option<ObjectId>| {
        let mut edits = Edits::default();
        edits.write("same", "same").unwrap();
        edits.write("other", text).unwrap();
        let tree = repository.edit(None, &edits).unwrap();
        let parents: Vec<ObjectId> = parent.into_iter().collect();
        repository.commit(tree, &parents, &Identity::new("a", "a@b", 5), "x\n").unwrap()
    };
    let first = commit("one", None);
    let second = commit("two", Some(first));
    let old = load(&repository, first, &Sites::default()).unwrap();
    let new = load(&repository, second, &old).unwrap();
    let blob = |sites: &Sites, path: &[u8]| site(sites).file(path).unwrap().blob.clone();
    assert!(Rc::ptr_eq(&blob(&old, b"same"), &blob(&new, b"same")));
    assert!(!Rc::ptr_eq(&blob(&old, b"other"), &blob(&new, b"other")));
    // SHA-256 names in the entity tag too.
    let uri = "/other".parse().unwrap();
    let response = answer(site(&new), &Policy::default(), &Method::GET, &uri, &HeaderMap::new(), 9);
    assert_eq!(response.headers()["etag"].len(), 66);
}

#[test]
fn a_version_that_cannot_be_served_says_why() {
    let mut repository = Repository::new(Format::Sha1, Limits::default());
    let mut commit = |path: &str, text: &str| {
        let mut edits = Edits::default();
        edits.write(path, text).unwrap();
        let tree = repository.edit(None, &edits).unwrap();
        repository.commit(tree, &[], &Identity::new("a", "a@b", 5), "x\n").unwrap()
    };
    let (hidden, redirects, large) =
        (commit(".git-x", "x"), commit("_redirects", "\n/a b\n"), commit("a", "0123456789"));
    for (head, expected) in [
        (hidden, "there is no file to serve; look at --root and --host-directories"),
        (redirects, "_redirects: line 2: the target is neither a path from / nor a URL of http or https"),
        (large, "no memory for a, 10 octets: start the image with more (--mem)"),
    ] {
        let mut loader =
            match Loader::new(&repository, head, &Rc::new(Settings::default()), &Sites::default()) {
                Ok(loader) => loader,
                Err(error) => {
                    assert_eq!(error.to_string(), expected);
                    continue;
                }
            };
        let outcome = loop {
            match loader.step(&repository, &|octets| octets < 10) {
                Ok(false) => {}
                Ok(true) => break loader.finish().map(drop),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(outcome.unwrap_err().to_string(), expected);
    }
}
