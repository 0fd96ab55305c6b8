//! Tests of a repository in itself; those beside git are in tests/.

use super::*;
use crate::object::TreePath;

fn repository() -> Repository {
    Repository::new(Format::Sha1, Limits::default())
}

fn edits(edits: &[(&str, Option<&str>)]) -> Edits {
    let mut all = Edits::default();
    for (path, content) in edits {
        match content {
            Some(content) => all.write(path, *content).unwrap(),
            None => all.remove(path).unwrap(),
        }
    }
    all
}

/// All files of a tree, as `path=content`.
#[track_caller]
fn files(repository: &Repository, tree: &ObjectId) -> Vec<String> {
    let tree = repository.tree(tree).unwrap();
    let mut files = Vec::new();
    let walked = tree.walk(&mut |path, existing| {
        let data = repository.read(&existing.id)?.data;
        files.push(format!("{path}={}", String::from_utf8_lossy(&data)));
        Ok(())
    });
    walked.unwrap();
    files
}

#[track_caller]
fn check(old: &[(&str, Option<&str>)], change: &[(&str, Option<&str>)], expect: &[&str]) {
    let mut repository = repository();
    let old = repository.edit(None, &edits(old)).unwrap();
    let new = repository.edit(Some(&old), &edits(change)).unwrap();
    assert_eq!(files(&repository, &new), expect);
    let changed = repository.diff(Some(&old), Some(&new)).unwrap();
    let (before, after) = (files(&repository, &old), files(&repository, &new));
    let only = |one: &[String], other: &[String]| one.iter().filter(|file| !other.contains(file)).count();
    assert_eq!(changed.iter().filter(|change| change.old.is_some()).count(), only(&before, &after));
    assert_eq!(changed.iter().filter(|change| change.new.is_some()).count(), only(&after, &before));
}

#[test]
fn edits_make_trees() {
    let old = [("a", Some("1")), ("d/b", Some("2")), ("d/e/f", Some("3")), ("d.x", Some("4"))];
    check(&old, &[], &["a=1", "d.x=4", "d/b=2", "d/e/f=3"]);
    check(&old, &[("a", Some("9")), ("d/e/g", Some("5"))], &["a=9", "d.x=4", "d/b=2", "d/e/f=3", "d/e/g=5"]);
    check(&old, &[("d/e/f", None)], &["a=1", "d.x=4", "d/b=2"]);
    check(&old, &[("d", None)], &["a=1", "d.x=4"]);
    check(&old, &[("d", None), ("d/n", Some("6"))], &["a=1", "d.x=4", "d/n=6"]);
    check(&old, &[("d", Some("file"))], &["a=1", "d=file", "d.x=4"]);
    check(&old, &[("a", None), ("a/b", Some("7"))], &["a/b=7", "d.x=4", "d/b=2", "d/e/f=3"]);
    check(&old, &[("a", None), ("d", None), ("d.x", None), ("nothing/here", None)], &[]);
}

#[test]
fn a_path_through_a_file_is_an_error() {
    let mut repository = repository();
    let tree = repository.edit(None, &edits(&[("a", Some("1"))])).unwrap();
    let result = repository.edit(Some(&tree), &edits(&[("a/b", Some("2"))]));
    assert_eq!(result, Err(Error::NoDirectory(TreePath::new("a/b").unwrap())));
    assert_eq!(repository.tree(&tree).unwrap().get("a/b"), Ok(None));
}

#[test]
fn names_are_those_that_git_gives() {
    let mut repository = repository();
    let blob = repository.write(Kind::Blob, b"hello\n").unwrap();
    assert_eq!(blob.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    let tree = repository.write(Kind::Tree, b"").unwrap();
    assert_eq!(tree.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    let mut repository = Repository::new(Format::Sha256, Limits::default());
    let tree = repository.write(Kind::Tree, b"").unwrap();
    assert_eq!(tree.to_string(), "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321");
}

#[test]
fn branches_move_if_they_are_where_they_are_expected() {
    let mut repository = repository();
    let id = |byte| ObjectId::from_bytes(&[byte; 20]);
    let mut watch = repository.watch("main");
    assert!(!repository.test_and_set("main", id(1), id(2)));
    assert!(!watch.has_changed().unwrap());
    assert!(repository.test_and_set("main", None, id(2)));
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), id(2));
    assert!(repository.test_and_set("main", id(2), None));
    assert_eq!((repository.branch("main"), repository.branches().count()), (None, 0));
}
