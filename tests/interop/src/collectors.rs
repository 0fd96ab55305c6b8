//! Collectors of logs: rsyslog and syslog-ng, each with a file that it writes what it understood to.

use crate::{Group, Scratch, free_port, output, server, wait_for};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How a collector listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// RFC 5426
    Udp,
    /// RFC 6587
    Tcp,
    /// RFC 5425, by this library; it wants a certificate of the client's.
    Tls(&'static str),
}

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Debian's rsyslog, with rsyslog-gnutls and rsyslog-openssl.
    Rsyslog,
    /// Debian's syslog-ng-core. It conflicts with rsyslog, so it may be unpacked beside it.
    SyslogNg,
}

/// Where syslog-ng-core is unpacked, where rsyslog is installed.
const UNPACKED: &str = "/opt/syslog-ng";

/// What collectors write of a message: what they took it apart to.
const RSYSLOG_TEMPLATE: &str =
    "%syslogpriority-text%|%syslogfacility-text%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n";
const SYSLOG_NG_TEMPLATE: &str = "${LEVEL}|${FACILITY}|${HOST}|${PROGRAM}|${MSGID}|${SDATA}|${MESSAGE}\\n";

/// A collector that may be killed and started again.
pub struct Collector {
    program: Program,
    listens: Listens,
    /// Its directory.
    pub scratch: Scratch,
    /// Where it listens.
    pub port: u16,
    group: Option<Group>,
}

impl Collector {
    /// Not started yet. With certificates of its own, of an authority and of a client.
    #[track_caller]
    pub fn new(program: Program, listens: Listens) -> Collector {
        let collector =
            Collector { program, listens, scratch: Scratch::new(), port: free_port(), group: None };
        if let Listens::Tls(_) = listens {
            make_certificates(collector.scratch.path());
        }
        let configuration = match program {
            Program::Rsyslog => collector.rsyslog_configuration(),
            Program::SyslogNg => collector.syslog_ng_configuration(),
        };
        fs::write(collector.path("collector.conf"), configuration).unwrap();
        collector
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(&mut self) {
        let mut command = match self.program {
            Program::Rsyslog => {
                let mut command = Command::new(server("rsyslogd"));
                command.arg("-n").arg("-i").arg(self.path("pid")).arg("-f").arg(self.path("collector.conf"));
                command
            }
            Program::SyslogNg => self.syslog_ng(),
        };
        let errors = fs::File::options().create(true).append(true).open(self.path("errors")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let _ = fs::remove_file(self.path("pid")); // a killed one leaves it
        self.group = Some(Group::start(&mut command));
        let port = self.port;
        match self.listens {
            Listens::Udp => wait_for("the collector has its port", || has_udp_port(port)),
            _ => wait_for("the collector listens", || TcpStream::connect(("127.0.0.1", port)).is_ok()),
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.group = None;
    }

    /// What an image needs to send its log here.
    pub fn arguments(&self) -> Vec<String> {
        let scheme = match self.listens {
            Listens::Udp => "udp",
            Listens::Tcp => "tcp",
            Listens::Tls(_) => "tls",
        };
        let mut arguments = vec![format!("--syslog={scheme}://10.0.2.2:{}", self.port)];
        if scheme == "tls" {
            let word = |file: &str| {
                let text = fs::read_to_string(self.path(file)).unwrap();
                text.lines().filter(|line| !line.starts_with("---")).collect::<String>()
            };
            arguments.push(format!("--syslog-ca={}", word("ca.pem")));
            arguments.push(format!("--syslog-identity={},{}", word("client.pem"), word("client.key")));
        }
        arguments
    }

    /// The lines that it has written.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read(self.path("messages")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// The numbers of the messages that it has written (RFC 5424 §7.3.1).
    pub fn numbers(&self) -> BTreeSet<u64> {
        let numbers = self.lines();
        numbers.iter().filter_map(|line| sequence_number(line)).collect()
    }

    /// What it said of itself.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.path("errors")).unwrap_or_default()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.scratch.path().join(file)
    }

    fn rsyslog_configuration(&self) -> String {
        let (directory, port) = (self.scratch.path().display(), self.port);
        let input = match self.listens {
            Listens::Udp => format!(
                "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" rcvbufSize=\"1m\")\n"
            ),
            Listens::Tcp => {
                format!(
                    "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n"
                )
            }
            Listens::Tls(driver) => format!(
                "global(DefaultNetstreamDriver=\"{driver}\" DefaultNetstreamDriverCAFile=\"{directory}/ca.pem\"\n\
                 DefaultNetstreamDriverCertFile=\"{directory}/server.pem\" DefaultNetstreamDriverKeyFile=\"{directory}/server.key\")\n\
                 module(load=\"imtcp\" StreamDriver.Name=\"{driver}\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"x509/certvalid\")\n\
                 input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n"
            ),
        };
        format!(
            "global(workDirectory=\"{directory}\")\n{input}\
             template(name=\"parts\" type=\"string\" string=\"{RSYSLOG_TEMPLATE}\")\n\
             action(type=\"omfile\" file=\"{directory}/messages\" template=\"parts\" flushOnTXEnd=\"on\")\n"
        )
    }

    fn syslog_ng_configuration(&self) -> String {
        let (directory, port) = (self.scratch.path().display(), self.port);
        let transport = match self.listens {
            Listens::Udp => "transport(\"udp\")".to_owned(),
            Listens::Tcp => "transport(\"tcp\")".to_owned(),
            Listens::Tls(_) => format!(
                "transport(\"tls\") tls(key-file(\"{directory}/server.key\") cert-file(\"{directory}/server.pem\") \
                 ca-file(\"{directory}/ca.pem\") peer-verify(required-trusted))"
            ),
        };
        format!(
            "@version: 3.38\noptions {{ keep-hostname(yes); flush-lines(1); }};\n\
             source s {{ syslog(ip(\"127.0.0.1\") port({port}) {transport}); }};\n\
             destination d {{ file(\"{directory}/messages\" template(\"{SYSLOG_NG_TEMPLATE}\")); }};\n\
             log {{ source(s); destination(d); }};\n"
        )
    }

    fn syslog_ng(&self) -> Command {
        let unpacked = Path::new(UNPACKED).join("usr/sbin/syslog-ng");
        let mut command = if unpacked.is_file() {
            let mut command = Command::new(unpacked);
            command.env("LD_LIBRARY_PATH", format!("{UNPACKED}/usr/lib/syslog-ng"));
            command.arg("--module-path").arg(format!("{UNPACKED}/usr/lib/syslog-ng/3.38"));
            command
        } else {
            Command::new(server("syslog-ng"))
        };
        command.args(["--foreground", "--no-caps", "--stderr"]);
        for (option, file) in [
            ("--cfgfile", "collector.conf"),
            ("--persist-file", "persist"),
            ("--pidfile", "pid"),
            ("--control", "control"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        command
    }
}

/// The `sequenceId` of a line.
pub fn sequence_number(line: &str) -> Option<u64> {
    line.split_once("sequenceId=\"")?.1.split('"').next()?.parse().ok()
}

/// An authority, and certificates of a server at 10.0.2.2 and of a client, in PEM.
#[track_caller]
pub fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        output(Command::new("openssl").current_dir(directory).args(arguments.split_whitespace()));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!(
        "req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:true"
    ));
    for (name, purpose, alternative) in [
        ("server", "serverAuth", "IP:10.0.2.2,IP:127.0.0.1,DNS:localhost"),
        ("client", "clientAuth", "DNS:client.example"),
    ] {
        openssl(&format!(
            "req -x509 {key} -subj /CN={name} -keyout {name}.key -out {name}.pem -CA ca.pem -CAkey ca.key \
             -addext basicConstraints=critical,CA:false -addext extendedKeyUsage={purpose} -addext subjectAltName={alternative}"
        ));
    }
}

/// Whether somebody has this UDP port of 127.0.0.1.
fn has_udp_port(port: u16) -> bool {
    let wanted = format!("0100007F:{port:04X}");
    fs::read_to_string("/proc/net/udp").unwrap().contains(&wanted)
}
