//! Running an image in QEMU: from its ELF file, or from a disk under SeaBIOS or OVMF.

use super::Options;
use crate::{Failure, image, test};
use std::{fs, net::SocketAddr, path::Path, process::Command};

const PROGRAM: &str = "qemu-system-x86_64";

/// OVMF as distributions install it: Debian, Fedora, Arch.
const OVMF: [&str; 3] = [
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
];

/// Memory below which OVMF does not start, MiB.
const OVMF_MEMORY_MIB: u32 = 128;

/// A machine that QEMU makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    name: &'static str,
    /// The target of `image` that it boots.
    image: &'static str,
    options: &'static [&'static str],
    /// How a virtio interface is attached.
    interface: &'static str,
}

const Q35: [&str; 2] = ["-machine", "q35"];

const MACHINES: [Machine; 4] = [
    Machine { name: "qemu", image: "virtio", options: &Q35, interface: "virtio-net-pci" },
    Machine {
        name: "microvm",
        image: "virtio",
        options: &["-machine", "microvm", "-global", "virtio-mmio.force-legacy=false"],
        interface: "virtio-net-device",
    },
    Machine { name: "disk-bios", image: "disk-bios", options: &Q35, interface: "virtio-net-pci" },
    Machine { name: "disk-uefi", image: "disk-uefi", options: &Q35, interface: "virtio-net-pci" },
];

/// What can be asked for.
pub fn names() -> [&'static str; 4] {
    MACHINES.map(|machine| machine.name)
}

impl Machine {
    /// The machine of that name.
    pub fn named(name: &str) -> Option<Self> {
        MACHINES.into_iter().find(|machine| machine.name == name)
    }

    fn boots_from_disk(self) -> bool {
        self.image.starts_with("disk")
    }
}

/// QEMU with the image.
pub fn command(
    machine: Machine,
    description: &image::Description,
    options: Options,
) -> Result<Command, Failure> {
    if !test::is_installed(PROGRAM) {
        return Err(format!("there is no {PROGRAM}; sudo apt-get install qemu-system-x86"));
    }
    let Options { mut image, publish, memory_mib, arguments, .. } = options;
    let mut memory_mib = memory_mib.unwrap_or(description.memory_mib);
    let mut command = Command::new(PROGRAM);
    command.args(machine.options).args(accelerator());
    command.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    let forwards: Vec<String> = publish.iter().map(|rule| forward(rule)).collect::<Result<_, _>>()?;
    for (index, name) in description.interfaces().enumerate() {
        // The first interface is the one that is published, as with the tender.
        let forwards = if index == 0 { forwards.concat() } else { String::new() };
        command.args(["-netdev", &format!("user,id={name}{forwards}")]);
        command.args(["-device", &format!("{},netdev={name}", machine.interface)]);
    }
    if machine.boots_from_disk() {
        image.arguments = arguments;
        let disk = image::build(description, machine.image, &image)?;
        let disk = disk.display();
        // No virtio disk, which would be one of the image's own.
        command.args(["-drive", &format!("file={disk},format=raw,if=none,id=boot,snapshot=on")]);
        command.args(["-device", "ide-hd,drive=boot"]);
    } else {
        let elf = image::build(description, machine.image, &image)?;
        command.arg("-kernel").arg(elf).args(["-append", &arguments.join(" ")]);
    }
    if machine.name == "disk-uefi" {
        let ovmf = OVMF.iter().find(|path| Path::new(path).exists());
        let ovmf = ovmf.ok_or("there is no UEFI firmware (OVMF); sudo apt-get install ovmf")?;
        command.args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={ovmf}")]);
        memory_mib = memory_mib.max(OVMF_MEMORY_MIB);
    }
    command.args(["-m", &memory_mib.to_string()]);
    Ok(command)
}

/// KVM with the processor as it is, where KVM has hardware to use; otherwise emulation of a processor with RDRAND.
fn accelerator() -> [&'static str; 4] {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has_hardware = processor.split_whitespace().any(|flag| ["vmx", "svm"].contains(&flag));
    if has_hardware && test::usable_kvm() {
        return ["-accel", "kvm", "-cpu", "host"];
    }
    eprintln!("note: emulated, and slow: there is no /dev/kvm that is yours, or no VT-x or AMD-V behind it");
    ["-accel", "tcg", "-cpu", "max"]
}

/// A rule of `--publish` as QEMU takes it: for UDP and TCP unless one is named.
fn forward(rule: &str) -> Result<String, Failure> {
    let (ports, protocols) = match rule.rsplit_once('/') {
        None => (rule, ["udp", "tcp"].as_slice()),
        Some((ports, "udp")) => (ports, ["udp"].as_slice()),
        Some((ports, "tcp")) => (ports, ["tcp"].as_slice()),
        Some((_, other)) => return Err(format!("--publish {rule}: '{other}' is neither udp nor tcp")),
    };
    let wrong = || format!("--publish takes ADDR:PORT:GUESTPORT[/udp|/tcp], not '{rule}'");
    let (host, guest) = ports.rsplit_once(':').ok_or_else(wrong)?;
    let (host, guest): (SocketAddr, u16) =
        (host.parse().map_err(|_| wrong())?, guest.parse().map_err(|_| wrong())?);
    if host.is_ipv6() {
        return Err(format!("--publish {rule}: QEMU's user-mode network forwards IPv4 addresses only"));
    }
    let one = |protocol: &&str| format!(",hostfwd={protocol}:{}:{}-:{guest}", host.ip(), host.port());
    Ok(protocols.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &str, expect: Option<&str>) {
        assert_eq!(forward(rule).ok().as_deref(), expect);
    }

    #[test]
    fn what_is_published_is_forwarded_by_qemu() {
        check("127.0.0.1:5353:53/udp", Some(",hostfwd=udp:127.0.0.1:5353-:53"));
        check("0.0.0.0:80:8080", Some(",hostfwd=udp:0.0.0.0:80-:8080,hostfwd=tcp:0.0.0.0:80-:8080"));
        check("[::1]:53:53/udp", None);
        check("127.0.0.1:53", None);
        check("127.0.0.1:53:53/sctp", None);
        check("localhost:53:53", None);
    }
}
