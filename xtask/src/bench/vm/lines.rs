//! Lines of source, counted from what is linked.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::ops::AddAssign;
use std::path::{Component, Path, PathBuf};

use crate::Failure;

/// A count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Files.
    pub files: usize,
    /// Files that the line tables name and that are not in the sources: generated ones.
    pub missing: usize,
    /// Lines of the files that are neither blank nor comment.
    pub source: usize,
    /// Lines that instructions carry.
    pub code: usize,
}

impl Lines {
    /// The columns of [`Lines::row`].
    pub const HEADER: [&str; 5] =
        ["trusted base", "files", "lines of its files", "lines with code", "files without source"];

    /// A line of the table.
    pub fn row(&self, name: &str) -> Vec<String> {
        let code = if self.code == 0 { "not counted".to_owned() } else { self.code.to_string() };
        vec![name.to_owned(), self.files.to_string(), self.source.to_string(), code, self.missing.to_string()]
    }
}

impl AddAssign for Lines {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.missing += other.missing;
        self.source += other.source;
        self.code += other.code;
    }
}

/// Counts what `program`'s line tables name; `source` says where a file of the build lies here.
pub fn of_program(program: &Path, source: impl Fn(&str) -> Option<PathBuf>) -> Result<Lines, Failure> {
    let describe = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let loader = addr2line::Loader::new(program).map_err(|error| describe(&error))?;
    let base = loader.relative_address_base();
    let locations = loader.find_location_range(0, u64::MAX - base).map_err(|error| describe(&error))?;
    let mut files: HashMap<String, HashSet<u32>> = HashMap::new();
    for (_, _, location) in locations {
        if let (Some(file), Some(line)) = (location.file, location.line) {
            match files.get_mut(file) {
                Some(lines) => drop(lines.insert(line)),
                None => drop(files.insert(file.to_owned(), HashSet::from([line]))),
            }
        }
    }
    // Two names may be one file.
    let mut seen: HashMap<PathBuf, HashSet<u32>> = HashMap::new();
    let mut lines = Lines::default();
    for (name, numbers) in files {
        match source(&normal(&name)) {
            Some(path) => seen.entry(path).or_default().extend(numbers),
            None => lines.missing += 1,
        }
    }
    for (path, numbers) in seen {
        lines.code += numbers.len();
        match of_file(&path) {
            Ok(file) => lines += file,
            Err(_) => lines.missing += 1,
        }
    }
    match lines.files {
        0 => Err(format!("{}: no line tables, or no source of theirs", program.display())),
        _ => Ok(lines),
    }
}

/// Counts one file's lines; it has no lines with code.
pub fn of_file(path: &Path) -> Result<Lines, Failure> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Lines { files: 1, source: count(&String::from_utf8_lossy(&bytes)), ..Lines::default() })
}

/// Lines that are neither blank nor comment, of C or Rust.
fn count(text: &str) -> usize {
    let mut in_comment = false;
    text.lines().filter(|line| has_code(line, &mut in_comment)).count()
}

/// Whether anything stands outside of comments. A comment that begins inside of a string is not one, but neither C nor Rust
/// has them often enough to count.
fn has_code(line: &str, in_comment: &mut bool) -> bool {
    let mut rest = line.trim();
    let mut code = false;
    while !rest.is_empty() {
        if *in_comment {
            let Some(end) = rest.find("*/") else { return code };
            (*in_comment, rest) = (false, rest[end + 2..].trim_start());
        } else if rest.starts_with("//") {
            return code;
        } else if let Some(inside) = rest.strip_prefix("/*") {
            (*in_comment, rest) = (true, inside);
        } else {
            code = true;
            let next = [rest.find("//"), rest.find("/*")].into_iter().flatten().min();
            rest = next.map_or("", |next| &rest[next..]);
        }
    }
    code
}

/// The path without `.` and `..`, as far as it says what they leave.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            Component::CurDir => {}
            other => parts.extend(other.as_os_str().to_str()),
        }
    }
    let path = parts.join("/");
    path.strip_prefix("//").map_or(path.clone(), |rest| format!("/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: usize) {
        assert_eq!(count(text), expect);
    }

    #[test]
    fn blank_lines_and_comments_do_not_count() {
        check("", 0);
        check("int a;\n\n  // nothing\n/* none\n * of\n */\nint b; /* and */\n/* a */ int c; // b\n", 3);
        check("/// doc\nfn main() {}\n//! more\n/* a */ /* b */\n", 1);
        check("a /* b\n c */ d\n/* */\n", 2);
    }

    #[test]
    fn paths_lose_their_detours() {
        for (path, expect) in
            [("./csu/../sysdeps/x86/a.c", "sysdeps/x86/a.c"), ("/a/b/../c", "/a/c"), ("../../a", "../../a")]
        {
            assert_eq!(normal(path), expect);
        }
    }
}
