//! Pushes: the command that moves a branch, the pack behind it, and what the server reports.
//!
//! ```text
//!     old new refs/heads/main\0report-status side-band-64k ─ flush ─ PACK…
//!     ◄ 1 unpack ok ─ 1 ok refs/heads/main ─ flush, as packets within the side band
//! ```
//!
//! The server moves the branch only if it still is at `old`. gitprotocol-pack, "Pushing Data To a Server".

use super::{
    advertisement::Advertisement,
    limits::{IDLE_PACKETS, PACKET_BYTES},
    pkt_line::{Band, Message, Packet},
    problem::{Messages, Problem, printable},
    references::AGENT,
};
use crate::ObjectId;

/// A branch that is to be moved.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it has to be; the null id if it must not exist.
    pub old: ObjectId,
    /// Where it goes.
    pub new: ObjectId,
    /// Its name, without `refs/heads/`.
    pub branch: String,
}

impl Command {
    /// The message on the wire.
    pub fn encode(&self, server: &Advertisement, pack: &[u8]) -> Vec<u8> {
        let mut capabilities = String::new();
        let status = if server.can("report-status-v2") { "report-status-v2" } else { "report-status" };
        for name in [status, "side-band-64k", "quiet", "atomic"] {
            if server.can(name) {
                capabilities = capabilities + " " + name;
            }
        }
        if server.can("object-format") {
            capabilities = capabilities + " object-format=" + server.format().name();
        }
        if server.can("agent") {
            capabilities = capabilities + " agent=" + AGENT;
        }
        let Self { old, new, branch } = self;
        let mut message = Message::new();
        message.data(format!("{old} {new} refs/heads/{branch}\0{capabilities}").as_bytes());
        message.flush().raw(pack);
        message.into_bytes()
    }
}

/// What the server did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The branch has been moved.
    Accepted,
    /// It has not.
    Refused {
        /// Why, by the server.
        reason: String,
        /// What its hooks have printed.
        messages: String,
    },
}

/// The report, as far as it has come.
pub struct Report {
    side_band: bool,
    /// Packets within the side band that are not whole yet.
    inner: Vec<u8>,
    unpacked: Option<bool>,
    accepted: bool,
    reason: String,
    messages: Messages,
    packets: usize,
}

impl Report {
    /// The answer of this server.
    pub fn new(server: &Advertisement) -> Self {
        Self {
            side_band: server.can("side-band-64k"),
            inner: Vec::new(),
            unpacked: None,
            accepted: false,
            reason: String::new(),
            messages: Messages::default(),
            packets: 0,
        }
    }

    /// Takes the next packet; gives the verdict once it is known.
    pub fn handle(&mut self, packet: Packet<'_>) -> Result<Option<Verdict>, Problem> {
        self.packets += 1;
        if self.packets > IDLE_PACKETS {
            return Err(Problem::Excess("messages about a push"));
        }
        if !self.side_band {
            return self.status(packet);
        }
        let Packet::Data(data) = packet else { return self.end().map(Some) };
        match Band::decode(data) {
            Some(Band::Progress(text)) => {
                self.messages.add(text);
                Ok(None)
            }
            Some(Band::Data(data)) => self.inner_packets(data),
            Some(Band::Fatal(text)) => Err(Problem::Refused(printable(text))),
            None => Err(Problem::Protocol("a side band that there is not")),
        }
    }

    fn inner_packets(&mut self, data: &[u8]) -> Result<Option<Verdict>, Problem> {
        if self.inner.len() + data.len() > 2 * PACKET_BYTES {
            return Err(Problem::Excess("report about a push"));
        }
        self.inner.extend_from_slice(data);
        let inner = std::mem::take(&mut self.inner);
        let mut rest = inner.as_slice();
        while let Some((packet, length)) =
            Packet::decode(rest).map_err(|_| Problem::Protocol("a report that is not in packets"))?
        {
            self.packets += 1;
            if let Some(verdict) = self.status(packet)? {
                return Ok(Some(verdict));
            }
            rest = &rest[length..];
        }
        self.inner = rest.to_vec();
        Ok(None)
    }

    /// A line of the report (gitprotocol-pack, "Report Status").
    fn status(&mut self, packet: Packet<'_>) -> Result<Option<Verdict>, Problem> {
        let Packet::Data(data) = packet else { return self.end().map(Some) };
        let line = String::from_utf8_lossy(data);
        let line = line.trim_end_matches('\n');
        if self.unpacked.is_none() {
            let result =
                line.strip_prefix("unpack ").ok_or(Problem::Protocol("a report without its beginning"))?;
            self.unpacked = Some(result == "ok");
            if result != "ok" {
                self.reason = format!("it could not unpack: {}", printable(result.as_bytes()));
            }
        } else if line.starts_with("ok ") {
            self.accepted = true;
        } else if let Some(rest) = line.strip_prefix("ng ") {
            self.accepted = false;
            let reason = rest.split_once(' ').map_or("no reason given", |(_, reason)| reason);
            if self.reason.is_empty() {
                self.reason = printable(reason.as_bytes());
            }
        } else if !line.starts_with("option ") {
            return Err(Problem::Protocol("a line that no report has"));
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Verdict, Problem> {
        match self.unpacked {
            None => Err(Problem::Closed {
                complaint: Some(self.messages.text()).filter(|text| !text.is_empty()),
                cause: None,
            }),
            Some(true) if self.accepted && self.reason.is_empty() => Ok(Verdict::Accepted),
            Some(_) if self.reason.is_empty() => Err(Problem::Protocol("a report without a verdict")),
            Some(_) => Ok(Verdict::Refused {
                reason: std::mem::take(&mut self.reason),
                messages: self.messages.text(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::references::References;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn server(capabilities: &str) -> Advertisement {
        let mut advertisement = Advertisement::new(References::looking_for(None));
        advertisement.handle(Packet::Data(format!("{A} refs/heads/m\0{capabilities}").as_bytes())).unwrap();
        advertisement
    }

    #[test]
    fn the_command_asks_for_what_the_server_can_do() {
        let id = ObjectId::from_hex(A.as_bytes()).unwrap();
        let command = Command { old: id, new: id, branch: "m".into() };
        let bytes =
            command.encode(&server("report-status side-band-64k object-format=sha1 push-cert=x"), b"PACK");
        let line = format!("{A} {A} refs/heads/m\0 report-status side-band-64k object-format=sha1");
        assert_eq!(bytes, [format!("{:04x}{line}0000", line.len() + 4).as_bytes(), b"PACK"].concat());
    }

    /// The verdict of a report's lines: in one piece, and byte by byte in a side band.
    #[track_caller]
    fn check(lines: &[&str], expected: Result<Verdict, &str>) {
        let mut report = Report::new(&server("report-status"));
        let plain = lines
            .iter()
            .map(|line| Packet::Data(line.as_bytes()))
            .chain([Packet::Flush])
            .find_map(|packet| report.handle(packet).transpose());
        let mut message = Message::new();
        lines.iter().for_each(|line| _ = message.line(line));
        let mut report = Report::new(&server("report-status side-band-64k"));
        let banded = message
            .flush_into()
            .into_iter()
            .find_map(|byte| report.handle(Packet::Data(&[1, byte])).transpose());
        for verdict in [plain, banded] {
            match (verdict.unwrap(), &expected) {
                (Ok(verdict), Ok(expected)) => assert_eq!(&verdict, expected),
                (Err(problem), Err(expected)) => assert!(problem.to_string().contains(expected), "{problem}"),
                (verdict, _) => panic!("{verdict:?}"),
            }
        }
    }

    trait FlushInto {
        fn flush_into(self) -> Vec<u8>;
    }

    impl FlushInto for Message {
        fn flush_into(mut self) -> Vec<u8> {
            self.flush();
            self.into_bytes()
        }
    }

    #[test]
    fn verdicts_are_told_apart() {
        let refused = |reason: &str| Ok(Verdict::Refused { reason: reason.into(), messages: String::new() });
        check(&["unpack ok", "ok refs/heads/m"], Ok(Verdict::Accepted));
        check(&["unpack ok", "ok refs/heads/m", "option refname refs/heads/m"], Ok(Verdict::Accepted));
        check(&["unpack ok", "ng refs/heads/m failed to update ref"], refused("failed to update ref"));
        let unpack = refused("it could not unpack: index-pack abnormal exit");
        check(&["unpack index-pack abnormal exit", "ng refs/heads/m unpacker error"], unpack);
        check(&["unpack disk full", "ok refs/heads/m"], refused("it could not unpack: disk full"));
    }

    #[test]
    fn nonsense_is_refused() {
        check(&["hello"], Err("without its beginning"));
        check(&["unpack ok", "hello"], Err("no report has"));
        check(&["unpack ok"], Err("without a verdict"));
    }

    #[test]
    fn hooks_are_heard() {
        let mut report = Report::new(&server("report-status side-band-64k"));
        report.handle(Packet::Data(b"\x02zone example.org: no SOA\n")).unwrap();
        let mut message = Message::new();
        message.line("unpack ok").line("ng refs/heads/m pre-receive hook declined");
        let bytes = [b"\x01", &*message.flush_into()].concat();
        let verdict = report.handle(Packet::Data(&bytes)).unwrap().unwrap();
        let reason = "pre-receive hook declined".to_owned();
        assert_eq!(verdict, Verdict::Refused { reason, messages: "zone example.org: no SOA".into() });
    }
}
