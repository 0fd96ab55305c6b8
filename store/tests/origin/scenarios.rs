//! What has to work whichever way a repository is reached: each test file runs these over its own.

use super::*;
use std::{cell::Cell, convert::Infallible, rc::Rc};
use store::{ChangeError, Conflict, Edits, Resolution, Tree, remote::Problem};

/// Options for a history of this depth.
pub fn depth(depth: Option<u32>) -> Options {
    Options { depth, ..Options::default() }
}

/// Cloned shallow and whole, changed twice, and found in the remote.
pub async fn clone_change_pull(origin: &Origin, remote: impl AsyncFn(Options) -> Store<HostConnector>) {
    for shallow in [Some(1), Some(2), None] {
        let mut store = remote(depth(shallow)).await;
        assert_eq!(store.branch(), "main");
        assert_eq!(store.head().unwrap().to_string(), origin.head());
        let commits = store.repository().log(&store.head().unwrap(), 100).unwrap().len();
        assert!(shallow.is_none_or(|depth| commits == depth as usize), "{commits}");
        assert_eq!(
            read(&store, "zones/example.org").lines().next(),
            Some(&*origin.show("zones/example.org"))
        );
        for number in 0..2 {
            let path = format!("zones/{shallow:?}-{number}");
            let head = write(&mut store, &path, "new\n").await.unwrap();
            assert_eq!(head, Some(origin.head()));
            assert_eq!(origin.show(&path), "new");
            origin.fsck();
        }
        // The same again changes nothing.
        let head = origin.head();
        write(&mut store, &format!("zones/{shallow:?}-1"), "new\n").await.unwrap();
        assert_eq!(origin.head(), head);
        human_and_pull(origin, &mut store).await;
    }
}

/// Somebody else pushes; the paths that changed are found.
async fn human_and_pull(origin: &Origin, store: &mut Store<HostConnector>) {
    assert!(store.pull().await.unwrap().is_empty());
    git_output(&origin.copy(), &["pull", "-q", "--rebase", "origin", "main"]);
    let mark = origin.head();
    origin.write("zones/human", &mark);
    fs::remove_file(origin.copy().join("readme")).unwrap();
    origin.commit_all("by hand");
    origin.write("readme", &mark);
    origin.commit_all("by hand again");
    origin.push();
    let changes = store.pull().await.unwrap();
    let paths: Vec<String> = changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["readme", "zones/human"]);
    assert_eq!(store.head().unwrap().to_string(), origin.head());
    assert_eq!(read(store, "zones/human"), mark);
}

pub fn read<C: Connect>(store: &Store<C>, path: &str) -> String {
    let content = store.tree().unwrap().unwrap().read(path).unwrap();
    String::from_utf8(content.unwrap_or_default()).unwrap()
}

pub async fn write<C: Connect>(
    store: &mut Store<C>,
    path: &str,
    content: &str,
) -> Result<Option<String>, ChangeError<Infallible>> {
    let edit = &mut |_: Option<&Tree<'_>>| {
        let mut edits = Edits::default();
        edits.write(path, content).unwrap();
        Ok(edits)
    };
    let head = store.change(&author(), "Write a file\n", edit).await?;
    Ok(head.map(|head| head.to_string()))
}

/// Adds a line to a file that others add lines to.
pub async fn append<C: Connect>(
    store: &mut Store<C>,
    line: &str,
    tries: &Cell<u32>,
) -> Result<(), ChangeError<Infallible>> {
    let edit = &mut |tree: Option<&Tree<'_>>| {
        tries.set(tries.get() + 1);
        let mut content = tree.unwrap().read("log").unwrap().unwrap_or_default();
        content.extend_from_slice(format!("{line}\n").as_bytes());
        let mut edits = Edits::default();
        edits.write("log", content).unwrap();
        Ok(edits)
    };
    store.change(&author(), "Add a line\n", edit).await.map(drop)
}

/// Two services and a person change the same file at the same time: nobody's line is lost, and none is there twice.
pub async fn racing_writers(
    origin: &Origin,
    each: u32,
    remote: impl AsyncFn(Options) -> Store<HostConnector>,
) {
    let tries = Rc::new(Cell::new(0));
    let mut writers = Vec::new();
    for writer in 0..2 {
        let mut store = remote(depth(Some(1))).await;
        let tries = tries.clone();
        writers.push(tokio::task::spawn_local(async move {
            for number in 0..each {
                append(&mut store, &format!("{writer}-{number}"), &tries).await.unwrap();
            }
        }));
    }
    let copy = origin.copy();
    let human = tokio::task::spawn_blocking(move || human(&copy, each));
    for writer in writers {
        writer.await.unwrap();
    }
    human.await.unwrap();
    let mut lines: Vec<String> = origin.show("log").lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = ["0", "1", "human"]
        .iter()
        .flat_map(|who| (0..each).map(move |number| format!("{who}-{number}")))
        .collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
    assert!(tries.get() > 2 * each, "nobody ever lost a race: {} tries", tries.get());
    origin.fsck();
}

/// Somebody with a working copy who adds lines, and pulls and tries again when others were faster.
fn human(copy: &Path, each: u32) {
    for number in 0..each {
        for attempt in 0.. {
            assert!(attempt < 1000, "the human never gets through");
            git_output(copy, &["fetch", "-q", "origin", "main"]);
            git_output(copy, &["reset", "-q", "--hard", "FETCH_HEAD"]);
            let log = fs::read_to_string(copy.join("log")).unwrap_or_default();
            fs::write(copy.join("log"), format!("{log}human-{number}\n")).unwrap();
            git_output(copy, &["add", "log"]);
            git_output(copy, &["commit", "-q", "-m", "by hand"]);
            let push = git(copy).args(["push", "-q", "origin", "HEAD:main"]).stderr(Stdio::null()).status();
            if push.unwrap().success() {
                break;
            }
        }
    }
}

/// What others did is merged path by path, and what cannot be merged is the caller's to know.
pub async fn merging(origin: &Origin, remote: impl AsyncFn(Options) -> Store<HostConnector>) {
    let mut store = remote(depth(Some(1))).await;
    git_output(&origin.copy(), &["pull", "-q", "--rebase", "origin", "main"]);
    for (path, resolution, expected) in [
        ("zones/another", Resolution::Conflict, Ok("theirs")),
        ("readme", Resolution::Write(b"both\n".to_vec()), Ok("both")),
        ("readme", Resolution::Conflict, Err("others have changed the same: readme")),
    ] {
        origin.write("readme", &format!("theirs\n{path}{resolution:?}"));
        origin.commit_all("by hand");
        origin.push();
        let mut edits = Edits::default();
        edits.write(path, "ours\n").unwrap();
        let merge = &mut |_: store::Contested<'_>| resolution.clone();
        let outcome = store.change_merging(&author(), "Ours\n", &edits, merge).await;
        match (outcome, expected) {
            (Ok(_), Ok(readme)) => assert_eq!(origin.show("readme").lines().next(), Some(readme)),
            (Err(ChangeError::Caller(conflict @ Conflict::Paths(_))), Err(expected)) => {
                assert_eq!(conflict.to_string(), expected);
            }
            (outcome, _) => panic!("{outcome:?}"),
        }
        git_output(&origin.copy(), &["pull", "-q", "--rebase", "origin", "main"]);
    }
    origin.fsck();
}

/// A hook says no: that is told, with its words, and nothing is tried again.
pub async fn hook_declines(origin: &Origin, remote: impl AsyncFn(Options) -> Store<HostConnector>) {
    let mut store = remote(depth(Some(1))).await;
    origin.hook("pre-receive", "echo 'example.org: no SOA'; echo x >> calls; exit 1");
    let head = origin.head();
    let error = write(&mut store, "zones/example.org", "broken\n").await.unwrap_err();
    let ChangeError::Remote(error) = error else { panic!("{error}") };
    assert!(matches!(error.problem, Problem::PushRefused { .. }) && !error.is_temporary(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("pre-receive hook declined") && message.contains("example.org: no SOA"),
        "{message}"
    );
    assert_eq!((origin.head(), store.head().unwrap().to_string()), (head.clone(), head));
    assert_eq!(fs::read_to_string(origin.bare().join("calls")).unwrap(), "x\n");
    fs::remove_file(origin.bare().join("hooks/pre-receive")).unwrap();
    write(&mut store, "zones/example.org", "right\n").await.unwrap();
    origin.fsck();
}
