//! The hook in a real repository: real pushes to a bare one, taken or not, and what the one who pushes reads.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it has to be")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const GOOD: &str = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns.example.com.\n";

/// A bare repository with the hook, and a working copy of it; gone at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, hook: &str) -> Place {
        let place = Place(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let _ = fs::remove_dir_all(&place.0);
        fs::create_dir_all(&place.0).unwrap();
        place.git(".", &["init", "--quiet", "--bare", "--initial-branch=main", "bare"]);
        place.git(".", &["init", "--quiet", "--initial-branch=main", "copy"]);
        place.git("copy", &["remote", "add", "origin", "../bare"]);
        let script = format!("#!/bin/sh\nexec {} {hook}\n", env!("CARGO_BIN_EXE_dns-check"));
        let path = place.0.join("bare/hooks/pre-receive");
        fs::write(&path, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, executable).unwrap();
        place
    }

    fn run(&self, directory: &str, arguments: &[&str]) -> Output {
        let settings =
            ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        git.current_dir(self.0.join(directory)).args(settings).args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C").output().expect("git is installed")
    }

    #[track_caller]
    fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let output = self.run(directory, arguments);
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "git {arguments:?}: {text}");
        text
    }

    /// Commits these files (`None`: removed) and pushes: whether the push was taken, and what the server said.
    fn push(&self, files: &[(&str, Option<&str>)]) -> (bool, Vec<String>) {
        for (file, text) in files {
            let path = self.0.join("copy").join(file);
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        self.git("copy", &["add", "--all"]);
        self.git("copy", &["commit", "--quiet", "--message", "a change"]);
        let before = self.head();
        let output = self.run("copy", &["push", "--quiet", "origin", "HEAD:main"]);
        let taken = output.status.success();
        assert_eq!(taken, self.head() != before, "git and the repository agree");
        if !taken {
            self.git("copy", &["reset", "--quiet", "--hard", "HEAD~"]);
        }
        self.git("bare", &["fsck", "--strict"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = text.lines().filter_map(|line| line.strip_prefix("remote: "));
        (taken, said.map(|line| line.trim_end().to_string()).filter(|line| !line.is_empty()).collect())
    }

    fn head(&self) -> String {
        String::from_utf8_lossy(&self.run("bare", &["rev-parse", "--verify", "-q", "main"]).stdout)
            .into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn check(place: &Place, files: &[(&str, Option<&str>)], taken: bool, said: &[&str]) {
    let (was_taken, lines) = place.push(files);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!((was_taken, lines.as_slice()), (taken, said));
}

#[test]
fn a_push_is_taken_if_every_zone_in_it_can_be_served() {
    let place = Place::new("pre-receive", "");
    let good = "1 zones checked, all good";
    check(
        &place,
        &[("example.org", Some(GOOD)), (".gitignore", Some("x")), ("_keys", Some(""))],
        true,
        &[good],
    );
    // What did not change is not checked again.
    check(&place, &[(".gitignore", Some("y"))], true, &["0 zones checked, all good"]);
    let wrong = format!("{GOOD}www A 192.0.2\n");
    let reason = "error: example.org:4: `192.0.2` is no IPv4 address";
    check(&place, &[("example.org", Some(&wrong))], false, &[reason, "1 zones checked, 1 errors"]);
    let more = format!("{GOOD}www A 192.0.2.1\n");
    let serial = "error: example.org: records changed, but the serial number is still 1, so that secondaries keep the \
                  old ones; write 2 or later";
    check(&place, &[("example.org", Some(&more))], false, &[serial, "1 zones checked, 1 errors"]);
    check(&place, &[("example.org", Some(&more.replace("r 1", "r 2")))], true, &[good]);
    let keys = "a._update.example.org. DNSKEY 0 3 163 not-base-64\n";
    let (taken, said) = place.push(&[("_keys", Some(keys))]);
    assert!(
        said.iter().any(|line| line.contains("_keys")) && !said.concat().contains("not-base"),
        "{taken} {said:?}"
    );
    let second = "error: example.org: a second file for the zone of Example.ORG";
    check(&place, &[("Example.ORG", Some(GOOD))], false, &[second, "1 zones checked, 1 errors"]);
    check(
        &place,
        &[("example.org", None), ("example.net", Some(GOOD))],
        true,
        &["warning: example.org: is gone, and the zone with it", good],
    );
}

#[test]
fn only_the_branch_that_is_served_counts_and_stays() {
    let place = Place::new("branch", "--branch main --serial-warns");
    check(&place, &[("example.org", Some(GOOD))], true, &["1 zones checked, all good"]);
    let warning = "warning: example.org: records changed, but the serial number is still 1, so that secondaries keep \
                   the old ones; write 2 or later";
    let more = format!("{GOOD}www A 192.0.2.1\n");
    check(&place, &[("example.org", Some(&more))], true, &[warning, "1 zones checked, all good"]);
    fs::write(place.0.join("copy/example.org"), "nonsense").unwrap();
    place.git("copy", &["commit", "--quiet", "--all", "--message", "a draft"]);
    place.git("copy", &["push", "--quiet", "origin", "HEAD:draft"]);
    place.git("copy", &["push", "--quiet", "origin", ":draft"]);
    let output = place.run("copy", &["push", "origin", ":main"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("may not be deleted"), "{said}");
}

#[test]
fn files_and_directories_are_checked_by_name() {
    let place = Place::new("files", "");
    let directory = place.0.join("copy");
    fs::write(directory.join("example.org"), GOOD).unwrap();
    fs::write(directory.join("example.net"), format!("{GOOD}a MX 1 b\n")).unwrap();
    let run = |path: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_dns-check")).arg(path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let warning =
        "warning: example.net: the MX record of a.example.net. names b.example.net., which has no address\n";
    assert_eq!(run(&directory), (Some(0), format!("{warning}2 zones checked, all good\n")));
    fs::write(directory.join("example.net"), "@ 60 NS a\n").unwrap();
    let error = "error: example.net: the zone has no SOA record at example.net.\n";
    assert_eq!(run(&directory.join("example.net")), (Some(1), format!("{error}1 zones checked, 1 errors\n")));
    assert_eq!(run(&directory.join("missing")).0, Some(2));
}
