//! xen: the image in a domain of a real Xen, which all rows of a run share (tests/xen).
//!
//! The console is read from xenconsoled's log, the exit status is the image's last line, and must agree with the reason that
//! Xen gives for the domain's end. Each interface is a bridge's.

use super::{BLOCK, BLOCKS, PATIENCE, wire};
use rustix::net::{RecvFlags, SocketType, recv};
use std::{
    fs,
    io::Read,
    net::TcpStream,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use xen_lab::Lab;

/// The lab, and our ends of the wires to its bridges.
struct Shared {
    lab: Lab,
    wires: [OwnedFd; 2],
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let ([ours_0, theirs_0], [ours_1, theirs_1]) = (pair(), pair());
    let lab = Lab::start(&images().join("../xen-lab"), [theirs_0, theirs_1]);
    Shared { lab: lab.unwrap_or_else(|error| panic!("{error}")), wires: [ours_0, ours_1] }
});

fn pair() -> [OwnedFd; 2] {
    let (ours, theirs) = wire(SocketType::DGRAM);
    [ours, theirs]
}

/// Where the images lie.
pub fn images() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SKERRY_IMAGES")
            .expect("SKERRY_IMAGES is unset: run this through `cargo xtask test`"),
    )
}

/// Our ends of both wires. What is still in them is from another row.
pub fn interfaces() -> [OwnedFd; 2] {
    let mut frame = [0; 2048];
    [0, 1].map(|number| {
        let wire = SHARED.wires[number].try_clone().expect("a descriptor is left");
        while recv(&wire, &mut frame, RecvFlags::DONTWAIT).is_ok() {}
        wire
    })
}

/// A domain at work.
pub struct Domain {
    /// What its console says, and at the end what xl does.
    pub console: TcpStream,
    name: String,
    disk: Option<PathBuf>,
}

/// Starts the grid image as the configuration beside it says, with the devices that this row uses.
pub fn start(disk: &Path, image: &Path, arguments: &[&str]) -> Domain {
    let (interfaces, disk) = match arguments {
        ["echo", ..] => (BOTH, None),
        ["block"] => ("", Some(disk)),
        ["echo-by-disk"] => (FIRST, Some(disk)),
        // Each device takes the scripts of xl a second.
        _ => ("", None),
    };
    start_image(image, arguments, interfaces, disk)
}

const BOTH: &str = "\"mac=02:00:00:00:00:01,bridge=xenbr0\", \"mac=02:00:00:00:00:02,bridge=xenbr1\"";
/// One interface, on the first bridge.
#[allow(dead_code, reason = "the tender's tests have no domain")]
pub const FIRST: &str = "\"mac=02:00:00:00:00:01,bridge=xenbr0\"";

/// Starts a domain with these interfaces, as xl writes them, and this disk.
pub fn start_image(image: &Path, arguments: &[&str], interfaces: &str, disk: Option<&Path>) -> Domain {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let name = format!("grid{}", STARTED.fetch_add(1, Relaxed));
    let lab = &SHARED.lab;
    put_once(lab, image);
    let path = PathBuf::from(format!("{}.cfg", image.display()));
    let mut configuration = String::from_utf8(contents(&path)).expect("it is text");
    // What stands last counts.
    configuration += &format!("name = \"{name}\"\ncmdline = \"{}\"\n", arguments.join(" "));
    configuration += &format!("vif = [{interfaces}]\n");
    configuration += if disk.is_some() { "disk = [\"phy:/dev/loop0,xvda,w\"]\n" } else { "disk = []\n" };
    put(lab, &format!("{name}.cfg"), configuration.as_bytes());
    if let Some(disk) = disk {
        put(lab, "disk", &contents(disk));
    }
    let console = lab.begin(&SCRIPT.replace("NAME", &name)).unwrap_or_else(|error| panic!("{error}"));
    console.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    Domain { console, name, disk: disk.map(Path::to_owned) }
}

/// Copies an image to dom0, unless it is there.
fn put_once(lab: &Lab, image: &Path) {
    static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut there = THERE.lock().unwrap_or_else(PoisonError::into_inner);
    if !there.iter().any(|known| known == image) {
        put(lab, &image.file_name().unwrap_or_default().to_string_lossy(), &contents(image));
        there.push(image.to_owned());
    }
}

fn put(lab: &Lab, name: &str, content: &[u8]) {
    lab.put(&format!("/lab/{name}"), content).unwrap_or_else(|error| panic!("{error}"));
}

fn contents(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the domain to its end. Its console comes as it is written, then what xl says. A domain that a failed row has left
/// behind goes first.
const SCRIPT: &str = "\
cd /lab
[ -e running ] && xl destroy $(cat running) > /dev/null 2>&1
echo NAME > running
if grep -q loop0 NAME.cfg; then losetup /dev/loop0 disk || exit 1; fi
touch /var/log/xen/console/guest-NAME.log
exec 3< /var/log/xen/console/guest-NAME.log
{ xl create -F NAME.cfg > NAME.xl 2>&1; touch NAME.ended; } &
until [ -e NAME.ended ]; do cat <&3; usleep 100000; done
usleep 200000
cat <&3
[ $(cat running) = NAME ] && rm running
losetup -d /dev/loop0 2> /dev/null
echo '@@ xl'
cat NAME.xl
rm NAME.* /var/log/xen/console/guest-NAME.log";

impl Domain {
    /// Waits for the end: the image's exit status, and what it printed. `printed` was read before.
    pub fn finish(mut self, mut printed: Vec<u8>) -> (Option<i32>, String) {
        let end = self.console.read_to_end(&mut printed);
        let text = String::from_utf8_lossy(&printed).replace('\r', "");
        if end.is_err() {
            panic!("domain {} is still running after {PATIENCE:?}; it printed:\n{text}", self.name);
        }
        if let Some(disk) = &self.disk {
            fetch(&SHARED.lab, disk);
        }
        let Some((console, xl)) = text.split_once("@@ xl\n") else { return (None, text) };
        let (before, status) = match console.trim_end().rsplit_once("exit status ") {
            Some((before, status)) => (before, status.parse::<i32>().ok()),
            None => (console, None),
        };
        let crashed = xl.contains("reason code 3");
        assert!(crashed || xl.contains("reason code 0"), "xl says nothing of the end:\n{text}");
        assert_eq!(crashed, status != Some(0), "Xen's reason and the last line differ:\n{text}");
        (status, if status.is_some() { before.to_owned() } else { text.clone() })
    }

    /// Asks the domain to end, as an operator does.
    #[allow(dead_code, reason = "the tender's tests have no domain")]
    pub fn shut_down(&self) {
        let output = SHARED.lab.shell(&format!("xl shutdown {}", self.name));
        let output = output.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.status, 0, "xl shutdown: {}", output.text);
    }

    /// Takes its disk away, as an operator may; as for the interface.
    #[allow(dead_code, reason = "the tender's tests have no domain")]
    pub fn detach_disk(&self) {
        let output = SHARED.lab.shell(&format!("xl block-detach {} xvda", self.name));
        output.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Takes its first interface away, as an operator may. xl waits for the domain, which may be gone before it has.
    #[allow(dead_code, reason = "the tender's tests have no domain")]
    pub fn detach_interface(&self) {
        let output = SHARED.lab.shell(&format!("xl network-detach {} 0", self.name));
        output.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Brings the disk back into its file.
fn fetch(lab: &Lab, disk: &Path) {
    let output = lab.shell("od -An -v -tx1 /lab/disk").unwrap_or_else(|error| panic!("{error}"));
    let bytes: Vec<u8> =
        output.text.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    assert_eq!(bytes.len(), BLOCK * BLOCKS, "the disk of the domain");
    fs::write(disk, bytes).expect("it was written before");
}
