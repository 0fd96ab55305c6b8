//! Changes a zone file's text as a [`Difference`] says, and nothing else in it: comments, order, layout and the spelling of
//! what did not change stay as they are, octet for octet.
//!
//! ```text
//! text ─► lines ─► plan: what becomes of each line, what comes behind which ─► rewrite ─► text, read again and compared
//! ```
//!
//! A record that goes while another of its name and type comes is changed in place, word by word: of an SOA record only the
//! serial number. New records come behind the last of their set, or of their name, or of the part of the file whose
//! `$ORIGIN` is nearest. A line that inherited an owner or a TTL from one that is gone is given its own.

use std::collections::BTreeMap;

use super::lines::{self, Content, Line, Written};
use super::rewrite::rewrite;
use crate::name::to_text;
use crate::record::{Difference, Record};

/// Why a file was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The file cannot be read: what is wrong, and on which line.
    Unreadable(u32, String),
    /// A record that is to be removed is not in the file: it is not the file that the zone was read from.
    NotThere(String),
    /// The new text would not say what it is to say, which is our fault.
    Misread(String),
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EditError::Unreadable(line, reason) => write!(f, "line {line}: {reason}"),
            EditError::NotThere(record) => {
                write!(f, "the file has no record {record}, which is to be removed")
            }
            EditError::Misread(reason) => {
                write!(f, "the file could not be changed, a defect of this program: {reason}")
            }
        }
    }
}

impl std::error::Error for EditError {}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its record stays.
    Keep,
    /// It goes, with the comment on it.
    Remove,
    /// Its record gets this TTL and data.
    Change(u32, Vec<u8>),
}

/// What becomes of all lines.
#[derive(Debug, Default)]
pub struct Plan {
    /// For each line.
    pub actions: Vec<Action>,
    /// New records behind a line.
    pub behind: BTreeMap<usize, Vec<Record>>,
}

/// The text that results from `text`, the file of the zone called `apex`, by this difference.
pub fn edit(apex: &[u8], text: &[u8], difference: &Difference) -> Result<Vec<u8>, EditError> {
    let unreadable = |(line, reason)| EditError::Unreadable(line, reason);
    let lines = lines::read(apex, text).map_err(unreadable)?;
    let mut sets = Sets::of(difference);
    sets.find_lines(&lines);
    let plan = sets.plan(&lines)?;
    let new_text = rewrite(text, &lines, &plan);
    check(apex, &lines, &new_text, &sets).map_err(EditError::Misread)?;
    Ok(new_text)
}

/// One owner and type that the difference names.
#[derive(Debug, Default)]
struct Set<'d> {
    removed: Vec<&'d Record>,
    added: Vec<&'d Record>,
    /// Its lines in the file.
    lines: Vec<usize>,
}

/// All that the difference names, by owner in lower case and type.
#[derive(Debug, Default)]
struct Sets<'d> {
    sets: BTreeMap<(Vec<u8>, u16), Set<'d>>,
    /// In the order in which the difference adds to them.
    order: Vec<(Vec<u8>, u16)>,
    /// The last line of each owner.
    owners: BTreeMap<Vec<u8>, usize>,
}

fn key(record: &Record) -> (Vec<u8>, u16) {
    (record.owner.to_ascii_lowercase(), record.rtype.0)
}

impl<'d> Sets<'d> {
    fn of(difference: &'d Difference) -> Sets<'d> {
        let mut sets = Sets::default();
        for record in &difference.removed {
            sets.sets.entry(key(record)).or_default().removed.push(record);
        }
        for record in &difference.added {
            let key = key(record);
            sets.order.push(key.clone());
            sets.sets.entry(key).or_default().added.push(record);
        }
        sets
    }

    fn find_lines(&mut self, lines: &[Line]) {
        for (owner, _) in self.sets.keys() {
            self.owners.insert(owner.clone(), usize::MAX);
        }
        for (number, line) in lines.iter().enumerate() {
            let Some(written) = line.written() else { continue };
            let key = key(&written.record);
            if let Some(last) = self.owners.get_mut(&key.0) {
                *last = number;
                if let Some(set) = self.sets.get_mut(&key) {
                    set.lines.push(number);
                }
            }
        }
        self.owners.retain(|_, last| *last != usize::MAX);
    }

    fn plan(&self, lines: &[Line]) -> Result<Plan, EditError> {
        let mut plan = Plan { actions: vec![Action::Keep; lines.len()], behind: BTreeMap::new() };
        let mut new = BTreeMap::new();
        for (key, set) in &self.sets {
            new.insert(key, set.plan(lines, &mut plan.actions)?);
        }
        let ends = ends_of_origins(lines);
        for key in &self.order {
            let last_of_set = || self.sets[key].lines.last();
            for record in new.remove(key).unwrap_or_default() {
                let near = last_of_set().or_else(|| self.owners.get(&key.0)).copied();
                let near = near.or_else(|| end_for(&record.owner, &ends));
                let near =
                    near.ok_or_else(|| EditError::Unreadable(0, "the file has no record".to_string()))?;
                let place = settle(near, &record, lines, &plan.actions);
                plan.behind.entry(place).or_default().push(record);
            }
        }
        Ok(plan)
    }
}

impl Set<'_> {
    /// Decides on its lines, and returns what has no line yet.
    fn plan(&self, lines: &[Line], actions: &mut [Action]) -> Result<Vec<Record>, EditError> {
        let written = |line: &usize| lines[*line].written().expect("only records are in sets");
        let same = |a: &Record, b: &Record| a.rtype.same_data(&a.data, &b.data);
        if let Some(missing) =
            self.removed.iter().find(|gone| !self.lines.iter().any(|line| same(gone, &written(line).record)))
        {
            return Err(EditError::NotThere(shown(missing)));
        }
        let (mut kept, mut free, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        let mut new: Vec<&Record> = self.added.clone();
        for line in &self.lines {
            let record = &written(line).record;
            let gone = self.removed.iter().any(|gone| same(gone, record));
            let again = new.iter().position(|new| same(new, record)).map(|at| new.remove(at));
            match (gone, again) {
                (false, _) => kept.push(line),
                (true, Some(again)) => changed.push((line, again)),
                (true, None) => free.push(line),
            }
        }
        for line in free {
            match new.is_empty() {
                true => actions[*line] = Action::Remove,
                false => changed.push((line, new.remove(0))),
            }
        }
        // RFC 2181 §5.2: one TTL for all, the lowest, as the zone has it.
        let old_ttl = self.ttl(lines);
        let new_ttls =
            changed.iter().map(|(_, record)| record.ttl).chain(new.iter().map(|record| record.ttl));
        let ttl = new_ttls.chain(old_ttl.filter(|_| !kept.is_empty())).min().unwrap_or(0);
        let lowest_kept = kept.iter().map(|line| written(line).record.ttl).min();
        let is_written = !changed.is_empty() || !new.is_empty();
        if old_ttl != Some(ttl) || (!is_written && lowest_kept != Some(ttl)) {
            for line in kept {
                let record = &written(line).record;
                if record.ttl != ttl {
                    actions[*line] = Action::Change(ttl, record.data.clone());
                }
            }
        }
        for (line, record) in changed {
            actions[*line] = Action::Change(ttl, record.data.clone());
        }
        Ok(new.into_iter().map(|record| Record { ttl, ..record.clone() }).collect())
    }

    /// The TTL that the zone has: the lowest, records that are there twice counted by their first line.
    fn ttl(&self, lines: &[Line]) -> Option<u32> {
        meaning(self.lines.iter().filter_map(|line| lines[*line].written())).map(|(ttl, _)| ttl)
    }
}

fn shown(record: &Record) -> String {
    format!("{} {} {}", to_text(&record.owner), record.ttl, record.rtype)
}

/// The last record of each part of the file that has an `$ORIGIN` of its own.
fn ends_of_origins(lines: &[Line]) -> Vec<(&[u8], usize)> {
    let mut ends: Vec<(&[u8], usize)> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(written) = line.written() else { continue };
        match ends.iter_mut().find(|(origin, _)| **origin == *written.origin) {
            Some((_, end)) => *end = number,
            None => ends.push((&written.origin, number)),
        }
    }
    ends
}

/// Where a name that the file does not have belongs: where the origin has most in common with it, or at the end.
fn end_for(owner: &[u8], ends: &[(&[u8], usize)]) -> Option<usize> {
    let fits = |origin: &[u8]| suffixes(owner).any(|suffix| suffix.eq_ignore_ascii_case(origin));
    let nearest =
        ends.iter().filter(|(origin, _)| fits(origin)).max_by_key(|(origin, end)| (origin.len(), *end));
    nearest.or_else(|| ends.iter().max_by_key(|(_, end)| *end)).map(|(_, end)| *end)
}

fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let suffix = name.get(at..).filter(|suffix| !suffix.is_empty())?;
        at += 1 + usize::from(suffix[0]);
        Some(suffix)
    })
}

/// The first line from `near` on behind which the record changes nothing for the lines that follow: they could inherit its
/// owner, or its TTL.
fn settle(near: usize, record: &Record, lines: &[Line], actions: &[Action]) -> usize {
    let mut place = near;
    for (number, line) in lines.iter().enumerate().skip(near + 1) {
        let Some(next) = line.written().filter(|_| actions[number] != Action::Remove) else { continue };
        let ttl = match &actions[number] {
            Action::Change(ttl, _) => *ttl,
            _ => next.record.ttl,
        };
        let other_owner = next.owner_word.is_none() && !next.record.owner.eq_ignore_ascii_case(&record.owner);
        let other_ttl = next.source == super::scope::TtlSource::Last && ttl != record.ttl;
        if !other_owner && !other_ttl {
            break;
        }
        place = number;
    }
    place
}

/// What a set's lines say: its TTL, and its data without what is there twice. `None` if there are none.
fn meaning<'l>(lines: impl Iterator<Item = &'l Written>) -> Option<(u32, Vec<&'l Record>)> {
    let mut found: Option<(u32, Vec<&Record>)> = None;
    for written in lines {
        let record = &written.record;
        let (ttl, records) = found.get_or_insert_with(|| (record.ttl, Vec::new()));
        if !records.iter().any(|other| other.rtype.same_data(&other.data, &record.data)) {
            *ttl = record.ttl.min(*ttl);
            records.push(record);
        }
    }
    found
}

/// Reads the new text and compares: what the difference does not name must be there as before and in the same order, and
/// what it names must be there as it says.
fn check(apex: &[u8], old: &[Line], new_text: &[u8], sets: &Sets<'_>) -> Result<(), String> {
    let is_named = |record: &Record| sets.sets.contains_key(&key(record));
    let old_records = old.iter().filter_map(Line::written).map(|written| &written.record);
    let mut before = old_records.filter(|record| !is_named(record));
    let mut found: BTreeMap<(Vec<u8>, u16), Vec<Box<Written>>> = BTreeMap::new();
    let mut same = true;
    lines::for_each(apex, new_text, &mut |line| {
        let Content::Record(written) = line.content else { return };
        if is_named(&written.record) {
            found.entry(key(&written.record)).or_default().push(written);
        } else {
            let expect = before.next();
            same &= expect.is_some_and(|old| old.same(&written.record) && old.ttl == written.record.ttl);
        }
    })
    .map_err(|(line, reason)| format!("line {line}: {reason}"))?;
    if !same || before.next().is_some() {
        return Err("a record changed that was to stay".to_string());
    }
    for (key, set) in &sets.sets {
        let expect = set.expected(old);
        let found = found.get(key).and_then(|written| meaning(written.iter().map(Box::as_ref)));
        let same = match (&expect, &found) {
            (None, None) => true,
            (Some((ttl, data)), Some((found_ttl, found))) => {
                let is_there =
                    |data: &&[u8]| found.iter().any(|record| record.rtype.same_data(&record.data, data));
                ttl == found_ttl && data.len() == found.len() && data.iter().all(is_there)
            }
            _ => false,
        };
        if !same {
            return Err(format!("the set of type {} at {} is wrong", key.1, to_text(&key.0)));
        }
    }
    Ok(())
}

impl<'d> Set<'d> {
    /// What the set must say: its TTL and data.
    fn expected<'a>(&'a self, old: &'a [Line]) -> Option<(u32, Vec<&'a [u8]>)> {
        let old = meaning(self.lines.iter().filter_map(|line| old[*line].written()));
        let (mut ttl, mut kept) = (None, Vec::<&Record>::new());
        if let Some((old_ttl, records)) = old {
            let stays = |record: &&Record| !self.removed.iter().any(|gone| gone.same(record));
            kept = records.into_iter().filter(stays).collect();
            ttl = Some(old_ttl).filter(|_| !kept.is_empty());
        }
        for record in &self.added {
            if !kept.iter().any(|other| other.same(record)) {
                ttl = Some(ttl.map_or(record.ttl, |ttl: u32| ttl.min(record.ttl)));
                kept.push(record);
            }
        }
        ttl.map(|ttl| (ttl, kept.into_iter().map(|record| record.data.as_slice()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APEX: &[u8] = b"\x07example\x03org\0";

    fn records(text: &str) -> Vec<Record> {
        let lines = lines::read(APEX, text.as_bytes()).expect("the test's records are good");
        lines.iter().filter_map(Line::written).map(|written| written.record.clone()).collect()
    }

    fn edited(text: &str, removed: &str, added: &str) -> Result<String, EditError> {
        let difference = Difference { removed: records(removed), added: records(added) };
        edit(APEX, text.as_bytes(), &difference).map(|text| String::from_utf8(text).unwrap())
    }

    /// `removed` and `added` are records in the syntax of the file.
    #[track_caller]
    fn check(text: &str, removed: &str, added: &str, expect: &str) {
        match edited(text, removed, added) {
            Ok(found) => assert!(found == expect, "{found}\nis not\n{expect}"),
            Err(error) => panic!("{error}"),
        }
    }

    const ZONE: &str = "\
; the zone of examples
$TTL 1h
@       IN SOA  ns1 hostmaster (
                2026112401 ; serial
                1d         ; refresh
                2h 4w 1h )
        IN NS   ns1    ; the first server
        IN MX   10 mail

ns1     IN A    192.0.2.1
; a comment of its own
www     IN A    192.0.2.80 ; web
        IN AAAA 2001:db8::80
ftp     IN CNAME www

; the end
";

    #[track_caller]
    fn check_zone(removed: &str, added: &str, replaced: &[(&str, &str)]) {
        let mut expect = ZONE.to_string();
        for (old, new) in replaced {
            assert!(expect.contains(old), "{old}");
            expect = expect.replace(old, new);
        }
        check(ZONE, removed, added, &expect);
    }

    #[test]
    fn of_an_soa_record_only_the_serial_changes() {
        check_zone(
            "@ 3600 SOA ns1 hostmaster 2026112401 86400 7200 2419200 3600",
            "@ 3600 SOA ns1 hostmaster 2026112402 86400 7200 2419200 3600",
            &[("2026112401", "2026112402")],
        );
    }

    #[test]
    fn new_records_stand_behind_their_set_or_their_name_or_at_the_end() {
        let web = "192.0.2.80 ; web\n";
        check_zone("", "www 3600 A 192.0.2.81", &[(web, &format!("{web}        IN A    192.0.2.81\n"))]);
        let last = "IN AAAA 2001:db8::80\n";
        check_zone("", "www 3600 TXT x", &[(last, &format!("{last}        IN TXT  \"x\"\n"))]);
        let end = "IN CNAME www\n";
        check_zone("", "a 3600 A 192.0.2.9", &[(end, &format!("{end}a       IN A    192.0.2.9\n"))]);
        check_zone("", "a 60 A 192.0.2.9", &[(end, &format!("{end}a 60    IN A    192.0.2.9\n"))]);
        check_zone(
            "",
            "a.b 3600 A 192.0.2.9\na.b 3600 A 192.0.2.10\nlonger-name 3600 TXT x",
            &[(
                end,
                &format!(
                    "{end}a.b     IN A    192.0.2.9\n        IN A    192.0.2.10\nlonger-name IN TXT \"x\"\n"
                ),
            )],
        );
    }

    #[test]
    fn a_line_goes_and_those_that_inherited_its_owner_get_one() {
        check_zone("www 3600 AAAA 2001:db8::80", "", &[("        IN AAAA 2001:db8::80\n", "")]);
        check_zone(
            "www 3600 A 192.0.2.80",
            "",
            &[("www     IN A    192.0.2.80 ; web\n", ""), ("        IN AAAA 2001", "www     IN AAAA 2001")],
        );
        check(
            "$TTL 1\n@ NS a\nwwwwwwww\tA\t192.0.2.1\n\t\tTXT\t\"x\"\n\t\tTXT \"y\"\n",
            "wwwwwwww 1 A 192.0.2.1",
            "",
            "$TTL 1\n@ NS a\nwwwwwwww\tTXT\t\"x\"\n\t\tTXT \"y\"\n",
        );
    }

    #[test]
    fn a_record_that_is_replaced_stays_where_it_is() {
        check_zone("www 3600 A 192.0.2.80", "www 3600 A 192.0.2.81", &[("192.0.2.80", "192.0.2.81")]);
        check_zone("www 3600 A 192.0.2.80", "www 60 A 192.0.2.80", &[("www     IN A", "www  60 IN A")]);
        check_zone("@ 3600 MX 10 mail", "@ 3600 MX 20 mail", &[("10 mail", "20 mail")]);
        check_zone("@ 3600 MX 10 mail", "@ 3600 MX 10 Mail", &[("10 mail", "10 Mail")]);
        check(
            "@ 1 DNSKEY 256 3 8 ( AQ ; half\n  ID ; other half\n ) ; all\n",
            "@ 1 DNSKEY 256 3 8 AQID",
            "@ 1 DNSKEY 256 3 13 BBBB",
            "@ 1 DNSKEY 256 3 13 BBBB ( ; half\n ; other half\n ) ; all\n",
        );
    }

    #[test]
    fn ttls_are_those_of_the_set_and_others_keep_theirs() {
        // The lowest counts; when its record goes, the other's TTL is written down.
        check("@ 60 A 192.0.2.1\n@ 30 A 192.0.2.2\n", "@ 30 A 192.0.2.2", "", "@ 30 A 192.0.2.1\n");
        check(
            "@ 60 A 192.0.2.1\n",
            "@ 60 A 192.0.2.1",
            "@ 30 A 192.0.2.1\n@ 30 A 192.0.2.2",
            "@ 30 A 192.0.2.1\n  30 A 192.0.2.2\n",
        );
        // Without $TTL a record inherits the TTL of the line before.
        check("@ 60 NS a\nb A 192.0.2.1\n", "@ 60 NS a", "", "b 60 A 192.0.2.1\n");
        let text = "@ 60 NS a\nb A 192.0.2.1\nc A 192.0.2.2\n";
        check(text, "", "b 30 TXT x", &format!("{text}b 30 TXT \"x\"\n"));
        check(text, "", "b 60 TXT x", &text.replace("c", "  TXT \"x\"\nc"));
    }

    #[test]
    fn origins_have_their_parts() {
        let text =
            "$TTL 1\n@ NS a.example.com.\n$ORIGIN lab\na A 192.0.2.1\n$ORIGIN example.org.\nb A 192.0.2.2\n";
        let with = |after: &str, line: &str| text.replace(after, &format!("{after}{line}"));
        check(text, "", "c.lab 1 A 192.0.2.3", &with("a A 192.0.2.1\n", "c A 192.0.2.3\n"));
        check(text, "", "c 1 A 192.0.2.3", &with("b A 192.0.2.2\n", "c A 192.0.2.3\n"));
        check(text, "", "a.lab 1 TXT x", &with("a A 192.0.2.1\n", "  TXT \"x\"\n"));
        check(text, "a.lab 1 A 192.0.2.1", "", &text.replace("a A 192.0.2.1\n", ""));
    }

    #[test]
    fn the_ends_of_lines_and_of_the_file_are_kept() {
        check("@ 1 NS a", "", "@ 1 NS b", "@ 1 NS a\n  1 NS b\n");
        check(
            "@ 1 NS a\r\nb 1 A 192.0.2.1\r\n",
            "",
            "@ 1 NS b",
            "@ 1 NS a\r\n  1 NS b\r\nb 1 A 192.0.2.1\r\n",
        );
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let error = edited(ZONE, "www 3600 A 192.0.2.99", "").unwrap_err().to_string();
        assert_eq!(error, "the file has no record www.example.org. 3600 A, which is to be removed");
        assert_eq!(
            edited("@ 1 NS", "", ""),
            Err(EditError::Unreadable(1, "the record ends too early".into()))
        );
    }
}
