//! What is asked, and what an honest server answers: the query list.
//!
//! One query a line, so that a person can write one and `xtask bench` can generate a million:
//!
//! ```text
//! # name                 type   expectation  options
//! h000017.bench.example. A      ANSWER
//! h000018.bench.example. AAAA   ANSWER       edns
//! h000019.bench.example. A      ANSWER       do
//! nobody.bench.example.  A      NXDOMAIN
//! h000017.bench.example. MX     NODATA
//! =00000100000100        -      MALFORMED
//! ```
//!
//! `edns` is an OPT record, `do` one that asks for signatures. A line that begins with `=` is the whole message in hexadecimal. MALFORMED queries are sent without waiting:
//! servers differ in whether they answer FORMERR or nothing.

use std::fmt;

use crate::limits::QUERY_BYTES;

/// What the answer to a query must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// NOERROR with at least one record in the answer section.
    Answer,
    /// NOERROR with an empty answer section.
    NoData,
    /// This response code, whatever the sections hold.
    Rcode(u8),
    /// Nothing is awaited.
    Malformed,
}

impl Expect {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "ANSWER" => Self::Answer,
            "NODATA" => Self::NoData,
            "FORMERR" => Self::Rcode(1),
            "SERVFAIL" => Self::Rcode(2),
            "NXDOMAIN" => Self::Rcode(3),
            "NOTIMP" => Self::Rcode(4),
            "REFUSED" => Self::Rcode(5),
            "MALFORMED" => Self::Malformed,
            _ => return None,
        })
    }

    /// Whether `answer`, a DNS message, is what was expected. An `answer` that is no response never is.
    #[must_use]
    pub fn is_met_by(self, answer: &[u8]) -> bool {
        let [_, _, flags, rcode, _, _, answers_high, answers_low, ..] = *answer else { return false };
        if flags & 0x80 == 0 {
            return false;
        }
        let (rcode, answers) = (rcode & 0x0f, u16::from_be_bytes([answers_high, answers_low]));
        match self {
            Self::Answer => rcode == 0 && answers > 0,
            Self::NoData => rcode == 0 && answers == 0,
            Self::Rcode(expected) => rcode == expected,
            Self::Malformed => true,
        }
    }
}

/// Why a query list was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query list, line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for QueryError {}

/// A list of queries in wire form, in one allocation: a generator walks it in order.
#[derive(Debug, Default)]
pub struct Queries {
    bytes: Vec<u8>,
    entries: Vec<(u32, u16, Expect)>,
}

impl Queries {
    /// Reads a list in the form above. An empty list is an error: there would be nothing to send.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut queries = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                queries.push(line).map_err(|reason| QueryError { line: number + 1, reason })?;
            }
        }
        if queries.entries.is_empty() {
            return Err(QueryError { line: 0, reason: "no query in it" });
        }
        Ok(queries)
    }

    fn push(&mut self, line: &str) -> Result<(), &'static str> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(kind), Some(expect)) = (words.next(), words.next(), words.next()) else {
            return Err("not `name type expectation [edns|do]`");
        };
        let expect = Expect::parse(expect).ok_or("unknown expectation")?;
        let start = self.bytes.len();
        match name.strip_prefix('=') {
            Some(digits) => push_hex(&mut self.bytes, digits)?,
            None => push_message(&mut self.bytes, name, kind, Opt::parse(words.next())?)?,
        }
        let length = self.bytes.len() - start;
        if !(2..=QUERY_BYTES).contains(&length) {
            return Err("shorter than an ID or longer than 512 bytes");
        }
        let start = u32::try_from(start).map_err(|_| "the list is larger than 4 GiB")?;
        self.entries.push((start, length as u16, expect));
        Ok(())
    }

    /// How many there are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty list is refused by `parse`")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The message at `index`, its ID zero, and what is expected.
    #[must_use]
    pub fn get(&self, index: usize) -> (&[u8], Expect) {
        let (start, length, expect) = self.entries[index];
        (&self.bytes[start as usize..][..usize::from(length)], expect)
    }
}

/// The OPT record of a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opt {
    Absent,
    Plain,
    /// With DO, RFC 3225.
    DnssecOk,
}

impl Opt {
    fn parse(word: Option<&str>) -> Result<Self, &'static str> {
        match word {
            None => Ok(Self::Absent),
            Some("edns") => Ok(Self::Plain),
            Some("do") => Ok(Self::DnssecOk),
            Some(_) => Err("unknown option"),
        }
    }
}

/// RFC 1035 §4.1: header, one question; perhaps an OPT record of 1232 bytes, RFC 6891 §6.1.2.
fn push_message(bytes: &mut Vec<u8>, name: &str, kind: &str, opt: Opt) -> Result<(), &'static str> {
    bytes.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(opt != Opt::Absent)]);
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|&length| length < 64).ok_or("a label over 63")?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(record_type(kind).ok_or("unknown type")?.to_be_bytes());
    bytes.extend([0, 1]);
    if opt != Opt::Absent {
        let flags = if opt == Opt::DnssecOk { 0x80 } else { 0 };
        bytes.extend([0, 0, 41, 0x04, 0xd0, 0, 0, flags, 0, 0, 0]);
    }
    Ok(())
}

fn push_hex(bytes: &mut Vec<u8>, digits: &str) -> Result<(), &'static str> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err("not pairs of hexadecimal digits");
    }
    for at in (0..digits.len()).step_by(2) {
        bytes.push(u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| "not hexadecimal")?);
    }
    Ok(())
}

fn record_type(word: &str) -> Option<u16> {
    Some(match word {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "PTR" => 12,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "ANY" => 255,
        _ => return word.strip_prefix("TYPE")?.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<(&[u8], Expect), &'static str>) {
        let parsed = Queries::parse(line);
        match expect {
            Ok(expect) => assert_eq!(parsed.unwrap().get(0), expect),
            Err(reason) => assert_eq!(parsed.unwrap_err().reason, reason),
        }
    }

    #[test]
    fn lines_become_messages() {
        check("a.bc. A ANSWER", Ok((b"\0\0\0\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01", Expect::Answer)));
        check(
            "a AAAA NXDOMAIN edns",
            Ok((
                b"\0\0\0\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x1c\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
                Expect::Rcode(3),
            )),
        );
        check("=00ff07 - MALFORMED", Ok((b"\0\xff\x07", Expect::Malformed)));
        check(
            "a A ANSWER do",
            Ok((
                b"\0\0\0\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0",
                Expect::Answer,
            )),
        );
        check("a A ANSWER dnssec", Err("unknown option"));
        check("# only a comment\n", Err("no query in it"));
        check("a A", Err("not `name type expectation [edns|do]`"));
        check("a WHAT ANSWER", Err("unknown type"));
        check("a A PERHAPS", Err("unknown expectation"));
        check("=00f - MALFORMED", Err("not pairs of hexadecimal digits"));
        check("=00zz - MALFORMED", Err("not hexadecimal"));
        check("=00 - MALFORMED", Err("shorter than an ID or longer than 512 bytes"));
    }

    #[track_caller]
    fn meets(expect: Expect, answer: &[u8], met: bool) {
        assert_eq!(expect.is_met_by(answer), met);
    }

    #[test]
    fn answers_are_checked_by_header() {
        meets(Expect::Answer, b"\0\0\x80\0\0\x01\0\x01\0\0\0\0", true);
        meets(Expect::Answer, b"\0\0\x80\0\0\x01\0\0\0\0\0\0", false);
        meets(Expect::Answer, b"\0\0\0\0\0\x01\0\x01\0\0\0\0", false);
        meets(Expect::NoData, b"\0\0\x80\0\0\x01\0\0\0\0\0\0", true);
        meets(Expect::Rcode(3), b"\0\0\x80\x83\0\x01\0\0\0\0\0\0", true);
        meets(Expect::Rcode(3), b"\0\0\x80\x80\0\x01\0\0\0\0\0\0", false);
        meets(Expect::Rcode(0), b"\0\0\x80", false);
    }
}
