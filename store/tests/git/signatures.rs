//! Commits signed by git through ssh-keygen, and what becomes of them.

use crate::{Git, receive};
use std::process::Command;
use store::{
    Format, Limits, Repository,
    signature::{AllowedSigners, BadSignature},
};

/// Makes a key and returns its public half.
fn make_key(git: &Git, name: &str, options: &[&str]) -> String {
    let path = git.0.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "somebody", "-f"]).arg(&path).args(options);
    assert!(command.status().expect("ssh-keygen is installed").success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap()
}

/// A repository with one commit on top of `main` that is signed by this key.
fn signed(git: &Git, key: &str, format: Format) -> Repository {
    let tree = git.text(&["rev-parse", "main^{tree}"]);
    let key = format!("user.signingkey={}", git.0.join(key).display());
    let who = ["-c", "user.name=C", "-c", "user.email=c@example.com", "-c", "gpg.format=ssh", "-c"];
    let commit =
        [&who[..], &[key.as_str(), "commit-tree", "-S", "-p", "main", "-m", "Signed", &tree]].concat();
    let commit = git.text(&commit);
    git.run(&["update-ref", "refs/heads/signed", &commit], b"");
    let mut repository = Repository::new(format, Limits::default());
    receive(&mut repository, &git.pack(&[], "signed\n"), 4096);
    repository
}

#[track_caller]
fn check(name: &str, options: &[&str], format: Format, expect: Result<&str, BadSignature>) {
    let git = Git::new(&format!("signed-{name}"), format);
    git.fill(3);
    let public = make_key(&git, name, options);
    let repository = signed(&git, name, format);
    let signers = AllowedSigners::parse(&format!("c@example.com {public}")).unwrap();
    let head = git.id("signed");
    assert_eq!(repository.verify_signature(&head, &signers).unwrap(), expect);
    let nobody = AllowedSigners::default();
    assert_eq!(repository.verify_signature(&head, &nobody).unwrap(), Err(BadSignature::UnknownKey));
    assert_eq!(repository.verify_signature(&git.id("main"), &signers).unwrap(), Err(BadSignature::None));
}

#[test]
#[ignore = "needs ssh-keygen; cargo xtask test runs it"]
fn signatures_of_git_are_verified() {
    for format in [Format::Sha1, Format::Sha256] {
        check("ed25519", &["-t", "ed25519"], format, Ok("c@example.com"));
        check("rsa", &["-t", "rsa", "-b", "2048"], format, Ok("c@example.com"));
        check("p256", &["-t", "ecdsa", "-b", "256"], format, Ok("c@example.com"));
        check("p384", &["-t", "ecdsa", "-b", "384"], format, Ok("c@example.com"));
    }
    check("p521", &["-t", "ecdsa", "-b", "521"], Format::Sha1, Err(BadSignature::Unsupported));
}

#[test]
#[ignore = "needs ssh-keygen; cargo xtask test runs it"]
fn what_was_changed_since_is_not_signed() {
    let git = Git::new("changed", Format::Sha1);
    git.fill(3);
    let public = make_key(&git, "key", &["-t", "ed25519"]);
    let repository = signed(&git, "key", Format::Sha1);
    let signers = AllowedSigners::parse(&format!("c@example.com {public}")).unwrap();
    let commit = repository.read(&git.id("signed")).unwrap().data;
    assert_eq!(signers.verify(Format::Sha1, &commit), Ok("c@example.com"));
    // Any byte, of the commit or of its signature.
    for at in 0..commit.len() {
        let mut changed = commit.to_vec();
        changed[at] ^= 1;
        if let Ok(by) = signers.verify(Format::Sha1, &changed) {
            panic!("byte {at} changed, and still signed by {by}");
        }
    }
    let later = format!("c@example.com valid-after=\"20990101\" {public}");
    let later = AllowedSigners::parse(&later).unwrap();
    assert_eq!(later.verify(Format::Sha1, &commit), Err(BadSignature::UnknownKey));
}

#[test]
#[ignore = "needs ssh-keygen; cargo xtask test runs it"]
fn a_signature_of_a_file_is_none_of_a_commit() {
    let git = Git::new("file", Format::Sha1);
    git.fill(1);
    let public = make_key(&git, "key", &["-t", "ed25519"]);
    let commit = git.run(&["cat-file", "commit", "main"], b"");
    std::fs::write(git.0.join("payload"), &commit).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", "file", "-f", "key", "payload"]).current_dir(&git.0);
    assert!(command.stderr(std::process::Stdio::null()).status().unwrap().success());
    let armour = std::fs::read_to_string(git.0.join("payload.sig")).unwrap();
    let header = format!("gpgsig {}\n", armour.trim().replace('\n', "\n "));
    let text = String::from_utf8(commit).unwrap();
    let at = text.find("\n\n").unwrap() + 1;
    let signed = [&text[..at], &header, &text[at..]].concat();
    let signers = AllowedSigners::parse(&format!("c@example.com {public}")).unwrap();
    let verdict = signers.verify(Format::Sha1, signed.as_bytes());
    assert_eq!(verdict, Err(BadSignature::Malformed("not made for git")));
}
