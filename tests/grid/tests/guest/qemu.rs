//! virtio: the image in QEMU's machines, by emulation and by KVM.
//!
//! The console is QEMU's standard output; the image's exit status is its last line. An interface is a datagram socket pair,
//! of which QEMU has one end.

use super::{Attached, BOOT_DISK, MEMORY_MIB, disk, wire};
use rustix::{io::write, net::SocketType};
use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
};

/// How a machine has its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bus {
    /// PCI, as virtio 1 has it.
    PciModern,
    /// PCI, as before virtio 1: bhyve, old QEMU.
    PciLegacy,
    /// At addresses that the command line says, as virtio 1 has it: Firecracker.
    Mmio,
}

/// How the image gets into the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    /// By multiboot, which QEMU prefers where a file has both.
    Multiboot,
    /// By PVH, as on hypervisors that do not know multiboot.
    Pvh,
    /// From its disk, by a BIOS.
    Bios,
    /// From its disk, by UEFI.
    Uefi,
}

/// A machine of QEMU's.
#[derive(Debug)]
pub struct Machine {
    model: &'static Model,
    monitor: (OwnedFd, OwnedFd),
}

/// What is different between machines.
#[derive(Debug)]
struct Model {
    name: &'static str,
    options: &'static str,
    bus: Bus,
    boot: Boot,
    memory_mib: usize,
    under_kvm: bool,
    /// Where there is none, the console is a virtio device.
    has_serial_port: bool,
    /// The disk it boots from is a virtio device as well, before the other one.
    boots_from_virtio: bool,
    /// Its devices cannot send messages (MSI-X), and all raise the same interrupt line.
    has_one_line: bool,
}

const Q35: Model = Model {
    name: "q35",
    options: "q35",
    bus: Bus::PciModern,
    boot: Boot::Multiboot,
    memory_mib: MEMORY_MIB,
    under_kvm: false,
    has_serial_port: true,
    boots_from_virtio: false,
    has_one_line: false,
};

const PC: Model = Model { name: "pc", options: "pc", bus: Bus::PciLegacy, boot: Boot::Pvh, ..Q35 };

/// As Firecracker: no ACPI, devices on the command line.
const MICROVM: Model =
    Model { name: "microvm", options: "microvm,acpi=off", bus: Bus::Mmio, boot: Boot::Pvh, ..Q35 };

/// Legacy devices alone, as bhyve has them.
const DISK_BIOS: Model = Model { name: "disk_bios", boot: Boot::Bios, ..PC };

/// UEFI by itself takes more memory than the image.
const DISK_UEFI: Model =
    Model { name: "disk_uefi", boot: Boot::Uefi, memory_mib: 128, bus: Bus::PciLegacy, ..Q35 };

static MODELS: [Model; 12] = [
    Q35,
    Model { name: "q35_line", has_one_line: true, ..Q35 },
    Model { name: "q35_line_kvm", has_one_line: true, under_kvm: true, ..Q35 },
    PC,
    MICROVM,
    Model { name: "microvm_console", options: "microvm,isa-serial=off", has_serial_port: false, ..MICROVM },
    Model { name: "q35_kvm", boot: Boot::Pvh, under_kvm: true, ..Q35 },
    // With ACPI, as QEMU has it by itself.
    Model { name: "microvm_kvm", options: "microvm", boot: Boot::Multiboot, under_kvm: true, ..MICROVM },
    DISK_BIOS,
    Model { name: "disk_bios_virtio", boots_from_virtio: true, ..DISK_BIOS },
    DISK_UEFI,
    // A disk that firmware and image reach by modern PCI, as on clouds.
    Model { name: "disk_uefi_virtio", boots_from_virtio: true, bus: Bus::PciModern, ..DISK_UEFI },
];

/// Emulation: everything it can do, for RDRAND and RDSEED, without which no image boots.
const EMULATED: [&str; 4] = ["-accel", "tcg", "-cpu", "max"];
/// A model with RDRAND and RDSEED; `host` fails where KVM has no hardware virtualisation below it.
const BY_KVM: [&str; 4] = ["-accel", "kvm", "-cpu", "EPYC"];

/// UEFI for QEMU. Source: Debian's package `ovmf`.
const OVMF: &str = "/usr/share/ovmf/OVMF.fd";

/// First word of a multiboot header.
const MULTIBOOT_MAGIC: [u8; 4] = 0x1bad_b002_u32.to_le_bytes();

impl Machine {
    /// The machine of that name, if it is one of QEMU's.
    pub fn named(name: &str) -> Option<Self> {
        let model = MODELS.iter().find(|model| model.name == name)?;
        Some(Self { model, monitor: wire(SocketType::STREAM) })
    }

    /// QEMU with everything attached.
    pub(super) fn command(&self, attached: &Attached<'_>) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(if self.model.under_kvm { BY_KVM } else { EMULATED });
        command.args(["-machine", self.model.options, "-m", &self.memory_mib().to_string()]);
        command.args(["-nodefaults", "-no-reboot", "-display", "none"]);
        if self.model.has_serial_port {
            command.args(["-serial", "stdio"]);
        } else {
            command.args(["-chardev", "stdio,id=console"]);
            command.args(["-device", &format!("{},max_ports=1", self.device("serial"))]);
            command.args(["-device", "virtconsole,chardev=console"]);
        }
        command.args(["-chardev", &format!("socket,id=monitor,fd={}", self.monitor.1.as_raw_fd())]);
        command.args(["-mon", "chardev=monitor,mode=readline"]);
        self.attach_interface(&mut command, "service", &attached.service, 1);
        self.attach_interface(&mut command, "management", &attached.management, 2);
        self.insert_image(&mut command, attached);
        let disk = attached.disk.display();
        command.args(["-drive", &format!("id=storage,file={disk},format=raw,if=none")]);
        command.args(["-device", &format!("{},drive=storage{}", self.device("blk"), self.place(3))]);
        if self.model.bus == Bus::Mmio {
            command.args(["-global", "virtio-mmio.force-legacy=false"]);
        }
        command
    }

    /// Memory of the machine.
    pub fn memory_mib(&self) -> usize {
        self.model.memory_mib
    }

    fn insert_image(&self, command: &mut Command, attached: &Attached<'_>) {
        let arguments = arguments(attached.arguments);
        match self.model.boot {
            Boot::Multiboot => {
                command.arg("-kernel").arg(attached.image).args(["-append", &arguments]);
            }
            Boot::Pvh => {
                command.arg("-kernel").arg(without_multiboot(attached.image)).args(["-append", &arguments]);
            }
            Boot::Bios => self.insert_disk(command, attached, "disk-bios.raw", |disk| {
                disk::write_arguments_for_bios(disk, &arguments);
            }),
            Boot::Uefi => {
                command.args(["-bios", OVMF]);
                self.insert_disk(command, attached, "disk-uefi.raw", |disk| {
                    disk::write_arguments_for_uefi(disk, &arguments);
                });
            }
        }
    }

    /// Has the machine boot from a copy of the image's disk.
    fn insert_disk(
        &self,
        command: &mut Command,
        attached: &Attached<'_>,
        ending: &str,
        write: impl FnOnce(&mut [u8]),
    ) {
        let mut disk = fs::read(attached.image.with_extension(ending)).expect("the disk was built");
        write(&mut disk);
        let copy = attached.disk.with_extension(BOOT_DISK);
        fs::write(&copy, disk).expect("the images' directory is writable");
        command.args(["-drive", &format!("id=boot,file={},format=raw,if=none", copy.display())]);
        let device = if self.model.boots_from_virtio { self.device("blk") } else { "ide-hd".into() };
        command.args(["-device", &format!("{device},drive=boot,bootindex=0")]);
    }

    fn attach_interface(&self, command: &mut Command, name: &str, wire: &OwnedFd, mac: u8) {
        let fd = wire.as_raw_fd();
        command.args(["-netdev", &format!("dgram,id={name},local.type=fd,local.str={fd}")]);
        let device = self.device("net");
        let place = self.place(mac);
        command.args(["-device", &format!("{device},netdev={name},mac=02:00:00:00:00:{mac:02}{place}")]);
    }

    /// Where the device with this number is to be, if that matters: a PC's places go round its four lines.
    fn place(&self, number: u8) -> String {
        if self.model.has_one_line { format!(",vectors=0,addr={:#x}", 4 * number) } else { String::new() }
    }

    /// What ends a sleep when a frame comes in, in words of the image's.
    pub fn interrupt(&self) -> &'static str {
        match self.model.bus {
            Bus::PciModern if !self.model.has_one_line => "MSI-X",
            _ => "interrupt line ",
        }
    }

    /// The name of a virtio device on this bus, with its options.
    fn device(&self, kind: &str) -> String {
        match self.model.bus {
            Bus::PciModern => format!("virtio-{kind}-pci,disable-legacy=on,disable-modern=off"),
            Bus::PciLegacy => format!("virtio-{kind}-pci,disable-legacy=off,disable-modern=on"),
            Bus::Mmio => format!("virtio-{kind}-device"),
        }
    }

    /// Gives QEMU's monitor a command.
    pub fn command_monitor(&self, command: &str) {
        write(&self.monitor.0, command.as_bytes()).expect("QEMU reads its monitor");
    }
}

/// A wire: our end, and the one that QEMU inherits.
pub fn interface() -> (OwnedFd, OwnedFd) {
    wire(SocketType::DGRAM)
}

/// The image's status, and what it printed before that line.
pub fn outcome(stdout: &[u8], stderr: &[u8]) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(stdout).replace('\r', "");
    // What UEFI prints comes first, and this last.
    let text = match text.rsplit_once("BdsDxe: starting") {
        Some((_, behind)) => behind.split_once('\n').map_or("", |(_, image)| image).to_owned(),
        None => text,
    };
    let said = text.trim_end().rsplit_once("exit status ").map(|(before, status)| (before, status.parse()));
    match said {
        Some((before, Ok(status))) => (Some(status), before.to_owned()),
        _ => (None, format!("{text}{}", String::from_utf8_lossy(stderr))),
    }
}

/// The arguments as a command line; the machine has no other way to say which interface is which.
fn arguments(arguments: &[&str]) -> String {
    let names = ["--net-mac:service=02:00:00:00:00:01", "--net-mac:management=02:00:00:00:00:02"];
    [&names, arguments].concat().join(" ")
}

/// A copy of the image without its multiboot header.
fn without_multiboot(image: &Path) -> PathBuf {
    let mut bytes = fs::read(image).expect("the image was built");
    let at = bytes.windows(4).position(|word| word == MULTIBOOT_MAGIC).expect("it has a multiboot header");
    bytes[at] = 0;
    let copy = image.with_extension("pvh");
    let unique = image.with_extension(format!("pvh-{:?}", std::thread::current().id()));
    // Tests run side by side: each sees a whole file.
    fs::write(&unique, bytes).and_then(|()| fs::rename(&unique, &copy)).expect("the directory is writable");
    copy
}
