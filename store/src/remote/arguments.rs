//! The boot arguments that say where a repository is and how to get there, the same in all services.

use super::{Location, Remote, Scheme, Secret, ssh::HostKey};
use crate::{Options, openssh::PrivateKey, signature::AllowedSigners};
use runtime::{Argument, configuration::Error, connect::Connect, tls::Trust};
use std::{fmt, rc::Rc};

/// For a service's `--help`.
pub const ARGUMENTS: [Argument; 6] = [
    Argument {
        name: "remote",
        value: "SECRET-URL#BRANCH",
        help: "git repository: git://, https://USER:PASSWORD@, http:// or ssh://; its HEAD's branch if none is given",
    },
    Argument {
        name: "ssh-key",
        value: "ed25519:SECRET|SECRET-KEY",
        help: "our key for ssh: a seed of 32 bytes in base64, or a private key file's base64, on one line without blanks",
    },
    Argument {
        name: "ssh-host-key",
        value: "SHA256:FINGERPRINT|KEY",
        help: "the ssh server's key, by fingerprint or as in known_hosts; the error without it shows the fingerprint",
    },
    Argument {
        name: "tls-ca",
        value: "sha256:FINGERPRINT|CERTIFICATE",
        help: "whom https trusts: a certificate's or key's fingerprint, or PEM; the web's authorities if not given",
    },
    Argument {
        name: "allowed-signers",
        value: "SHA256:FINGERPRINT|KEY,...",
        help: "only a branch whose last commit one of these ssh keys has signed is taken; by fingerprint, or base64",
    },
    Argument {
        name: "signing-key",
        value: "ed25519:SECRET|SECRET-KEY",
        help: "signs our commits, as --ssh-key has it; with --allowed-signers that key does if none is given",
    },
];

/// Their values, as they were given. A service has them as fields of its own options.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--remote`; may have a password in it.
    pub remote: Option<Secret>,
    /// `--ssh-key`.
    pub ssh_key: Option<Secret>,
    /// `--ssh-host-key`.
    pub ssh_host_key: Option<String>,
    /// `--tls-ca`.
    pub tls_ca: Option<String>,
    /// `--allowed-signers`; in a configuration's document lines as git's `gpg.ssh.allowedSignersFile` has them will do too.
    pub allowed_signers: Option<String>,
    /// `--signing-key`.
    pub signing_key: Option<Secret>,
}

impl Arguments {
    /// The remote that they describe, to be reached over `connector`; none if `--remote` is not given.
    pub fn remote<C: Connect + Clone>(&self, connector: C) -> Result<Option<Remote<C>>, Error> {
        let Some(url) = &self.remote else { return Ok(None) };
        let location: Location = url.expose().parse().map_err(|error| bad("remote", error))?;
        let scheme = location.scheme;
        for (name, given, wanted) in [
            ("ssh-key", self.ssh_key.is_some(), Scheme::Ssh),
            ("ssh-host-key", self.ssh_host_key.is_some(), Scheme::Ssh),
            ("tls-ca", self.tls_ca.is_some(), Scheme::Https),
        ] {
            if given && scheme != wanted {
                let reason = format!("it goes with a --remote that begins with {}://", wanted.name());
                return Err(bad(name, reason));
            }
        }
        let trust = match &self.tls_ca {
            Some(text) => Trust::parse(text).map_err(|error| bad("tls-ca", error))?,
            None => Trust::web(),
        };
        let identity = self
            .ssh_key
            .as_ref()
            .map(PrivateKey::parse)
            .transpose()
            .map_err(|error| bad("ssh-key", error))?;
        let host_key = self.ssh_host_key.as_deref().map(HostKey::parse).transpose();
        let host_key = host_key.map_err(|error| bad("ssh-host-key", error))?;
        Ok(Some(Remote::new(location, connector, &trust).with_ssh(identity, host_key)))
    }

    /// How the remote is to be followed: whose commits are taken, and with what ours are signed.
    pub fn options(&self) -> Result<Options, Error> {
        let signers = self.allowed_signers.as_deref().map(AllowedSigners::parse).transpose();
        let signers = signers.map_err(|error| bad("allowed-signers", error))?;
        if signers.as_ref().is_some_and(|signers| signers.count() == 0) {
            return Err(bad("allowed-signers", "it names no key for git"));
        }
        let key = |name, secret: &Secret| PrivateKey::parse(secret).map_err(|error| bad(name, error));
        let signing_key = match (&self.signing_key, &self.ssh_key) {
            (Some(secret), _) => Some(key("signing-key", secret)?),
            (None, Some(secret)) if signers.is_some() => Some(key("ssh-key", secret)?),
            _ => None,
        };
        if let (Some(signers), Some(_), Some(key)) = (&signers, &self.signing_key, &signing_key)
            && !signers.has(key.public())
        {
            return Err(bad("signing-key", format!("{key} is none of --allowed-signers")));
        }
        let (signers, signing_key) = (signers.map(Rc::new), signing_key.map(Rc::new));
        Ok(Options { signers, signing_key, ..Options::default() })
    }
}

fn bad(name: &str, problem: impl fmt::Display) -> Error {
    let argument = ARGUMENTS.iter().find(|argument| argument.name == name);
    Error::about(argument.unwrap_or(&ARGUMENTS[0]), problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Clone)]
    struct Nowhere;

    impl Connect for Nowhere {
        type Stream = tokio::io::DuplexStream;

        async fn connect(&self, _: &str, _: u16) -> io::Result<Self::Stream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    #[track_caller]
    fn refused(arguments: Arguments, expected: &str) {
        let error = arguments.remote(Nowhere).err().unwrap().to_string();
        assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
    }

    fn remote(url: &str) -> Arguments {
        Arguments { remote: Some(Secret::new(url)), ..Arguments::default() }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let some = || Some("x".to_owned());
        refused(
            Arguments { ssh_host_key: some(), ..remote("git://h/r") },
            "--ssh-host-key: it goes with a --remote that begins with ssh://",
        );
        refused(
            Arguments { tls_ca: some(), ..remote("http://h/r") },
            "--tls-ca: it goes with a --remote that begins with https://",
        );
        let nowhere = "--remote: the URL has no host, or one with characters that hosts do not have";
        refused(remote("https://me:hunter2@/r"), nowhere);
    }

    #[test]
    fn secrets_do_not_show() {
        let arguments = Arguments { ssh_key: Some(Secret::new("hunter2")), ..remote("ssh://h:hunter2@x/r") };
        assert!(!format!("{arguments:?}").contains("hunter2"));
    }
}
