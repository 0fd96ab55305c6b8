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

#[track_caller]
fn check_merge(
    base: &[(&str, Option<&str>)],
    ours: &[(&str, Option<&str>)],
    theirs: &[(&str, Option<&str>)],
    expect: Result<&[&str], &[&str]>,
) {
    let mut repository = repository();
    let base = repository.edit(None, &edits(base)).unwrap();
    let ours = repository.edit(Some(&base), &edits(ours)).unwrap();
    let theirs = repository.edit(Some(&base), &edits(theirs)).unwrap();
    let merged = repository.merge(Some(&base), &ours, &theirs, &mut |contested| match (
        contested.base,
        contested.ours,
        contested.theirs,
    ) {
        (_, Some(ours), Some(theirs)) if contested.path.as_str() == Some("join") => {
            Resolution::Write([ours, theirs].concat())
        }
        (Some(_), None, Some(_)) if contested.path.as_str() == Some("drop") => Resolution::Remove,
        _ => Resolution::Conflict,
    });
    match (merged.unwrap(), expect) {
        (Merged::Tree(tree), Ok(expect)) => assert_eq!(files(&repository, &tree), expect),
        (Merged::Conflict(paths), Err(expect)) => {
            assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), expect);
        }
        (merged, expect) => panic!("{merged:?}, not {expect:?}"),
    }
}

#[test]
fn what_one_side_changed_is_taken() {
    let base = [("a", Some("1")), ("b", Some("2")), ("d/c", Some("3"))];
    check_merge(&base, &[("a", Some("4"))], &[("b", None), ("n", Some("5"))], Ok(&["a=4", "d/c=3", "n=5"]));
    check_merge(&base, &[("a", Some("4"))], &[("a", Some("4")), ("d/c", None)], Ok(&["a=4", "b=2"]));
    check_merge(
        &base,
        &[("d/n", Some("6"))],
        &[("d/m", Some("7"))],
        Ok(&["a=1", "b=2", "d/c=3", "d/m=7", "d/n=6"]),
    );
    check_merge(&base, &[("d", None), ("d", Some("8"))], &[("a", None)], Ok(&["b=2", "d=8"]));
    check_merge(&base, &[("a", None), ("a/x", Some("9"))], &[("b", None)], Ok(&["a/x=9", "d/c=3"]));
}

#[test]
fn what_both_changed_is_asked_about() {
    let base = [("join", Some("1")), ("drop", Some("2")), ("d/c", Some("3"))];
    check_merge(&base, &[("join", Some("x"))], &[("join", Some("y"))], Ok(&["d/c=3", "drop=2", "join=xy"]));
    check_merge(&base, &[("drop", None)], &[("drop", Some("y"))], Ok(&["d/c=3", "join=1"]));
    check_merge(&base, &[("drop", Some("x"))], &[("drop", Some("y"))], Err(&["drop"]));
    check_merge(&base, &[("d/c", None)], &[("d/c", Some("y"))], Err(&["d/c"]));
}

#[test]
fn a_file_over_a_directory_that_the_other_side_uses_is_a_conflict() {
    let base = [("a", Some("1")), ("d/c", Some("3"))];
    check_merge(&base, &[("d", Some("x"))], &[("d/n", Some("y"))], Err(&["d"]));
    check_merge(&base, &[("n", Some("x"))], &[("n/m", Some("y"))], Err(&["n"]));
    check_merge(&base, &[("n/m", Some("x"))], &[("n", Some("y"))], Err(&["n/m"]));
}

/// A commit of one file that says `content`, made at a time.
fn commit(repository: &mut Repository, content: &str, parents: &[ObjectId], seconds: i64) -> ObjectId {
    let base = parents.first().copied();
    let tree = repository.edit(base.as_ref(), &edits(&[("f", Some(content))])).unwrap();
    repository.commit(tree, parents, &Identity::new("A", "a@example.com", seconds), "Why\n").unwrap()
}

#[test]
fn history_is_walked_as_git_walks_it() {
    let mut repository = repository();
    let first = commit(&mut repository, "1", &[], 10);
    let left = commit(&mut repository, "2", &[first], 20);
    let right = commit(&mut repository, "1", &[first], 30);
    let merge = commit(&mut repository, "2", &[right, left], 40);
    let log = repository.log(&merge, 3).unwrap();
    assert_eq!(log.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [merge, right, left]);
    assert_eq!(repository.merge_base(&left, &right), Ok(Some(first)));
    assert_eq!(repository.merge_base(&left, &merge), Ok(Some(left)));
    assert_eq!(repository.is_ancestor(&first, &merge), Ok(true));
    assert_eq!(repository.is_ancestor(&left, &right), Ok(false));
    let last = repository.last_modified(&merge, "f").unwrap().map(|(id, _)| id);
    assert_eq!(last, Some(left));
    assert_eq!(repository.last_modified(&merge, "g"), Ok(None));
    repository.set_shallow(right);
    assert_eq!(repository.log(&right, 9).unwrap().len(), 1);
}

#[test]
fn compaction_keeps_what_branches_reach() {
    let mut repository = repository();
    let mut head = commit(&mut repository, "0", &[], 1);
    for round in 1..20 {
        head = commit(&mut repository, &format!("{round}").repeat(100), &[head], round);
        commit(&mut repository, &format!("lost {round}").repeat(100), &[head], round);
    }
    repository.set_branch("main", Some(head));
    let objects = repository.objects();
    assert!(repository.compact(&[]).unwrap() > 0);
    assert_eq!(repository.objects(), objects - 3 * 19);
    assert_eq!(repository.verify(&[head], &[]), Ok(()));
    assert_eq!(files(&repository, &head), ["f=".to_owned() + &"19".repeat(100)]);
    assert_eq!(repository.compact(&[]), Ok(0));
}
