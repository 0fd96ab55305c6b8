//! Which server, and what all of its configurations begin with.

use std::net::SocketAddr;
use std::path::Path;

/// A server to compare with, or to exchange zones with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NSD, by NLnet Labs.
    Nsd,
    /// Knot DNS, by CZ.NIC.
    Knot,
    /// BIND, by ISC.
    Bind,
}

impl Kind {
    /// The name of the Debian package.
    pub fn package(self) -> &'static str {
        match self {
            Kind::Nsd => "nsd",
            Kind::Knot => "knot",
            Kind::Bind => "bind9",
        }
    }

    /// The name of the server itself.
    pub fn program(self) -> &'static str {
        match self {
            Kind::Nsd => "nsd",
            Kind::Knot => "knotd",
            Kind::Bind => "named",
        }
    }

    /// How it stays in the foreground, and is told its configuration, which comes behind.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Kind::Nsd => &["-d", "-c"],
            Kind::Knot => &["-c"],
            Kind::Bind => &["-g", "-n", "1", "-c"],
        }
    }

    /// The part about the server itself. Of NSD and Knot, sections that a configuration has twice are joined.
    pub fn server(self, folder: &Path, address: SocketAddr) -> String {
        let (folder, ip, port) = (folder.display(), address.ip(), address.port());
        match self {
            Kind::Nsd => format!(
                "server:\n ip-address: {ip}@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n \
                 zonesdir: \"{folder}\"\n database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n \
                 xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n zonelistfile: \"{folder}/zone.list\"\n \
                 cookie-secret-file: \"\"\n rrl-ratelimit: 0\n verbosity: 2\nremote-control:\n control-enable: no\n"
            ),
            Kind::Knot => format!(
                "server:\n  rundir: \"{folder}\"\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
                 background-workers: 1\ndatabase:\n  storage: \"{folder}\"\nlog:\n  - target: stderr\n    any: info\n"
            ),
            Kind::Bind => format!(
                "options {{ directory \"{folder}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; \
                 pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/session.key\"; recursion no; \
                 dnssec-validation no; notify explicit; notify-source {ip}; transfer-source {ip}; \
                 query-source address {ip}; }};\ncontrols {{ }};\n"
            ),
        }
    }
}
