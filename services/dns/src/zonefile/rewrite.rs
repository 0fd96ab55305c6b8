//! Writes the lines of a zone file again as a plan says: patches in lines that stay, new lines in the style of their
//! neighbours.

use std::ops::Range;

use super::edit::{Action, Plan};
use super::lines::{Content, Line, Written};
use super::print::{self, Spelling};
use super::scope::Ttls;
use super::style::{Style, pad_to};
use crate::record::Record;
use crate::types::RecordType;

/// Carries out the plan.
pub fn rewrite(text: &[u8], lines: &[Line], plan: &Plan) -> Vec<u8> {
    let mut writer = Writer {
        text,
        style: Style::of(text, lines),
        out: Vec::with_capacity(text.len() + 256),
        owner: Vec::new(),
        ttls: Ttls::default(),
    };
    let mut at = 0;
    for (number, line) in lines.iter().enumerate() {
        writer.out.extend_from_slice(&text[at..line.span.start]);
        at = line.span.end;
        match (&line.content, &plan.actions[number]) {
            (Content::Ttl(ttl), _) => {
                writer.ttls.default = Some(*ttl);
                writer.out.extend_from_slice(&text[line.span.clone()]);
            }
            (Content::Origin, _) => writer.out.extend_from_slice(&text[line.span.clone()]),
            (Content::Record(_), Action::Remove) => {}
            (Content::Record(written), Action::Keep) => {
                writer.line(line, written, written.record.ttl, &written.record.data);
            }
            (Content::Record(written), Action::Change(ttl, data)) => writer.line(line, written, *ttl, data),
        }
        for record in plan.behind.get(&number).into_iter().flatten() {
            writer.new_line(lines, number, record);
        }
    }
    writer.out.extend_from_slice(&text[at..]);
    writer.out
}

struct Writer<'t> {
    text: &'t [u8],
    style: Style,
    out: Vec<u8>,
    /// What a record without one would inherit from what is written so far.
    owner: Vec<u8>,
    ttls: Ttls,
}

/// What comes instead of a part of the text.
type Patch = (Range<usize>, Vec<u8>);

impl Writer<'_> {
    /// A line that stays, perhaps with another TTL or other data.
    fn line(&mut self, line: &Line, written: &Written, ttl: u32, data: &[u8]) {
        let record = &written.record;
        let mut patches = Vec::new();
        let lost_owner = written.owner_word.is_none() && !self.owner.eq_ignore_ascii_case(&record.owner);
        if lost_owner {
            patches.push(self.owner_patch(written));
        }
        self.owner.clone_from(&record.owner);
        let own = match &written.ttl_word {
            Some(word) if ttl != record.ttl => {
                patches.push((word.clone(), ttl.to_string().into_bytes()));
                true
            }
            Some(_) => true,
            None if self.ttls.inherited(record.rtype, data).map(|(ttl, _)| ttl) == Some(ttl) => false,
            None => {
                patches.push(self.ttl_patch(written, ttl, !lost_owner));
                true
            }
        };
        self.ttls.of_record(record.rtype, own.then_some(ttl), data);
        if data != record.data {
            self.data_patches(written, data, &mut patches);
        }
        self.patch(line.span.clone(), patches);
    }

    fn patch(&mut self, span: Range<usize>, mut patches: Vec<Patch>) {
        patches.sort_by_key(|(range, _)| (range.start, range.end));
        let mut at = span.start;
        for (range, new) in patches {
            self.out.extend_from_slice(&self.text[at..range.start]);
            self.out.extend_from_slice(&new);
            at = range.end;
        }
        self.out.extend_from_slice(&self.text[at..span.end]);
    }

    /// The owner over the white space that stood for it; the columns stay if there is room.
    fn owner_patch(&self, written: &Written) -> Patch {
        let owner = print::name(&written.record.owner, self.spelling(written));
        let start = written.line_start;
        let blanks = self.text[start..].iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let blank = &self.text[start..start + blanks];
        let covered = match blank {
            [b'\t', ..] => owner.len() / 8,
            _ => owner.len(),
        };
        let left = &blank[covered.min(blanks.saturating_sub(1))..];
        (start..start + blanks, [owner.as_bytes(), left].concat())
    }

    /// A TTL before the class or type; the columns stay if there is room.
    fn ttl_patch(&self, written: &Written, ttl: u32, may_use_blanks: bool) -> Patch {
        let before = written.class_word.as_ref().unwrap_or(&written.type_word).start;
        let before = before.min(written.type_word.start);
        let spaces = self.text[..before].iter().rev().take_while(|octet| **octet == b' ').count();
        let mut word = ttl.to_string().into_bytes();
        let tab = before > 0 && self.text[before - 1] == b'\t';
        word.push(if tab { b'\t' } else { b' ' });
        let room = may_use_blanks && spaces > word.len();
        (before - if room { word.len() } else { 0 }..before, word)
    }

    /// Word by word where both have the same words; otherwise the new ones where the first of the old was.
    fn data_patches(&self, written: &Written, data: &[u8], patches: &mut Vec<Patch>) {
        let words = &written.data_words;
        let (rtype, spelling) = (written.record.rtype, self.spelling(written));
        let old = print::words(rtype, &written.record.data, spelling);
        let new = print::words(rtype, data, spelling);
        let is_generic = words.first().is_none_or(|word| &self.text[word.clone()] == b"\\#");
        if old.len() == new.len() && old.len() == words.len() && !is_generic && new[0] != "\\#" {
            for (word, (old, new)) in words.iter().zip(old.iter().zip(&new)) {
                if old != new {
                    patches.push((word.clone(), new.clone().into_bytes()));
                }
            }
            return;
        }
        for (number, word) in words.iter().enumerate() {
            let blanks = self.text[..word.start].iter().rev();
            let blanks = blanks.take_while(|octet| matches!(octet, b' ' | b'\t')).count();
            match number {
                0 => patches.push((word.clone(), new.join(" ").into_bytes())),
                _ => patches.push((word.start - blanks..word.end, Vec::new())),
            }
        }
    }

    /// A new record behind line `number`.
    fn new_line(&mut self, lines: &[Line], number: usize, record: &Record) {
        let (Some(neighbour), Some(model)) = (lines[number].written(), self.style.model(lines, number))
        else {
            return;
        };
        let end: &[u8] = if self.style.carriage_returns { b"\r\n" } else { b"\n" };
        if !self.out.is_empty() && !self.out.ends_with(b"\n") {
            self.out.extend_from_slice(end);
        }
        let spelling = self.spelling(neighbour);
        let owner = self.new_owner(neighbour, record, spelling);
        let inherited = self.ttls.inherited(record.rtype, &record.data).map(|(ttl, _)| ttl);
        let own = model.ttl_word.is_some() || inherited != Some(record.ttl);
        let ttl = own.then(|| match &model.ttl_word {
            Some(word) if model.record.ttl == record.ttl => self.text[word.clone()].to_vec(),
            _ => record.ttl.to_string().into_bytes(),
        });
        let layout = self.style.layout(self.text, model);
        let mut line = owner.unwrap_or_default();
        let class = model.class_word.as_ref().map(|word| &self.text[word.clone()]);
        let mut words = [(layout.ttl, ttl.as_deref()), (layout.class, class)];
        words.sort_by_key(|(column, _)| *column);
        if line.is_empty() {
            pad_to(&mut line, layout.indent, layout.tabs);
        }
        for (column, word) in words {
            if let Some(word) = word {
                pad_to(&mut line, column, layout.tabs);
                line.extend_from_slice(word);
            }
        }
        pad_to(&mut line, layout.rtype, layout.tabs);
        line.extend_from_slice(type_word(record.rtype, layout.lower_case).as_bytes());
        pad_to(&mut line, layout.data, layout.tabs && layout.data > 0);
        line.extend_from_slice(print::words(record.rtype, &record.data, spelling).join(" ").as_bytes());
        line.extend_from_slice(end);
        self.out.extend_from_slice(&line);
        self.owner.clone_from(&record.owner);
        self.ttls.of_record(record.rtype, own.then_some(record.ttl), &record.data);
    }

    /// The owner of a new line; `None` where it is inherited.
    fn new_owner(&self, neighbour: &Written, record: &Record, spelling: Spelling<'_>) -> Option<Vec<u8>> {
        if self.owner.eq_ignore_ascii_case(&record.owner) && !self.style.repeats_owners {
            return None;
        }
        let word = neighbour.owner_word.clone();
        let as_written = word.filter(|_| neighbour.record.owner.eq_ignore_ascii_case(&record.owner));
        Some(match as_written {
            Some(word) => self.text[word].to_vec(),
            None => print::name(&record.owner, spelling).into_bytes(),
        })
    }

    fn spelling<'w>(&self, written: &'w Written) -> Spelling<'w> {
        Spelling { origin: &written.origin, absolute: self.style.absolute }
    }
}

fn type_word(rtype: RecordType, lower_case: bool) -> String {
    let word = rtype.to_string();
    if lower_case { word.to_ascii_lowercase() } else { word }
}
