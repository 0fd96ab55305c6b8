//! How a zone file is written: what a new line in it has to look like.

use std::collections::BTreeMap;

use super::lines::{Line, Written};
use crate::types::RecordType;

/// Columns between two tab stops.
const TAB_COLUMNS: usize = 8;

/// Habits of the file as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Records of one name each have their owner, rather than blanks behind the first.
    pub repeats_owners: bool,
    /// No name is relative.
    pub absolute: bool,
    /// Lines end in CR LF.
    pub carriage_returns: bool,
    /// The columns where most lines have their type and their data; 0 if there is none such.
    rtype: usize,
    data: usize,
}

/// Where the words of a line stand, in columns from 0; 0 where a word is not there or on another line.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The first word of a line that inherits its owner.
    pub indent: usize,
    /// The TTL.
    pub ttl: usize,
    /// The class.
    pub class: usize,
    /// The type.
    pub rtype: usize,
    /// The data.
    pub data: usize,
    /// Tabs stand between the words.
    pub tabs: bool,
    /// The type is in lower case.
    pub lower_case: bool,
}

impl Style {
    /// The habits that most lines have.
    pub fn of(text: &[u8], lines: &[Line]) -> Style {
        let (mut repeated, mut blank, mut relative) = (0usize, 0usize, 0usize);
        let mut before: &[u8] = &[];
        for written in lines.iter().filter_map(Line::written) {
            match &written.owner_word {
                None => blank += 1,
                Some(_) if written.record.owner.eq_ignore_ascii_case(before) => repeated += 1,
                Some(_) => {}
            }
            relative +=
                written.owner_word.iter().filter(|word| !text[(*word).clone()].ends_with(b".")).count();
            before = &written.record.owner;
        }
        let first_end = text.iter().position(|octet| *octet == b'\n').unwrap_or(0);
        let carriage_returns = text[..first_end].ends_with(b"\r");
        let rtype = common_column(text, lines, |written| Some(written.type_word.start));
        let data = common_column(text, lines, |written| written.data_words.first().map(|word| word.start));
        Style { repeats_owners: repeated > blank, absolute: relative == 0, carriage_returns, rtype, data }
    }

    /// The line that a new one behind `number` is to look like: the nearest that has but one line and is no SOA record.
    pub fn model<'l>(&self, lines: &'l [Line], number: usize) -> Option<&'l Written> {
        let fits = |written: &&Written| {
            let last = written.data_words.last().map_or(0, |word| word.end);
            written.record.rtype != RecordType::SOA && last - written.line_start < 1000
        };
        let before = lines[..=number].iter().rev();
        let mut near = before.chain(&lines[number + 1..]).filter_map(Line::written);
        near.find(fits).or(lines[number].written())
    }

    /// Where the words of `model` stand.
    pub fn layout(&self, text: &[u8], model: &Written) -> Layout {
        let start = model.line_start;
        let column = |at: usize| column(text, start, at);
        let type_start = model.type_word.start;
        let is_common = column(type_start) == self.rtype;
        let words = [model.ttl_word.as_ref(), model.class_word.as_ref(), Some(&model.type_word)];
        let first = words.into_iter().flatten().map(|word| word.start).min().unwrap_or(type_start);
        Layout {
            indent: column(first),
            ttl: model.ttl_word.as_ref().filter(|_| is_common).map_or(0, |word| column(word.start)),
            class: model.class_word.as_ref().filter(|_| is_common).map_or(0, |word| column(word.start)),
            rtype: self.rtype,
            data: self.data,
            tabs: text.get(start..type_start).is_some_and(|line| line.contains(&b'\t')),
            lower_case: !text[model.type_word.clone()].iter().any(u8::is_ascii_uppercase),
        }
    }
}

/// The column of the octet at `at` in the line that starts at `start`; 0 where it is on another line.
fn column(text: &[u8], start: usize, at: usize) -> usize {
    text.get(start..at).filter(|line| !line.contains(&b'\n')).map_or(0, width)
}

/// The column that at least half of the lines have a word in, if any of them took more than one blank to get there.
fn common_column(text: &[u8], lines: &[Line], word: impl Fn(&Written) -> Option<usize>) -> usize {
    let (mut counts, mut total) = (BTreeMap::<usize, (usize, bool)>::new(), 0);
    for written in lines.iter().filter_map(Line::written) {
        let start = word(written).unwrap_or(0);
        let before = text.get(written.line_start..start).unwrap_or_default();
        let (count, padded) = counts.entry(column(text, written.line_start, start)).or_default();
        *count += 1;
        *padded |= before.contains(&b'\t') || before.windows(2).any(|two| two == b"  ");
        total += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, (count, _))| *count);
    most.filter(|(_, (count, padded))| *padded && count * 2 >= total).map_or(0, |(column, _)| column)
}

/// Columns that the text takes.
fn width(text: &[u8]) -> usize {
    text.iter().fold(0, |column, octet| match octet {
        b'\t' => (column / TAB_COLUMNS + 1) * TAB_COLUMNS,
        _ => column + 1,
    })
}

/// Blanks up to this column, at least one unless there is nothing but blanks so far.
pub fn pad_to(line: &mut Vec<u8>, column: usize, tabs: bool) {
    let mut at = width(line);
    let mut padded = !line.is_empty() && line.iter().all(|octet| matches!(octet, b' ' | b'\t'));
    while tabs && ((at / TAB_COLUMNS + 1) * TAB_COLUMNS <= column || !padded) {
        line.push(b'\t');
        (at, padded) = ((at / TAB_COLUMNS + 1) * TAB_COLUMNS, true);
    }
    let spaces = column.saturating_sub(at).max(usize::from(!padded));
    line.resize(line.len() + spaces, b' ');
}
