//! A grid image at work under whatever runs its target, with our ends of its devices.

mod disk;
#[allow(dead_code, reason = "the tender's tests have no machine of QEMU's")]
pub mod qemu;
mod tender;
pub mod xen;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use std::{
    fs,
    io::Read,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Longest run of one image.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a block.
pub const BLOCK: usize = 512;
/// Blocks of the image's disk.
pub const BLOCKS: usize = 64;
/// Memory of the image.
pub const MEMORY_MIB: usize = 16;
/// Exit status of an image that gave up. Source: `SOLO5_EXIT_ABORT` in Solo5 `include/solo5.h`.
pub const ABORT: Option<i32> = Some(255);

/// Guests that this process has started: no two share a disk.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// Whether the disks of runs that were killed are gone.
static SWEPT: Once = Once::new();

/// Ending of the disk that a machine boots from, beside its other one.
const BOOT_DISK: &str = "boot";

/// A grid image at work.
pub struct Guest {
    process: Option<Process>,
    /// What it printed as long as somebody waited for it.
    printed: Vec<u8>,
    machine: Option<qemu::Machine>,
    /// Our end of the first interface.
    pub service: OwnedFd,
    /// Our end of the second interface.
    pub management: OwnedFd,
    /// The disk's file, removed at the end.
    pub disk: PathBuf,
    /// The image's file.
    pub image: PathBuf,
}

/// What a guest is started with: the other ends.
struct Attached<'a> {
    service: OwnedFd,
    management: OwnedFd,
    disk: &'a PathBuf,
    image: &'a PathBuf,
    arguments: &'a [&'a str],
}

impl Guest {
    /// Starts the grid image on `target`.
    pub fn start(target: &str, arguments: &[&str]) -> Self {
        let directory = PathBuf::from(
            std::env::var_os("SKERRY_IMAGES")
                .expect("SKERRY_IMAGES is unset: run this through `cargo xtask test`"),
        );
        SWEPT.call_once(|| disk::remove_left_behind(&directory));
        let machine = qemu::Machine::named(target);
        let back_end = if machine.is_some() { "virtio" } else { target };
        let image = directory.join(format!("grid.{back_end}"));
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let disk = directory.join(format!("grid-{}-{number}.disk", std::process::id()));
        let mut content = vec![0; BLOCK * BLOCKS];
        content[..16].copy_from_slice(b"the first block.");
        fs::write(&disk, content).expect("the images' directory is writable");
        if target == "xen" {
            return Self::in_domain(disk, image, arguments);
        }
        let ((service, guest_service), (management, guest_management)) = match machine {
            None => (interface(), interface()),
            Some(_) => (qemu::interface(), qemu::interface()),
        };
        let attached = Attached {
            service: guest_service,
            management: guest_management,
            disk: &disk,
            image: &image,
            arguments,
        };
        let mut command = match &machine {
            None => tender::command(&attached),
            Some(machine) => machine.command(&attached),
        };
        let process = Some(Process::Child(Running(start(&mut command))));
        Self { process, printed: Vec::new(), machine, service, management, disk, image }
    }

    fn in_domain(disk: PathBuf, image: PathBuf, arguments: &[&str]) -> Self {
        let [service, management] = xen::interfaces();
        let domain = xen::start(&disk, &image, arguments);
        let process = Some(Process::Domain(domain));
        Self { process, printed: Vec::new(), machine: None, service, management, disk, image }
    }

    /// Reads what it prints up to `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let process = self.process.as_mut().expect("it is not finished");
        if !read_up_to(process.output(), text, &mut self.printed) {
            let printed = String::from_utf8_lossy(&self.printed);
            panic!("no '{text}' in:\n{printed}{}", process.errors());
        }
    }

    /// Waits for the end, and returns what was printed.
    #[track_caller]
    pub fn finish(mut self) -> (Option<i32>, String) {
        let printed = std::mem::take(&mut self.printed);
        let outcome = match self.process.take().expect("it is not finished") {
            Process::Child(child) => finish_child(child, printed, self.machine.is_some()),
            Process::Domain(domain) => domain.finish(printed),
        };
        let _ = fs::remove_file(&self.disk);
        let _ = fs::remove_file(self.disk.with_extension(BOOT_DISK));
        outcome
    }

    /// Time of a processor that it has had, in hundredths of a second.
    #[allow(dead_code, reason = "the tender's tests measure more finely")]
    pub fn spent(&self) -> u64 {
        let Some(Process::Child(child)) = &self.process else { panic!("it is no process of this host") };
        let path = format!("/proc/{}/stat", child.0.id());
        let text = fs::read_to_string(path).expect("it runs");
        // Source: proc(5): utime and stime, fields 14 and 15, behind a name that may have spaces.
        let (_, fields) = text.rsplit_once(')').expect("the name is in parentheses");
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|time| time.parse::<u64>().expect("a number")).sum()
    }

    /// Gives the machine's monitor a command.
    #[allow(dead_code, reason = "the tender's machines have none")]
    pub fn command_monitor(&self, command: &str) {
        self.machine.as_ref().expect("a machine of QEMU's").command_monitor(command);
    }

    /// The domain of Xen's that it is.
    #[allow(dead_code, reason = "others are no domains")]
    pub fn domain(&self) -> &xen::Domain {
        let Some(Process::Domain(domain)) = &self.process else { panic!("it is no domain") };
        domain
    }
}

/// Reads into `printed` up to `text`; false if the output ends before.
pub fn read_up_to(output: &mut dyn Read, text: &str, printed: &mut Vec<u8>) -> bool {
    let mut byte = [0];
    while !printed.ends_with(text.as_bytes()) {
        if output.read(&mut byte).expect("it is open") == 0 {
            return false;
        }
        printed.extend_from_slice(&byte);
    }
    true
}

/// Memory of the image on `target`, or of its machine where firmware takes a part.
pub fn memory_mib(target: &str) -> usize {
    qemu::Machine::named(target).map_or(MEMORY_MIB, |machine| machine.memory_mib())
}

/// What runs the image.
enum Process {
    Child(Running),
    Domain(xen::Domain),
}

impl Process {
    fn output(&mut self) -> &mut dyn Read {
        match self {
            Self::Child(child) => child.0.stdout.as_mut().expect("it is piped"),
            Self::Domain(domain) => &mut domain.console,
        }
    }

    /// What else it said, once it has ended.
    fn errors(&mut self) -> String {
        let mut errors = String::new();
        if let Self::Child(child) = self {
            let _ = child.0.stderr.as_mut().map(|stderr| stderr.read_to_string(&mut errors));
        }
        errors
    }
}

/// A program that runs an image. A test that fails does not leave it behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn finish_child(mut child: Running, mut stdout: Vec<u8>, in_qemu: bool) -> (Option<i32>, String) {
    let child = &mut child.0;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break Some(status),
            None if Instant::now() > end => break None,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let _ = child.kill();
    let mut stderr = Vec::new();
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (output.expect("it is piped"), errors.expect("it is piped"));
    output.read_to_end(&mut stdout).and_then(|_| errors.read_to_end(&mut stderr)).expect("it is open");
    let Some(status) = status else {
        panic!("still running after {PATIENCE:?}; it printed:\n{}", String::from_utf8_lossy(&stdout));
    };
    if in_qemu {
        qemu::outcome(&stdout, &stderr)
    } else {
        (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }
}

fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A wire: our end, and the one that the tender inherits.
pub fn interface() -> (OwnedFd, OwnedFd) {
    wire(SocketType::SEQPACKET)
}

fn wire(kind: SocketType) -> (OwnedFd, OwnedFd) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).expect("sockets exist");
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).expect("it is open");
    sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE)).expect("it is a socket");
    (ours, theirs)
}
