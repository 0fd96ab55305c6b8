//! A clone of a large repository beside git's own: `cargo bench -p store`.
//!
//! The repository has 50,000 files and 10,000 commits, in 250 directories of 200 files; `--flat` puts all files into one
//! directory, and `--commits=N` makes fewer commits. Its packs, shallow and whole, come from `git pack-objects` as a server makes them. Printed are the time from
//! the first byte to a verified branch, beside `git clone --bare` of the same through git's own protocol, and the most bytes
//! that were allocated at once, as parts of the pack.

use allocation_counter::measure;
use std::{
    fs,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use store::{Format, Limits, ObjectId, PackReceiver, Repository};

const FILES: usize = 50_000;
const COMMITS: usize = 10_000;
const FILES_PER_DIRECTORY: usize = 200;

/// Bytes that are pushed at a time, as from a connection.
const CHUNK: usize = 16 * 1024;

/// Rounds; the fastest counts, on both sides.
const ROUNDS: usize = 3;

fn main() {
    let flat = std::env::args().any(|argument| argument == "--flat");
    let commits = std::env::args().find_map(|argument| argument.strip_prefix("--commits=")?.parse().ok());
    let directory = std::env::temp_dir().join(format!("store-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let repository = make(&directory, flat, commits.unwrap_or(COMMITS));
    for (name, options, depth) in [("shallow", &["--depth", "1"][..], true), ("whole", &[], false)] {
        let theirs = (0..ROUNDS).map(|_| clone(&directory, &repository, options)).min();
        let mut best: Option<Clone> = None;
        for _ in 0..ROUNDS {
            let ours = receive(&repository, depth);
            best = Some(best.filter(|best| best.time < ours.time).unwrap_or(ours));
        }
        let (theirs, ours) = (theirs.expect("a round"), best.expect("a round"));
        let part = |bytes: u64| bytes as f64 / f64::from(ours.pack);
        println!(
            "{name}: {} objects, pack of {} bytes; {:.2} s, of which {:.2} s wait for the server; git {:.2} s; \
             most at once {} bytes, {:.2} of the pack; held {} bytes, {:.2}",
            ours.objects,
            ours.pack,
            ours.time.as_secs_f64(),
            ours.waited.as_secs_f64(),
            theirs.as_secs_f64(),
            ours.most,
            part(ours.most),
            ours.held,
            part(ours.held),
        );
    }
    fs::remove_dir_all(&directory).expect("the directory again");
}

struct Clone {
    objects: u32,
    pack: u32,
    time: Duration,
    waited: Duration,
    most: u64,
    held: u64,
}

/// A bare repository, packed.
fn make(directory: &Path, flat: bool, commits: usize) -> PathBuf {
    let path = directory.join("origin.git");
    git(directory, &["init", "-q", "--bare", "-b", "main", "origin.git"]);
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let mut stream = BufWriter::new(import.stdin.take().expect("a pipe"));
    for commit in 0..commits {
        let mut text = format!(
            "commit refs/heads/main\ncommitter C <c@example.com> {} +0000\ndata 7\nChange\n",
            1_700_000_000 + commit * 60
        );
        // The first commit has all files, each other one another state of one of them.
        let files = if commit == 0 { 0..FILES } else { commit * 7919 % FILES..commit * 7919 % FILES + 1 };
        for file in files {
            let path = if flat {
                format!("zone{file}")
            } else {
                format!("d{}/zone{file}", file / FILES_PER_DIRECTORY)
            };
            let content = zone(file, commit);
            text.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
        }
        stream.write_all(text.as_bytes()).expect("git takes it");
    }
    drop(stream);
    assert!(import.wait().expect("git ends").success());
    git(&path, &["repack", "-adq"]);
    path
}

/// Some records, which differ from file to file.
fn zone(file: usize, serial: usize) -> String {
    let mut zone =
        format!("$ORIGIN zone{file}.example.\n@ 3600 IN SOA ns1 hostmaster {serial} 3600 600 86400 300\n");
    let mut number = file.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for host in 0..8 {
        number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let [_, a, b, c, ..] = number.to_be_bytes();
        zone.push_str(&format!("host{host} 3600 IN A 10.{a}.{b}.{c}\n"));
    }
    zone
}

/// How long git takes.
fn clone(directory: &Path, repository: &Path, options: &[&str]) -> Duration {
    let url = format!("file://{}", repository.display());
    let target = directory.join("clone.git");
    let start = Instant::now();
    git(directory, &[&["clone", "-q", "--bare"], options, &[&url, "clone.git"]].concat());
    let time = start.elapsed();
    fs::remove_dir_all(target).expect("the clone");
    time
}

/// How long we take, and how much memory.
fn receive(path: &Path, shallow: bool) -> Clone {
    let output =
        Command::new("git").args(["rev-parse", "main"]).current_dir(path).output().expect("git is installed");
    let head: ObjectId =
        String::from_utf8(output.stdout).ok().and_then(|id| id.trim().parse().ok()).expect("an id");
    let mut result = None;
    let start = Instant::now();
    let mut server = Command::new("git")
        .args(["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"])
        .current_dir(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let revisions = if shallow { format!("--shallow {head}\n{head}\n") } else { format!("{head}\n") };
    server.stdin.take().expect("a pipe").write_all(revisions.as_bytes()).expect("git takes it");
    let mut pipe = server.stdout.take().expect("a pipe");
    let mut chunk = vec![0; CHUNK];
    let mut waited = Duration::ZERO;
    let information = measure(|| {
        let mut repository = Repository::new(Format::Sha1, Limits::default());
        let mut receiver = PackReceiver::new(&repository);
        loop {
            let before = Instant::now();
            let count = pipe.read(&mut chunk).expect("the pipe");
            waited += before.elapsed();
            if count == 0 {
                break;
            }
            receiver.push(&chunk[..count]).expect("a good pack");
        }
        let received = receiver.finish(&mut repository).expect("a good pack");
        if shallow {
            repository.set_shallow(head);
        }
        repository.verify(&[head], &[]).expect("a whole history");
        repository.set_branch("main", Some(head));
        result = Some((repository, received));
    });
    let time = start.elapsed();
    assert!(server.wait().expect("git ends").success());
    let (_repository, received) = result.expect("measured");
    Clone {
        objects: received.objects,
        pack: received.bytes,
        time,
        waited,
        most: information.bytes_max,
        held: u64::try_from(information.bytes_current).expect("more than nothing"),
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let status =
        Command::new("git").args(arguments).current_dir(directory).status().expect("git is installed");
    assert!(status.success(), "git {arguments:?}");
}
