//! The two systems that are compared, and the virtual machine that both are given.

use std::path::PathBuf;
use std::time::Duration;

use super::debian::Debian;
use super::initramfs::{self, Initramfs};
use crate::Failure;
use crate::bench::Bench;
use crate::bench::image::{GUEST_MAC, Image};
use crate::bench::netns::{Lab, Subnet, command_in};
use crate::bench::options::Options;
use crate::bench::peers::{self, Peer, SERVER_CPU, Server};
use crate::bench::process::Process;
use crate::bench::zones::ZoneSet;

/// Under emulation Linux takes seconds; what has not answered by then will not.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whose operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Our image on virtio.
    Skerry,
    /// NSD on Debian's kernel.
    Linux,
}

impl System {
    /// Both, ours first.
    pub const BOTH: [Self; 2] = [Self::Skerry, Self::Linux];

    /// Its name in tables, and of its interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skerry => "skerry-vm",
            Self::Linux => "linux-vm",
        }
    }

    /// Where it is.
    pub fn subnet(self) -> Subnet {
        match self {
            Self::Skerry => Subnet(8),
            Self::Linux => Subnet(9),
        }
    }

    /// Megabytes in which it runs at ease.
    pub fn ample_mib(self) -> u32 {
        256
    }
}

/// What a virtual machine is started with: files and words.
pub struct Guest {
    /// Whose it is.
    pub system: System,
    /// What QEMU loads.
    pub kernel: PathBuf,
    /// Linux's root.
    pub initramfs: Option<Initramfs>,
    /// The kernel's command line; for ours the image's arguments.
    arguments: String,
    machine: Vec<String>,
}

impl Guest {
    /// Builds the artefacts of `system` with the zone in `zones`.
    pub fn build(bench: &Bench, system: System, zones: &ZoneSet) -> Result<Self, Failure> {
        let machine = machine(&bench.options);
        match system {
            System::Skerry => {
                let image = Image::build(&bench.options, &bench.lab, "virtio", &zones.content)?;
                let arguments = format!("--ipv4={}/24", system.subnet().server());
                Ok(Self { system, kernel: image.path().to_owned(), initramfs: None, arguments, machine })
            }
            System::Linux => {
                let debian = Debian::fetch()?;
                let initramfs = initramfs::build(&debian, zones, system.subnet(), &bench.lab.directory)?;
                let arguments = format!("quiet console=ttyS0 panic=-1{}", clock(&bench.options));
                Ok(Self { system, kernel: debian.vmlinux, initramfs: Some(initramfs), arguments, machine })
            }
        }
    }

    /// QEMU with `memory` MiB, as words for a program that starts it in the client's namespace.
    pub fn words(&self, memory: u32) -> Vec<String> {
        let mut words = self.bare_words(memory);
        words.extend(["-kernel".into(), self.kernel.to_string_lossy().into_owned()]);
        if let Some(Initramfs { plain, packed }) = &self.initramfs {
            let initramfs = if memory < self.system.ample_mib() { packed } else { plain };
            words.extend(["-initrd".into(), initramfs.to_string_lossy().into_owned()]);
        }
        words.extend(["-append".into(), self.arguments.clone()]);
        words
    }

    /// The same machine with nothing to run in it.
    pub fn bare_words(&self, memory: u32) -> Vec<String> {
        let mut words = vec!["qemu-system-x86_64".to_owned()];
        words.extend(self.machine.iter().cloned());
        words.extend(["-m".into(), memory.to_string(), "-netdev".into()]);
        let tap = self.system.name();
        words.push(format!("tap,id=service,ifname={tap},script=no,downscript=no"));
        words
    }

    /// Starts it on the servers' processor and waits until it answers.
    pub fn start(&self, bench: &Bench, zones: &ZoneSet, memory: u32) -> Result<Server, Failure> {
        self.add_tap(bench)?;
        let process = self.spawn(bench, &self.words(memory))?;
        let (system, subnet) = (self.system, self.system.subnet());
        let (address, interface) = (peers::address(subnet), system.name().to_owned());
        let mut server = Server { peer: Peer::Vm(system), process, address, interface };
        match server.wait_until_serving(bench, zones, PATIENCE) {
            Ok(()) => Ok(server),
            Err(failure) => {
                let said = server.process.printed();
                server.stop(&bench.lab);
                Err(format!("{failure}; it said: {}", said.lines().last().unwrap_or("nothing")))
            }
        }
    }

    /// A process of QEMU's in the client's namespace.
    pub fn spawn(&self, bench: &Bench, words: &[String]) -> Result<Process, Failure> {
        let mut command = command_in(Lab::CLIENT, Some(SERVER_CPU), &words[0]);
        let log = bench.lab.directory.join(format!("{}.log", self.system.name()));
        Process::start(self.system.name(), command.args(&words[1..]), &log)
    }

    /// The interface that [`Guest::words`] name, with the guest's address known to the client.
    pub fn add_tap(&self, bench: &Bench) -> Result<(), Failure> {
        let (name, subnet) = (self.system.name(), self.system.subnet());
        bench.lab.add_tap(name, subnet)?;
        bench.lab.add_neighbour(name, subnet, GUEST_MAC)
    }
}

/// The machine, the processor and the network device: the same for both systems.
fn machine(options: &Options) -> Vec<String> {
    let (machine, device) = match options.machine.as_str() {
        "microvm" => ("microvm", "virtio-net-device"),
        other => (other, "virtio-net-pci,disable-legacy=on"),
    };
    let cpu = if options.accelerator == "tcg" { "max" } else { "host" };
    let words = format!(
        "-accel {} -cpu {cpu} -machine {machine} -smp 1 -nodefaults -no-user-config -display none -no-reboot \
         -serial stdio -global virtio-mmio.force-legacy=false -device {device},netdev=service,mac={GUEST_MAC}",
        options.accelerator
    );
    words.split(' ').map(str::to_owned).collect()
}

/// An emulated microvm has no clock that Linux knows to measure the others by, and Linux waits for ever for a tick: it is told
/// the rate of the processor's counter. KVM tells by itself.
fn clock(options: &Options) -> String {
    if options.accelerator != "tcg" {
        return String::new();
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("cpu MHz"));
    let megahertz = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    megahertz.map_or_else(String::new, |megahertz| format!(" tsc_early_khz={:.0}", megahertz * 1000.0))
}
