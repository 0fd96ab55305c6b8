//! A zone file as lines with a meaning: each record with where its words stand, so that one word can be changed and the
//! rest left as it is.

use std::ops::Range;
use std::rc::Rc;

use super::entry::{Entries, Token};
use super::scope::{Scope, TtlSource};
use super::words::Words;
use crate::record::Record;

/// An entry that is a record or a directive. What lies between two of them is comments and blank lines.
#[derive(Debug)]
pub struct Line {
    /// Whole lines of the file, their ends included.
    pub span: Range<usize>,
    /// What it says.
    pub content: Content,
}

/// What a line says.
#[derive(Debug)]
pub enum Content {
    /// `$ORIGIN`
    Origin,
    /// `$TTL`
    Ttl(u32),
    /// A record.
    Record(Box<Written>),
}

/// A record and where its words stand in the file.
#[derive(Debug)]
pub struct Written {
    /// What it is, the owner as it was written.
    pub record: Record,
    /// Where its TTL comes from.
    pub source: TtlSource,
    /// What relative names end in here.
    pub origin: Rc<[u8]>,
    /// The owner; `None` where it is that of the record before.
    pub owner_word: Option<Range<usize>>,
    /// The TTL, if it is written.
    pub ttl_word: Option<Range<usize>>,
    /// The class, if it is written.
    pub class_word: Option<Range<usize>>,
    /// The type.
    pub type_word: Range<usize>,
    /// The data; words that are written without a space between them are one.
    pub data_words: Vec<Range<usize>>,
    /// Where the line of the first word starts.
    pub line_start: usize,
}

/// Reads the whole text of the zone called `apex`.
pub fn read(apex: &[u8], text: &[u8]) -> Result<Vec<Line>, (u32, String)> {
    let mut lines = Vec::new();
    for_each(apex, text, &mut |line| lines.push(line))?;
    Ok(lines)
}

/// Reads the text line by line, for those who need not have all of it.
pub fn for_each(apex: &[u8], text: &[u8], take: &mut dyn FnMut(Line)) -> Result<(), (u32, String)> {
    let (mut source, mut scope) = (text, Scope::new(apex));
    let mut entries = Entries::new(&mut source);
    let mut origin: Rc<[u8]> = apex.into();
    while entries.advance()? {
        let mut words = Words::new(&entries);
        let content = content(text, &entries, &mut words, &mut scope, &mut origin);
        take(Line { span: entries.span(), content: content.map_err(|reason| (words.line(), reason))? });
    }
    Ok(())
}

fn content(
    text: &[u8],
    entries: &Entries<'_>,
    words: &mut Words<'_, '_>,
    scope: &mut Scope,
    origin: &mut Rc<[u8]>,
) -> Result<Content, String> {
    let mut data = Vec::new();
    let Some(header) = scope.read(words, entries, &mut data)? else {
        if **origin == *scope.origin
            && let Some(ttl) = scope.ttls.default
            && entries.tokens().first().is_some_and(|token| is_ttl(entries.octets(*token)))
        {
            return Ok(Content::Ttl(ttl));
        }
        *origin = scope.origin.as_slice().into();
        return Ok(Content::Origin);
    };
    let start = entries.span().start;
    let word = |token: &Token| token.span().start + start..token.span().end + start;
    let place = |position: usize| word(&entries.tokens()[position]);
    let mut data_words: Vec<Range<usize>> = Vec::new();
    for token in &entries.tokens()[header.type_word + 1..] {
        match data_words.last_mut().filter(|_| token.glued) {
            Some(last) => last.end = word(token).end,
            None => data_words.push(word(token)),
        }
    }
    let before = &text[start..place(0).start];
    let line_start = start + before.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    let record = Record { owner: scope.owner.clone(), rtype: header.rtype, ttl: header.ttl, data };
    Ok(Content::Record(Box::new(Written {
        record,
        source: header.source,
        origin: origin.clone(),
        owner_word: (!entries.indented).then(|| place(0)),
        ttl_word: header.ttl_word.map(place),
        class_word: header.class_word.map(place),
        type_word: place(header.type_word),
        data_words,
        line_start,
    })))
}

fn is_ttl(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"$TTL")
}

impl Line {
    /// The record, if it is one.
    pub fn written(&self) -> Option<&Written> {
        match &self.content {
            Content::Record(written) => Some(written),
            Content::Origin | Content::Ttl(_) => None,
        }
    }
}
