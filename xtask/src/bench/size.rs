//! Bytes of the image's file, without a zone.

use std::process::Command;

use super::Bench;
use super::table::Bound;
use crate::{Failure, cargo};

/// The images, and what each may take at most: all that a name server does, and what it does without git and TLS.
const IMAGES: [(&str, f64); 2] = [("dns", 6_291_456.0), ("dns-static", 2_359_296.0)];

/// Builds the images for both targets and looks at the files.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    for (name, most) in IMAGES {
        for target in ["spt", "hvt"] {
            let out = bench.lab.directory.join("bare");
            let xtask = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
            let mut command = Command::new(xtask);
            command.args(["image", name, target, "--out"]).arg(&out).current_dir(cargo::workspace());
            let output = command.output().map_err(|error| format!("cannot start xtask: {error}"))?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            let path = out.join(format!("{name}.{target}"));
            let metadata =
                std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("  {name}.{target}: {} bytes", metadata.len());
            let what = format!("bytes of {name}.{target}");
            bench.promises.note(what, metadata.len() as f64, Bound::AtMost(most));
        }
    }
    Ok(())
}
