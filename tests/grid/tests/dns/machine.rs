//! QEMU's machines below a DNS image: one for each way to virtio devices.
//!
//! The way in is QEMU's own user-mode network, which reaches the one address that it gives, or our end of a socket.

use std::{net::SocketAddr, path::Path, process::Command};

/// Names, machines, and what their devices are called.
const MACHINES: [(&str, &[&str], &str); 6] = [
    ("q35", &["-machine", "q35"], PCI_MODERN),
    ("pc", &["-machine", "pc"], PCI_LEGACY),
    ("microvm", &["-machine", "microvm,acpi=off", "-global", "virtio-mmio.force-legacy=false"], MMIO),
    ("microvm_legacy", &["-machine", "microvm,acpi=off"], MMIO),
    ("q35_kvm", &["-machine", "q35"], PCI_MODERN),
    ("microvm_kvm", &["-machine", "microvm", "-global", "virtio-mmio.force-legacy=false"], MMIO),
];
const PCI_MODERN: &str = "pci,disable-legacy=on,disable-modern=off";
const PCI_LEGACY: &str = "pci,disable-legacy=off,disable-modern=on";
const MMIO: &str = "device";

/// RDRAND and RDSEED are what no image boots without.
const EMULATED: [&str; 4] = ["-accel", "tcg", "-cpu", "max"];
const BY_KVM: [&str; 4] = ["-accel", "kvm", "-cpu", "EPYC"];

/// How the image is reached.
pub enum Network {
    /// By a port of the loopback interface.
    Publish(SocketAddr),
    /// By the other end of this socket.
    Attach(i32),
}

/// QEMU with an image, if `target` is one of its machines.
pub fn command(
    target: &str,
    memory: u32,
    network: &Network,
    disk: Option<&Path>,
    image: &Path,
    arguments: &[&str],
) -> Option<Command> {
    let (_, machine, device) = MACHINES.iter().find(|(name, ..)| *name == target)?;
    let mut command = Command::new("qemu-system-x86_64");
    command.args(if target.ends_with("_kvm") { BY_KVM } else { EMULATED }).args(*machine);
    command.args(["-m", &memory.to_string()]);
    command.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    command.args([
        "-netdev",
        &match network {
            Network::Publish(address) => format!(
                "user,id=service,hostfwd=udp:{address}-10.0.2.15:53,hostfwd=tcp:{address}-10.0.2.15:53"
            ),
            Network::Attach(socket) => format!("dgram,id=service,local.type=fd,local.str={socket}"),
        },
    ]);
    command.args(["-device", &format!("virtio-net-{device},netdev=service,mac=02:00:00:00:00:01")]);
    if let Some(disk) = disk {
        command.args(["-drive", &format!("id=storage,file={},format=raw,if=none", disk.display())]);
        command.args(["-device", &format!("virtio-blk-{device},drive=storage")]);
    }
    // The one that QEMU's DHCP would give, but without waiting for it.
    let address = matches!(network, Network::Publish(_)).then_some("--ipv4=10.0.2.15/24");
    let arguments: Vec<&str> = address.into_iter().chain(arguments.iter().copied()).collect();
    command.arg("-kernel").arg(image).args(["-append", &arguments.join(" ")]);
    Some(command)
}
