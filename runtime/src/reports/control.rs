//! `--control-identity`: a port where those who prove who they are change levels and sources.
//!
//! ```text
//! L*:warn,dns:debug      levels of logs; `L` alone, or `l`, tells those that hold, `l*` also who has said something
//! M*:disable,dns:enable  sources of measurements; `m` tells those that are not asked, `m*` all
//! ```
//! The words are those of the MirageOS family's port, which asks nobody who they are. Here a client shows a certificate or is
//! not let in. A line is answered with lines, of which the last is `ok` or `error: ` and the reason; the line is carried out
//! whole or not at all.

use super::scrape::Port;
use crate::{
    Stop,
    configuration::{Argument, Configuration},
    limits::{CONTROL_IDLE_SECONDS, CONTROL_LINE_BYTES, MANAGEMENT_CONNECTIONS, REPORTS_KEEP_ALIVE_SECONDS},
    log, metrics,
    network::{Network, Refused, TcpListener, TcpOptions},
    tls::{Clients, Identity, TlsAcceptor, Trust},
};
use std::{fmt::Write as _, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// `--control-identity`
pub(super) const CONTROL_IDENTITY: Argument = Argument {
    name: "control-identity",
    value: "SECRET",
    help: "certificate and key of the port that changes levels and sources: PEM, or base64 of each with commas between; no port if not given",
};

/// `--control-ca`
pub(super) const CONTROL_CA: Argument = Argument {
    name: "control-ca",
    value: "sha256:FINGERPRINT|BASE64,...",
    help: "whose certificates let somebody in there: authorities, or the fingerprints of certificates or keys",
};

/// `--control-port`
pub(super) const CONTROL_PORT: Argument = Argument {
    name: "control-port",
    value: "PORT",
    help: "that port, on the management interface if there is one; 2323 if not given",
};

/// The family's port.
const PORT: u16 = 2_323;

/// A port that is not open yet.
pub(super) type Control = Box<dyn FnOnce(&Network) -> Result<(), Refused>>;

/// Reads the arguments: nothing without an identity, and no identity without somebody who is let in.
pub(super) fn prepare(configuration: &mut Configuration) -> Result<Option<Control>, Stop> {
    let identity: Option<Identity> = configuration.take(CONTROL_IDENTITY.name).map_err(Stop::Usage)?;
    let trust: Option<Trust> = configuration.take(CONTROL_CA.name).map_err(Stop::Usage)?;
    let port: Option<Port> = configuration.take(CONTROL_PORT.name).map_err(Stop::Usage)?;
    let missing =
        |argument| super::checked(argument, Err("the control port takes an identity and whom to let in"));
    match (identity, trust) {
        (None, None) => Ok(None),
        (None, Some(_)) => missing(&CONTROL_IDENTITY),
        (Some(_), None) => missing(&CONTROL_CA),
        (Some(identity), Some(trust)) => {
            let acceptor = TlsAcceptor::for_clients(identity, &[], &Clients::Required(trust));
            let Port(port) = port.unwrap_or(Port(PORT));
            Ok(Some(Box::new(move |network| start(network, port, acceptor))))
        }
    }
}

fn start(network: &Network, port: u16, acceptor: TlsAcceptor) -> Result<(), Refused> {
    let options = TcpOptions {
        backlog: MANAGEMENT_CONNECTIONS,
        connections: MANAGEMENT_CONNECTIONS,
        keep_alive: Some(Duration::from_secs(REPORTS_KEEP_ALIVE_SECONDS)),
        ..TcpOptions::default()
    };
    let listener = TcpListener::bind(network, port, options)?;
    crate::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await;
            let acceptor = acceptor.clone();
            crate::spawn(async move {
                // Who does not prove who they are is counted, and not told what to do better.
                if let Ok(stream) = acceptor.accept(stream).await {
                    ::log::info!("control port: {peer} is let in");
                    let _ = session(stream).await;
                }
            });
        }
    });
    Ok(())
}

/// Answers line by line, until the client closes the connection, says nothing for long, or what is no line.
async fn session(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let patience = Duration::from_secs(CONTROL_IDLE_SECONDS);
    let (mut pending, mut piece, mut answer) = (Vec::new(), [0; 512], String::new());
    loop {
        let length = timeout(patience, stream.read(&mut piece)).await??;
        if length == 0 {
            return stream.shutdown().await;
        }
        pending.extend(&piece[..length]);
        answer.clear();
        let mut outcome = Ok(());
        while let Some(end) = pending.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            match checked(&line) {
                Ok(line) => handle_line(line, &mut answer),
                Err(reason) => outcome = Err(reason),
            }
        }
        if pending.len() > CONTROL_LINE_BYTES {
            outcome = Err("the line is too long");
        }
        if let Err(reason) = outcome {
            let _ = writeln!(answer, "error: {reason}");
        }
        timeout(patience, stream.write_all(answer.as_bytes())).await??;
        timeout(patience, stream.flush()).await??;
        if outcome.is_err() {
            return stream.shutdown().await;
        }
    }
}

/// Carries a line out, and writes the answer.
fn handle_line(line: &str, answer: &mut String) {
    let outcome = match (line.get(..1), line.get(1..).unwrap_or_default().trim()) {
        (Some("l") | Some("L"), "") => {
            let _ = writeln!(answer, "{}", log::levels());
            Ok(())
        }
        (Some("l"), "*") => {
            list_levels(answer);
            Ok(())
        }
        (Some("L"), items) => change_levels(items),
        (Some("m"), rest @ ("" | "*")) => {
            list_sources(rest == "*", answer);
            Ok(())
        }
        (Some("M"), items) => change_sources(items),
        _ => Err("a line begins with L, l, M or m"),
    };
    let _ = match outcome {
        Ok(()) => writeln!(answer, "ok"),
        Err(reason) => writeln!(answer, "error: {reason}"),
    };
}

/// The bytes of a line, or why it is none.
fn checked(line: &[u8]) -> Result<&str, &'static str> {
    match std::str::from_utf8(line) {
        _ if line.len() > CONTROL_LINE_BYTES => Err("the line is too long"),
        Ok(line) => Ok(line.trim()),
        Err(_) => Err("the line is not UTF-8"),
    }
}

fn list_levels(answer: &mut String) {
    let levels = log::levels();
    let _ = writeln!(answer, "{levels}");
    for source in log::sources() {
        let _ = writeln!(answer, "{source}:{}", log::level_name(levels.of(&source)));
    }
}

fn change_levels(items: &str) -> Result<(), &'static str> {
    let mut levels = log::levels();
    items.split(',').try_for_each(|item| levels.change(item))?;
    ::log::info!("levels of logs are {levels} now, by the control port");
    log::set_levels(levels);
    Ok(())
}

fn list_sources(all: bool, answer: &mut String) {
    for (name, enabled) in metrics::enabled() {
        if all || !enabled {
            let _ = writeln!(answer, "{name}:{}", if enabled { "enable" } else { "disable" });
        }
    }
}

fn change_sources(items: &str) -> Result<(), &'static str> {
    let known = metrics::enabled();
    let mut changes = Vec::new();
    for item in items.split(',') {
        // The family has tags as well, `Mtag:http:enable`; ours are sources.
        let (name, word) =
            item.trim().rsplit_once(':').ok_or("a source is followed by :enable or :disable")?;
        let enabled = match word {
            "enable" => true,
            "disable" => false,
            _ => return Err("a source is followed by :enable or :disable"),
        };
        let name = (name != "*").then_some(name);
        if name.is_some_and(|name| !known.iter().any(|(known, _)| *known == name)) {
            return Err("there is no such source; m* lists them");
        }
        changes.push((name, enabled));
    }
    for (name, enabled) in changes {
        metrics::enable(name, enabled);
    }
    ::log::info!("sources of measurements were changed, by the control port");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody gets who says this, and then hears it out.
    #[track_caller]
    fn check_session(said: &[u8], expect: &str) {
        crate::network::testing::on_desk(0, async {
            let (mut ours, theirs) = tokio::io::duplex(64);
            crate::spawn(session(theirs));
            let (mut read, mut write) = tokio::io::split(&mut ours);
            let mut answer = String::new();
            let speak = async {
                let _ = write.write_all(said).await; // we may be hung up on
                let _ = write.shutdown().await;
            };
            let (_, heard) = tokio::join!(speak, read.read_to_string(&mut answer));
            heard.unwrap();
            assert_eq!(answer, expect);
        });
    }

    #[test]
    fn lines_are_answered_in_their_order() {
        check_session(b"m\nx\nm\r\n", "ok\nerror: a line begins with L, l, M or m\nok\n");
        check_session(b"m", "");
        check_session(b"\xff\n", "error: the line is not UTF-8\n");
        check_session(&[b'L'; 2 * CONTROL_LINE_BYTES], "error: the line is too long\n");
    }

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let mut answer = String::new();
        handle_line(line, &mut answer);
        assert_eq!(answer, expect);
    }

    #[test]
    fn sources_are_enabled_and_disabled() {
        metrics::source("one", |_| ());
        metrics::source("two", |_| ());
        check("m", "ok\n");
        check("m*", "one:enable\ntwo:enable\nok\n");
        check("M*:disable,two:enable", "ok\n");
        check("m", "one:disable\nok\n");
        check("Mone:enable,three:enable", "error: there is no such source; m* lists them\n");
        check("m", "one:disable\nok\n");
        check("Mone", "error: a source is followed by :enable or :disable\n");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        check("", "error: a line begins with L, l, M or m\n");
        check("é", "error: a line begins with L, l, M or m\n");
        check("L*:loud", "error: a level is not known\n");
        check("mx", "error: a line begins with L, l, M or m\n");
        assert_eq!(checked(b"\xff"), Err("the line is not UTF-8"));
        assert_eq!(checked(&[b'L'; CONTROL_LINE_BYTES + 1]), Err("the line is too long"));
        assert_eq!(checked(b"l*\r"), Ok("l*"));
    }
}
