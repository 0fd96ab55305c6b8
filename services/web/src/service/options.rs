//! What the boot arguments say, checked.

use super::{
    follower,
    server::{Redirection, Setup},
};
use crate::{
    answer::Policy,
    hook,
    limits::{CONNECTIONS, POLL_SECONDS, POLL_SECONDS_LEAST, POLL_SECONDS_MOST, RECEIVE_BYTES, SEND_BYTES},
    site::{Settings, mime::MimeTypes},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use runtime::{
    Argument, Stop,
    certificate::{self, Certificates, Names, Seed, Way},
    http::HeaderValue,
    network::TcpOptions,
    tls::Trust,
};
use std::{rc::Rc, sync::OnceLock, time::Duration};
use store::remote::{Arguments, Secret};

const OWN: &[Argument] = &[
    Argument {
        name: "depth",
        value: "COMMITS",
        help: "history that is fetched, for Last-Modified; all of it if not given. What is older has the oldest one's date",
    },
    Argument {
        name: "root",
        value: "DIRECTORY",
        help: "directory of the repository that is served; its root if not given",
    },
    Argument {
        name: "host-directories",
        value: "",
        help: "the directories there are sites, named like their hosts; the one named 'default' is for all other hosts",
    },
    Argument {
        name: "poll",
        value: "SECONDS",
        help: "between two looks at the remote, 1 to 86400; 60 if not given",
    },
    Argument {
        name: "start-timeout",
        value: "SECONDS",
        help: "how long to wait for the remote at the start before ending with status 1; for ever if not given",
    },
    Argument {
        name: "hook-secret",
        value: "SECRET",
        help: "has git hosts tell of pushes: what GitHub, GitLab, Forgejo and Gitea sign their calls with",
    },
    Argument { name: "hook", value: "PATH", help: "where they tell it; /hook if not given" },
    Argument { name: "port", value: "PORT", help: "of HTTP; 80 if not given" },
    Argument { name: "https-port", value: "PORT", help: "of HTTPS; 443 if not given" },
    Argument {
        name: "tls",
        value: "",
        help: "serves over TLS too: by --tls-certificate, or one that --tls-acme has issued",
    },
    Argument {
        name: "tls-certificate",
        value: "SECRET-PEM",
        help: "a certificate, those between it and an authority, and its private key; PEM, or base64 of that. Several by host name",
    },
    Argument {
        name: "http",
        value: "redirect|serve",
        help: "what is done in the clear besides --tls; redirect if not given",
    },
    Argument {
        name: "cache-control",
        value: "DIRECTIVES",
        help: "what caches are told; 'no-cache' if not given: they ask each time whether there is something new",
    },
    Argument {
        name: "mime-type",
        value: "EXTENSION:TYPE|PATH:TYPE",
        help: "a type besides the usual, as in txt:text/plain; charset=iso-8859-1",
    },
    Argument { name: "access-log", value: "on|off", help: "a line for each request; on if not given" },
];

/// All arguments of this service.
pub fn arguments() -> &'static [Argument] {
    static ALL: OnceLock<Vec<Argument>> = OnceLock::new();
    // Nothing is pushed, so nothing is signed.
    let remote = store::remote::ARGUMENTS.iter().filter(|argument| argument.name != "signing-key");
    ALL.get_or_init(|| remote.chain(OWN).chain(&certificate::ARGUMENTS).copied().collect())
}

/// As they were given.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    remote: Option<Secret>,
    ssh_key: Option<Secret>,
    ssh_host_key: Option<String>,
    tls_ca: Option<String>,
    allowed_signers: Option<String>,
    depth: Option<u32>,
    root: Option<String>,
    #[serde(default)]
    host_directories: bool,
    poll: Option<u64>,
    start_timeout: Option<u64>,
    hook_secret: Option<Secret>,
    hook: Option<String>,
    port: Option<u16>,
    https_port: Option<u16>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    tls_certificate: Vec<Secret>,
    tls_acme: Option<Way>,
    hostname: Option<Names>,
    cert_seed: Option<Seed>,
    account_seed: Option<Seed>,
    #[serde(default)]
    production: bool,
    acme_server: Option<String>,
    acme_ca: Option<Trust>,
    acme_profile: Option<String>,
    email: Option<String>,
    http: Option<Clear>,
    cache_control: Option<String>,
    #[serde(default)]
    mime_type: Vec<String>,
    access_log: Option<Switch>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Clear {
    Redirect,
    Serve,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

/// What is to be done.
pub struct Checked {
    /// Where the repository is.
    pub remote: Arguments,
    /// How it is followed.
    pub follow: follower::Options,
    /// What the server does.
    pub setup: Setup,
    /// Of HTTP.
    pub port: u16,
    /// Of HTTPS.
    pub https_port: u16,
    /// Whether there is TLS.
    pub is_tls: bool,
    /// How a certificate is come by that is not given.
    pub acme: certificate::Arguments,
}

impl Options {
    /// Checks what belongs together.
    pub fn check(self) -> Result<Checked, Stop> {
        let https_port = self.https_port.unwrap_or(443);
        let is_tls = self.tls || self.tls_acme.is_some() || !self.tls_certificate.is_empty();
        let certificates = self.certificates()?;
        let redirection = match self.http.unwrap_or(Clear::Redirect) {
            Clear::Redirect if is_tls => Some(Redirection { port: https_port }),
            _ => None,
        };
        let mut mime_types = MimeTypes::default();
        for text in &self.mime_type {
            mime_types.add(text).map_err(|reason| failed("mime-type", &reason))?;
        }
        let cache_control = self.cache_control.as_deref().unwrap_or("no-cache");
        let policy = Policy {
            cache_control: HeaderValue::from_str(cache_control)
                .map_err(|_| failed("cache-control", "it is no header field"))?,
        };
        let hook = self.hook_secret.as_ref().map(|secret| hook::Secret::new(secret.expose()));
        let hook = hook.transpose().map_err(|error| failed("hook-secret", &error.to_string()))?;
        let hook_path = self.hook.as_deref().unwrap_or("/hook").to_owned();
        if !hook_path.starts_with('/') {
            return Err(failed("hook", "a path begins with /"));
        }
        let poll = self.poll.unwrap_or(POLL_SECONDS);
        if !(POLL_SECONDS_LEAST..=POLL_SECONDS_MOST).contains(&poll) {
            return Err(failed(
                "poll",
                &format!("{poll} is not between {POLL_SECONDS_LEAST} and {POLL_SECONDS_MOST}"),
            ));
        }
        let root = self.root.as_deref().unwrap_or_default().trim_matches('/').as_bytes().to_vec();
        let settings = Settings { root, by_host: self.host_directories, mime_types };
        let remote = Arguments {
            remote: self.remote,
            ssh_key: self.ssh_key,
            ssh_host_key: self.ssh_host_key,
            tls_ca: self.tls_ca,
            allowed_signers: self.allowed_signers,
            ..Arguments::default()
        };
        let store = store::Options { depth: self.depth, ..remote.options().map_err(Stop::Usage)? };
        Ok(Checked {
            remote,
            follow: follower::Options {
                settings: Rc::new(settings),
                store,
                poll: Duration::from_secs(poll),
                start_timeout: self.start_timeout.map(Duration::from_secs),
            },
            setup: Setup {
                policy,
                certificates,
                hook,
                hook_path,
                redirection,
                is_logging: self.access_log != Some(Switch::Off),
            },
            port: self.port.unwrap_or(80),
            https_port,
            is_tls,
            acme: certificate::Arguments {
                tls_acme: self.tls_acme,
                hostname: self.hostname,
                cert_seed: self.cert_seed,
                account_seed: self.account_seed,
                production: self.production,
                acme_server: self.acme_server,
                acme_ca: self.acme_ca,
                acme_profile: self.acme_profile,
                email: self.email,
            },
        })
    }

    /// Those that were given.
    fn certificates(&self) -> Result<Certificates, Stop> {
        let certificates = Certificates::new();
        if self.tls_certificate.is_empty() {
            if self.tls && self.tls_acme.is_none() {
                return Err(failed("tls", "it takes a --tls-certificate, or --tls-acme to have one issued"));
            }
            return Ok(certificates);
        }
        if self.tls_acme.is_some() {
            return Err(failed("tls-certificate", "it does not go with --tls-acme"));
        }
        let decoded = |given: &Secret| match given.expose() {
            pem if pem.contains("-----BEGIN") => Ok(pem.as_bytes().to_vec()),
            text => {
                STANDARD.decode(text).map_err(|_| failed("tls-certificate", "it is neither PEM nor base64"))
            }
        };
        let given: Vec<Vec<u8>> = self.tls_certificate.iter().map(decoded).collect::<Result<_, _>>()?;
        let shown = match &given[..] {
            [one] => certificates.give(one),
            several => certificates.give_all(several),
        };
        shown.map_err(|error| failed("tls-certificate", &error.to_string()))?;
        Ok(certificates)
    }
}

fn failed(name: &str, reason: &str) -> Stop {
    Stop::Failed(format!("--{name}: {reason}"))
}

/// How connections are accepted.
pub fn tcp() -> TcpOptions {
    TcpOptions {
        receive_buffer: RECEIVE_BYTES,
        send_buffer: SEND_BYTES,
        connections: CONNECTIONS,
        ..TcpOptions::default()
    }
}
