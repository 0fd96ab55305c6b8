//! A DNS image at work: what it is started with, the way in, and what it printed.

use crate::machine::{self, Network};
use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// Longest wait for anything: hvt without VT-x emulates the image's first instructions, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the image prints when it answers.
const READY: &str = "INFO dns::service: serving ";

/// What to start.
pub struct Setup<'a> {
    /// `spt`, `hvt`, or a machine of QEMU's.
    pub target: &'a str,
    /// What is on the block device; nothing for the image with content of its own.
    pub archive: Option<Vec<u8>>,
    /// MiB.
    pub memory: u32,
    /// Of the image.
    pub arguments: &'a [&'a str],
}

impl<'a> Setup<'a> {
    /// 16 MiB, with these zone files on the block device.
    pub fn with_zones(target: &'a str, files: &[(&str, &str)]) -> Setup<'a> {
        Setup { target, archive: Some(archive(files)), memory: 16, arguments: &[] }
    }

    /// The image that has the example zone in it.
    pub fn baked(target: &'a str) -> Setup<'a> {
        Setup { target, archive: None, memory: 16, arguments: &[] }
    }

    /// Starts it with a port of the loopback interface as the way in.
    pub fn publish(self) -> Guest {
        self.start(&Network::Publish(free_address()))
    }

    /// Starts it with one end of a packet socket for a network interface; the other end is ours.
    pub fn attach(self, interface: i32) -> Guest {
        self.start(&Network::Attach(interface))
    }

    fn start(self, network: &Network) -> Guest {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(variable("SKERRY_IMAGES"));
        let file = |what: &str| directory.join(format!("grid-dns-{}-{number}.{what}", std::process::id()));
        let (disk, log) = (file("disk"), file("log"));
        let disk_file = self.archive.as_ref().map(|archive| {
            fs::write(&disk, archive).expect("the images' directory is writable");
            disk.as_path()
        });
        let name = if self.archive.is_some() { "dns-static" } else { "example/dns-static" };
        let image = |back_end: &str| directory.join(format!("{name}.{back_end}"));
        let machine = image("virtio");
        let mut command =
            machine::command(self.target, self.memory, network, disk_file, &machine, self.arguments)
                .unwrap_or_else(|| self.tender(network, disk_file, &image(self.target)));
        let address = match network {
            Network::Publish(address) => *address,
            Network::Attach(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let output = fs::File::create(&log).expect("the images' directory is writable");
        let errors = output.try_clone().expect("it is open");
        let process = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Guest { process, address, disk, log }
    }

    fn tender(&self, network: &Network, disk: Option<&Path>, image: &Path) -> Command {
        let mut command = Command::new(variable("SKERRY_TENDER"));
        command.args(std::env::var_os("SKERRY_TENDER_OPTION"));
        command.arg(format!("--mem={}", self.memory));
        match network {
            Network::Publish(address) => {
                command.args(["udp", "tcp"].map(|protocol| format!("--publish={address}:53/{protocol}")))
            }
            Network::Attach(socket) => command.arg(format!("--net:service=@{socket}")),
        };
        command.args(disk.map(|disk| format!("--block:storage={}", disk.display())));
        command.arg("--").arg(image).args(self.arguments);
        command
    }
}

/// An image that runs; it ends with this value.
pub struct Guest {
    process: Child,
    /// The way in.
    pub address: SocketAddr,
    disk: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Waits until it serves.
    #[track_caller]
    pub fn ready(mut self) -> Guest {
        let end = Instant::now() + PATIENCE;
        while !self.output().contains(READY) {
            assert!(self.is_alive(), "it ended:\n{}", self.output());
            assert!(Instant::now() < end, "it does not serve:\n{}", self.output());
            sleep(Duration::from_millis(2));
        }
        self
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        while self.is_alive() {
            assert!(Instant::now() < end, "it does not end:\n{}", self.output());
            sleep(Duration::from_millis(2));
        }
        let status: ExitStatus = self.process.wait().expect("it is our child");
        (status.code(), self.output())
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.process.try_wait().expect("it is our child").is_none()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.disk);
        let _ = fs::remove_file(&self.log);
    }
}

fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is unset: run this through `cargo xtask test`"))
}

/// A port that is free for both UDP and TCP at the moment of asking.
fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let address = listener.local_addr().expect("it is bound");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// A tar archive of these files.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).expect("a vector takes everything");
    }
    archive.into_inner().expect("a vector takes everything")
}
