//! Runs the tender itself, as an operator would, with images of a few instructions that are assembled here.
//!
//! No root, no KVM, no image of ours: these tests are about what a guest cannot do, so each is a guest that tries.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest run of one guest.
const PATIENCE: Duration = Duration::from_secs(20);

/// Instructions, built one by one.
#[derive(Clone, Default)]
pub struct Code(pub Vec<u8>);

impl Code {
    fn with(mut self, opcode: &[u8], value: u32) -> Self {
        self.0.extend(opcode);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Any bytes.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The Linux system call with up to three arguments; the others are zero.
    pub fn system_call(self, number: u32, [first, second, third]: [u32; 3]) -> Self {
        let registers = self.with(&[0xbf], first).with(&[0xbe], second).with(&[0xba], third);
        registers
            .raw(&[0x4d, 0x31, 0xd2, 0x4d, 0x31, 0xc0, 0x4d, 0x31, 0xc9])
            .with(&[0xb8], number)
            .raw(&[0x0f, 0x05])
    }

    /// `exit_group(status)` on spt.
    pub fn exit(self, status: u32) -> Self {
        self.system_call(231, [status, 0, 0])
    }

    /// `mov dword [address], value`
    pub fn store(self, address: u64, value: u32) -> Self {
        let address = u32::try_from(address).expect("test images lie low");
        self.with(&[0xc7, 0x04, 0x25], address).raw(&value.to_le_bytes())
    }

    /// `out`: 32 bits to a port.
    pub fn out(self, port: u32, value: u64) -> Self {
        let value = u32::try_from(value).expect("test images lie low");
        self.with(&[0xba], port).with(&[0xb8], value).raw(&[0xef])
    }

    /// `jmp $`
    pub fn forever(self) -> Self {
        self.raw(&[0xeb, 0xfe])
    }
}

/// A file that is gone when the test ends.
pub struct File(PathBuf);

impl File {
    /// A file with these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skerry-tender-{}-{number}", std::process::id()));
        std::fs::write(&path, bytes).expect("the temporary directory is writable");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("made of text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How the tender ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// The tender, not yet started.
pub fn tender(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skerry-tender"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the tender to its end: how it ended, and all that it and the guest printed.
#[track_caller]
pub fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> (End, String) {
    let mut process = tender(arguments).spawn().expect("the tender starts");
    let start = Instant::now();
    while process.try_wait().expect("it is our child").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = process.kill();
            panic!("still running after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let Output { status, stdout, stderr } = process.wait_with_output().expect("it has ended");
    let end = status.code().map_or_else(|| End::Signal(status.signal().unwrap_or(0)), End::Status);
    (end, String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Starts the tender, and returns the fields of each of its threads' `/proc/…/status` once all have a filter; then ends it.
#[track_caller]
pub fn confinement(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<String> {
    let mut process = tender(arguments).spawn().expect("the tender starts");
    let start = Instant::now();
    let mut seen = Vec::new();
    while start.elapsed() < PATIENCE {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", process.id())).expect("it runs");
        let read =
            |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        seen = tasks.flatten().map(read).collect();
        if seen.iter().all(|status| status.contains("\nSeccomp:\t2\n")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = process.kill();
    let _ = process.wait();
    seen
}
