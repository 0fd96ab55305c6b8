//! Entries: the zone file cut into lines, the lines into tokens (RFC 1035 §5.1).
//!
//! The file is read as a stream, one entry at a time into buffers that are used again; no part of it is kept.

use std::{
    io::{BufRead, Read},
    ops::Range,
};

use crate::limits::ENTRY_OCTETS;

/// One word of an entry, its escapes still in it.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    start: u32,
    end: u32,
    /// The line it stands on, counted from 1.
    pub line: u32,
    /// Written in quotes, which are not part of the token.
    pub quoted: bool,
    /// Nothing stands between this and the token before.
    pub glued: bool,
}

impl Token {
    /// Where it lies in the entry's text, its quotation marks included.
    pub fn span(self) -> Range<usize> {
        let quote = usize::from(self.quoted);
        self.start as usize - quote..self.end as usize + quote
    }
}

/// What is wrong, and on which line.
pub type SyntaxError = (u32, String);

/// Reads entries; holds the current one.
pub struct Entries<'s> {
    source: &'s mut dyn BufRead,
    text: Vec<u8>,
    /// Octets of the file before `text`.
    start: usize,
    tokens: Vec<Token>,
    line: u32,
    /// The first token of the entry has white space before it: the owner is that of the entry before.
    pub indented: bool,
}

impl<'s> Entries<'s> {
    /// Starts at the beginning of `source`.
    pub fn new(source: &'s mut dyn BufRead) -> Entries<'s> {
        Entries { source, text: Vec::new(), start: 0, tokens: Vec::new(), line: 0, indented: false }
    }

    /// Reads the next entry that has tokens; false at the end of the file.
    pub fn advance(&mut self) -> Result<bool, SyntaxError> {
        self.forget_text();
        self.tokens.clear();
        let mut open: Vec<u32> = Vec::new();
        loop {
            let start = self.text.len();
            if !self.read_line()? {
                let unclosed = |line| (line, "the parenthesis opened here is not closed".to_string());
                return open.first().map_or(Ok(!self.tokens.is_empty()), |line| Err(unclosed(*line)));
            }
            if self.tokens.is_empty() {
                self.indented = matches!(self.text.get(start), Some(b' ' | b'\t'));
            }
            self.cut_line(start, &mut open)?;
            match (open.is_empty(), self.tokens.is_empty()) {
                (true, false) => return Ok(true),
                (true, true) => self.forget_text(),
                (false, _) => {}
            }
        }
    }

    fn forget_text(&mut self) {
        self.start += self.text.len();
        self.text.clear();
    }

    /// Where the entry lies in the file: whole lines, from that of its first token or parenthesis on.
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// The tokens of the entry.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// A token's octets, escapes still in them.
    pub fn octets(&self, token: Token) -> &[u8] {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The line the entry starts on.
    pub fn line(&self) -> u32 {
        self.tokens.first().map_or(self.line, |token| token.line)
    }

    fn read_line(&mut self) -> Result<bool, SyntaxError> {
        self.line += 1;
        let room = ENTRY_OCTETS - self.text.len();
        let mut limited = (&mut *self.source).take(room as u64);
        let read = limited
            .read_until(b'\n', &mut self.text)
            .map_err(|error| (self.line, format!("cannot be read: {error}")))?;
        if read == room {
            return Err((self.line, format!("the entry is longer than {ENTRY_OCTETS} octets")));
        }
        Ok(read != 0)
    }

    /// Cuts the line that starts at `at` in `text` into tokens.
    fn cut_line(&mut self, mut at: usize, open: &mut Vec<u32>) -> Result<(), SyntaxError> {
        let mut glued = false;
        while let Some(&octet) = self.text.get(at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => (at, glued) = (at + 1, false),
                b';' => break,
                b'(' => {
                    open.push(self.line);
                    (at, glued) = (at + 1, false);
                }
                b')' if open.pop().is_none() => return Err((self.line, "`)` without `(`".to_string())),
                b')' => (at, glued) = (at + 1, false),
                b'"' => (at, glued) = (self.cut_quoted(at + 1, glued)? + 1, true),
                _ => (at, glued) = (self.cut_word(at, glued)?, true),
            }
        }
        Ok(())
    }

    fn cut_word(&mut self, start: usize, glued: bool) -> Result<usize, SyntaxError> {
        let is_end = |octet: u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"');
        self.cut(start, is_end, Token { start: 0, end: 0, line: self.line, quoted: false, glued })
    }

    fn cut_quoted(&mut self, start: usize, glued: bool) -> Result<usize, SyntaxError> {
        let token = Token { start: 0, end: 0, line: self.line, quoted: true, glued };
        let end = self.cut(start, |octet| matches!(octet, b'"' | b'\n'), token)?;
        match self.text.get(end) {
            Some(b'"') => Ok(end),
            _ => Err((self.line, "the quotation mark is not closed on its line".to_string())),
        }
    }

    fn cut(&mut self, start: usize, is_end: impl Fn(u8) -> bool, token: Token) -> Result<usize, SyntaxError> {
        let mut end = start;
        while let Some(&octet) = self.text.get(end).filter(|octet| !is_end(**octet)) {
            end += if octet == b'\\' { 2 } else { 1 };
        }
        if end > self.text.len() || (end > start && self.text[end - 1] == b'\n') {
            return Err((self.line, "`\\` at the end of the line".to_string()));
        }
        self.tokens.push(Token { start: start as u32, end: end as u32, ..token });
        Ok(end)
    }
}

/// The next octet of a token, `\X` and `\DDD` (RFC 1035 §5.1) replaced, and whether it was escaped.
pub fn unescape(octets: &mut &[u8]) -> Result<Option<(u8, bool)>, String> {
    let (octet, rest) = match **octets {
        [] => return Ok(None),
        [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] => {
            let number = [a, b, c].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
            let octet = u8::try_from(number).map_err(|_| format!("`\\{number}` is no octet"))?;
            ((octet, true), rest)
        }
        [b'\\', b'0'..=b'9', ..] | [b'\\'] => {
            return Err("`\\` needs three digits or one other character".to_string());
        }
        [b'\\', octet, ref rest @ ..] => ((octet, true), rest),
        [octet, ref rest @ ..] => ((octet, false), rest),
    };
    *octets = rest;
    Ok(Some(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&[&str], (u32, &str)>) {
        let mut source = text.as_bytes();
        let mut entries = Entries::new(&mut source);
        let mut found = Vec::new();
        let error = loop {
            match entries.advance() {
                Ok(true) => {
                    let words = entries.tokens().iter().map(|token| {
                        let quote = if token.quoted { "'" } else { "" };
                        format!("{quote}{}{quote}", String::from_utf8_lossy(entries.octets(*token)))
                    });
                    let words = words.collect::<Vec<_>>().join("|");
                    found.push(format!(
                        "{}{}{words}",
                        entries.line(),
                        if entries.indented { ">" } else { ":" }
                    ));
                }
                Ok(false) => break Ok(&found),
                Err(error) => break Err(error),
            }
        };
        let error = error.map(|found| found.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(error.as_deref().map_err(|(line, reason)| (*line, reason.as_str())), expect);
    }

    #[test]
    fn entries_are_cut_into_tokens() {
        check("", Ok(&[]));
        check("\n ; only a comment\n\n", Ok(&[]));
        check("a A 1.2.3.4", Ok(&["1:a|A|1.2.3.4"]));
        check("a\tA 1.2.3.4;x\r\n  AAAA ::\n", Ok(&["1:a|A|1.2.3.4", "2>AAAA|::"]));
        check("@ SOA a b ( 1 ; serial\n2 3)4\nb", Ok(&["1:@|SOA|a|b|1|2|3|4", "3:b"]));
        check("a TXT \"x ;(\" \"\" \"a\"\"b\"", Ok(&["1:a|TXT|'x ;('|''|'a'|'b'"]));
        check("a TXT a\\ b \"\\\"\"", Ok(&["1:a|TXT|a\\ b|'\\\"'"]));
        check("a HTTPS 1 . alpn=\"h2\"", Ok(&["1:a|HTTPS|1|.|alpn=|'h2'"]));
    }

    #[test]
    fn what_is_not_closed_is_reported_where_it_was_opened() {
        check("a\nb ( c\n\n", Err((2, "the parenthesis opened here is not closed")));
        check("a )", Err((1, "`)` without `(`")));
        check("a \"b\n\"", Err((1, "the quotation mark is not closed on its line")));
        check("a b\\\nc", Err((1, "`\\` at the end of the line")));
    }
}
