//! Replies, taken apart with the `domain` crate, which has no line in common with our server.

use std::collections::BTreeSet;
use std::fmt;

use domain::base::opt::UnknownOptData;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;

/// What is wrong with a section that is no set.
pub const TWICE: &str = "the same record twice in a section";

/// The option of RFC 8914.
const EXTENDED_ERROR: u16 = 15;

/// A record: owner (lower case), type, class, TTL, data (uncompressed, names in lower case).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// As text.
    pub owner: String,
    /// The number.
    pub rtype: u16,
    /// The number.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// RFC 4034 §6.2.
    pub data: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} CLASS{} TYPE{} ", self.owner, self.ttl, self.class, self.rtype)?;
        self.data.iter().take(24).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// The code of an option, and what of its data is compared.
pub type EdnsOption = (u16, Vec<u8>);

/// What came back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The one of the query, or wrong.
    pub identifier: u16,
    /// Header flags and opcode: the third and fourth octet, without the response code.
    pub flags: u16,
    /// Extended by the OPT record.
    pub rcode: u16,
    /// The question, name as it was sent, if there is one.
    pub question: Vec<u8>,
    /// Answer, authority, additional without OPT.
    pub sections: [BTreeSet<Record>; 3],
    /// The OPT record's version and flags, and its options: the code of an extended error, of the others nothing.
    pub edns: Option<(u8, u16, Vec<EdnsOption>)>,
    /// Octets.
    pub length: usize,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} octets, flags {:04x}, rcode {}, EDNS {:?}",
            self.length, self.flags, self.rcode, self.edns
        )?;
        for (section, name) in self.sections.iter().zip(["answer", "authority", "additional"]) {
            write!(f, "\n    {name}:")?;
            section.iter().take(10).try_for_each(|record| write!(f, " [{record:?}]"))?;
        }
        Ok(())
    }
}

impl Reply {
    /// The type that was asked for.
    pub fn question_type(&self) -> Option<u16> {
        self.question.last_chunk::<4>().map(|end| u16::from_be_bytes([end[0], end[1]]))
    }

    /// The class that was asked for.
    pub fn question_class(&self) -> Option<u16> {
        self.question.last_chunk::<2>().map(|end| u16::from_be_bytes(*end))
    }

    /// The truncation flag.
    pub fn truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }
}

/// Takes a reply apart; an error says what is wrong with it.
pub fn parse(octets: &[u8]) -> Result<Reply, String> {
    let message = Message::from_octets(octets).map_err(|_| "shorter than a header".to_string())?;
    let mut reply = Reply {
        identifier: u16::from_be_bytes([octets[0], octets[1]]),
        flags: u16::from_be_bytes([octets[2], octets[3]]) & 0xFFF0,
        rcode: u16::from(octets[3] & 0x0F),
        length: octets.len(),
        ..Reply::default()
    };
    let mut questions = message.question();
    questions.by_ref().try_for_each(|question| question.map(drop)).map_err(bad("question"))?;
    reply.question = octets[12..questions.pos()].to_vec();
    let sections = [
        message.answer().map_err(bad("answer"))?,
        message.authority().map_err(bad("authority"))?,
        message.additional().map_err(bad("additional"))?,
    ];
    for (number, mut section) in sections.into_iter().enumerate() {
        for record in section.by_ref() {
            let record = record
                .map_err(bad("record"))?
                .into_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
                .map_err(bad("data"))?;
            reply.add(number, &record)?;
        }
        if number == 2 && section.pos() != octets.len() {
            return Err("octets behind the last record".to_string());
        }
    }
    Ok(reply)
}

fn bad<E: fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

type Parsed<'a> = domain::base::Record<ParsedName<&'a [u8]>, AllRecordData<&'a [u8], ParsedName<&'a [u8]>>>;

impl Reply {
    fn add(&mut self, section: usize, record: &Parsed<'_>) -> Result<(), String> {
        if let AllRecordData::Opt(options) = record.data() {
            let options =
                options.iter::<UnknownOptData<_>>().map(|option| option.map(|option| seen(&option)));
            let options = options.collect::<Result<_, _>>().map_err(bad("option"))?;
            let ttl = record.ttl().as_secs();
            self.rcode |= ((ttl >> 24) as u16) << 4;
            let others = self.edns.replace(((ttl >> 16) as u8, ttl as u16, options));
            return others.map_or(Ok(()), |_| Err("two OPT records".to_string()));
        }
        let mut data = Vec::new();
        record.data().compose_canonical_rdata(&mut data).map_err(|_| "data too long".to_string())?;
        let fresh = self.sections[section].insert(Record {
            owner: record.owner().to_string().to_ascii_lowercase(),
            rtype: record.rtype().to_int(),
            class: record.class().to_int(),
            ttl: record.ttl().as_secs(),
            data,
        });
        if fresh { Ok(()) } else { Err(TWICE.to_string()) }
    }
}

/// What of an option is compared.
fn seen(option: &UnknownOptData<&[u8]>) -> EdnsOption {
    let code = option.code().to_int();
    let data =
        if code == EXTENDED_ERROR { option.as_slice().iter().take(2).copied().collect() } else { Vec::new() };
    (code, data)
}
