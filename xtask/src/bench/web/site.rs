//! The files that are served: in a directory for nginx, and in a repository for the image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::bench::netns::{Lab, command_in};
use crate::bench::peers::CLIENT_CPU;
use crate::bench::process::Process;

/// A page of 1 KiB.
pub const SMALL: &str = "small.html";
/// Bytes of it.
pub const SMALL_BYTES: usize = 1_024;
/// Files that take long, together 64 MiB: the store takes none larger than 32.
pub const LARGE: [&str; 4] = ["large-0.bin", "large-1.bin", "large-2.bin", "large-3.bin"];
/// Bytes of all of them.
pub const LARGE_BYTES: usize = 64 << 20;

/// Files, a certificate, and who hands out the repository.
pub struct Site {
    /// What nginx serves.
    pub files: PathBuf,
    /// Chain and key in one, as the image takes them.
    pub certificate: PathBuf,
    _daemon: Process,
}

impl Site {
    /// With the large file, or without.
    pub fn create(directory: &Path, has_large: bool) -> Result<Self, Failure> {
        let files = directory.join("site");
        let describe = |error: std::io::Error| format!("{}: {error}", files.display());
        let _ = fs::remove_dir_all(&files);
        fs::create_dir_all(&files).map_err(describe)?;
        fs::write(files.join(SMALL), noise(9, SMALL_BYTES)).map_err(describe)?;
        if has_large {
            for (number, name) in LARGE.iter().enumerate() {
                fs::write(files.join(name), noise(number, LARGE_BYTES / LARGE.len())).map_err(describe)?;
            }
        }
        for arguments in [
            &["init", "--quiet", "--initial-branch=main", "."][..],
            &["add", "."],
            &[
                "-c",
                "user.name=Bench",
                "-c",
                "user.email=bench@example.org",
                "commit",
                "--quiet",
                "-m",
                "site",
            ],
        ] {
            run(Command::new("git").current_dir(&files).args(["-c", "core.compression=0"]).args(arguments))?;
        }
        let certificate = directory.join("web.pem");
        let key = directory.join("web.key");
        run(Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
            ])
            .args(["-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate))?;
        let both = [certificate.clone(), key].map(|path| fs::read_to_string(path).map_err(describe));
        let [chain, key] = both;
        fs::write(&certificate, chain? + &key?).map_err(describe)?;
        let mut daemon = command_in(Lab::CLIENT, Some(CLIENT_CPU), "git");
        daemon.args(["daemon", "--export-all", "--reuseaddr"]);
        daemon.arg(format!("--base-path={}", directory.display())).arg(directory);
        let daemon = Process::start("git daemon", &mut daemon, &directory.join("daemon.log"))?;
        Ok(Self { files, certificate, _daemon: daemon })
    }
}

/// Bytes that do not compress.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
