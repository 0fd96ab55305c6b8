//! What was found, a line each, in words that the one who pushes can act on.

use dns::check::{self, Checked, FileKind};
use dns::keys::Keys;
use dns::{HashKey, Warnings, ZoneError};
use std::{collections::BTreeMap, process::ExitCode};

/// Collects findings, and prints them as they come.
#[derive(Debug)]
pub struct Report {
    key: HashKey,
    serial_warns: bool,
    keys: Keys,
    zones: usize,
    errors: usize,
    /// The file of each zone seen, to find two for one.
    seen: BTreeMap<Vec<u8>, String>,
}

impl Report {
    /// Nothing found yet.
    pub fn new(serial_warns: bool) -> Report {
        // Hashes only live here, where nobody can choose names to make them collide and gain from it.
        let key = HashKey::new([0x5A; 24]);
        Report { key, serial_warns, keys: Keys::default(), zones: 0, errors: 0, seen: BTreeMap::new() }
    }

    /// Forgets which zones have files, because what comes is another tree.
    pub fn start_tree(&mut self) {
        self.seen.clear();
        self.keys = Keys::default();
    }

    /// Says that something would not be served.
    pub fn error(&mut self, text: impl std::fmt::Display) {
        self.errors += 1;
        println!("error: {text}");
    }

    /// Says that something is odd.
    pub fn warning(&self, text: impl std::fmt::Display) {
        println!("warning: {text}");
    }

    /// Notes that the tree has this file, changed or not.
    pub fn file_name(&mut self, file: &str) {
        if FileKind::of(file) != FileKind::Zone {
            return;
        }
        // A name that is none is reported when the file is read.
        let Ok(apex) = dns::zone_name(file, &self.key) else { return };
        if let Some(first) = self.seen.insert(apex.wire().to_vec(), file.to_string()) {
            self.error(format!("{file}: a second file for the zone of {first}"));
        }
    }

    /// Checks a file, and against what it was before.
    pub fn file(&mut self, file: &str, old: Option<&[u8]>, new: &[u8]) {
        match FileKind::of(file) {
            FileKind::Zone => self.zone(file, old, new),
            FileKind::Keys => self.keys(file, new),
            FileKind::SigningKey | FileKind::Identity | FileKind::Other => {}
        }
    }

    fn keys(&mut self, file: &str, text: &[u8]) {
        match self.keys.load(file, &mut &*text) {
            Ok(warnings) => warnings.iter().for_each(|warning| self.warning(warning)),
            Err(error) => self.error(error),
        }
    }

    fn zone(&mut self, file: &str, old: Option<&[u8]>, new: &[u8]) {
        self.zones += 1;
        match check::zone(file, new, &self.key) {
            Err(error) => self.error(error),
            Ok(Checked { zone, warnings, .. }) => {
                self.warnings(file, &warnings);
                // If the old one was not served, no secondary has it.
                let old = old.and_then(|old| check::zone(file, old, &self.key).ok());
                let serial = old.map_or(Ok(()), |old| check::serial(&old.zone, &zone));
                match serial {
                    Err(reason) if self.serial_warns => self.warning(ZoneError::about(file, reason)),
                    Err(reason) => self.error(ZoneError::about(file, reason)),
                    Ok(()) => {}
                }
            }
        }
    }

    fn warnings(&self, file: &str, warnings: &Warnings) {
        for (line, reason) in &warnings.first {
            self.warning(ZoneError { file: file.to_string(), line: *line, reason: reason.clone() });
        }
        if warnings.count > warnings.first.len() {
            self.warning(format!("{file}: {} more warnings", warnings.count - warnings.first.len()));
        }
    }

    /// The last line, and the exit status.
    pub fn finish(self) -> ExitCode {
        let Report { zones, errors, .. } = self;
        if errors == 0 {
            println!("{zones} zones checked, all good");
            return ExitCode::SUCCESS;
        }
        println!("{zones} zones checked, {errors} errors");
        ExitCode::FAILURE
    }
}
