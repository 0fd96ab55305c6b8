//! What a commit holds, by git's own plumbing: in a hook, only git finds objects that are pushed but not taken yet.

use std::process::{Command, Stdio};

/// A file or folder at the top of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `100644`, `120000` and so on.
    pub mode: String,
    /// The object's name.
    pub id: String,
    /// The file's name.
    pub name: String,
}

impl Entry {
    /// A file with octets of its own, neither a symbolic link nor a folder.
    pub fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    /// A symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode == "120000"
    }
}

/// The entries of a commit's tree.
pub fn entries(commit: &str) -> Result<Vec<Entry>, String> {
    let output = git(&["ls-tree", "-z", "--full-tree", commit])?;
    let mut entries = Vec::new();
    for line in output.split(|octet| *octet == 0).filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let (fields, name) = line.split_once('\t').ok_or("git ls-tree printed a line without a name")?;
        let mut fields = fields.split(' ');
        let (mode, id) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        entries.push(Entry { mode: mode.to_string(), id: id.to_string(), name: name.to_string() });
    }
    Ok(entries)
}

/// The octets of a file.
pub fn blob(id: &str) -> Result<Vec<u8>, String> {
    git(&["cat-file", "blob", id])
}

fn git(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let shown = arguments.join(" ");
    let output = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("git {shown}: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("git {shown}: {}", output.status)) }
}
