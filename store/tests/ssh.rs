//! Against OpenSSH's server: keys of all kinds on both sides, forced commands, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{fs, path::PathBuf, process::Command};
use store::{
    Options, Store,
    openssh::PrivateKey,
    remote::{
        Arguments, Location, Problem, RemoteError, Secret,
        ssh::{HostKey, open},
    },
};
use support::{HostConnector, Origin, Program, find, free_port, run, scenarios};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// sshd with one host key, which runs git for whoever has the key `user`.
struct Sshd {
    port: u16,
    directory: PathBuf,
    _program: Program,
}

impl Sshd {
    fn new(origin: &Origin, host_key: &str, user_key: &str, more: &str) -> Self {
        let directory = origin.scratch.path().to_owned();
        for (name, kind) in [("host", host_key), ("user", user_key), ("stranger", "ed25519")] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-N", "", "-C", name, "-f", name, "-t"]).args(kind.split(' '));
            assert!(command.current_dir(&directory).status().unwrap().success());
        }
        let key = fs::read_to_string(directory.join("user.pub")).unwrap();
        let allowed = format!("restrict,command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" {key}");
        origin.scratch.file("allowed", allowed);
        let port = free_port();
        let path = |name: &str| directory.join(name).display().to_string();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n{more}\n",
            path("host"),
            path("allowed"),
        );
        let configuration = origin.scratch.file("sshd_config", configuration);
        // sshd wants it when it is started by root; Debian makes it when the service starts.
        let _ = fs::create_dir_all("/run/sshd");
        let mut command = Command::new(find("sshd").expect("sshd is installed"));
        command.arg("-D").arg("-f").arg(configuration);
        Self { port, directory, _program: Program::serving(&mut command, port) }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap()
    }

    fn identity(&self, name: &str) -> PrivateKey {
        // As an argument has it, on one line.
        PrivateKey::parse(&Secret::new(self.read(name).replace('\n', " "))).unwrap()
    }

    fn location(&self) -> Location {
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}/x", user.trim(), self.port).parse().unwrap()
    }

    fn fingerprint(&self) -> String {
        let output =
            Command::new("ssh-keygen").arg("-lf").arg(self.directory.join("host.pub")).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    }
}

impl Sshd {
    async fn clone(&self, path: &str, options: Options) -> Result<Store<HostConnector>, RemoteError> {
        let url = self.location().to_string().replace("/x", path);
        let arguments = Arguments {
            remote: Some(Secret::new(url)),
            ssh_key: Some(Secret::new(self.read("user").replace('\n', " "))),
            ssh_host_key: Some(self.fingerprint()),
            ..Arguments::default()
        };
        Store::clone(arguments.remote(HostConnector).unwrap().unwrap(), options).await
    }
}

/// Runs a scenario against repositories of both kinds, and servers that let us choose the protocol's version and do not.
#[track_caller]
fn scenario(scenario: impl AsyncFn(&Origin, &Sshd)) {
    for (format, more) in
        [("sha1", "AcceptEnv GIT_PROTOCOL"), ("sha256", "AcceptEnv GIT_PROTOCOL"), ("sha1", "")]
    {
        let origin = Origin::new(format);
        let sshd = Sshd::new(&origin, "ed25519", "ed25519", more);
        run(async { scenario(&origin, &sshd).await });
    }
}

async fn clone(origin: &Origin, sshd: &Sshd, options: Options) -> Store<HostConnector> {
    sshd.clone(&origin.bare().display().to_string(), options).await.unwrap()
}

#[test]
#[ignore = "needs sshd"]
fn a_clone_is_changed_and_pulled() {
    scenario(async |origin, sshd| {
        scenarios::clone_change_pull(origin, async |options| clone(origin, sshd, options).await).await;
    });
}

#[test]
#[ignore = "needs sshd"]
fn racing_writers_lose_nothing() {
    scenario(async |origin, sshd| {
        scenarios::racing_writers(origin, 4, async |options| clone(origin, sshd, options).await).await;
    });
}

#[test]
#[ignore = "needs sshd"]
fn what_others_did_is_merged() {
    scenario(async |origin, sshd| {
        scenarios::merging(origin, async |options| clone(origin, sshd, options).await).await;
    });
}

#[test]
#[ignore = "needs sshd"]
fn a_hook_is_heard() {
    scenario(async |origin, sshd| {
        scenarios::hook_declines(origin, async |options| clone(origin, sshd, options).await).await;
    });
}

#[test]
#[ignore = "needs sshd"]
fn what_git_prints_is_told() {
    let origin = Origin::new("sha1");
    let sshd = Sshd::new(&origin, "ed25519", "ed25519", "");
    run(async {
        let Err(error) = sshd.clone("/nowhere's", Options::default()).await else {
            panic!("it is not there")
        };
        let error = error.to_string();
        assert!(error.contains("'/nowhere's' does not appear to be a git repository"), "{error}");
    });
}

/// What a command prints, after nothing is said to it but the end of a conversation with git.
async fn output(
    sshd: &Sshd,
    key: &str,
    host_key: &str,
    command: &str,
    version2: bool,
) -> Result<String, Problem> {
    let (identity, host_key) = (sshd.identity(key), HostKey::parse(host_key).unwrap());
    let opened =
        open(&HostConnector, &sshd.location(), Some(&identity), Some(&host_key), command, version2).await?;
    let mut stream = Box::pin(opened);
    stream.write_all(b"0000").await.unwrap();
    stream.flush().await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn check(host_key: &str, user_key: &str) {
    let origin = Origin::new("sha1");
    let sshd = Sshd::new(&origin, host_key, user_key, "AcceptEnv GIT_PROTOCOL");
    let command = format!("git-upload-pack '{}'", origin.bare().display());
    run(async {
        for pinned in [sshd.fingerprint(), sshd.read("host.pub")] {
            let new = output(&sshd, "user", &pinned, &command, true).await.unwrap();
            assert!(new.starts_with("000eversion 2\n"), "{new}");
            let old = output(&sshd, "user", &pinned, &command, false).await.unwrap();
            assert!(old.contains(&format!("{} HEAD", origin.head())), "{old}");
        }
    });
}

#[test]
#[ignore = "needs sshd"]
fn keys_of_all_kinds_let_us_in() {
    check("ed25519", "ed25519");
    check("rsa -b 2048", "rsa -b 3072");
    check("ecdsa -b 256", "rsa -b 2048 -m PKCS8");
    check("ecdsa -b 384", "rsa -b 4096 -m PEM");
}

#[test]
#[ignore = "needs sshd"]
fn what_is_not_right_is_told() {
    let origin = Origin::new("sha1");
    let sshd = Sshd::new(&origin, "ed25519", "ed25519", "");
    let stranger = sshd.read("stranger.pub");
    run(async {
        let wrong = output(&sshd, "user", &stranger, "git-upload-pack '/'", true).await.unwrap_err();
        assert!(
            matches!(&wrong, Problem::HostKey { seen, pinned: true } if *seen == sshd.fingerprint()),
            "{wrong}"
        );
        let other = format!("SHA256:{}", "A".repeat(43));
        let wrong = output(&sshd, "user", &other, "git-upload-pack '/'", true).await.unwrap_err();
        assert!(
            matches!(&wrong, Problem::HostKey { seen, pinned: true } if *seen == sshd.fingerprint()),
            "{wrong}"
        );
        let key = sshd.identity("user");
        let unpinned =
            open(&HostConnector, &sshd.location(), Some(&key), None, "", true).await.err().unwrap();
        assert!(matches!(&unpinned, Problem::HostKey { pinned: false, .. }), "{unpinned}");
        let refused = output(&sshd, "stranger", &sshd.fingerprint(), "", true).await.unwrap_err();
        assert!(matches!(&refused, Problem::Authentication { .. }), "{refused}");
        let host_key = HostKey::parse(&sshd.fingerprint()).unwrap();
        let nobody =
            open(&HostConnector, &sshd.location(), None, Some(&host_key), "", true).await.err().unwrap();
        assert!(matches!(&nobody, Problem::Authentication { .. }), "{nobody}");
    });
}

#[test]
#[ignore = "needs sshd"]
fn servers_without_our_algorithms_are_told_of() {
    for (line, expected) in [
        ("Ciphers aes128-ctr", "ssh: the server has no cipher (aes256-gcm@openssh.com) that we have"),
        (
            "KexAlgorithms ecdh-sha2-nistp256",
            "ssh: the server has no key exchange (curve25519-sha256) that we have",
        ),
    ] {
        let origin = Origin::new("sha1");
        let sshd = Sshd::new(&origin, "ed25519", "ed25519", line);
        run(async {
            let error = output(&sshd, "user", &sshd.read("host.pub"), "", true).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        });
    }
}

/// More than a window each way: through `cat`, whose output waits for our reading.
#[test]
#[ignore = "needs sshd"]
fn streams_are_longer_than_windows() {
    let origin = Origin::new("sha1");
    let sshd = Sshd::new(&origin, "ed25519", "ed25519", "");
    let key = fs::read_to_string(sshd.directory.join("user.pub")).unwrap();
    origin.scratch.file("allowed", format!("restrict,command=\"cat; echo end >&2\" {key}"));
    run(async {
        let (identity, host_key) = (sshd.identity("user"), HostKey::parse(&sshd.fingerprint()).unwrap());
        let location = sshd.location();
        let stream =
            open(&HostConnector, &location, Some(&identity), Some(&host_key), "", false).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(Box::pin(stream));
        let sent: Vec<u8> =
            (0..9_000_000_u32).map(|number| u8::try_from(number * 7 % 251).unwrap()).collect();
        let expected = sent.clone();
        let writing = tokio::task::spawn_local(async move {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
        });
        let mut received = vec![0; expected.len()];
        reader.read_exact(&mut received).await.unwrap();
        writing.await.unwrap();
        assert!(received == expected);
    });
}
