//! Files and directories on this machine.

use crate::report::Report;
use dns::check::FileKind;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Octets of a file at most, far more than a guest has memory for.
const FILE_OCTETS: u64 = 1 << 30;

/// Checks each file by its name, and of directories the files in them.
pub fn check(paths: &[PathBuf], report: &mut Report) -> Result<(), String> {
    for path in paths {
        if path.is_dir() {
            report.start_tree();
            for file in files_of(path)? {
                check_file(&file, report)?;
            }
        } else {
            check_file(path, report)?;
        }
    }
    Ok(())
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error| format!("{}: {error}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_file() && FileKind::of(&name) != FileKind::Other {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn check_file(path: &Path, report: &mut Report) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let length = fs::metadata(path).map_err(|error| wrong(&error))?.len();
    if length > FILE_OCTETS {
        return Err(wrong(&format_args!("{length} octets are more than a zone file has")));
    }
    let text = fs::read(path).map_err(|error| wrong(&error))?;
    let name = path.file_name().ok_or_else(|| wrong(&"it has no name"))?.to_string_lossy().into_owned();
    report.file_name(&name);
    report.file(&name, None, &text);
    Ok(())
}
