//! The content archive: a directory as a tar file that is the same wherever and whenever it is packed.

use crate::Failure;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files below `directory`, sorted, as a tar archive; times, owners and modes are left out.
pub fn pack(directory: &Path) -> Result<Vec<u8>, Failure> {
    let mut files = Vec::new();
    collect(directory, &mut files).map_err(|error| format!("{}: {error}", directory.display()))?;
    if files.is_empty() {
        return Err(format!("{}: there is no file in it", directory.display()));
    }
    files.sort();
    let mut archive = tar::Builder::new(Vec::new());
    for path in files {
        let name = path.strip_prefix(directory).expect("it was found below the directory");
        append(&mut archive, &path, name).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    archive.into_inner().map_err(|error| error.to_string())
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &Path, name: &Path) -> std::io::Result<()> {
    let bytes = fs::read(path)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes.as_slice())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
