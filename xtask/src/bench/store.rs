//! `bench store`: an image that clones a large repository, beside git on the host.
//!
//! ```text
//!    git daemon ─┬─ loopback ── git clone --depth 1 (with its working copy, as people clone)
//!                └─ TAP ─────── image on spt
//! ```
//!
//! Memory is what the kernel counts for the tender's process at its largest, less that of cloning next to nothing.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::image::Image;
use super::netns::{Lab, Subnet, command_in};
use super::peers::{CLIENT_CPU, SERVER_CPU};
use super::process::Process;
use super::table::{self, Bound, Samples};
use super::{Bench, Row, interrupt};
use crate::Failure;

/// What is measured.
pub const ROWS: &[Row] = &[Row {
    name: "clone",
    shows: "10 000 commits, 50 000 files, shallow, beside git clone --depth 1",
    measure: clone,
}];

const COMMITS: usize = 10_000;
const FILES_PER_COMMIT: usize = 5;
const FILES_PER_DIRECTORY: usize = 200;

/// Memory of the guest.
const MEMORY_MIB: u32 = 512;

/// A clone takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a clone took.
struct Clone {
    milliseconds: f64,
    /// Bytes that are held packed.
    pack: f64,
    /// Bytes of the tender's process at its largest.
    peak: f64,
}

fn clone(bench: &mut Bench) -> Result<(), Failure> {
    let root = bench.lab.directory.join("repositories");
    let large = repository(&root, "large", COMMITS)?;
    repository(&root, "small", 1)?;
    let _daemon = daemon(&root, &bench.lab.directory)?;
    let image = Image::of_package("clone")?;
    let small = clone_in_image(bench, &image, "small")?;
    let (mut ours, mut theirs, mut peaks, mut pack) =
        (Samples::default(), Samples::default(), Samples::default(), 0.0);
    for _ in 0..bench.options.rounds {
        theirs.push(clone_with_git(&bench.lab.directory)?);
        let measured = clone_in_image(bench, &image, "large")?;
        ours.push(measured.milliseconds);
        peaks.push((measured.peak - small.peak) / measured.pack);
        pack = measured.pack;
    }
    let rows = [vec!["image".into(), format!("{ours:.0}")], vec!["git".into(), format!("{theirs:.0}")]];
    table::print(&["clone, shallow", "ms"], &rows);
    println!(
        "  pack {pack} bytes of {} bytes of repository; most memory over the pack {peaks:.2}, base {:.1} MiB",
        size_of(&large),
        small.peak / f64::from(1 << 20)
    );
    bench.promises.note("time over git clone --depth 1", ours.over(&theirs).median(), Bound::AtMost(2.0));
    bench.promises.note("most memory over the pack's size", peaks.median(), Bound::AtMost(3.0));
    Ok(())
}

/// A bare repository with so many commits, each of which adds files.
fn repository(root: &Path, name: &str, commits: usize) -> Result<PathBuf, Failure> {
    let path = root.join(name);
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&path).map_err(describe)?;
    git(&path, &["init", "--quiet", "--bare", "--initial-branch=main", "."])?;
    let mut import = Command::new("git");
    import.current_dir(&path).args(["fast-import", "--quiet", "--done"]).stdin(Stdio::piped());
    let mut import = import.spawn().map_err(|error| format!("cannot start git: {error}"))?;
    let input = import.stdin.take().ok_or("git fast-import takes no input")?;
    let written = write_commits(BufWriter::new(input), commits);
    let status = import.wait().map_err(describe)?;
    written.map_err(describe)?;
    if !status.success() {
        return Err(format!("git fast-import: {status}"));
    }
    git(&path, &["repack", "-a", "-d", "-q"])?;
    Ok(path)
}

/// The stream that git fast-import reads. Files are some lines of text each, no two the same.
fn write_commits(mut out: impl Write, commits: usize) -> std::io::Result<()> {
    for commit in 0..commits {
        writeln!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@example.org> {} +0000",
            1_700_000_000 + commit
        )?;
        writeln!(out, "data 8\nwritten\n")?;
        for number in commit * FILES_PER_COMMIT..(commit + 1) * FILES_PER_COMMIT {
            let mut text = format!("file {number}\n");
            let mut state = number as u64 + 1;
            for line in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(&format!("{line} host-{:x} 3600 IN A\n", state >> 24));
            }
            let directory = number / FILES_PER_DIRECTORY;
            writeln!(out, "M 100644 inline d{directory:03}/f{number:05}\ndata {}\n{text}", text.len())?;
        }
    }
    writeln!(out, "done")?;
    out.flush()
}

fn daemon(root: &Path, directory: &Path) -> Result<Process, Failure> {
    let mut command = command_in(Lab::CLIENT, Some(CLIENT_CPU), "git");
    command.args(["daemon", "--export-all", "--reuseaddr", "--informative-errors"]);
    command.arg(format!("--base-path={}", root.display())).arg(root);
    Process::start("git daemon", &mut command, &directory.join("daemon.log"))
}

/// Milliseconds of git's own clone, in the daemon's namespace and on the image's processor.
fn clone_with_git(directory: &Path) -> Result<f64, Failure> {
    let copy = directory.join("copy");
    let _ = fs::remove_dir_all(&copy);
    let mut command = command_in(Lab::CLIENT, Some(SERVER_CPU), "git");
    command.args(["clone", "--quiet", "--depth", "1", "git://127.0.0.1/large"]).arg(&copy);
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("cannot start git: {error}"))?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    if status.success() { Ok(milliseconds) } else { Err(format!("git clone: {status}")) }
}

fn clone_in_image(bench: &Bench, image: &Image, name: &str) -> Result<Clone, Failure> {
    let subnet = Subnet(0);
    bench.lab.add_tap("store", subnet)?;
    let mut command = image.command(Some(SERVER_CPU), MEMORY_MIB, "store", subnet);
    command.arg(format!("--remote=git://{}/{name}", subnet.client())).arg("--depth=1");
    let mut process = Process::start("clone", &mut command, &bench.lab.directory.join("clone.log"))?;
    let said = interrupt::wait_for(PATIENCE, || {
        let printed = process.printed();
        if let Some(line) = printed.lines().find(|line| line.starts_with("cloned: ")) {
            return Ok(Some(line.to_owned()));
        }
        process.check_alive().map_err(|failure| format!("{failure}: {printed}"))?;
        Ok(None)
    })?;
    let line = said.ok_or("the image did not clone in time")?;
    let peak = process.peak() as f64;
    drop(process);
    bench.lab.remove_link("store");
    let number = |unit: &str| -> Option<f64> {
        line.split([':', ',']).find_map(|part| part.trim().strip_suffix(unit)?.trim().parse().ok())
    };
    let (Some(milliseconds), Some(pack)) = (number("ms"), number("bytes packed")) else {
        return Err(format!("the image said: {line}"));
    };
    Ok(Clone { milliseconds, pack, peak })
}

fn git(directory: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("git").current_dir(directory).args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("git {}: {status}", arguments.join(" "))),
        Err(error) => Err(format!("cannot start git: {error}; sudo apt-get install git")),
    }
}

/// Bytes of a repository's packs.
fn size_of(repository: &Path) -> u64 {
    let packs = fs::read_dir(repository.join("objects/pack")).into_iter().flatten().flatten();
    packs.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
