//! Only signed heads are taken, and what is pushed is signed: judged by git and ssh-keygen, over git daemon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Daemon, Origin, clone, git, git_output, scenarios};
use std::{fs, path::Path, process::Command, rc::Rc};
use store::{
    ChangeError, Options, Store,
    openssh::PrivateKey,
    remote::{Arguments, Problem, Secret},
    signature::BadSignature,
};
use support::{HostConnector, run};

/// A key of this kind in the origin's directory; its public half.
fn make_key(origin: &Origin, name: &str, options: &[&str]) -> String {
    let path = origin.scratch.path().join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", name, "-f"]).arg(&path).args(options);
    assert!(command.status().expect("ssh-keygen is installed").success());
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

fn private_key(origin: &Origin, name: &str) -> Secret {
    Secret::new(fs::read_to_string(origin.scratch.path().join(name)).unwrap().replace('\n', " "))
}

/// What git is told to sign with a key.
fn signing(origin: &Origin, name: &str) -> [String; 4] {
    let key = format!("user.signingkey={}", origin.scratch.path().join(name).display());
    ["-c".into(), "gpg.format=ssh".into(), "-c".into(), key]
}

/// Somebody changes the readme; signed with a key, or not.
fn commit(origin: &Origin, content: &str, key: Option<&str>) {
    let copy = origin.copy();
    git_output(&copy, &["fetch", "-q", "origin"]);
    git_output(&copy, &["reset", "-q", "--hard", "origin/main"]);
    origin.write("readme", content);
    git_output(&copy, &["add", "-A"]);
    let mut command = git(&copy);
    if let Some(key) = key {
        command.args(signing(origin, key));
    }
    command.args(["commit", "-q", "-m", content]);
    command.args(key.map(|_| "-S"));
    assert!(command.status().unwrap().success());
    origin.push();
}

/// git's own judgement of the head of the branch, by the same list.
#[track_caller]
fn check_by_git(bare: &Path, signers: &Path) {
    let mut command = git(bare);
    command.arg("-c").arg(format!("gpg.ssh.allowedSignersFile={}", signers.display()));
    let output = command.args(["verify-commit", "--verbose", "main"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Good \"git\" signature"), "{said}");
}

fn options(signers: &str, key: Option<Secret>) -> Options {
    let (allowed_signers, signing_key) = (Some(signers.to_owned()), key);
    Arguments { allowed_signers, signing_key, ..Arguments::default() }.options().unwrap()
}

#[track_caller]
fn check_refused<T>(outcome: Result<T, store::remote::RemoteError>, origin: &Origin, expected: BadSignature) {
    let Err(error) = outcome else { panic!("it was taken") };
    match &error.problem {
        Problem::Signature { head, reason } => {
            assert_eq!((head.to_string(), *reason), (origin.head(), expected));
        }
        problem => panic!("{problem:?}"),
    }
    assert!(!error.is_temporary() && error.to_string().contains(&origin.head()), "{error}");
}

#[test]
#[ignore = "needs git daemon and ssh-keygen"]
fn an_unsigned_head_is_refused_and_what_was_there_stays() {
    for format in ["sha1", "sha256"] {
        let origin = Origin::new(format);
        let daemon = Daemon::new(&origin);
        let allowed = make_key(&origin, "allowed", &["-t", "ed25519"]);
        let other = make_key(&origin, "other", &["-t", "ed25519"]);
        let signers =
            format!("nobody@example.org {other}human@example.org namespaces=\"file,git\" {allowed}");
        let signers = signers.replace("nobody", "# nobody");
        run(async {
            let options = || options(&signers, None);
            check_refused(clone(&daemon.url(), options()).await, &origin, BadSignature::None);
            commit(&origin, "signed", Some("allowed"));
            let mut store = clone(&daemon.url(), options()).await.unwrap();
            let head = store.head();
            for (content, key, expected) in [
                ("not signed", None, BadSignature::None),
                ("signed by somebody else", Some("other"), BadSignature::UnknownKey),
            ] {
                commit(&origin, content, key);
                // The second time it is known, and not fetched.
                for _ in 0..2 {
                    check_refused(store.pull().await, &origin, expected);
                    assert_eq!((store.head(), &*scenarios::read(&store, "readme")), (head, "signed"));
                }
                check_refused(clone(&daemon.url(), options()).await, &origin, expected);
                let update = scenarios::write(&mut store, "zones/own", "1\n").await.unwrap_err();
                assert!(matches!(update, ChangeError::Remote(_)), "{update}");
            }
            // Whoever signs the head vouches for what is below it.
            commit(&origin, "signed again", Some("allowed"));
            assert_eq!(store.pull().await.unwrap().len(), 1);
            assert_eq!(scenarios::read(&store, "readme"), "signed again");
        });
    }
}

#[test]
#[ignore = "needs git daemon and ssh-keygen"]
fn what_is_pushed_is_signed_and_git_says_so() {
    for (format, kind) in [
        ("sha1", &["-t", "ed25519"][..]),
        ("sha256", &["-t", "ed25519"]),
        ("sha1", &["-t", "rsa", "-b", "3072"]),
    ] {
        let origin = Origin::new(format);
        let daemon = Daemon::new(&origin);
        let public = make_key(&origin, "key", kind);
        let signers = origin.scratch.path().join("signers");
        fs::write(&signers, format!("service@example.org {public}")).unwrap();
        commit(&origin, "signed", Some("key"));
        run(async {
            let key = PrivateKey::parse(&private_key(&origin, "key")).unwrap();
            let options = options(&key.to_string(), Some(private_key(&origin, "key")));
            let mut store = clone(&daemon.url(), options.clone()).await.unwrap();
            for number in 0..3 {
                scenarios::write(&mut store, "zones/own", &format!("{number}\n")).await.unwrap();
                check_by_git(&origin.bare(), &signers);
            }
            origin.fsck();
            let again = clone(&daemon.url(), options).await.unwrap();
            assert_eq!((again.head(), &*scenarios::read(&again, "zones/own")), (store.head(), "2\n"));
            racing(&origin, &mut store).await;
            check_by_git(&origin.bare(), &signers);
        });
    }
}

/// Others who sign may be faster.
async fn racing(origin: &Origin, store: &mut Store<HostConnector>) {
    commit(origin, "faster", Some("key"));
    scenarios::write(store, "zones/own", "after\n").await.unwrap();
    assert_eq!((origin.show("readme"), origin.show("zones/own")), ("faster".into(), "after".into()));
}

#[test]
#[ignore = "needs git daemon and ssh-keygen"]
fn nothing_is_pushed_that_would_not_be_taken() {
    let origin = Origin::new("sha1");
    let daemon = Daemon::new(&origin);
    let public = make_key(&origin, "key", &["-t", "ed25519"]);
    make_key(&origin, "other", &["-t", "ed25519"]);
    commit(&origin, "signed", Some("key"));
    let (head, other) = (origin.head(), PrivateKey::parse(&private_key(&origin, "other")).unwrap());
    run(async {
        let without = options(&public, None);
        let wrong = Options { signing_key: Some(Rc::new(other)), ..without.clone() };
        for (options, expected) in [(without, BadSignature::None), (wrong, BadSignature::UnknownKey)] {
            let mut store = clone(&daemon.url(), options).await.unwrap();
            let error = scenarios::write(&mut store, "zones/own", "1\n").await.unwrap_err();
            let ChangeError::Remote(error) = error else { panic!("{error}") };
            assert!(matches!(error.problem, Problem::OwnSignature(reason) if reason == expected), "{error}");
            assert_eq!((store.head().unwrap().to_string(), origin.head()), (head.clone(), head.clone()));
        }
    });
    let (allowed_signers, signing_key) = (Some(public), Some(private_key(&origin, "other")));
    let error = Arguments { allowed_signers, signing_key, ..Arguments::default() }.options().err().unwrap();
    assert!(error.to_string().contains("is none of --allowed-signers"), "{error}");
}
