//! The command of `examples/store.rs`, run as people run it, against git daemon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Daemon, Origin, git_output};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// What it prints, or how it fails.
fn store(words: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "store", "--example", "store", "--"]).args(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
#[ignore = "needs git daemon"]
fn files_are_shown_and_changed() {
    let origin = Origin::new("sha1");
    let daemon = Daemon::new(&origin);
    let remote = format!("--remote={}#main", daemon.url());
    let cloned = store(&["clone", &remote], "").unwrap();
    assert!(cloned.starts_with(&format!("main {} in ", origin.head())), "{cloned}");
    let head = store(&["put", "zones/new", &remote], "some content\n").unwrap();
    assert_eq!((head, origin.show("zones/new")), (origin.head(), "some content".into()));
    assert_eq!(store(&["cat", "zones/new", &remote], "").unwrap(), "some content");
    let files = git_output(&origin.bare(), &["ls-tree", "-r", "--format=%(objectname) %(path)", "main"]);
    assert_eq!(store(&["ls", &remote], "").unwrap(), files);
    let log = store(&["log", &remote, "--depth=all"], "").unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
    assert!(log.lines().next().unwrap().ends_with("store Write zones/new"), "{log}");
    store(&["remove", "zones/new", &remote], "").unwrap();
    assert_eq!(store(&["put", "readme", &remote], "what is here\n").unwrap(), origin.head());
    let error = store(&["cat", "zones/new", &remote], "").unwrap_err();
    assert_eq!(error, "store: zones/new: there is no such file");
    let signers = format!("--allowed-signers=SHA256:{}", "A".repeat(43));
    let error = store(&["clone", &remote, &signers], "").unwrap_err();
    assert!(error.ends_with("is not taken: the commit is not signed (--allowed-signers)"), "{error}");
    assert!(store(&["what"], "").unwrap_err().contains("usage: store"), "usage");
    origin.fsck();
}

/// Files of the repository that is too large for little memory.
const FILES: usize = 60_000;

/// However little memory there is, a clone ends with a commit or with a line that says so, and never in the middle of it.
#[test]
#[ignore = "needs git daemon"]
fn too_little_memory_is_told() {
    let origin = Origin::new("sha1");
    let mut stream = String::from("commit refs/heads/large\ncommitter A <a@b> 1700000000 +0000\ndata 0\n");
    for number in 0..FILES {
        let (directory, content) = (number / 200, format!("file {number}"));
        let length = content.len();
        stream.push_str(&format!("M 100644 inline d{directory}/f{number}\ndata {length}\n{content}\n"));
    }
    let mut import = origin::git(&origin.bare());
    let mut import = import.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let daemon = Daemon::new(&origin);
    store(&["ls", &format!("--remote={}#main", daemon.url())], "").unwrap();
    let program = std::env::current_exe().unwrap().with_file_name("../examples/store");
    let remote = format!("--remote={}#large", daemon.url());
    let (mut told, mut cloned) = (0, 0);
    for kibibytes in (8..40).step_by(4).map(|mebibytes| mebibytes * 1024) {
        let script = format!("ulimit -v {kibibytes}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(&program).args(["clone", &remote]);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => cloned += 1,
            Some(1) if error.contains("more than there is memory for: give the image more") => told += 1,
            // Not enough to begin at all.
            _ if told == 0 && cloned == 0 => {}
            status => panic!("{kibibytes} KiB: {status:?}: {error}"),
        }
    }
    assert!(told > 0 && cloned > 0, "told {told} times, cloned {cloned} times");
}
