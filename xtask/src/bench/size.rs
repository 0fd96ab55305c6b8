//! Bytes of the image's file, without a zone.

use std::process::Command;

use super::Bench;
use super::table::Bound;
use crate::{Failure, cargo};

/// What an image may have.
const MOST: f64 = 1_048_576.0;

/// Builds the image for every target and looks at the files.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    for target in ["spt", "hvt"] {
        let out = bench.lab.directory.join("bare");
        let xtask = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
        let mut command = Command::new(xtask);
        command.args(["image", "dns", target, "--out"]).arg(&out).current_dir(cargo::workspace());
        let output = command.output().map_err(|error| format!("cannot start xtask: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let path = out.join(format!("dns.{target}"));
        let bytes = std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
        println!("  dns.{target}: {bytes} bytes");
        bench.promises.note(format!("bytes of dns.{target}"), bytes as f64, Bound::AtMost(MOST));
    }
    Ok(())
}
