//! Beside git itself: what it packs is read, what we pack passes its strictest check, and history looks the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod peer;
mod signatures;

use peer::Git;
use std::collections::BTreeSet;
use store::{Edits, Format, Identity, Kind, Limits, ObjectId, PackReceiver, Repository};

/// Takes a pack in parts of `step` bytes.
#[track_caller]
pub fn receive(repository: &mut Repository, pack: &[u8], step: usize) {
    let mut receiver = PackReceiver::new(repository);
    for part in pack.chunks(step) {
        receiver.push(part).unwrap();
    }
    receiver.finish(repository).unwrap();
}

/// Every object that git can reach is in the repository, and the same.
#[track_caller]
fn check_same(git: &Git, repository: &Repository) {
    let list = git.text(&["rev-list", "--objects", "--all", "--no-object-names"]);
    let batch = git.run(&["cat-file", "--batch"], (list.clone() + "\n").as_bytes());
    let mut rest = &batch[..];
    for line in list.lines() {
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap();
        let header = String::from_utf8(rest[..end].to_vec()).unwrap();
        let fields: Vec<&str> = header.split(' ').collect();
        let size: usize = fields[2].parse().unwrap();
        let object = repository.read(&line.parse().unwrap()).unwrap();
        assert_eq!(object.kind, Kind::from_name(fields[1].as_bytes()).unwrap());
        assert!(*object.data == rest[end + 1..][..size], "{line}");
        rest = &rest[end + 1 + size + 1..];
    }
}

/// For both formats.
fn both(name: &str, test: impl Fn(&Git, Repository, Format)) {
    for format in [Format::Sha1, Format::Sha256] {
        let git = Git::new(name, format);
        test(&git, Repository::new(format, Limits::default()), format);
    }
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn packs_of_git_are_read() {
    both("read", |git, _, format| {
        git.fill(200);
        for options in [&["--delta-base-offset"][..], &[], &["--window=0"], &["--depth=250", "--window=50"]] {
            let pack = git.pack(options, "main\n");
            for step in [1, 1000, usize::MAX] {
                let mut repository = Repository::new(format, Limits::default());
                receive(&mut repository, &pack, step);
                check_same(git, &repository);
                assert_eq!(repository.verify(&[git.id("main")], &[]), Ok(()));
            }
        }
    });
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn increments_may_be_thin_and_compaction_loses_nothing() {
    both("thin", |git, mut repository, _| {
        git.fill(200);
        let mut previous = None;
        let history = git.text(&["rev-list", "--first-parent", "--reverse", "main"]);
        let last = history.lines().count() - 1;
        for (number, head) in history.lines().enumerate() {
            if number % 15 != 0 && number != last {
                continue;
            }
            let head: ObjectId = head.parse().unwrap();
            let not = previous.map(|id: ObjectId| format!("^{id}\n")).unwrap_or_default();
            let pack = git.pack(&["--thin", "--delta-base-offset"], &format!("{head}\n{not}"));
            receive(&mut repository, &pack, 777);
            let known: Vec<ObjectId> = previous.into_iter().collect();
            assert_eq!(repository.verify(&[head], &known), Ok(()));
            repository.set_branch("main", Some(head));
            repository.compact(&[]).unwrap();
            assert_eq!(repository.verify(&[head], &[]), Ok(()));
            previous = Some(head);
        }
        check_same(git, &repository);
    });
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn what_we_push_is_clean() {
    both("push", |git, mut repository, _| {
        git.fill(50);
        let head = git.id("main");
        receive(&mut repository, &git.pack(&["--delta-base-offset"], "main\n"), 4096);
        let mut edits = Edits::default();
        edits.write("new/deep/file", "content\n").unwrap();
        edits.write("run", "y\n").unwrap();
        edits.remove("d1").unwrap();
        let tree = repository.edit(Some(&head), &edits).unwrap();
        let author = Identity::new("ns1 \"<>", "ns1@example.com", 1_800_000_000);
        let commit = repository.commit(tree, &[head], &author, "Change\n").unwrap();
        let pack = repository.pack_for_push(&[commit], &[head]).unwrap();
        // A commit, and the trees and blobs that are new: root, new, deep; file, run.
        assert_eq!(u32::from_be_bytes(pack[8..12].try_into().unwrap()), 6);
        git.take(&pack, "main", &commit);
        assert_eq!(git.text(&["show", "main:new/deep/file"]), "content");
        assert_eq!(git.text(&["ls-tree", "main", "run"]).split(' ').next(), Some("100755"));
        // All of it, to where there is nothing.
        let other = Git::new("push-all", repository.format());
        other.take(&repository.pack_for_push(&[commit], &[]).unwrap(), "main", &commit);
        check_same(&other, &repository);
    });
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn history_is_what_git_says() {
    both("history", |git, mut repository, _| {
        git.fill(120);
        receive(&mut repository, &git.pack(&[], "main\n"), 4096);
        let head = git.id("main");
        let log: Vec<String> =
            repository.log(&head, 1000).unwrap().iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(log.join("\n"), git.text(&["log", "--format=%H", "--date-order", "main"]));
        for path in ["run", "d0/e0/f0", "d1", "d2/e3", "d1/e1/f1", "nowhere"] {
            let last = repository.last_modified(&head, path).unwrap().map(|(id, _)| id.to_string());
            let expect = git.text(&["log", "-1", "--format=%H", "main", "--", path]);
            assert_eq!(last.unwrap_or_default(), expect, "{path}");
        }
        for (one, other) in
            [("main", "main~5"), ("main^2", "main~1"), ("main^2", "main~6"), ("main~9^2", "main^2")]
        {
            let base = repository.merge_base(&git.id(one), &git.id(other)).unwrap().map(|id| id.to_string());
            assert_eq!(base.unwrap_or_default(), git.text(&["merge-base", one, other]), "{one} {other}");
        }
        let old = git.id("main~9");
        let changed: BTreeSet<String> = repository
            .diff(Some(&old), Some(&head))
            .unwrap()
            .iter()
            .map(|change| change.path.to_string())
            .collect();
        let expect = git.text(&["diff", "--name-only", "--no-renames", "main~9", "main"]);
        assert_eq!(changed, expect.lines().map(str::to_owned).collect());
    });
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn shallow_clones_end_where_they_were_cut() {
    both("shallow", |git, mut repository, _| {
        git.fill(100);
        let head = git.id("main");
        let pack = git.pack(&["--delta-base-offset"], &format!("--shallow {head}\n{head}\n"));
        receive(&mut repository, &pack, 4096);
        assert!(repository.verify(&[head], &[]).is_err(), "its parents are not here");
        repository.set_shallow(head);
        assert_eq!(repository.verify(&[head], &[]), Ok(()));
        assert_eq!(repository.log(&head, 10).unwrap().len(), 1);
        let mut edits = Edits::default();
        edits.write("run", "z\n").unwrap();
        let tree = repository.edit(Some(&head), &edits).unwrap();
        let commit =
            repository.commit(tree, &[head], &Identity::new("A", "a@b", 1_800_000_000), "Z\n").unwrap();
        git.take(&repository.pack_for_push(&[commit], &[head]).unwrap(), "main", &commit);
    });
}

#[test]
#[ignore = "needs git; cargo xtask test runs it"]
fn trees_that_git_fsck_refuses_are_refused() {
    for name in [".git", "..", ".", "a/b", ".GIT", "git~1", ".git."] {
        let git = Git::new("bad", Format::Sha1);
        let blob = git.run(&["hash-object", "-w", "--stdin"], b"x");
        let blob: ObjectId = String::from_utf8(blob).unwrap().trim().parse().unwrap();
        let tree = [format!("100644 {name}\0").as_bytes(), blob.as_bytes()].concat();
        let tree = git.run(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &tree);
        let tree = String::from_utf8(tree).unwrap().trim().to_owned();
        let pack = git.run(&["pack-objects", "--stdout", "-q"], format!("{tree}\n{blob}\n").as_bytes());
        let mut repository = Repository::new(Format::Sha1, Limits::default());
        receive(&mut repository, &pack, 4096);
        let verdict = repository.verify(&[tree.parse().unwrap()], &[]);
        assert!(matches!(verdict, Err(store::Error::Malformed(..))), "{name}: {verdict:?}");
    }
}
