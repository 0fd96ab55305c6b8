//! The pre-receive hook (githooks(5)): a line `OLD NEW REF` for each ref that is to change.

use crate::git::{self, Entry};
use crate::report::Report;
use dns::check::FileKind;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Checks the tree that each branch is to have; only files that differ from what is there.
pub fn check(lines: impl BufRead, branch: Option<&str>, report: &mut Report) -> Result<(), String> {
    for line in lines.lines() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        let mut fields = line.split(' ');
        let (Some(old), Some(new), Some(name), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(format!("a pre-receive hook reads lines `OLD NEW REF`, not `{line}`"));
        };
        let served = branch.is_none_or(|branch| name.strip_prefix("refs/heads/") == Some(branch));
        if !served || !name.starts_with("refs/heads/") {
            continue;
        }
        match (is_null(old), is_null(new)) {
            (_, true) if branch.is_some() => {
                report.error(format!("{name} is what the name servers serve, and may not be deleted"));
            }
            (_, true) => {}
            (true, false) => check_tree(&[], &git::entries(new)?, report)?,
            (false, false) => check_tree(&git::entries(old)?, &git::entries(new)?, report)?,
        }
    }
    Ok(())
}

/// All zeros, as many as the hash has digits.
fn is_null(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}

fn check_tree(old: &[Entry], new: &[Entry], report: &mut Report) -> Result<(), String> {
    let before: BTreeMap<&str, &Entry> = old.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    report.start_tree();
    for entry in new.iter().filter(|entry| FileKind::of(&entry.name) != FileKind::Other) {
        let known = before.get(entry.name.as_str()).copied();
        if entry.is_file() {
            report.file_name(&entry.name);
        }
        if known.is_some_and(|known| known.id == entry.id && known.mode == entry.mode) {
            continue;
        }
        if entry.is_file() {
            let old = known.filter(|known| known.is_file()).map(|known| git::blob(&known.id)).transpose()?;
            report.file(&entry.name, old.as_deref(), &git::blob(&entry.id)?);
        } else if entry.is_link() {
            report.error(format!(
                "{}: a symbolic link, which is not served; put the file itself here",
                entry.name
            ));
        }
    }
    let is_left = |name: &str| new.iter().any(|entry| entry.name == name);
    for entry in old.iter().filter(|entry| FileKind::of(&entry.name) == FileKind::Zone && entry.is_file()) {
        if !is_left(&entry.name) {
            report.warning(format!("{}: is gone, and the zone with it", entry.name));
        }
    }
    Ok(())
}
