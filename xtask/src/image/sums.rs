//! `SHA256SUMS` in the directory of the artefacts: right after every build, whatever was there before.
//!
//! The format is `sha256sum`'s, so that `sha256sum --check SHA256SUMS` beside the artefacts checks them.

use super::{read, write};
use crate::Failure;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

const NAME: &str = "SHA256SUMS";

/// SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> Result<String, Failure> {
    Ok(hexadecimal(&read(path)?))
}

/// SHA-256 of bytes, in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    identity(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of bytes, of which identifiers are made that have to be unique and the same every time.
pub fn identity(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Adds `files`, which lie in `directory`, to its sums. Files that are gone or have changed since are put right.
pub fn update<'a>(directory: &Path, files: impl Iterator<Item = &'a Path>) -> Result<(), Failure> {
    // Two builds at once must not lose each other's lines.
    let lock = File::open(directory).and_then(|lock| lock.lock().map(|()| lock));
    let _lock = lock.map_err(|error| format!("{}: {error}", directory.display()))?;
    let path = directory.join(NAME);
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let mut names: Vec<String> =
        listed.lines().filter_map(|line| line.split_once("  ").map(|(_, name)| name.to_owned())).collect();
    names.extend(files.filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())));
    let mut sums = BTreeMap::new();
    for name in names {
        let file = directory.join(&name);
        if file.is_file() {
            sums.insert(name, digest(&file)?);
        }
    }
    let text: String = sums.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    // Whoever reads it meanwhile sees the old one or the new one.
    let new = directory.join(format!(".{NAME}.new"));
    write(&new, text.as_bytes())?;
    fs::rename(&new, &path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// SHA-256 of "a" and "b". Source: sha256sum of coreutils.
    const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    const B: &str = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";

    #[track_caller]
    fn check(directory: &Path, added: &[&str], expect: &str) {
        let files: Vec<PathBuf> = added.iter().map(|name| directory.join(name)).collect();
        update(directory, files.iter().map(PathBuf::as_path)).expect("the directory is writable");
        assert_eq!(fs::read_to_string(directory.join(NAME)).expect("it was written"), expect);
    }

    #[test]
    fn the_sums_stay_right_when_files_come_change_and_go() {
        let directory = cargo_directory("sums");
        fs::write(directory.join("one"), "a").expect("the directory is writable");
        check(&directory, &["one"], &format!("{A}  one\n"));
        fs::write(directory.join("another"), "b").expect("the directory is writable");
        check(&directory, &["another"], &format!("{B}  another\n{A}  one\n"));
        fs::write(directory.join("one"), "b").expect("the directory is writable");
        check(&directory, &["another"], &format!("{B}  another\n{B}  one\n"));
        fs::remove_file(directory.join("another")).expect("it is there");
        check(&directory, &["one"], &format!("{B}  one\n"));
    }

    fn cargo_directory(name: &str) -> PathBuf {
        let directory = crate::cargo::target_directory().join("test").join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("the target directory is writable");
        directory
    }
}
