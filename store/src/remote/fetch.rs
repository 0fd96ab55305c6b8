//! Asks for commits with all that belongs to them, and takes the answer apart: what is shallow, and the pack.
//!
//! ```text
//!     version 2   command=fetch ─ delimiter ─ ofs-delta ─ want ─ have… ─ shallow… ─ deepen 1 ─ done ─ flush
//!                 ◄ shallow-info ─ shallow 0a…5c ─ delimiter ─ packfile ─ bands… ─ flush
//!     version 0   want 1f…e2 side-band-64k … ─ shallow… ─ deepen 1 ─ flush ─ have… ─ done
//!                 ◄ shallow 0a…5c ─ flush ─ ACK or NAK ─ bands… ─ flush
//! ```
//!
//! There is one round and no negotiation: we only ever follow one branch, so the commits that we have in common with the
//! server are those that it sent. gitprotocol-v2, "fetch"; gitprotocol-pack, "Packfile Negotiation".

use super::{
    advertisement::{Advertisement, Version},
    limits::{HAVES, IDLE_PACKETS, SHALLOWS},
    pkt_line::{Band, Message, Packet},
    problem::{Messages, Problem, printable},
    references::{AGENT, command},
};
use crate::ObjectId;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The commit.
    pub want: Vec<ObjectId>,
    /// Commits that are here with all that belongs to them, up to where history ends. Some, from the newest on.
    pub have: Vec<ObjectId>,
    /// Where history ends here.
    pub shallow: Vec<ObjectId>,
    /// Commits of history that are wanted; all if `None`.
    pub depth: Option<u32>,
}

impl Request {
    /// The request on the wire, as the server understands it.
    pub fn encode(&self, server: &Advertisement) -> Result<Vec<u8>, Problem> {
        let mut message = Message::new();
        match server.version() {
            Version::Two => {
                self.check(server.capability_value("fetch").is_some_and(|value| has_word(value, "shallow")))?;
                command(&mut message, "fetch", server);
                for argument in ["thin-pack", "ofs-delta", "no-progress"] {
                    message.line(argument);
                }
                self.want.iter().for_each(|id| _ = message.line(format_args!("want {id}")));
                self.boundaries(&mut message);
                self.common(&mut message);
                message.line("done").flush();
            }
            Version::Zero => {
                self.check(server.can("shallow"))?;
                let capabilities = capabilities(server);
                for (number, id) in self.want.iter().enumerate() {
                    let capabilities = if number == 0 { &*capabilities } else { "" };
                    message.line(format_args!("want {id}{capabilities}"));
                }
                self.boundaries(&mut message);
                message.flush();
                self.common(&mut message);
                message.line("done");
            }
        }
        Ok(message.into_bytes())
    }

    fn check(&self, can_shallow: bool) -> Result<(), Problem> {
        if can_shallow || (self.depth.is_none() && self.shallow.is_empty()) {
            Ok(())
        } else {
            Err(Problem::Protocol("it cannot send a part of the history only; clone all of it"))
        }
    }

    fn boundaries(&self, message: &mut Message) {
        self.shallow.iter().take(SHALLOWS).for_each(|id| _ = message.line(format_args!("shallow {id}")));
        if let Some(depth) = self.depth {
            message.line(format_args!("deepen {depth}"));
        }
    }

    fn common(&self, message: &mut Message) {
        self.have.iter().take(HAVES).for_each(|id| _ = message.line(format_args!("have {id}")));
    }
}

fn has_word(text: &str, wanted: &str) -> bool {
    text.split(' ').any(|word| word == wanted)
}

/// What we want to use of what the server can do (gitprotocol-capabilities).
fn capabilities(server: &Advertisement) -> String {
    let mut line = String::new();
    for name in ["side-band-64k", "thin-pack", "ofs-delta", "no-progress"] {
        if server.can(name) {
            line = line + " " + name;
        }
    }
    if server.can("object-format") {
        line = line + " object-format=" + server.format().name();
    }
    if server.can("agent") {
        line = line + " agent=" + AGENT;
    }
    line
}

/// What comes of a packet of the answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing to do; read on.
    More,
    /// More of the pack.
    Pack(&'a [u8]),
    /// The answer has ended.
    End,
}

/// The answer, as far as it has come.
pub struct Response {
    state: State,
    shallow: Vec<ObjectId>,
    unshallow: Vec<ObjectId>,
    idle: usize,
    messages: Messages,
}

/// What is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Version 2: the name of a section.
    Section,
    /// Version 2: lines of a section that says nothing to us.
    SectionEnd,
    /// Boundaries; the end of them as the version has it.
    Boundary,
    /// Version 0.
    Acknowledgement,
    Pack,
}

impl Response {
    /// The answer to `request` of this server.
    pub fn new(server: &Advertisement, request: &Request) -> Self {
        let state = match (server.version(), request.depth) {
            (Version::Two, _) => State::Section,
            // git sends boundaries where depth was asked for only.
            (Version::Zero, Some(_)) => State::Boundary,
            (Version::Zero, None) => State::Acknowledgement,
        };
        Self { state, shallow: Vec::new(), unshallow: Vec::new(), idle: 0, messages: Messages::default() }
    }

    /// Commits whose parents were not sent.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Commits whose parents are no longer missing.
    pub fn unshallow(&self) -> &[ObjectId] {
        &self.unshallow
    }

    /// Takes the next packet.
    pub fn handle<'a>(&mut self, packet: Packet<'a>) -> Result<Event<'a>, Problem> {
        match self.state {
            State::Section => self.section(packet),
            State::SectionEnd => {
                if packet == Packet::Delimiter {
                    self.state = State::Section;
                }
                self.idle()
            }
            State::Boundary => self.boundary(packet),
            // One, or one for each commit in common; what follows begins with the number of a band.
            State::Acknowledgement => match packet {
                Packet::Data([1..=3, ..]) => {
                    self.state = State::Pack;
                    self.band(packet)
                }
                Packet::Data(data) if data.starts_with(b"NAK") || data.starts_with(b"ACK ") => self.idle(),
                _ => Err(Problem::Protocol("neither ACK nor NAK")),
            },
            State::Pack => self.band(packet),
        }
    }

    fn go_on<'a>(&mut self, state: State) -> Result<Event<'a>, Problem> {
        self.state = state;
        Ok(Event::More)
    }

    fn section<'a>(&mut self, packet: Packet<'_>) -> Result<Event<'a>, Problem> {
        match packet.line() {
            Some("packfile") => self.go_on(State::Pack),
            Some("shallow-info") => self.go_on(State::Boundary),
            Some("acknowledgments") => self.go_on(State::SectionEnd),
            _ => Err(Problem::Protocol("a section of an answer that nobody asked for")),
        }
    }

    fn boundary<'a>(&mut self, packet: Packet<'_>) -> Result<Event<'a>, Problem> {
        match packet {
            Packet::Delimiter => return self.go_on(State::Section),
            Packet::Flush => return self.go_on(State::Acknowledgement),
            _ => {}
        }
        const NONE: Problem = Problem::Protocol("a boundary of history that is none");
        let (kind, id) = packet.line().and_then(|line| line.split_once(' ')).ok_or(NONE)?;
        let id = ObjectId::from_hex(id.as_bytes()).ok_or(NONE)?;
        let list = match kind {
            "shallow" => &mut self.shallow,
            "unshallow" => &mut self.unshallow,
            _ => return Err(NONE),
        };
        if list.len() >= SHALLOWS {
            return Err(Problem::Excess("boundaries of a shallow history"));
        }
        list.push(id);
        Ok(Event::More)
    }

    fn band<'a>(&mut self, packet: Packet<'a>) -> Result<Event<'a>, Problem> {
        let data = match packet {
            Packet::Data(data) => data,
            Packet::Flush | Packet::ResponseEnd => return Ok(Event::End),
            Packet::Delimiter => return Err(Problem::Protocol("a delimiter within a pack")),
        };
        match Band::decode(data) {
            Some(Band::Data([])) => self.idle(), // a sign of life
            Some(Band::Data(data)) => Ok(Event::Pack(data)),
            Some(Band::Progress(text)) => {
                self.messages.add(text);
                self.idle()
            }
            Some(Band::Fatal(text)) => Err(Problem::Refused(printable(text))),
            None => Err(Problem::Protocol("a side band that there is not")),
        }
    }

    fn idle<'a>(&mut self) -> Result<Event<'a>, Problem> {
        self.idle += 1;
        if self.idle > IDLE_PACKETS { Err(Problem::Excess("messages without data")) } else { Ok(Event::More) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::references::References;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn server(lines: &[&str]) -> Advertisement {
        let mut advertisement = Advertisement::new(References::looking_for(None));
        for line in lines {
            advertisement.handle(Packet::Data(line.as_bytes())).unwrap();
        }
        advertisement
    }

    fn two() -> Advertisement {
        server(&["version 2", "agent=git/2", "ls-refs", "fetch=shallow filter", "object-format=sha1"])
    }

    fn zero() -> Advertisement {
        server(&[&format!("{A} HEAD\0side-band-64k ofs-delta shallow no-progress")])
    }

    /// The packets of a request, a line each.
    #[track_caller]
    fn check(server: &Advertisement, request: &Request, expected: &[&str]) {
        let bytes = request.encode(server).unwrap();
        let mut rest = bytes.as_slice();
        let mut lines = Vec::new();
        while let Some((packet, length)) = Packet::decode(rest).unwrap() {
            lines.push(packet.line().map_or_else(|| format!("{packet:?}"), str::to_owned));
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        let expected: Vec<String> =
            expected.iter().map(|line| line.replace("AA", A).replace("BB", &id('b').to_string())).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn requests_are_as_the_protocol_writes_them() {
        let agent = format!("agent={AGENT}");
        let first = [
            "command=fetch",
            &agent,
            "object-format=sha1",
            "Delimiter",
            "thin-pack",
            "ofs-delta",
            "no-progress",
        ];
        let clone = Request { want: vec![id('a')], depth: Some(1), ..Request::default() };
        let pull = Request { want: vec![id('a')], have: vec![id('b')], shallow: vec![id('b')], depth: None };
        check(&two(), &clone, &[&first[..], &["want AA", "deepen 1", "done", "Flush"]].concat());
        check(&two(), &pull, &[&first[..], &["want AA", "shallow BB", "have BB", "done", "Flush"]].concat());
        let want = "want AA side-band-64k ofs-delta no-progress";
        check(&zero(), &clone, &[want, "deepen 1", "Flush", "done"]);
        check(&zero(), &pull, &[want, "shallow BB", "Flush", "have BB", "done"]);
    }

    #[test]
    fn a_server_that_cannot_be_shallow_is_told_apart() {
        let server = server(&["version 2", "ls-refs", "fetch"]);
        let request = Request { want: vec![id('a')], depth: Some(1), ..Request::default() };
        assert!(request.encode(&server).is_err());
        assert!(Request { depth: None, ..request }.encode(&server).is_ok());
    }

    /// The pack that comes of packets.
    fn read(
        server: &Advertisement,
        depth: Option<u32>,
        packets: &[Packet<'_>],
    ) -> Result<(Vec<u8>, Response), Problem> {
        let mut response = Response::new(server, &Request { depth, ..Request::default() });
        let mut pack = Vec::new();
        for packet in packets {
            match response.handle(*packet)? {
                Event::More => {}
                Event::Pack(data) => pack.extend_from_slice(data),
                Event::End => return Ok((pack, response)),
            }
        }
        Err(Problem::Protocol("no end"))
    }

    #[test]
    fn answers_of_both_versions_are_taken_apart() {
        let boundary = format!("shallow {A}\n");
        let boundary = Packet::Data(boundary.as_bytes());
        let bands =
            [Packet::Data(b"\x02counting"), Packet::Data(b"\x01"), Packet::Data(b"\x01PACK"), Packet::Flush];
        let packets = [
            &[Packet::Data(b"shallow-info\n"), boundary, Packet::Delimiter, Packet::Data(b"packfile")],
            &bands[..],
        ];
        let (pack, response) = read(&two(), Some(1), &packets.concat()).unwrap();
        assert_eq!((&*pack, response.shallow()), (b"PACK".as_slice(), [id('a')].as_slice()));
        let packets = [&[boundary, Packet::Flush, Packet::Data(b"NAK\n")], &bands[..]];
        let (pack, response) = read(&zero(), Some(1), &packets.concat()).unwrap();
        assert_eq!((&*pack, response.shallow()), (b"PACK".as_slice(), [id('a')].as_slice()));
        let packets = [&[Packet::Data(b"ACK aa\n"), Packet::Data(b"ACK aa\n")], &bands[..]];
        assert_eq!(read(&zero(), None, &packets.concat()).unwrap().0, b"PACK");
    }

    #[test]
    fn endless_progress_is_cut_off() {
        for packet in [Packet::Data(b"\x01"), Packet::Data(b"\x02working\r")] {
            let mut packets = vec![Packet::Data(b"packfile".as_slice())];
            packets.extend([packet].repeat(IDLE_PACKETS + 1));
            assert!(matches!(read(&two(), None, &packets), Err(Problem::Excess(_))));
        }
    }

    #[test]
    fn the_remote_may_give_up() {
        let packets = [Packet::Data(b"packfile".as_slice()), Packet::Data(b"\x03out of memory\n")];
        assert!(
            matches!(read(&two(), None, &packets), Err(Problem::Refused(text)) if text == "out of memory")
        );
    }
}
