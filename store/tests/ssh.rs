//! Against OpenSSH's server: keys of all kinds on both sides, forced commands, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Origin, scenarios};
use std::{fs, path::PathBuf, process::Command};
use store::{
    Options, Store,
    openssh::PrivateKey,
    remote::{
        Arguments, Location, Problem, RemoteError, Secret,
        ssh::{Client, HostKey, limits::REKEY_BYTES},
    },
};
use support::{HostConnector, Program, find_program, free_port, run};
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
        let mut command = Command::new(find_program("sshd").expect("sshd is installed"));
        command.arg("-D").arg("-f").arg(configuration).arg("-E").arg(directory.join("log"));
        Self { port, directory, _program: Program::serving(&mut command, port) }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap()
    }

    /// What sshd says that it does.
    fn log(&self) -> String {
        self.read("log")
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

fn client<'a>(
    location: &'a Location,
    identity: Option<&'a PrivateKey>,
    host_key: Option<&'a HostKey>,
) -> Client<'a> {
    Client { location, identity, host_key, rekey_bytes: REKEY_BYTES }
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
    let location = sshd.location();
    let client = client(&location, Some(&identity), Some(&host_key));
    let opened = client.open(&HostConnector, command, version2).await?;
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
        let (key, location) = (sshd.identity("user"), sshd.location());
        let unpinned =
            client(&location, Some(&key), None).open(&HostConnector, "", true).await.err().unwrap();
        assert!(matches!(&unpinned, Problem::HostKey { pinned: false, .. }), "{unpinned}");
        let refused = output(&sshd, "stranger", &sshd.fingerprint(), "", true).await.unwrap_err();
        assert!(matches!(&refused, Problem::Authentication { .. }), "{refused}");
        let host_key = HostKey::parse(&sshd.fingerprint()).unwrap();
        let nobody =
            client(&location, None, Some(&host_key)).open(&HostConnector, "", true).await.err().unwrap();
        assert!(matches!(&nobody, Problem::Authentication { .. }), "{nobody}");
    });
}

#[test]
#[ignore = "needs sshd"]
fn servers_without_our_algorithms_are_told_of() {
    for (line, expected) in [
        (
            "Ciphers aes128-ctr",
            "ssh: the server has no cipher (aes256-gcm@openssh.com, chacha20-poly1305@openssh.com) that we have",
        ),
        (
            "KexAlgorithms diffie-hellman-group14-sha256",
            "ssh: the server has no key exchange (curve25519-sha256, curve25519-sha256@libssh.org, \
             ecdh-sha2-nistp256, ecdh-sha2-nistp384) that we have",
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

#[test]
#[ignore = "needs sshd"]
fn servers_with_few_algorithms_are_reached() {
    for (line, used) in [
        ("Ciphers chacha20-poly1305@openssh.com", "cipher: chacha20-poly1305@openssh.com"),
        ("Ciphers aes256-gcm@openssh.com", "cipher: aes256-gcm@openssh.com"),
        ("KexAlgorithms ecdh-sha2-nistp256", "kex: algorithm: ecdh-sha2-nistp256"),
        ("KexAlgorithms ecdh-sha2-nistp384", "kex: algorithm: ecdh-sha2-nistp384"),
        ("MaxAuthTries 1", "will use strict KEX ordering"),
    ] {
        let origin = Origin::new("sha1");
        let sshd = Sshd::new(&origin, "ed25519", "ed25519", &format!("{line}\nLogLevel DEBUG3"));
        let command = format!("git-upload-pack '{}'", origin.bare().display());
        run(async {
            let said = output(&sshd, "user", &sshd.fingerprint(), &command, false).await.unwrap();
            assert!(said.contains(&origin.head()), "{said}");
        });
        assert!(sshd.log().contains(used), "{line}: {}", sshd.log());
    }
}

/// More than a window each way, through `cat`, whose output waits for our reading; returns what sshd says of it.
#[track_caller]
fn check_stream(configuration: &str, rekey_bytes: u64) -> String {
    let origin = Origin::new("sha1");
    let sshd = Sshd::new(&origin, "ed25519", "ed25519", configuration);
    let key = fs::read_to_string(sshd.directory.join("user.pub")).unwrap();
    origin.scratch.file("allowed", format!("restrict,command=\"cat; echo end >&2\" {key}"));
    run(async {
        let (identity, host_key) = (sshd.identity("user"), HostKey::parse(&sshd.fingerprint()).unwrap());
        let location = sshd.location();
        let client = Client { rekey_bytes, ..client(&location, Some(&identity), Some(&host_key)) };
        let stream = client.open(&HostConnector, "", false).await.unwrap();
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
    sshd.log()
}

#[test]
#[ignore = "needs sshd"]
fn streams_are_longer_than_windows() {
    check_stream("", REKEY_BYTES);
}

/// How often sshd has agreed upon new keys, by its log.
#[track_caller]
fn check_rekeying(configuration: &str, rekey_bytes: u64, least: usize) {
    let log = check_stream(&format!("LogLevel DEBUG3\n{configuration}"), rekey_bytes);
    let count = log.matches("rekeying out").count();
    assert!(count >= least, "{configuration}: {count} times: {log}");
}

#[test]
#[ignore = "needs sshd"]
fn new_keys_are_agreed_upon_within_a_stream() {
    for cipher in ["Ciphers aes256-gcm@openssh.com", "Ciphers chacha20-poly1305@openssh.com"] {
        // The server wants them, we do, and both at once.
        check_rekeying(&format!("{cipher}\nRekeyLimit 512K"), REKEY_BYTES, 9);
        check_rekeying(cipher, 1 << 19, 9);
        check_rekeying(&format!("{cipher}\nRekeyLimit 256K"), 1 << 18, 18);
    }
}

#[test]
#[ignore = "needs sshd"]
fn a_large_repository_is_cloned_and_changed_with_ever_new_keys() {
    let origin = Origin::new("sha1");
    let mut noise = vec![0; 1 << 20];
    platform::entropy::fill(&mut noise);
    fs::write(origin.copy().join("noise"), &noise).unwrap();
    origin.commit_all("noise");
    origin.push();
    let sshd = Sshd::new(&origin, "ed25519", "ed25519", "RekeyLimit 64K\nLogLevel DEBUG3");
    run(async {
        let mut store = clone(&origin, &sshd, Options::default()).await;
        noise.reverse();
        let edit = &mut |_: Option<&store::Tree<'_>>| {
            let mut edits = store::Edits::default();
            edits.write("noise", noise.clone()).unwrap();
            Ok::<_, std::convert::Infallible>(edits)
        };
        store.change(&origin::author(), "Reverse\n", edit).await.unwrap();
        assert_eq!(origin.head(), store.head().unwrap().to_string());
    });
    origin.fsck();
    let count = sshd.log().matches("rekeying out").count();
    assert!(count >= 20, "{count} times");
}
