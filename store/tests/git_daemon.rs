//! Against git daemon: everything that has to work over any transport, and what only this one has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Daemon, Origin, clone, scenarios};
use store::{Limits, Options, Store, remote::Problem};
use support::{HostConnector, run};

/// Runs a scenario against repositories of both kinds.
#[track_caller]
fn check(scenario: impl AsyncFn(&Origin, &str)) {
    for format in ["sha1", "sha256"] {
        let origin = Origin::new(format);
        let daemon = Daemon::new(&origin);
        run(async { scenario(&origin, &daemon.url()).await });
    }
}

async fn open(url: &str, options: Options) -> Store<HostConnector> {
    clone(url, options).await.unwrap()
}

#[test]
#[ignore = "needs git daemon"]
fn a_clone_is_changed_and_pulled() {
    check(async |origin, url| {
        scenarios::clone_change_pull(origin, async |options| open(url, options).await).await;
    });
}

#[test]
#[ignore = "needs git daemon"]
fn racing_writers_lose_nothing() {
    check(async |origin, url| {
        scenarios::racing_writers(origin, 8, async |options| open(url, options).await).await;
    });
}

#[test]
#[ignore = "needs git daemon"]
fn what_others_did_is_merged() {
    check(async |origin, url| scenarios::merging(origin, async |options| open(url, options).await).await);
}

#[test]
#[ignore = "needs git daemon"]
fn a_hook_is_heard() {
    check(async |origin, url| {
        scenarios::hook_declines(origin, async |options| open(url, options).await).await;
    });
}

/// What cloning says when it fails.
#[track_caller]
fn refused(suffix: &str, expected: &str) {
    let origin = Origin::new("sha1");
    let daemon = Daemon::new(&origin);
    run(async {
        let url = daemon.url().replace("/origin.git", suffix);
        let Err(error) = clone(&url, Options::default()).await else { panic!("{suffix} can be cloned") };
        let message = error.to_string();
        assert_eq!(message, format!("{url}: {expected}"));
        assert!(!error.is_temporary());
    });
}

#[test]
#[ignore = "needs git daemon"]
fn a_missing_branch_is_named_with_those_there_are() {
    refused("/origin.git#mian", "there is no branch 'mian'; there are main, other");
}

#[test]
#[ignore = "needs git daemon"]
fn a_missing_repository_is_said_to_be_missing() {
    refused("/none.git", "the server refuses: access denied or repository not exported: /none.git");
}

#[test]
#[ignore = "needs git daemon"]
fn another_server_is_said_to_be_one() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
    });
    run(async {
        let error = clone(&format!("git://127.0.0.1:{port}/r"), Options::default()).await.err().unwrap();
        assert!(
            matches!(&error.problem, Problem::NotGit { seen } if seen == "SSH-2.0-OpenSSH_9.2"),
            "{error}"
        );
    });
}

#[test]
#[ignore = "needs git daemon"]
fn an_empty_repository_gets_its_first_commit() {
    let origin = Origin::new("sha1");
    let daemon = Daemon::new(&origin);
    origin::git_output(origin.scratch.path(), &["init", "-q", "--bare", "-b", "main", "empty.git"]);
    run(async {
        let url = daemon.url().replace("origin", "empty");
        let error = clone(&url, Options::default()).await.err().unwrap();
        assert!(error.to_string().ends_with("the repository is empty: push a first commit to it"), "{error}");
        let mut store = open(&url, Options { create: true, ..Options::default() }).await;
        assert_eq!(store.head(), None);
        let head = scenarios::write(&mut store, "a/b", "c\n").await.unwrap();
        let bare = origin.scratch.path().join("empty.git");
        assert_eq!(origin::git_output(&bare, &["rev-parse", "main"]), head.unwrap());
        assert_eq!(origin::git_output(&bare, &["show", "main:a/b"]), "c");
    });
}

#[test]
#[ignore = "needs git daemon"]
fn a_history_that_is_rewritten_is_followed() {
    check(async |origin, url| {
        for depth in [Some(1), None] {
            let mut store = open(url, scenarios::depth(depth)).await;
            let copy = origin.copy();
            origin::git_output(&copy, &["fetch", "-q", "origin"]);
            origin::git_output(&copy, &["reset", "-q", "--hard", "origin/other"]);
            origin.write("readme", &format!("another history {depth:?}"));
            origin.commit_all("by hand");
            origin::git_output(&copy, &["push", "-q", "--force", "origin", "HEAD:main"]);
            let changes = store.pull().await.unwrap();
            assert!(changes.iter().any(|change| change.path.to_string() == "readme"));
            assert_eq!(scenarios::read(&store, "readme"), format!("another history {depth:?}"));
            scenarios::write(&mut store, "zones/after", &format!("{depth:?}\n")).await.unwrap();
            origin.fsck();
        }
    });
}

#[test]
#[ignore = "needs git daemon"]
fn too_much_history_is_refused_and_less_is_taken() {
    let origin = Origin::new("sha1");
    for number in 0..40 {
        origin.write("noise", &noise(4_000));
        origin.commit_all(&format!("noise {number}"));
    }
    origin.push();
    let daemon = Daemon::new(&origin);
    run(async {
        let limits = Limits { pack_bytes: 60_000, ..Limits::default() };
        let all = Options { depth: None, limits, ..Options::default() };
        let error = clone(&daemon.url(), all.clone()).await.err().unwrap();
        assert!(error.to_string().contains("a pack larger than the limit: fetch less history"), "{error}");
        assert!(!error.is_temporary());
        let mut store = open(&daemon.url(), Options { depth: Some(1), ..all }).await;
        // Many pulls and changes later it has not grown beyond what it needs.
        for number in 0..40 {
            origin.write("noise", &noise(4_000));
            origin.commit_all(&format!("more noise {number}"));
            origin::git_output(&origin.copy(), &["pull", "-q", "--rebase", "origin", "main"]);
            origin.push();
            store.pull().await.unwrap_or_else(|error| panic!("pull {number}: {error}"));
            scenarios::write(&mut store, "zones/own", &format!("{number}\n")).await.unwrap();
        }
        origin.fsck();
    });
}

/// Text that does not get smaller.
fn noise(bytes: usize) -> String {
    let mut noise = vec![0; bytes];
    platform::entropy::fill(&mut noise);
    noise.iter().map(|byte| char::from(b'!' + byte % 90)).collect()
}
